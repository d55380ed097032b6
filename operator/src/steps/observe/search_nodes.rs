//! What nodes of a managed Elasticsearch hold, and whether they may: asked and told by HTTP, when a node is to leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use thiserror::Error;

use super::asking;
use crate::{answer::describe, api::Store, providers, steps::validate::ValidChat};

/// How long one answer may take. Votes are moved within it.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest answer: some ten thousand shards.
const LONGEST: usize = 1 << 20;
/// The setting with names of nodes that hold no shards, separated by commas.
const EXCLUDE: &str = "cluster.routing.allocation.exclude._name";
/// State of a shard that is where it belongs, with all its data.
const PLACED: &str = "STARTED";
const VOTES: &str = "/_cluster/voting_config_exclusions";
const VOTELESS: &str = "metadata.cluster_coordination.voting_config_exclusions";

/// Why Elasticsearch could not be asked or told.
#[derive(Debug, Error)]
pub enum Error {
    /// No connection, or no answer that could be read.
    #[error("{path}")]
    Http {
        /// What was asked.
        path: String,
        /// Why.
        #[source]
        source: asking::Error,
    },
    /// It answered that it will not.
    #[error("{path}: {status}: {reason}")]
    Refused {
        /// What was asked.
        path: String,
        /// Code of the answer.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// Its answer does not tell what was asked.
    #[error("{path}: the answer is no list")]
    Unclear {
        /// What was asked.
        path: String,
    },
}

/// Nodes by what they hold and may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchNodes {
    without_shards: BTreeSet<String>,
    without_vote: BTreeSet<String>,
    shards: BTreeMap<String, usize>,
    unplaced: usize,
}

impl SearchNodes {
    /// From names of nodes that may hold no shards, that have no vote, and that each shard is on.
    pub fn new<T: AsRef<str>>(without_shards: &[T], without_vote: &[T], shards: &[String]) -> Self {
        let names = |nodes: &[T]| nodes.iter().map(|node| node.as_ref().to_owned()).collect();
        let mut found =
            Self { without_shards: names(without_shards), without_vote: names(without_vote), ..Self::default() };
        for node in shards {
            *found.shards.entry(node.clone()).or_default() += 1;
        }
        found
    }

    /// The same with that many shards which are on no node, or not completely.
    #[must_use]
    pub fn with_unplaced(self, unplaced: usize) -> Self {
        Self { unplaced, ..self }
    }

    /// Whether the node may neither hold shards nor vote.
    pub fn is_excluded(&self, node: &str) -> bool {
        self.without_shards.contains(node) && self.without_vote.contains(node)
    }

    /// Whether one of both is so.
    pub fn is_partly_excluded(&self, node: &str) -> bool {
        self.without_shards.contains(node) || self.without_vote.contains(node)
    }

    /// Shards on the node, those that are on their way included.
    pub fn shards(&self, node: &str) -> usize {
        self.shards.get(node).copied().unwrap_or_default()
    }

    /// Shards of the cluster that are on no node, or not completely: each may have its only data on any node.
    pub fn unplaced(&self) -> usize {
        self.unplaced
    }
}

/// One Elasticsearch.
#[derive(Clone, Debug)]
pub struct Elasticsearch {
    base: String,
}

impl Elasticsearch {
    /// That of `chat`, or the one at `base`.
    pub fn of(chat: &ValidChat, base: Option<&str>) -> Self {
        let own = || providers::connection(chat, Store::Elasticsearch).endpoints.into_iter().next().unwrap_or_default();
        Self { base: base.map_or_else(own, String::from) }
    }

    /// Asks what all nodes hold and may hold.
    pub async fn nodes(&self) -> Result<SearchNodes, Error> {
        let without_shards = self.without_shards().await?;
        let state = self.call("GET", &format!("/_cluster/state/metadata?filter_path={VOTELESS}"), None).await?;
        let votes = state.pointer(&format!("/{}", VOTELESS.replace('.', "/"))).and_then(Value::as_array);
        let without_vote = texts(votes.into_iter().flatten().map(|vote| &vote["node_name"]));
        let path = "/_cat/shards?format=json&h=node,state";
        let answer = self.call("GET", path, None).await?;
        // Anything else would look as if no node had a shard.
        let rows = answer.as_array().ok_or_else(|| Error::Unclear { path: path.to_owned() })?;
        // A shard whose node is away has no node, and its data is on that node all the same.
        let unplaced = rows.iter().filter(|shard| shard["state"] != PLACED).count();
        let shards: Vec<String> = texts(rows.iter().map(|shard| &shard["node"]))
            .iter()
            // One that moves is told as "from -> address id to".
            .flat_map(|place| place.split(" -> ").map(|end| end.rsplit(' ').next().unwrap_or(end).to_owned()))
            .collect();
        Ok(SearchNodes::new(&without_shards, &without_vote, &shards).with_unplaced(unplaced))
    }

    /// Lets others have the shards and the vote of a node.
    pub async fn exclude(&self, node: &str) -> Result<(), Error> {
        let mut excluded = self.without_shards().await?;
        if !excluded.iter().any(|name| name == node) {
            excluded.push(node.to_owned());
            self.set_without_shards(&excluded).await?;
        }
        self.call("POST", &format!("{VOTES}?node_names={node}&timeout=5s"), None).await.map(drop)
    }

    /// Lets nodes called `node` have shards and votes again.
    pub async fn readmit(&self, node: &str) -> Result<(), Error> {
        let mut excluded = self.without_shards().await?;
        if excluded.iter().any(|name| name == node) {
            excluded.retain(|name| name != node);
            self.set_without_shards(&excluded).await?;
        }
        // All of them: nobody else takes votes away from a store that the operator runs.
        self.call("DELETE", &format!("{VOTES}?wait_for_removal=false"), None).await.map(drop)
    }

    async fn without_shards(&self) -> Result<Vec<String>, Error> {
        let settings = self.call("GET", "/_cluster/settings?flat_settings=true", None).await?;
        let names = settings["persistent"][EXCLUDE].as_str().unwrap_or_default();
        Ok(names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect())
    }

    /// Names that others wrote there stay.
    async fn set_without_shards(&self, nodes: &[String]) -> Result<(), Error> {
        let names = if nodes.is_empty() { Value::Null } else { json!(nodes.join(",")) };
        self.call("PUT", "/_cluster/settings", Some(json!({ "persistent": { EXCLUDE: names } }))).await.map(drop)
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, Error> {
        let failed = |source| Error::Http { path: path.to_owned(), source };
        let client = asking::client(PATIENCE).map_err(|source| failed(source.into()))?;
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut request = client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (status, text) = asking::ask(request, LONGEST).await.map_err(failed)?;
        if status.is_success() {
            // Some of them answer without a word.
            return Ok(serde_json::from_str(&text).unwrap_or_default());
        }
        let reason = text.chars().take(200).collect();
        Err(Error::Refused { path: path.to_owned(), status: status.as_u16(), reason })
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<String> {
    values.filter_map(|value| value.as_str()).map(String::from).collect()
}

/// What the nodes hold, or in one line why that is not known.
pub async fn ask(elasticsearch: &Elasticsearch) -> Result<SearchNodes, String> {
    elasticsearch.nodes().await.map_err(|error| describe(&error))
}
