//! The contract of accounts and sessions on Postgres, and what only a server over a network can do to them.

// A test file is test code all through, its helper functions too; chats of the contract are another store's.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

mod contract;
mod fresh_database;
#[path = "postgres/role.rs"]
mod role;

#[path = "postgres/erasure.rs"]
mod erasure;

use std::{
    collections::HashMap,
    error::Error,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use contract::{NOW, Recorder, Stores, new_account};
use fresh_database::Database;
use sentinel_adapters::{
    linked_accounts::{ChatLinks, LinkedAccounts},
    postgres::{Postgres, PostgresError},
    sqlite::{LocalPresence, Sqlite},
    versions::TableVersions,
};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    clock::HybridClock,
    event::Origin,
    ids::{SessionId, UserId},
    keyring::Keyring,
    mail::LinkPurpose,
    ports::{AccountReader, AccountStore, MailStore, PresenceStore, SessionReader, SessionStore, StoreError},
    presence::PresenceStatus,
    session::Session,
    time::Timestamp,
};
use sqlx::Connection as _;
use uuid::Uuid;

async fn open(database: &Database) -> (Postgres, Arc<Recorder>) {
    let fanout = Arc::new(Recorder::default());
    database.migrate().await;
    (Postgres::connect(&database.config(), fanout.clone()).await.unwrap(), fanout)
}

async fn fresh() -> Stores {
    let database = Database::make().await;
    let (postgres, fanout) = open(&database).await;
    over(postgres, fanout, database)
}

fn over(postgres: Postgres, fanout: Arc<Recorder>, database: Database) -> Stores {
    // Nothing here needs chats, but stores have some.
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap();
    let path = folder.path().join("db");
    let chats = Sqlite::open(&path, Arc::new(keyring), Arc::new(HybridClock::new()), fanout.clone()).unwrap();
    let postgres = Arc::new(postgres);
    let keep = Arc::new((folder, database));
    let chats = Arc::new(chats);
    Stores {
        accounts: postgres.clone(),
        sessions: postgres.clone(),
        chats: chats.clone(),
        media: chats.clone(),
        devices: chats.clone(),
        notifications: chats,
        administration: postgres.clone(),
        reports: postgres.clone(),
        mail: postgres.clone(),
        reindex: postgres,
        fanout,
        in_order: true,
        in_doubt: false,
        keep,
    }
}

contract_tests!(crate::fresh; accounts, sessions, administration, mail, reindex);

#[tokio::test]
async fn what_is_sealed_moves_to_the_newest_key() {
    let database = Database::make().await;
    let (postgres, fanout) = open(&database).await;
    let stores = over(postgres.clone(), fanout, database);
    let (old, new) = (("kek-0001".to_owned(), [7; 32]), ("kek-0002".to_owned(), [8; 32]));
    let ring = |keys: &[&(String, [u8; 32])]| Keyring::new(keys.iter().map(|key| (*key).clone()).collect()).unwrap();
    contract::administration::keep_sealed(&stores, &ring(&[&old])).await;
    // What can't be opened any more is left as it is.
    contract::administration::reports_are_kept_and_resolved_once(&stores).await;
    assert_eq!(postgres.reseal(&ring(&[&old, &new])).await.unwrap(), 2);
    assert_eq!(postgres.reseal(&ring(&[&old, &new])).await.unwrap(), 0);
    contract::administration::sealed_opens(&stores, &ring(&[&new])).await;
}

/// An error with all that is behind it, as logs show it.
fn whole(error: &dyn Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause:?} {cause}").unwrap();
        source = cause.source();
    }
    text
}

async fn refused(database: &Database) -> PostgresError {
    Postgres::connect(&database.config(), Arc::new(Recorder::default())).await.err().unwrap()
}

