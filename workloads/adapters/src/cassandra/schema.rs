//! The keyspace and its tables, brought to this program's version step by step.

use std::time::Duration;

use futures::TryStreamExt;
use scylla::{
    client::session::Session, errors::ExecutionError, serialize::row::SerializeRow, statement::unprepared::Statement,
    value::Row,
};
use sentinel_domain::{config::CassandraConfig, time::Timestamp};
use uuid::Uuid;

use super::{CassandraError, outbox};
use crate::versions::TableVersions;

/// What each version adds.
const STEPS: [&str; 13] = [
    include_str!("schema/0001_initial.cql"),
    include_str!("schema/0002_push.cql"),
    include_str!("schema/0003_media.cql"),
    include_str!("schema/0004_notices.cql"),
    include_str!("schema/0005_chat_media.cql"),
    include_str!("schema/0006_media_retention.cql"),
    include_str!("schema/0007_media_sending.cql"),
    include_str!("schema/0008_retention.cql"),
    include_str!("schema/0009_scanned.cql"),
    include_str!("schema/0010_media_leaving.cql"),
    include_str!("schema/0011_receipts.cql"),
    include_str!("schema/0012_expired.cql"),
    include_str!("schema/0013_read_before.cql"),
];
/// The version that this program knows.
const VERSION: i32 = 13;
/// The oldest version whose programs may use the tables of the newest one. A step that they cannot live with, while it is
/// done or after, raises this to its own version; one that only adds leaves it.
const COMPATIBLE_FROM: i32 = 9;
/// How long another process may hold the lock without a sign of life, in seconds.
const LOCK_SECONDS: i32 = 60;
const PAUSE: Duration = Duration::from_secs(1);
/// How often something is tried that others may be doing at the same time.
pub(super) const TRIES: u32 = 5;
/// How often the lock is asked for, with a pause between.
const LOCK_TRIES: u32 = 120;

const MAKE_VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    only int, version int, PRIMARY KEY (only, version)) WITH CLUSTERING ORDER BY (version DESC)";
const MAKE_COMPATIBLE: &str = "CREATE TABLE IF NOT EXISTS schema_compatible_from (
    only int, version int, PRIMARY KEY (only, version)) WITH CLUSTERING ORDER BY (version DESC)";
const MAKE_LOCK: &str = "CREATE TABLE IF NOT EXISTS schema_lock (only int PRIMARY KEY, holder uuid)";
const TAKE_LOCK: &str = "UPDATE schema_lock USING TTL ? SET holder = ? WHERE only = 0 IF holder = null";
const RENEW_LOCK: &str = "UPDATE schema_lock USING TTL ? SET holder = ? WHERE only = 0 IF holder = ?";
const RELEASE_LOCK: &str = "DELETE holder FROM schema_lock WHERE only = 0 IF holder = ?";
const READ_VERSION: &str = "SELECT version FROM schema_version WHERE only = 0 LIMIT 1";
const READ_COMPATIBLE: &str = "SELECT version FROM schema_compatible_from WHERE only = 0 LIMIT 1";
const SET_COMPATIBLE: &str = "INSERT INTO schema_compatible_from (only, version) VALUES (0, ?)";
const SET_VERSION: &str = "INSERT INTO schema_version (only, version) VALUES (0, ?)";
const COLUMNS: &str = "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?";
const ALL_MEDIA_CHATS: &str = "SELECT media_id, chat_id FROM media_chats";
/// Whatever is written about the file and the chat meanwhile is later.
const INSERT_CHAT_MEDIA: &str = "INSERT INTO chat_media (chat_id, media_id) VALUES (?, ?) USING TIMESTAMP 1";
const INSERT_ATTACHED: &str =
    "INSERT INTO media_attached (chat_id, media_id, attached_at) VALUES (?, ?, ?) USING TIMESTAMP 1";
/// Rows that are written at the same time.
const LISTED_AT_ONCE: usize = 64;
const FIRST_PROGRESS: &str = "INSERT INTO outbox_progress (shard, next_minute) VALUES (?, ?) USING TIMESTAMP ?";

/// Makes the keyspace if need be and brings its tables to this version.
pub(super) async fn migrate(session: &Session, config: &CassandraConfig) -> Result<(), CassandraError> {
    let CassandraConfig { keyspace, datacenter, replication_factor, .. } = config;
    let failed =
        |source| CassandraError::Migration { keyspace: keyspace.clone(), version: VERSION, source: Box::new(source) };
    let make_keyspace = format!(
        "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" WITH replication = \
         {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication_factor}}}"
    );
    // The lock needs its table, so two first runs may make it at once: one of them may have to look again.
    for statement in [make_keyspace.as_str(), MAKE_VERSIONS, MAKE_COMPATIBLE, MAKE_LOCK] {
        make(session, statement, TRIES).await.map_err(failed)?;
        if statement == make_keyspace {
            use_keyspace(session, config).await?;
        }
    }
    let holder = Uuid::new_v4();
    lock(session, keyspace, holder).await?;
    let done = run_steps(session, config, holder).await;
    if let Err(error) = session.query_unpaged(RELEASE_LOCK, (holder,)).await {
        tracing::warn!(%error, "the lock of the tables ends by itself in {LOCK_SECONDS} s");
    }
    done
}

