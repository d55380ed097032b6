//! The contract on `SQLite`.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

mod contract;
mod presence_contract;

#[path = "sqlite/erasure.rs"]
mod erasure;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{NOW, Recorder, Stores};
use sentinel_adapters::sqlite::{LocalPresence, OpenError, Sqlite};
use sentinel_domain::{
    clock::HybridClock,
    event::InboxBody,
    ids::{MessageId, SessionId},
    keyring::{KeyError, Keyring, Rewrapped},
    mail::LinkPurpose,
    media::MediaState,
    notification::{Notification, Preferences},
    ports::{HistoryQuery, StoreError},
    push::{Device, DeviceId, PushAddress},
    retention::MessageRetention,
    time::Timestamp,
};
use uuid::Uuid;

fn keyring(names: &[&str]) -> Arc<Keyring> {
    let key = |name: &str| std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
    Arc::new(Keyring::new(names.iter().map(|name| ((*name).to_owned(), key(name))).collect()).unwrap())
}

fn open_keeping(path: &Path, fanout: &Arc<Recorder>, messages: MessageRetention) -> Sqlite {
    let (fanout, clock) = (Arc::clone(fanout), Arc::new(HybridClock::new()));
    Sqlite::open_keeping(path, keyring(&["kek-0001"]), clock, fanout, messages).unwrap()
}

fn open(path: &Path, names: &[&str], fanout: &Arc<Recorder>) -> Result<Sqlite, OpenError> {
    let fanout = Arc::clone(fanout);
    Sqlite::open(path, keyring(names), Arc::new(HybridClock::new()), fanout)
}

fn stores(sqlite: &Sqlite, fanout: Arc<Recorder>, keep: Arc<dyn std::any::Any + Send + Sync>) -> Stores {
    let sqlite = Arc::new(sqlite.clone());
    Stores {
        accounts: sqlite.clone(),
        sessions: sqlite.clone(),
        chats: sqlite.clone(),
        media: sqlite.clone(),
        devices: sqlite.clone(),
        administration: sqlite.clone(),
        reports: sqlite.clone(),
        mail: sqlite.clone(),
        reindex: sqlite.clone(),
        notifications: sqlite,
        fanout,
        in_order: true,
        in_doubt: false,
        keep,
    }
}

#[allow(clippy::unused_async)] // other adapters' factories wait for their engines
async fn fresh() -> Stores {
    let folder = tempfile::tempdir().unwrap();
    let fanout = Arc::new(Recorder::default());
    let sqlite = open(&folder.path().join("db"), &["kek-0001"], &fanout).unwrap();
    stores(&sqlite, fanout, Arc::new(folder))
}

contract_tests!(crate::fresh);

#[allow(clippy::unused_async)] // as above
async fn keeping() -> Stores {
    let folder = tempfile::tempdir().unwrap();
    let fanout = Arc::new(Recorder::default());
    let sqlite = open_keeping(&folder.path().join("db"), &fanout, contract::retention::kept());
    stores(&sqlite, fanout, Arc::new(folder))
}

contract_tests!(crate::keeping; retention);

#[tokio::test]
async fn a_user_is_as_present_as_the_most_present_device_and_only_changes_are_told() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let presence = LocalPresence::new(sqlite);
    presence_contract::a_user_is_as_present_as_the_most_present_device_and_only_changes_are_told(
        &presence,
        stores.user().await,
    )
    .await;
}

#[tokio::test]
async fn a_heartbeat_makes_a_user_online_and_outlives_the_process() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let process = || LocalPresence::new(sqlite.clone());
    presence_contract::a_heartbeat_makes_a_user_online_and_outlives_the_process(
        &process(),
        &process(),
        [stores.user().await, stores.user().await],
    )
    .await;
}

/// A database in a folder, opened again and again.
struct Reopened {
    folder: tempfile::TempDir,
    fanout: Arc<Recorder>,
}

