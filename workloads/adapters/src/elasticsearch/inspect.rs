//! A look at Elasticsearch or OpenSearch: whether it can be used, and its version.

use sentinel_domain::{
    config::ElasticsearchConfig,
    findings::{Finding, TroubleKind},
};
use serde_json::Value;

use super::{Elasticsearch, ElasticsearchError, client::Client};

const ELASTICSEARCH_MINIMUM: (u32, u32) = (8, 0);
const OPENSEARCH_MINIMUM: (u32, u32) = (2, 0);
const NODE: &str = "/_nodes/_local?filter_path=nodes.*.version,nodes.*.build_flavor";

impl Elasticsearch {
    /// Connects as services do and asks for the version. Nothing is waited for.
    pub async fn inspect(config: &ElasticsearchConfig) -> Finding {
        match node(config).await {
            Ok(node) => {
                // What only the one of them has.
                let is_elasticsearch = node["build_flavor"].is_string();
                let minimum = if is_elasticsearch { ELASTICSEARCH_MINIMUM } else { OPENSEARCH_MINIMUM };
                Finding::of_version(node["version"].as_str().map(String::from), minimum)
            }
            Err(error) => Finding::trouble(kind(&error), &error),
        }
    }
}

/// What the node that answers tells of itself; nothing where this user may not ask.
async fn node(config: &ElasticsearchConfig) -> Result<Value, ElasticsearchError> {
    match Client::new(&config.connection)?.get(NODE).await {
        Ok(answer) => {
            let nodes = answer["nodes"].as_object();
            Ok(nodes.and_then(|nodes| nodes.values().next()).cloned().unwrap_or_default())
        }
        Err(ElasticsearchError::Refused { status: 403, .. }) => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

fn kind(error: &ElasticsearchError) -> TroubleKind {
    match error {
        ElasticsearchError::Refused { status: 401 | 403, .. } => TroubleKind::Refused,
        ElasticsearchError::Unreachable { .. } | ElasticsearchError::Refused { status: 502..=504, .. } => {
            TroubleKind::Unreachable
        }
        _ => TroubleKind::Other,
    }
}