async fn run_steps(session: &Session, config: &CassandraConfig, holder: Uuid) -> Result<(), CassandraError> {
    let keyspace = &config.keyspace;
    let versions = versions(session).await?;
    if versions.are_newer() {
        return usable(versions, config);
    }
    // First: while a step is done that programs of before cannot live with, none of them is to start. It never falls, since
    // the largest one counts.
    let failed =
        |source| CassandraError::Migration { keyspace: keyspace.clone(), version: VERSION, source: Box::new(source) };
    session.query_unpaged(SET_COMPATIBLE, (COMPATIBLE_FROM,)).await.map_err(failed)?;
    let found = versions.found.and_then(|found| i32::try_from(found).ok()).unwrap_or(0);
    for (step, version) in STEPS.iter().zip(1..).filter(|(_, version)| *version > found) {
        let failed =
            |source| CassandraError::Migration { keyspace: keyspace.clone(), version, source: Box::new(source) };
        for statement in statements(step) {
            let renewed = session.query_unpaged(RENEW_LOCK, (LOCK_SECONDS, holder, holder)).await.map_err(failed)?;
            if !applied(renewed)? {
                return Err(CassandraError::Busy(keyspace.clone()));
            }
            if let Some((table, column)) = added_column(&statement)
                && has_column(session, keyspace, table, column).await?
            {
                continue;
            }
            make(session, &statement, TRIES).await.map_err(failed)?;
        }
        session.await_schema_agreement().await.map_err(|error| CassandraError::Answer(Box::new(error)))?;
        if version == 1 {
            // Relays begin here: nothing was written before.
            let minute = Timestamp::now().seconds() / 60 - 1;
            for shard in 0..i16::from(outbox::SHARDS) {
                let values = (shard, minute, outbox::progress_time(minute));
                session.query_unpaged(FIRST_PROGRESS, values).await.map_err(failed)?;
            }
        }
        if version == 5 {
            for_media_of_chats(session, INSERT_CHAT_MEDIA, |chat, media| (chat, media)).await?;
        }
        if version == 6 {
            // When they were sent is not known any more: they are kept as if that were now.
            let now = Timestamp::now().0;
            for_media_of_chats(session, INSERT_ATTACHED, |chat, media| (chat, media, now)).await?;
        }
        session.query_unpaged(SET_VERSION, (version,)).await.map_err(failed)?;
        tracing::info!(keyspace, version, "the tables are of a new version");
    }
    Ok(())
}

/// Writes a row for each file of a chat that was sent before there was the table.
async fn for_media_of_chats<V: SerializeRow>(
    session: &Session,
    insert: &str,
    values: impl Fn(Uuid, Uuid) -> V,
) -> Result<(), CassandraError> {
    let failed = CassandraError::Answer;
    let insert = session.prepare(insert).await.map_err(|error| failed(error.into()))?;
    let pager = session.query_iter(ALL_MEDIA_CHATS, ()).await.map_err(|error| failed(error.into()))?;
    let rows = pager.rows_stream::<(Uuid, Uuid)>().map_err(|error| failed(error.into()))?;
    rows.map_err(|error| failed(error.into()))
        .try_for_each_concurrent(LISTED_AT_ONCE, |(media, chat)| {
            let (insert, values) = (&insert, values(chat, media));
            async move {
                let done = session.execute_unpaged(insert, values).await;
                done.map(|_| ()).map_err(|error| failed(error.into()))
            }
        })
        .await
}

/// The table to which a statement adds columns, and the first of these.
fn added_column(statement: &str) -> Option<(&str, &str)> {
    let (table, columns) = statement.strip_prefix("ALTER TABLE ")?.split_once(" ADD (")?;
    Some((table, columns.split_whitespace().next()?))
}

/// Whether a table has a column. A step that was cut short is done again, and Cassandra 4.0 can't be told to add what is
/// not there.
async fn has_column(session: &Session, keyspace: &str, table: &str, column: &str) -> Result<bool, CassandraError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| CassandraError::Answer(error);
    let found = session.query_unpaged(COLUMNS, (keyspace, table)).await.map_err(Box::new)?;
    let rows = found.into_rows_result().map_err(|error| failed(error.into()))?;
    let mut names = rows.rows::<(&str,)>().map_err(|error| failed(error.into()))?;
    Ok(names.any(|name| name.is_ok_and(|(name,)| name == column)))
}