impl Reopened {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fanout: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    fn open(&self, names: &[&str]) -> (Sqlite, Stores) {
        let sqlite = open(&self.path(), names, &self.fanout).unwrap();
        let stores = stores(&sqlite, Arc::clone(&self.fanout), Arc::new(()));
        (sqlite, stores)
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let database = Reopened::new();
    let (_running, stores) = database.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 50).await;
    // What a killed process leaves: the files as they are, the log not yet copied into the database.
    let copy = Reopened::new();
    for suffix in ["", "-wal"] {
        let name = format!("db{suffix}");
        std::fs::copy(database.folder.path().join(&name), copy.folder.path().join(&name)).unwrap();
    }
    let (_, stores) = copy.open(&["kek-0001"]);
    let mut history = stores.chats.history(bob, chat.id, HistoryQuery::Latest, 100).await.unwrap().messages;
    history.reverse();
    assert_eq!(history.iter().map(|message| message.id).collect::<Vec<_>>(), sent);
    assert_eq!(contract::message_ids(&stores.sync(bob, None, 100).await), sent);
    assert_eq!(stores.chats.chats(bob, None, 10).await.unwrap()[0].activity, sent[49].into());
}

/// The key of a deleted chat is in the log that wrote it, until that is emptied; no later command may be needed for it.
#[tokio::test]
async fn the_log_is_emptied_after_each_deletion() {
    let database = Reopened::new();
    let (_running, stores) = database.open(&["kek-0001"]);
    let log = database.folder.path().join("db-wal");
    for round in 0..10 {
        let (ann, _, chat) = stores.pair().await;
        stores.send_many(chat.id, ann, 20).await;
        stores.accounts.delete_account(ann).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::fs::metadata(&log).unwrap().len() > 0 {
            assert!(Instant::now() < deadline, "the log was left as it is in round {round}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn ids_rise_over_a_restart_with_a_clock_behind() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    let before = stores.send(chat.id, ann, "before").await.id;
    sqlite.close();
    let (_, stores) = database.open(&["kek-0001"]);
    let yesterday = NOW.plus_seconds(-24 * 3600);
    let after = stores.chats.append(contract::draft(chat.id, bob, "after"), None, yesterday).await.unwrap().message.id;
    assert!(after > before);
    assert_eq!(contract::message_ids(&stores.sync(ann, Some(before.into()), 10).await), [after]);
}

#[tokio::test]
async fn a_closed_store_refuses_and_says_so() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    sqlite.check().await.unwrap();
    let ann = stores.user().await;
    sqlite.close();
    assert!(sqlite.check().await.is_err());
    assert!(stores.chats.start_chat(ann, ann, NOW).await.is_err());
    sqlite.close();
}

#[tokio::test]
async fn keys_rotate_while_another_process_serves() {
    let database = Reopened::new();
    let (_, stores) = database.open(&["kek-0001"]);
    let mut chats = Vec::new();
    let ann = stores.user().await;
    for _ in 0..300 {
        let (chat, _) = stores.chats.start_chat(ann, stores.user().await, NOW).await.unwrap();
        chats.push((chat.id, stores.send(chat.id, ann, "before").await));
    }
    contract::administration::keep_sealed(&stores, &keyring(&["kek-0001"])).await;
    // The server knows both keys and uses the newer; the rotation runs next to it.
    let (server, stores) = database.open(&["kek-0001", "kek-0002"]);
    let (rotation, _) = database.open(&["kek-0001", "kek-0002"]);
    let writes = tokio::spawn({
        let (stores, chat) = (stores.clone(), chats[0].0);
        async move { stores.send_many(chat, ann, 100).await }
    });
    assert_eq!(rotation.rewrap_keys().await.unwrap(), Rewrapped { count: 300 + 2, ..Rewrapped::default() });
    assert_eq!(rotation.rewrap_keys().await.unwrap(), Rewrapped::default());
    writes.await.unwrap();
    rotation.close();
    server.close();
    let (_, stores) = database.open(&["kek-0002"]);
    for (chat, message) in &chats {
        let page = stores.chats.history(ann, *chat, HistoryQuery::Around(message.id), 1).await.unwrap();
        assert_eq!(page.messages, std::slice::from_ref(message));
    }
    contract::administration::sealed_opens(&stores, &keyring(&["kek-0002"])).await;
    assert!(matches!(open(&database.path(), &["kek-0001"], &database.fanout), Err(OpenError::Keys(_))));
}

#[tokio::test]
async fn a_damaged_key_is_named_and_keeps_neither_the_others_from_rotating_nor_the_store_from_opening() {
    let database = Reopened::new();
    let (first, stores) = database.open(&["kek-0001"]);
    let ann = stores.user().await;
    let mut chats = Vec::new();
    for _ in 0..4 {
        let (chat, _) = stores.chats.start_chat(ann, stores.user().await, NOW).await.unwrap();
        chats.push((chat.id, stores.send(chat.id, ann, "before").await));
    }
    first.close();
    let other = rusqlite::Connection::open(database.path()).unwrap();
    let damage = "UPDATE chats SET key = x'00' WHERE id = ?1";
    assert_eq!(other.execute(damage, [chats[0].0.as_bytes()]).unwrap(), 1);
    let (rotation, _) = database.open(&["kek-0001", "kek-0002"]);
    let told = rotation.rewrap_keys().await.unwrap();
    assert_eq!(told, Rewrapped { count: 3, unreadable: [chats[0].0].into() });
    assert_eq!(rotation.rewrap_keys().await.unwrap(), Rewrapped::default());
    rotation.close();
    let (_, stores) = database.open(&["kek-0002"]);
    for (chat, message) in &chats[1..] {
        assert_eq!(stores.chats.message(ann, *chat, message.id).await.unwrap(), *message);
    }
    let damaged = stores.chats.message(ann, chats[0].0, chats[0].1.id).await;
    assert!(matches!(damaged, Err(StoreError::Unreadable(_))), "{damaged:?}");
}

#[tokio::test]
async fn a_wrong_key_is_told_at_start() {
    let database = Reopened::new();
    let (_, stores) = database.open(&["kek-0001"]);
    stores.pair().await;
    let missing = open(&database.path(), &["kek-0002"], &database.fanout).err().unwrap();
    assert!(matches!(&missing, OpenError::Keys(KeyError::Missing(name)) if name == "kek-0001"), "{missing:?}");
    let other = Keyring::new([("kek-0001".to_owned(), [9; 32])].into()).unwrap();
    let clock = Arc::new(HybridClock::new());
    let changed = Sqlite::open(&database.path(), Arc::new(other), clock, database.fanout.clone()).err().unwrap();
    assert!(matches!(changed, OpenError::Keys(KeyError::Corrupt)), "{changed:?}");
}

#[tokio::test]
async fn texts_are_nowhere_in_the_files() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let (ann, _, chat) = stores.pair().await;
    let secret = "the walrus was paul";
    let message = stores.send(chat.id, ann, secret).await.id;
    stores.chats.edit(ann, chat.id, message, format!("{secret}!"), NOW).await.unwrap();
    sqlite.close();
    for file in std::fs::read_dir(database.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[tokio::test]
async fn a_deleted_chats_key_is_gone_from_the_files() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let (ann, _, chat) = stores.pair().await;
    stores.send(chat.id, ann, "hello").await;
    let holds = || {
        let needle = chat.id.as_bytes();
        std::fs::read_dir(database.folder.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let key_row = [needle.as_slice(), chat.members[0].as_bytes(), chat.members[1].as_bytes()].concat();
            bytes.windows(key_row.len()).any(|window| window == key_row)
        })
    };
    assert!(holds(), "the test looks at the right bytes");
    stores.accounts.delete_account(ann).await.unwrap();
    sqlite.close();
    assert!(!holds());
}

#[tokio::test]
async fn a_deleted_accounts_files_are_condemned_with_it() {
    let stores = fresh().await;
    let ann = stores.user().await;
    let media = contract::media::upload(ann, 10);
    stores.media.create(media.clone()).await.unwrap();
    stores.accounts.delete_account(ann).await.unwrap();
    let found = stores.media.media(media.id).await.unwrap().unwrap();
    assert_eq!(found.state, MediaState::Condemned);
    let due = stores.media.due(Timestamp::now(), 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.media).collect::<Vec<_>>(), [media.id]);
}

