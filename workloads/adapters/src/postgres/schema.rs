//! Versions of the tables.

use sqlx::{
    PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
};

use super::{PostgresError, failure::sqlstate};

static MIGRATOR: Migrator = sqlx::migrate!("src/postgres/schema");
const NO_TABLE: &str = "42P01";

/// The version that this program works with.
fn needed() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Brings the tables to this version. One process at a time does so; the others wait and find it done.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), PostgresError> {
    MIGRATOR.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => PostgresError::Schema { found: Some(found), needed: needed() },
        other => PostgresError::Migration(other),
    })
}

/// Refuses tables of another version.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), PostgresError> {
    let newest: Result<Option<i64>, sqlx::Error> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(connection).await;
    let found = match newest {
        Ok(found) => found,
        Err(error) if sqlstate(&error).is_some_and(|code| code == NO_TABLE) => None,
        Err(error) => return Err(PostgresError::SchemaUnreadable(error)),
    };
    if found == Some(needed()) { Ok(()) } else { Err(PostgresError::Schema { found, needed: needed() }) }
}
