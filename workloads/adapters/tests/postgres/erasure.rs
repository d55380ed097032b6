//! What is left of a deleted account, and what was reported.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use sentinel_adapters::{linked_accounts::LinkedAccounts, postgres::Postgres};
use sentinel_domain::{
    ids::UserId,
    ports::{AccountStore, ReportStore},
    report::NewReport,
    time::Timestamp,
};
use sqlx::AssertSqlSafe;

use crate::{
    Chats, account,
    contract::{Stores, administration, erasure},
    fresh_database::Database,
    open, over,
};

/// The tables that name a user in any of their rows, and those that are empty.
async fn tables_that_name(database: &Database, user: UserId) -> [BTreeSet<String>; 2] {
    let mut db = database.connection().await;
    let tables: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(&mut db)
        .await
        .unwrap();
    let [text, digits] = erasure::spellings(user);
    let (mut naming, mut empty) = (BTreeSet::new(), BTreeSet::new());
    for table in tables {
        let rows = AssertSqlSafe(format!("SELECT t::text FROM \"{table}\" t"));
        let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut db).await.unwrap();
        if rows.iter().any(|row| row.contains(&text) || row.contains(&digits)) {
            naming.insert(table.clone());
        }
        if rows.is_empty() {
            empty.insert(table);
        }
    }
    [naming, empty]
}

/// What is left is said in docs/operations.md, where accounts are deleted. A new table with users in it is filled by
/// [`erasure`], and then found here if a deletion forgets it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_named_nowhere_but_where_it_is_said() {
    let database = Database::make().await;
    let (postgres, fanout) = open(&database).await;
    let chats = Arc::new(Chats::default());
    let linked = LinkedAccounts::new(postgres.clone(), chats.clone());
    let other = Database::make().await;
    let stores = Stores { accounts: Arc::new(linked.clone()), ..over(postgres.clone(), fanout, other) };
    let (ann, bob) = (stores.user().await, stores.user().await);
    erasure::fill_accounts(&stores, ann, bob).await;
    let [naming, empty] = tables_that_name(&database, ann).await;
    let kept = ["audit_log", "reindex", "reports"];
    let own = ["accounts", "blocks", "links", "mail_queue", "sessions"];
    assert_eq!(naming, erasure::set(&[&kept[..], &own].concat()));
    assert_eq!(empty, erasure::set(&["pending_blocks", "pending_deletions"]), "fill what is new with an account");

    chats.down.store(true, Ordering::SeqCst);
    stores.accounts.delete_account(ann).await.unwrap();
    let [naming, _] = tables_that_name(&database, ann).await;
    assert_eq!(naming, erasure::set(&[&kept[..], &["pending_blocks", "pending_deletions"]].concat()));
    chats.down.store(false, Ordering::SeqCst);
    linked.resume(Timestamp::now().plus_seconds(61)).await.unwrap();
    let [naming, _] = tables_that_name(&database, ann).await;
    assert_eq!(naming, erasure::set(&kept));
    assert!(chats.blocks.lock().unwrap().is_empty(), "the copies of its blocks are forgotten");
}

#[tokio::test]
async fn reports_go_by_themselves_and_not_with_accounts() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    let (ann, eve) =
        (postgres.create_account(account()).await.unwrap().id, postgres.create_account(account()).await.unwrap().id);
    let report = NewReport { message: None, ..administration::report(ann, eve) };
    let made = Timestamp::now();
    postgres.create_report(report.clone()).await.unwrap();
    // As a program of before the names were kept makes them.
    database.execute("UPDATE reports SET username = NULL, display_name = NULL").await;
    let name = postgres.account(eve).await.unwrap().unwrap().username.to_string();
    let reports = || async { postgres.reports(true, None, 10).await.unwrap() };
    assert_eq!(reports().await[0].reported.username, name);
    for user in [ann, eve] {
        postgres.delete_account(user).await.unwrap();
    }
    let day = 24 * 3600;
    assert_eq!(postgres.sweep(made.plus_seconds(179 * day)).await.unwrap(), 0);
    let kept = reports().await.remove(0);
    assert_eq!((kept.id, kept.reported.username, kept.reported.deleted), (report.id, name, true));
    assert_eq!(postgres.sweep(made.plus_seconds(180 * day + 60)).await.unwrap(), 1);
    assert!(reports().await.is_empty());
}

#[tokio::test]
async fn reports_of_before_get_the_names_of_whom_they_are_about() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    let (ann, eve) =
        (postgres.create_account(account()).await.unwrap(), postgres.create_account(account()).await.unwrap());
    postgres.create_report(administration::report(ann.id, eve.id)).await.unwrap();
    let expected = postgres.reports(true, None, 10).await.unwrap();
    database
        .execute(
            "DROP INDEX reports_by_reporter;
            ALTER TABLE reports DROP CONSTRAINT reports_reporter_fkey, DROP COLUMN username, DROP COLUMN display_name,
                ALTER COLUMN reporter SET NOT NULL;
            ALTER TABLE reports ADD FOREIGN KEY (reporter) REFERENCES accounts ON DELETE CASCADE,
                ADD FOREIGN KEY (reported) REFERENCES accounts ON DELETE CASCADE;
            CREATE INDEX reports_by_reporter ON reports (reporter);
            CREATE INDEX reports_by_reported ON reports (reported);
            DELETE FROM _sqlx_migrations WHERE version >= 7",
        )
        .await;
    Postgres::migrate(&database.owner()).await.unwrap();
    assert_eq!(postgres.reports(true, None, 10).await.unwrap(), expected);
    postgres.delete_account(eve.id).await.unwrap();
    let [report] = postgres.reports(true, None, 10).await.unwrap().try_into().unwrap();
    assert_eq!((report.reported.username, report.reporter), (eve.username.to_string(), Some(ann.id)));
}