#[tokio::test]
async fn a_caller_that_goes_away_harms_nobody() {
    let database = Reopened::new();
    let (_, stores) = database.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    for _ in 0..50 {
        let append = stores.chats.append(contract::draft(chat.id, ann, "maybe"), None, NOW);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(50), append).await;
    }
    let last = stores.send(chat.id, bob, "sure").await.id;
    let ids = contract::message_ids(&stores.sync(bob, None, 100).await);
    assert_eq!(ids.last(), Some(&last));
}

#[tokio::test]
async fn what_is_damaged_is_told_from_what_is_away() {
    let world = Reopened::new();
    let (_sqlite, stores) = world.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "hello").await.id;
    let whole = stores.send(chat.id, ann, "whole").await.id;
    let device = |name: &str| Device {
        user_id: bob,
        device_id: DeviceId::parse(name).unwrap(),
        session_id: SessionId(Uuid::new_v4()),
        address: PushAddress::Fcm { token: name.into() },
        registered_at: NOW,
    };
    for name in ["phone", "tablet"] {
        stores.devices.register(device(name)).await.unwrap();
    }
    let wanted = Preferences { show_content: true, ..Preferences::default() };
    stores.notifications.set_preferences(bob, &wanted).await.unwrap();
    let other = rusqlite::Connection::open(world.path()).unwrap();
    for statement in [
        "UPDATE messages SET sealed = x'00112233445566778899aabbccddeeff0011' WHERE message_id = ?1",
        "UPDATE notification_preferences SET preferences = '{' WHERE ?1 IS NOT NULL",
        "UPDATE push_devices SET address = '{\"platform\":\"pigeon\"}' WHERE device_id = 'phone' AND ?1 IS NOT NULL",
    ] {
        assert_eq!(other.execute(statement, [message.as_bytes()]).unwrap(), 1, "{statement}");
    }
    let damaged = stores.chats.message(bob, chat.id, message).await;
    assert!(matches!(damaged, Err(StoreError::Unreadable(_))), "{damaged:?}");
    assert_eq!(stores.chats.message(bob, chat.id, whole).await.unwrap().text, "whole");
    for damage in [
        "UPDATE messages SET sealed = x'00' WHERE message_id = ?1",
        "UPDATE messages SET client_message_id = CAST(x'c3' AS TEXT) WHERE message_id = ?1",
        "UPDATE messages SET version = -1 WHERE message_id = ?1",
    ] {
        let newest = stores.send(chat.id, ann, "newest").await.id;
        assert_eq!(other.execute(damage, [newest.as_bytes()]).unwrap(), 1);
    }
    let page = stores.chats.history(bob, chat.id, HistoryQuery::Latest, 1).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.id).collect::<Vec<_>>(), [whole]);
    assert_eq!(contract::message_ids(&stores.sync(bob, None, 1).await), [whole]);
    let listed = stores.chats.chats(bob, None, 10).await.unwrap();
    assert_eq!(listed[0].last_message.as_ref().map(|message| message.id), Some(whole));
    let damaged = stores.notifications.preferences(bob).await;
    assert!(matches!(damaged, Err(StoreError::Unreadable(_))), "{damaged:?}");
    let names: Vec<_> = stores.devices.devices(bob).await.unwrap().into_iter().map(|one| one.device_id).collect();
    assert_eq!(names, [device("tablet").device_id], "a row that can't be read costs only itself");
}