fn account() -> sentinel_domain::ports::NewAccount {
    let id = Uuid::new_v4().simple().to_string();
    new_account(&format!("u{}", &id[..20]), &format!("{id}@example.com"))
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_migrate_at_once_do_it_once() {
    let database = Database::make().await;
    let config = database.owner();
    let done = contract::all((0..4).map(|_| {
        let config = config.clone();
        async move { Postgres::migrate(&config).await }
    }))
    .await;
    for result in done {
        result.unwrap();
    }
    futures::future::join_all((0..4).map(|_| database.admit())).await;
    Postgres::connect(&database.config(), Arc::new(Recorder::default())).await.unwrap().check().await.unwrap();
}

#[tokio::test]
async fn tables_that_cannot_be_used_are_refused() {
    let database = Database::make().await;
    let error = Postgres::connect(&database.owner(), Arc::new(Recorder::default())).await.err().unwrap();
    assert!(matches!(error, PostgresError::Schema(TableVersions { found: None, needed: 1.., .. })), "{error:?}");
    assert!(error.to_string().contains("sentinel migrate"), "{error}");
    database.migrate().await;
    database
        .execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', true, '', 0)")
        .await;
    // A newer version that only added something: a pod of before may start, and its migration leaves the tables alone.
    let connect = async || Postgres::connect(&database.config(), Arc::new(Recorder::default())).await;
    connect().await.unwrap().check().await.unwrap();
    database.migrate().await;
    connect().await.unwrap();

    database.execute("INSERT INTO schema_compatible_from (version) VALUES (99)").await;
    let is_newer =
        |error: &PostgresError| matches!(error, PostgresError::Schema(TableVersions { found: Some(99), .. }));
    let error = refused(&database).await;
    assert!(is_newer(&error), "{error:?}");
    assert!(error.to_string().contains("from version 99 on") && error.to_string().contains("newer version"), "{error}");
    let error = Postgres::migrate(&database.owner()).await.unwrap_err();
    assert!(is_newer(&error), "{error:?}");

    // From before tables said so.
    database.execute("DROP TABLE schema_compatible_from").await;
    assert!(is_newer(&refused(&database).await));
    database.execute("DELETE FROM _sqlx_migrations WHERE version = 99").await;
    connect().await.unwrap();
}

#[tokio::test]
async fn errors_name_what_to_change_and_no_secret() {
    let database = Database::make().await;
    database.migrate().await;
    let right = database.password();
    database.set_password("not-the-password");
    let error = refused(&database).await;
    assert!(matches!(error, PostgresError::Refused { .. }), "{error:?}");
    let text = whole(&error);
    assert!(text.contains("stores.postgres.connection.credentials") && text.contains(&database.endpoint()), "{text}");
    assert!(!text.contains("not-the-password") && !text.contains(&right), "{text}");
    database.set_password(&right);

    let mut config = database.config();
    config.database = "no_such_database".into();
    let error = Postgres::migrate(&config).await.unwrap_err();
    assert!(matches!(error, PostgresError::NoDatabase { .. }), "{error:?}");
    config = database.config();
    config.connection.tls = Some(sentinel_domain::config::TlsConfig::default());
    let error = Postgres::migrate(&config).await.unwrap_err();
    assert!(matches!(error, PostgresError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unreachable_server_is_named_after_a_bounded_wait() {
    let database = Database::make().await;
    let mut config = database.config();
    // Nobody listens there.
    config.connection.endpoints = vec!["127.0.0.1:1".into()];
    let began = Instant::now();
    let error = Postgres::connect(&config, Arc::new(Recorder::default())).await.err().unwrap();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // The next endpoint is tried in its place.
    config.connection.endpoints.push(database.endpoint());
    let mut owner = database.owner();
    owner.connection.endpoints.clone_from(&config.connection.endpoints);
    Postgres::migrate(&owner).await.unwrap();
    database.admit().await;
    Postgres::connect(&config, Arc::new(Recorder::default())).await.unwrap().check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_heal() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    contract::all((0..10).map(|_| {
        let postgres = postgres.clone();
        async move { postgres.create_account(account()).await.unwrap() }
    }))
    .await;
    for _ in 0..3 {
        database.kill_connections().await;
        postgres.create_account(account()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_not_used_until_it_does() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    database.administer(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name)).await;
    database.kill_connections().await;
    let began = Instant::now();
    let error = postgres.create_account(account()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    database.administer(&format!("ALTER DATABASE {} RESET ALL", database.name)).await;
    postgres.create_account(account()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_read_again() {
    let database = Database::make().await;
    let user = format!("user_{}", Uuid::new_v4().simple());
    database.migrate().await;
    database.execute(&format!("CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'first'")).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("username"), &user).unwrap();
    std::fs::write(folder.path().join("password"), "first").unwrap();
    let mut config = database.config();
    config.connection.credentials = Some(folder.path().into());
    let postgres = Postgres::connect(&config, Arc::new(Recorder::default())).await.unwrap();
    database.execute(&format!("ALTER ROLE {user} PASSWORD 'second'")).await;
    std::fs::write(folder.path().join("password"), "second").unwrap();
    database.kill_connections().await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = postgres.check().await {
        assert!(Instant::now() < deadline, "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    postgres.close().await;
    database.execute(&format!("DROP ROLE {user}")).await;
}

fn session_of(user_id: UserId, refreshed_at: Timestamp) -> Session {
    let id = SessionId(Uuid::new_v4());
    Session { refreshed_at, ..Session::begin(id, user_id, String::new(), NOW) }
}

#[tokio::test]
async fn old_sessions_are_removed_and_fresh_ones_stay() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    let ann = postgres.create_account(account()).await.unwrap().id;
    let began = Timestamp::now().plus_seconds(-3601);
    let (stale, fresh) = (session_of(ann, began), session_of(ann, began.plus_seconds(3600)));
    for session in [&stale, &fresh] {
        postgres.create_session(session.clone()).await.unwrap();
    }
    let now = began.plus_seconds(3601);
    assert_eq!(postgres.sweep(now).await.unwrap(), 0, "nobody said yet how long sessions live");
    postgres.rotate_session(SessionId(Uuid::new_v4()), 0, NOW, 3600).await.unwrap();
    assert_eq!(postgres.sweep(now).await.unwrap(), 1);
    assert_eq!(postgres.sessions(ann).await.unwrap(), std::slice::from_ref(&fresh));
    assert_eq!(postgres.ended_within(600).await.unwrap(), [stale.id]);
    let later = now.plus_seconds(36 * 24 * 3600);
    assert_eq!(postgres.sweep(later).await.unwrap(), 2, "the memory of one and the other session");
    assert_eq!(postgres.ended_within(600).await.unwrap(), [fresh.id]);
}

/// A log-in that is under way, with the password until now, while that is changed.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_that_begins_while_a_password_is_changed_outlives_it() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    for by_link in [false, true] {
        let ann = postgres.create_account(account()).await.unwrap().id;
        let asks = session_of(ann, NOW);
        postgres.create_session(asks.clone()).await.unwrap();
        let link = contract::mail::link(ann, LinkPurpose::ResetPassword);
        postgres.queue_link(link.clone()).await.unwrap();

        let mut login = database.connection().await;
        let mut login = login.begin().await.unwrap();
        let id = Uuid::new_v4();
        let insert = "INSERT INTO sessions (id, user_id, device, created_at, refreshed_at, generation)
            VALUES ($1, $2, '', 0, 0, 0)";
        sqlx::query(insert).bind(id).bind(ann.0).execute(&mut *login).await.unwrap();
        let (changes, change) = (postgres.clone(), contract::sessions::change(ann, asks.id));
        let change = tokio::spawn(async move {
            if by_link {
                let entry = AuditEntry { at: NOW, ..AuditEntry::now(AuditAction::PasswordReset, None, None) };
                changes.reset_password(link.hash, "new".into(), entry).await.unwrap().unwrap()
            } else {
                changes.change_password(change).await.unwrap().unwrap()
            }
        });
        // Long enough for a change that does not wait to be done.
        tokio::time::sleep(Duration::from_millis(500)).await;
        login.commit().await.unwrap();
        assert!(change.await.unwrap().contains(&SessionId(id)), "by a link: {by_link}");
        assert_eq!(postgres.session(SessionId(id)).await.unwrap(), None);
    }
}

/// A chat store that remembers what it was told, and fails when asked to.
#[derive(Default)]
struct Chats {
    down: AtomicBool,
    /// Users whose chats can't be erased.
    stubborn: Mutex<Vec<UserId>>,
    erased: Mutex<Vec<UserId>>,
    blocks: Mutex<HashMap<(UserId, UserId), bool>>,
}

impl Chats {
    fn answer(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) { Err(StoreError::unavailable("down")) } else { Ok(()) }
    }

    fn blocks(&self, blocker: UserId, blocked: UserId) -> Option<bool> {
        self.blocks.lock().unwrap().get(&(blocker, blocked)).copied()
    }
}

#[async_trait]
impl ChatLinks for Chats {
    async fn erase_user(&self, user: UserId) -> Result<(), StoreError> {
        self.answer()?;
        if self.stubborn.lock().unwrap().contains(&user) {
            return Err(StoreError::unreadable("damaged"));
        }
        self.erased.lock().unwrap().push(user);
        Ok(())
    }

    async fn set_block(&self, blocker: UserId, blocked: UserId, on: bool) -> Result<(), StoreError> {
        self.answer()?;
        tokio::time::sleep(Duration::from_millis(u64::from(blocker.0.as_bytes()[0] % 3))).await;
        self.blocks.lock().unwrap().insert((blocker, blocked), on);
        Ok(())
    }

    async fn forget_block(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError> {
        self.answer()?;
        self.blocks.lock().unwrap().remove(&(blocker, blocked));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_in_an_outage_is_finished_after_it() {
    let database = Database::make().await;
    let (postgres, fanout) = open(&database).await;
    let chats = Arc::new(Chats::default());
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap();
    let clock = Arc::new(HybridClock::new());
    let sqlite = Sqlite::open(&folder.path().join("db"), Arc::new(keyring), clock, fanout.clone()).unwrap();
    let presence = Arc::new(LocalPresence::new(sqlite));
    let linked = LinkedAccounts::new(postgres.clone(), chats.clone()).with_presence(presence.clone());
    let (ann, bob) =
        (linked.create_account(account()).await.unwrap().id, linked.create_account(account()).await.unwrap().id);
    linked.block(bob, ann, NOW).await.unwrap();
    fanout.take();
    presence.touch(ann, Origin(1), true, NOW).await.unwrap();
    assert_eq!(presence.presence(&[ann]).await.unwrap()[0].status, PresenceStatus::Online);
    chats.down.store(true, Ordering::SeqCst);
    linked.delete_account(ann).await.unwrap();
    assert!(linked.account(ann).await.unwrap().is_none());
    let forgotten = presence.presence(&[ann]).await.unwrap()[0];
    assert_eq!((forgotten.status, forgotten.last_active), (PresenceStatus::Offline, None));
    assert!(linked.blocks(bob, None, 10).await.unwrap().is_empty());
    assert!(contract::is_not_found(linked.delete_account(ann).await));
    let now = Timestamp::now();
    assert!(linked.resume(now).await.is_err());
    chats.down.store(false, Ordering::SeqCst);
    assert_eq!(linked.resume(now).await.unwrap(), 2, "the account and the block");
    assert_eq!(*chats.erased.lock().unwrap(), [ann]);
    assert_eq!(chats.blocks(bob, ann), None);
    assert_eq!(postgres.pending_deletions(10).await.unwrap().len(), 1, "a chat may just be starting");
    assert_eq!(linked.resume(now.plus_seconds(60)).await.unwrap(), 1);
    assert_eq!(linked.resume(now.plus_seconds(60)).await.unwrap(), 0);
    assert_eq!(*chats.erased.lock().unwrap(), [ann, ann]);
    assert!(fanout.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_fails_holds_up_no_other() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    let chats = Arc::new(Chats::default());
    let linked = LinkedAccounts::new(postgres.clone(), chats.clone());
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(linked.create_account(account()).await.unwrap().id);
    }
    let first = users[0];
    chats.stubborn.lock().unwrap().push(first);
    for user in &users {
        linked.delete_account(*user).await.unwrap();
    }
    let later = Timestamp::now().plus_seconds(61);
    let error = linked.resume(later).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable(_)), "{error:?}");
    let left = postgres.pending_deletions(10).await.unwrap();
    assert_eq!(left.iter().map(|(user, _)| *user).collect::<Vec<_>>(), [first]);
    chats.stubborn.lock().unwrap().clear();
    assert_eq!(linked.resume(later).await.unwrap(), 1);
    assert!(postgres.pending_deletions(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_reaches_the_chats_in_the_end() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    let chats = Arc::new(Chats::default());
    let linked = LinkedAccounts::new(postgres.clone(), chats.clone());
    let (ann, bob) =
        (linked.create_account(account()).await.unwrap().id, linked.create_account(account()).await.unwrap().id);
    chats.down.store(true, Ordering::SeqCst);
    let error = linked.block(ann, bob, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    chats.down.store(false, Ordering::SeqCst);
    linked.block(ann, bob, NOW).await.unwrap();
    assert_eq!(chats.blocks(ann, bob), Some(true));
    chats.down.store(true, Ordering::SeqCst);
    assert!(linked.unblock(ann, bob).await.is_err());
    chats.down.store(false, Ordering::SeqCst);
    assert_eq!(linked.resume(NOW).await.unwrap(), 1);
    assert_eq!(chats.blocks(ann, bob), Some(false));
    assert_eq!(linked.resume(NOW).await.unwrap(), 0);

    // Whoever makes up ids has nothing written by it, here or where chats are.
    chats.down.store(true, Ordering::SeqCst);
    linked.unblock(ann, UserId(Uuid::new_v4())).await.unwrap();
    assert!(postgres.pending_blocks(10).await.unwrap().is_empty());
    chats.down.store(false, Ordering::SeqCst);
    // A repeat for an account that there is brings the copy to what is right, whatever became of it.
    chats.blocks.lock().unwrap().insert((ann, bob), true);
    linked.unblock(ann, bob).await.unwrap();
    assert_eq!(chats.blocks(ann, bob), Some(false));

    for _ in 0..10 {
        contract::all((0..4).map(|number| {
            let linked = linked.clone();
            async move {
                let done =
                    if number % 2 == 0 { linked.block(ann, bob, NOW).await } else { linked.unblock(ann, bob).await };
                done.unwrap();
            }
        }))
        .await;
        assert_eq!(chats.blocks(ann, bob), Some(linked.blocked_between(ann, bob).await.unwrap()));
        assert!(postgres.pending_blocks(10).await.unwrap().is_empty());
    }
}
