//! A look at all stores with the credentials that services have, and what is told of it.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use sentinel_adapters::{
    cassandra::Cassandra, elasticsearch::Elasticsearch, kafka::KafkaLog, postgres::Postgres, redis::Redis, s3::S3,
};
use sentinel_domain::{
    config::StoresConfig,
    findings::{Finding, Findings, Trouble, TroubleKind},
};
use tokio::time::timeout;

/// How long a look at one store may take; each has shorter limits of its own, but for the role of a new Cassandra.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks at all stores at once. Before a migration, S3 may lack the bucket that it makes.
async fn stores(stores: &StoresConfig, may_lack_bucket: bool) -> Findings {
    let (postgres, cassandra, redis, kafka, elasticsearch, s3) = tokio::join!(
        bounded(Postgres::inspect(&stores.postgres)),
        bounded(Cassandra::inspect(&stores.cassandra)),
        bounded(Redis::inspect(&stores.redis)),
        bounded(KafkaLog::inspect(&stores.kafka)),
        bounded(Elasticsearch::inspect(&stores.elasticsearch)),
        bounded(S3::inspect(&stores.s3, may_lack_bucket)),
    );
    let found = [
        ("postgres", postgres),
        ("cassandra", cassandra),
        ("redis", redis),
        ("kafka", kafka),
        ("elasticsearch", elasticsearch),
        ("s3", s3),
    ];
    let found = found.map(|(store, finding)| (store.to_owned(), finding));
    Findings { stores: found.into(), failure: None }
}

async fn bounded(look: impl Future<Output = Finding>) -> Finding {
    let silent =
        || Trouble { kind: TroubleKind::Unreachable, detail: format!("no answer within {} s", PATIENCE.as_secs()) };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| Finding::cannot_be_used(silent()))
}

/// Looks at all stores, writes what was found to `report`, and fails with all of it.
pub async fn only(config: &StoresConfig, report: Option<&Path>) -> anyhow::Result<()> {
    tell(&Box::pin(stores(config, false)).await, report)
}

/// The same, but does the migration `work` if they can be used.
pub async fn before(
    config: &StoresConfig,
    report: Option<&Path>,
    work: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut findings = Box::pin(stores(config, true)).await;
    if findings.summary().is_none() {
        findings.failure = work().await.err().map(|error| format!("{error:#}"));
    }
    tell(&findings, report)
}

fn tell(findings: &Findings, report: Option<&Path>) -> anyhow::Result<()> {
    if let Some(path) = report {
        std::fs::write(path, findings.to_last_words()?).with_context(|| format!("writing {}", path.display()))?;
    }
    match findings.summary() {
        None => Ok(()),
        Some(summary) => Err(anyhow::Error::msg(summary)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every store at a port where nothing listens.
    fn nowhere(credentials: &Path) -> StoresConfig {
        let connection = |endpoint: &str| serde_json::json!({ "endpoints": [endpoint] });
        let (host, url) = (connection("127.0.0.1:1"), connection("http://127.0.0.1:1"));
        let mut s3 = url.clone();
        s3["credentials"] = serde_json::json!(credentials);
        serde_json::from_value(serde_json::json!({
            "postgres": { "connection": host }, "cassandra": { "connection": host }, "redis": { "connection": host },
            "kafka": { "connection": host }, "elasticsearch": { "connection": url }, "s3": { "connection": s3 },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn stores_that_do_not_answer_are_told_each_and_nothing_is_done() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["username", "password"] {
            std::fs::write(folder.path().join(name), "key").unwrap();
        }
        let (report, config) = (folder.path().join("report"), nowhere(folder.path()));
        let migrated = before(&config, Some(&report), async || panic!("work on stores that are away")).await;
        let before_it = std::fs::read_to_string(&report).unwrap();
        let looked = only(&config, Some(&report)).await;
        let later = std::fs::read_to_string(&report).unwrap();
        for (error, report) in [(migrated.unwrap_err(), before_it), (looked.unwrap_err(), later)] {
            let findings = Findings::read(&report).unwrap();
            assert_eq!(findings.stores.len(), 6);
            for (store, finding) in &findings.stores {
                assert_eq!(finding.trouble.as_ref().unwrap().kind, TroubleKind::Unreachable, "{store}");
                assert!(error.to_string().contains(&format!("{store}: ")), "{error}");
            }
            let kafka = &findings.stores["kafka"].trouble.as_ref().unwrap().detail;
            assert!(kafka.contains("Connection refused"), "{kafka}");
        }
    }
}
