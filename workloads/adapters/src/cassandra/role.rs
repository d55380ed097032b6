//! Roles. A new Cassandra lets anybody in as `cassandra`, until that is changed.
//!
//! Where the configuration says that the cluster is this platform's own, the migration makes the configured role and
//! shuts the default one. Services get a role of their own, which can do less. Each step may be repeated, so an interrupted
//! run is finished by the next.

use std::time::{Duration, Instant};

use scylla::client::session::Session;
use sentinel_domain::config::CassandraConfig;

use super::{
    CassandraError,
    connection::{self, Purpose},
    schema::{self, TRIES},
};
use crate::credentials::Credentials;

/// Name and password of the role that a fresh cluster has.
const DEFAULT: &str = "cassandra";
/// A fresh cluster makes its default role some seconds after its start.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);
/// How often a change of a password is asked for: that of a role is changed every five seconds at most.
const PASSWORD_TRIES: u32 = 16;
/// Copies of roles; one for each node up to this many.
const COPIES: usize = 3;

/// Sees to it that the configured role is there and the default one is shut.
pub(super) async fn ensure(config: &CassandraConfig) -> Result<(), CassandraError> {
    let Some(own) = Credentials::read(&config.connection)? else { return Ok(()) };
    let default = Credentials { username: DEFAULT.to_owned(), password: DEFAULT.to_owned() };
    let started = Instant::now();
    loop {
        match connection::attempt(config, Purpose::Migrate, Some(&own)).await {
            Ok(session) => return shut_default(&session, &own).await,
            Err(refused) if started.elapsed() >= PATIENCE => return Err(refused),
            Err(_) => {}
        }
        if let Ok(session) = connection::attempt(config, Purpose::Migrate, Some(&default)).await {
            make(&session, config, &own).await?;
            tracing::info!(role = own.username, "cassandra has the platform's role");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Copies roles to several nodes before there is one that matters, then makes the platform's.
async fn make(session: &Session, config: &CassandraConfig, own: &Credentials) -> Result<(), CassandraError> {
    let copies = session.get_cluster_state().get_nodes_info().len().clamp(1, COPIES);
    let replication = format!(
        "ALTER KEYSPACE system_auth WITH replication = {{'class': 'NetworkTopologyStrategy', '{}': {copies}}}",
        config.datacenter
    );
    let role = format!(
        "CREATE ROLE IF NOT EXISTS {} WITH PASSWORD = {} AND SUPERUSER = true AND LOGIN = true",
        quoted(&own.username),
        quoted(&own.password)
    );
    for statement in [replication, role] {
        session.query_unpaged(statement, ()).await.map_err(Box::new)?;
    }
    Ok(())
}

async fn shut_default(session: &Session, own: &Credentials) -> Result<(), CassandraError> {
    if own.username == DEFAULT {
        return Ok(());
    }
    let open = "SELECT can_login FROM system_auth.roles WHERE role = 'cassandra'";
    let found = session.query_unpaged(open, ()).await.map_err(Box::new)?;
    let rows = found.into_rows_result().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    let row = rows.maybe_first_row::<(Option<bool>,)>().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    if row.and_then(|(can_login,)| can_login) == Some(true) {
        let shut = "ALTER ROLE cassandra WITH SUPERUSER = false AND LOGIN = false";
        session.query_unpaged(shut, ()).await.map_err(Box::new)?;
        tracing::info!("the role that every new cassandra has is shut");
    }
    Ok(())
}

/// Makes the role of services, or gives it its password anew, and lets it read and write rows of the keyspace.
pub(super) async fn admit(
    session: &Session,
    config: &CassandraConfig,
    service: &Credentials,
) -> Result<(), CassandraError> {
    let (role, password, keyspace) = (quoted(&service.username), quoted(&service.password), &config.keyspace);
    let run = async |statement: String, tries: u32| {
        let done = schema::make(session, &statement, tries).await;
        done.map_err(|source| CassandraError::ServiceRole { role: service.username.clone(), source: Box::new(source) })
    };
    run(format!("CREATE ROLE IF NOT EXISTS {role} WITH PASSWORD = {password} AND LOGIN = true"), TRIES).await?;
    // Not without need: Cassandra 5 refuses to change a password that it changed less than five seconds ago. It may have done
    // so, and remember the one before: then it is asked until it can.
    let is_let_in = connection::attempt(config, Purpose::Use, Some(service)).await.is_ok();
    let password = if is_let_in { String::new() } else { format!("PASSWORD = {password} AND ") };
    run(format!("ALTER ROLE {role} WITH {password}SUPERUSER = false AND LOGIN = true"), PASSWORD_TRIES).await?;
    run(format!("GRANT SELECT ON KEYSPACE \"{keyspace}\" TO {role}"), TRIES).await?;
    run(format!("GRANT MODIFY ON KEYSPACE \"{keyspace}\" TO {role}"), TRIES).await
}

/// A text as CQL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_password_ends_no_text() {
        assert_eq!(quoted("it's"), "'it''s'");
    }
}
