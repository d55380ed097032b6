//! What is left of a deleted account.

use std::{collections::BTreeSet, path::Path};

use sentinel_adapters::sqlite::LocalPresence;
use sentinel_domain::{event::Origin, ids::UserId, ports::PresenceStore, time::Timestamp};

use crate::{
    Reopened,
    contract::{administration, erasure},
};

/// The tables that name a user in any of their rows, and those that are empty.
fn tables_that_name(path: &Path, user: UserId) -> [BTreeSet<String>; 2] {
    let db = rusqlite::Connection::open(path).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut select = db.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let [text, digits] = erasure::spellings(user);
    let (mut naming, mut empty) = (BTreeSet::new(), BTreeSet::new());
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        let count = |sql: String| db.query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap();
        if count(format!("SELECT count(*) FROM {table}")) == 0 {
            empty.insert(table.clone());
        }
        for column in names(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            let holds = format!("instr(CAST({column} AS BLOB), x'{digits}') OR instr({column}, '{text}')");
            if count(format!("SELECT count(*) FROM {table} WHERE {holds}")) > 0 {
                naming.insert(table.clone());
            }
        }
    }
    [naming, empty]
}

/// What is left is said in docs/operations.md, where accounts are deleted. A new table with users in it is filled by
/// [`erasure`], and then found here if a deletion forgets it.
#[tokio::test]
async fn a_deleted_account_is_named_nowhere_but_where_it_is_said() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let (ann, bob) = (stores.user().await, stores.user().await);
    erasure::fill_chats(&stores, ann, bob).await;
    erasure::fill_accounts(&stores, ann, bob).await;
    LocalPresence::new(sqlite).touch(ann, Origin(1), true, Timestamp::now()).await.unwrap();
    let [naming, empty] = tables_that_name(&database.path(), ann);
    assert_eq!(
        naming,
        erasure::set(&[
            "accounts",
            "audit_log",
            "blocks",
            "chats",
            "inbox",
            "last_active",
            "links",
            "mail_queue",
            "media",
            "members",
            "notification_preferences",
            "notifications",
            "outbox",
            "push_devices",
            "pushed",
            "reindex",
            "reports",
            "sessions",
        ])
    );
    // None of these has users but dead letters, which end after 30 days.
    assert_eq!(
        empty,
        erasure::set(&["consumers", "dead_letters", "horizon", "sent_earlier"]),
        "fill what is new with an account"
    );

    stores.accounts.delete_account(ann).await.unwrap();
    let [naming, _] = tables_that_name(&database.path(), ann);
    assert_eq!(naming, erasure::set(&["audit_log", "media", "outbox", "reindex", "reports"]));
}

#[tokio::test]
async fn reports_of_before_get_the_names_of_whom_they_are_about() {
    let database = Reopened::new();
    let (sqlite, stores) = database.open(&["kek-0001"]);
    let (ann, eve) = (stores.user().await, stores.account().await);
    let new = administration::report(ann, eve.id);
    stores.reports.create_report(new.clone()).await.unwrap();
    let expected = stores.reports.reports(true, None, 10).await.unwrap();
    sqlite.close();
    let db = rusqlite::Connection::open(database.path()).unwrap();
    db.execute_batch(
        "DROP INDEX reports_by_state; DROP INDEX reports_by_reporter;
        ALTER TABLE reports DROP COLUMN username; ALTER TABLE reports DROP COLUMN display_name;
        CREATE INDEX reports_by_state ON reports (resolved_at IS NULL, id);
        CREATE INDEX reports_by_reporter ON reports (reporter);
        CREATE INDEX reports_by_reported ON reports (reported);
        PRAGMA user_version = 16;",
    )
    .unwrap();
    drop(db);
    let (_sqlite, stores) = database.open(&["kek-0001"]);
    assert_eq!(stores.reports.reports(true, None, 10).await.unwrap(), expected);
    stores.accounts.delete_account(ann).await.unwrap();
    let [report] = stores.reports.reports(true, None, 10).await.unwrap().try_into().unwrap();
    assert_eq!((report.reporter, report.reported.username), (None, eve.username.to_string()));
}