#[tokio::test]
async fn what_is_damaged_hides_nothing_else_from_its_user() {
    let world = Reopened::new();
    let (_sqlite, stores) = world.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    let first = stores.send(chat.id, ann, "first").await.id;
    let since = stores.chats.inbox_head(bob, NOW).await.unwrap();
    let other = rusqlite::Connection::open(world.path()).unwrap();
    let damage = |kind: u16| {
        // It is in the place of an event that happens now.
        let edit = "UPDATE inbox SET kind = ?1 WHERE user_id = ?2
            AND event_id = (SELECT max(event_id) FROM inbox WHERE user_id = ?2)";
        assert_eq!(other.execute(edit, rusqlite::params![kind, bob.as_bytes()]).unwrap(), 1);
    };
    for kind in [9, 9, 300, 9] {
        stores.chats.edit(ann, chat.id, first, "edited".into(), NOW).await.unwrap();
        damage(kind);
    }
    stores.chats.edit(ann, chat.id, first, "last".into(), NOW).await.unwrap();
    let last = stores.send(chat.id, ann, "last").await.id;
    for page in [1, 2, 100] {
        let events = stores.sync(bob, Some(since.clone()), page).await;
        let edits = events.iter().filter(|event| matches!(event.body, InboxBody::Edited(_))).count();
        assert_eq!((edits, contract::message_ids(&events)), (1, vec![last]), "{page}");
    }

    let eve = stores.user().await;
    let newer = stores.chats.start_chat(bob, eve, NOW).await.unwrap().0.id;
    stores.send(newer, eve, "newer").await;
    let receipt = "UPDATE chats SET low_receipt = x'00' WHERE id = ?1";
    assert_eq!(other.execute(receipt, [newer.as_bytes()]).unwrap(), 1);
    let listed = stores.chats.chats(bob, None, 1).await.unwrap();
    assert_eq!(listed.iter().map(|summary| summary.chat.id).collect::<Vec<_>>(), [chat.id]);
    assert_eq!(contract::message_ids(&stores.sync(bob, None, 1).await), [first, last]);
    let unreadable = stores.chats.start_chat(bob, eve, NOW).await;
    assert!(matches!(unreadable, Err(StoreError::Unreadable(_))), "no outage that is over soon: {unreadable:?}");
}

