//! A look at the cluster: whether it can be used, and its version.

use std::{collections::HashMap, error::Error};

use scylla::client::session::Session;
use sentinel_domain::{
    config::CassandraConfig,
    findings::{Finding, TroubleKind},
};

use super::{
    Cassandra, CassandraError,
    connection::{self, Purpose},
    role,
};
use crate::credentials::Credentials;

/// The oldest version that is still maintained.
const MINIMUM: (u32, u32) = (4, 0);
/// What a node says that does not let the user in.
const REFUSALS: [&str; 3] = ["authentication", "password", "credentials"];

impl Cassandra {
    /// Connects as services do and asks for the version. A cluster of the platform's own gets the platform's role first.
    pub async fn inspect(config: &CassandraConfig) -> Finding {
        match look(config).await {
            // Compatible stores tell the version whose protocol they speak.
            Ok((version, note)) => Finding { note, ..Finding::of_version(Some(version), MINIMUM) },
            Err(error) => Finding::trouble(kind(&error), &error),
        }
    }
}

/// The version, and what somebody should know.
async fn look(config: &CassandraConfig) -> Result<(String, Option<String>), CassandraError> {
    if config.own_cluster {
        role::ensure(config).await?;
    }
    let credentials = Credentials::read(&config.connection)?;
    let session = connection::attempt(config, Purpose::Use, credentials.as_ref()).await?;
    connection::check_datacenter(config, &session)?;
    let answer = session.query_unpaged("SELECT release_version FROM system.local", ()).await.map_err(Box::new)?;
    let rows = answer.into_rows_result().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    let (version,) = rows.single_row::<(String,)>().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    let copies = if config.own_cluster { copies(config, &session).await? } else { None };
    let few = copies.filter(|copies| *copies < config.replication_factor);
    let note = few.map(|copies| {
        format!(
            "keyspace {} keeps {copies} of {} copies that its nodes could keep, as it was made with fewer nodes; the guide \
             to operations tells how to get more",
            config.keyspace, config.replication_factor
        )
    });
    Ok((version, note))
}

/// Copies of each row that the keyspace keeps; none before it is made.
async fn copies(config: &CassandraConfig, session: &Session) -> Result<Option<u32>, CassandraError> {
    let query = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session.query_unpaged(query, (&config.keyspace,)).await.map_err(Box::new)?;
    let rows = answer.into_rows_result().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    let row = rows
        .maybe_first_row::<(HashMap<String, String>,)>()
        .map_err(|error| CassandraError::Answer(Box::new(error)))?;
    Ok(row.and_then(|(replication,)| replication.get(&config.datacenter)?.parse().ok()))
}

fn kind(error: &CassandraError) -> TroubleKind {
    match error {
        CassandraError::Unreachable { source: Some(source), .. } if is_refusal(source.as_ref()) => TroubleKind::Refused,
        CassandraError::Unreachable { .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}

/// The driver has several errors for it, deep in their causes.
fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(one) = error {
        let words = one.to_string().to_lowercase();
        if REFUSALS.iter().any(|refusal| words.contains(refusal)) {
            return true;
        }
        error = one.source();
    }
    false
}
