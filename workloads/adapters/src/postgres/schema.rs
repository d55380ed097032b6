//! Versions of the tables.

use sqlx::{
    PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
};

use super::{PostgresError, failure::sqlstate};
use crate::versions::TableVersions;

static MIGRATOR: Migrator = sqlx::migrate!("src/postgres/schema");
/// The oldest version whose programs may use the tables of the newest one. A step that they cannot live with, while it is
/// done or after, raises this to its own version; one that only adds leaves it.
const COMPATIBLE_FROM: i64 = 5;
const NO_TABLE: &str = "42P01";
/// Two that make a table at once disturb each other, also where it may be there.
pub(super) const LOCK: i64 = 0x5e47_1e21_7ab1_e500;

const READ_VERSION: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";
const READ_COMPATIBLE: &str = "SELECT max(version) FROM schema_compatible_from";
const MAKE_COMPATIBLE: &str = "CREATE TABLE IF NOT EXISTS schema_compatible_from (version bigint PRIMARY KEY)";
const SET_COMPATIBLE: &str = "INSERT INTO schema_compatible_from (version) VALUES ($1) ON CONFLICT DO NOTHING";

/// The version that this program works with.
fn needed() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Brings the tables to this version. One process at a time does so; the others wait and find it done.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), PostgresError> {
    let failed = |error| PostgresError::Migration(MigrateError::Execute(error));
    let mut connection = pool.acquire().await.map_err(failed)?;
    let versions = versions(&mut connection).await?;
    drop(connection);
    if versions.are_newer() {
        return usable(versions);
    }
    // First: while a step is done that programs of before cannot live with, none of them is to start.
    forbid_older(pool).await.map_err(failed)?;
    MIGRATOR.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            PostgresError::Schema(TableVersions { found: Some(found), compatible_from: None, needed: needed() })
        }
        other => PostgresError::Migration(other),
    })
}

/// Says from which version on programs may use the tables. The number never falls.
async fn forbid_older(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    sqlx::query(MAKE_COMPATIBLE).execute(&mut *transaction).await?;
    sqlx::query(SET_COMPATIBLE).bind(COMPATIBLE_FROM).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Refuses tables that this program does not work with.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), PostgresError> {
    usable(versions(connection).await?)
}

fn usable(versions: TableVersions) -> Result<(), PostgresError> {
    if !versions.can_be_used() {
        return Err(PostgresError::Schema(versions));
    }
    if versions.are_newer() {
        tracing::info!(
            found = versions.found,
            needed = versions.needed,
            "postgres has newer tables, which can be used"
        );
    }
    Ok(())
}

async fn versions(connection: &mut PgConnection) -> Result<TableVersions, PostgresError> {
    let found = number(connection, READ_VERSION).await?;
    let compatible_from = number(connection, READ_COMPATIBLE).await?;
    Ok(TableVersions { found, compatible_from, needed: needed() })
}

/// What the statement reads; `None` when there is no such table.
async fn number(connection: &mut PgConnection, statement: &'static str) -> Result<Option<i64>, PostgresError> {
    match sqlx::query_scalar(statement).fetch_one(connection).await {
        Ok(found) => Ok(found),
        Err(error) if sqlstate(&error).is_some_and(|code| code == NO_TABLE) => Ok(None),
        Err(error) => Err(PostgresError::SchemaUnreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_this_version_may_use_its_tables() {
        assert!((1..=needed()).contains(&COMPATIBLE_FROM), "{COMPATIBLE_FROM} {}", needed());
    }
}