/// Shorter or longer than ids are.
#[tokio::test]
async fn a_message_whose_id_is_damaged_hides_no_other_from_its_members() {
    let world = Reopened::new();
    let (_sqlite, stores) = world.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 8).await;
    let other = rusqlite::Connection::open(world.path()).unwrap();
    let damage = |message: MessageId, id: &[u8]| {
        let edit = "UPDATE messages SET message_id = ?2 WHERE message_id = ?1";
        assert_eq!(other.execute(edit, rusqlite::params![message.as_bytes(), id]).unwrap(), 1);
    };
    let bytes = |place: usize| sent[place].as_bytes().as_slice();
    damage(sent[0], &bytes(0)[..15]);
    damage(sent[3], &[bytes(3), &[0]].concat());
    damage(sent[4], &[bytes(4), &[9, 9]].concat());
    damage(sent[7], &[0xff]);
    let whole: Vec<_> = [1, 2, 5, 6].map(|place| sent[place]).into();
    for page in [1, 2, 100] {
        assert_eq!(contract::message_ids(&stores.sync(bob, None, page).await), whole, "{page}");
    }
}

#[tokio::test]
async fn damaged_mails_and_notifications_hold_up_no_others() {
    let world = Reopened::new();
    let (_sqlite, stores) = world.open(&["kek-0001"]);
    let (ann, bob, chat) = stores.pair().await;
    let (mut mails, mut told) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        // Of an account each: a newer link of one takes the place of an older one.
        let link = contract::mail::link(stores.user().await, LinkPurpose::VerifyEmail);
        mails.push(link.mail.id);
        stores.mail.queue_link(link).await.unwrap();
        let message_id = stores.send(chat.id, ann, "hello").await.id;
        told.push(message_id);
        let (user_id, chat_id, sender_id) = (bob, chat.id, ann);
        let one = Notification { user_id, chat_id, message_id, sender_id, read: false, notice: None };
        stores.notifications.add(one).await.unwrap();
    }
    let other = rusqlite::Connection::open(world.path()).unwrap();
    for id in &mails[..2] {
        assert_eq!(other.execute("UPDATE mail_queue SET attempts = -1 WHERE id = ?1", [id.as_bytes()]).unwrap(), 1);
    }
    for id in &told[1..] {
        let sender = "UPDATE notifications SET sender_id = x'00' WHERE message_id = ?1";
        assert_eq!(other.execute(sender, [id.as_bytes()]).unwrap(), 1);
    }
    let due = stores.mail.take_mail(NOW, NOW.plus_seconds(60), 1).await.unwrap();
    assert_eq!(due.iter().map(|mail| mail.id).collect::<Vec<_>>(), mails[2..]);
    let listed = stores.notifications.list(bob, None, 1).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.message_id).collect::<Vec<_>>(), told[..1]);
}