/// Runs a statement that may run elsewhere too; it is tried `most` times, with a pause between.
pub(super) async fn make(session: &Session, statement: &str, most: u32) -> Result<(), ExecutionError> {
    let mut statement = Statement::new(statement);
    statement.set_is_idempotent(true);
    let mut tries = 1;
    loop {
        match session.query_unpaged(statement.clone(), ()).await {
            Ok(_) => return Ok(()),
            Err(error) if tries == most => return Err(error),
            Err(error) => tracing::debug!(%error, "a change of the tables is tried again"),
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn lock(session: &Session, keyspace: &str, holder: Uuid) -> Result<(), CassandraError> {
    for _ in 0..LOCK_TRIES {
        match session.query_unpaged(TAKE_LOCK, (LOCK_SECONDS, holder)).await {
            Ok(result) => {
                if applied(result)? {
                    return Ok(());
                }
            }
            // Others ask at the same time, or the table is not everywhere yet.
            Err(error) => tracing::debug!(%error, "the lock of the tables is asked for again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(CassandraError::Busy(keyspace.to_owned()))
}

/// Uses the keyspace and refuses tables that this program does not work with.
pub(super) async fn check(session: &Session, config: &CassandraConfig) -> Result<(), CassandraError> {
    use_keyspace(session, config).await?;
    usable(versions(session).await?, config)
}

fn usable(versions: TableVersions, config: &CassandraConfig) -> Result<(), CassandraError> {
    if !versions.can_be_used() {
        return Err(CassandraError::Schema { keyspace: config.keyspace.clone(), versions });
    }
    if versions.are_newer() {
        tracing::info!(
            found = versions.found,
            needed = versions.needed,
            "cassandra has newer tables, which can be used"
        );
    }
    Ok(())
}

async fn use_keyspace(session: &Session, config: &CassandraConfig) -> Result<(), CassandraError> {
    session.use_keyspace(&config.keyspace, true).await.map_err(|error| {
        tracing::debug!(%error, keyspace = config.keyspace, "the keyspace can't be used");
        let versions = TableVersions { found: None, compatible_from: None, needed: VERSION.into() };
        CassandraError::Schema { keyspace: config.keyspace.clone(), versions }
    })
}

async fn versions(session: &Session) -> Result<TableVersions, CassandraError> {
    let found = newest(session, READ_VERSION).await?;
    let compatible_from = newest(session, READ_COMPATIBLE).await?;
    Ok(TableVersions { found, compatible_from, needed: VERSION.into() })
}

/// The newest version that the statement reads; `None` when there is none.
async fn newest(session: &Session, statement: &str) -> Result<Option<i64>, CassandraError> {
    match session.query_unpaged(statement, ()).await {
        Ok(result) => {
            let rows = result.into_rows_result().map_err(|error| CassandraError::Answer(Box::new(error)))?;
            let row = rows.maybe_first_row::<(i32,)>().map_err(|error| CassandraError::Answer(Box::new(error)))?;
            Ok(row.map(|(version,)| version.into()))
        }
        // There is no such table.
        Err(error) if is_invalid(&error) => Ok(None),
        Err(error) => Err(Box::new(error).into()),
    }
}

fn is_invalid(error: &ExecutionError) -> bool {
    use scylla::errors::{DbError, RequestAttemptError};
    matches!(error, ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, _)))
}

/// Whether a light-weight transaction did what it says.
pub(super) fn applied(result: scylla::response::query_result::QueryResult) -> Result<bool, CassandraError> {
    let rows = result.into_rows_result().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    let row = rows.first_row::<Row>().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    Ok(row.columns.first().cloned().flatten().and_then(|value| value.as_boolean()) == Some(true))
}

/// The statements of a step, without comments.
fn statements(step: &str) -> Vec<String> {
    let lines: Vec<&str> = step.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let text = format!("{}\n", lines.join("\n"));
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_cut_into_statements() {
        let all: Vec<String> = STEPS.iter().flat_map(|step| statements(step)).collect();
        let (made, changed): (Vec<_>, Vec<_>) =
            all.iter().partition(|statement| statement.starts_with("CREATE TABLE "));
        assert!(made.iter().all(|statement| statement.starts_with("CREATE TABLE IF NOT EXISTS ")), "{made:?}");
        // A step that was cut short is done again: what it changes may be changed already.
        let again = |statement: &&String| {
            let sets = statement.starts_with("ALTER TABLE ") && statement.contains(" WITH gc_grace_");
            sets || added_column(statement).is_some()
        };
        assert!(changed.iter().all(again), "{changed:?}");
        assert!(all.iter().all(|statement| !statement.contains(';')));
        assert_eq!(all.len(), 35);
        let added: Vec<_> = all.iter().filter_map(|statement| added_column(statement)).collect();
        assert_eq!(added, [("user_chats", "delivered"), ("outbox", "before")]);
        assert_eq!(STEPS.len(), usize::try_from(VERSION).unwrap());
    }

    #[test]
    fn programs_of_this_version_may_use_its_tables() {
        assert!((1..=VERSION).contains(&COMPATIBLE_FROM), "{COMPATIBLE_FROM}");
    }
}
