//! The role of services: it reads and writes rows, and cannot change tables, roles or what the migration has noted.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::schema;
use crate::credentials::Credentials;

const IS_THERE: &str = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
const MAKE: &str = "CREATE ROLE %1$I";
/// With the role, its password, the database and the schema of the tables.
const RIGHTS: [&str; 9] = [
    "ALTER ROLE %1$I WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %2$L",
    // Temporary tables: whether the volume has room again is found out by them.
    "GRANT CONNECT, TEMPORARY ON DATABASE %3$I TO %1$I",
    // Before version 15 everybody may make tables.
    "REVOKE CREATE ON SCHEMA %4$I FROM PUBLIC",
    "GRANT USAGE ON SCHEMA %4$I TO %1$I",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %4$I TO %1$I",
    "REVOKE INSERT, UPDATE, DELETE ON _sqlx_migrations, schema_compatible_from FROM %1$I",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA %4$I TO %1$I",
    // Services of before go on while a later migration makes tables.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA %4$I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %1$I",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA %4$I GRANT USAGE ON SEQUENCES TO %1$I",
];
/// Statements of this kind take no parameters, so the server puts names and the password in.
const FILL: &str = "SELECT format($1::text, $2::text, $3::text, current_database(), current_schema())";

/// Makes the role, or gives it its password anew, and its rights on the tables that there are and will be.
pub(super) async fn admit(connection: &mut PgConnection, service: &Credentials) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(schema::LOCK).execute(&mut *transaction).await?;
    let is_there: bool = sqlx::query_scalar(IS_THERE).bind(&service.username).fetch_one(&mut *transaction).await?;
    let make = (!is_there).then_some(MAKE);
    for form in make.into_iter().chain(RIGHTS) {
        let filled = sqlx::query_scalar(FILL).bind(form).bind(&service.username).bind(&service.password);
        let statement: String = filled.fetch_one(&mut *transaction).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
