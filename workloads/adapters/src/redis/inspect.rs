//! A look at Redis: whether it can be used, and its version.

use redis::ErrorKind;
use sentinel_domain::{
    config::RedisConfig,
    findings::{Finding, Trouble, TroubleKind},
};

use super::{
    Redis, RedisError,
    connection::{Line, Opener},
};

/// Publishing to one shard of a cluster came with it.
const MINIMUM: (u32, u32) = (7, 0);

impl Redis {
    /// Connects as services do and asks for the version.
    pub async fn inspect(config: &RedisConfig) -> Finding {
        match version(config).await {
            Ok(version) => Finding::of_version(version, MINIMUM),
            Err(error) if is_too_old(&error) => Finding::cannot_be_used(Trouble {
                kind: TroubleKind::TooOld,
                detail: "it does not know HELLO, so it is older than version 6; 7.0 or later is needed".into(),
            }),
            Err(error) => Finding::trouble(kind(&error), &error),
        }
    }
}

async fn version(config: &RedisConfig) -> Result<Option<String>, RedisError> {
    let opener = Opener::new(config)?;
    let failed = |error| opener.failed(error);
    match opener.open(None).await? {
        Line::Single(mut connection) => {
            let told: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(failed)?;
            let version = told.lines().find_map(|line| line.trim().strip_prefix("redis_version:"));
            Ok(version.map(String::from))
        }
        // Its nodes may have several.
        Line::Cluster(mut connection) => {
            redis::cmd("PING").query_async::<redis::Value>(&mut connection).await.map_err(failed)?;
            Ok(None)
        }
    }
}

fn is_too_old(error: &RedisError) -> bool {
    matches!(error, RedisError::Failed { source, .. } if source.to_string().to_lowercase().contains("unknown command"))
}

fn kind(error: &RedisError) -> TroubleKind {
    match error {
        RedisError::Failed { source, .. } if is_refusal(source) => TroubleKind::Refused,
        RedisError::Failed { .. } | RedisError::Silent { .. } | RedisError::Away { .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}

fn is_refusal(error: &redis::RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
}
