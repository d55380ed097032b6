//! A look at the database: whether it can be used, and its version.

use sentinel_domain::{
    config::PostgresConfig,
    findings::{Finding, TroubleKind},
};
use sqlx::{Connection, PgConnection};

use super::{Postgres, PostgresError, endpoints::Endpoints};

/// The oldest version that is still maintained somewhere.
const MINIMUM: (u32, u32) = (13, 0);

impl Postgres {
    /// Connects as services do and asks for the version. Waits up to ten seconds for a server that is just starting.
    pub async fn inspect(config: &PostgresConfig) -> Finding {
        match version(config).await {
            Ok(version) => Finding::of_version(Some(version), MINIMUM),
            Err(error) => Finding::trouble(kind(&error), &error),
        }
    }
}

async fn version(config: &PostgresConfig) -> Result<String, PostgresError> {
    let endpoints = Endpoints::new(config.clone())?;
    let (place, options) = endpoints.wait_for_writable().await?;
    let failed = |source| endpoints.classify(place, source);
    let mut connection = PgConnection::connect_with(&options).await.map_err(failed)?;
    let version = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.ok();
    Ok(version)
}

fn kind(error: &PostgresError) -> TroubleKind {
    match error {
        PostgresError::Refused { .. } => TroubleKind::Refused,
        PostgresError::Unreachable { .. } | PostgresError::Silent { .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}
