//! Stores that the operator runs: what is made for each, and how it is doing.
//!
//! Everything here is pure. [`crate::steps`] reads the cluster, makes the Secrets of [`credentials`] once, asks
//! [`scale`] how many nodes may run and what is to be done for that, applies what [`build`] gives, and reports what
//! [`assess`] says. NetworkPolicies and disruption budgets of a store are not built here: the one table of flows takes
//! [`client_port`] and [`flows`].

mod assess;
mod cassandra;
mod credentials;
mod elasticsearch;
mod kafka;
mod memory;
mod node;
mod postgres;
mod redis;
mod s3;
mod scale;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    api::{DependencyStatus, Managed, Store},
    build::{self, Child, Flow, Kind, Peer, StoreFacts},
    steps::{
        growth,
        observe::Observed,
        plan::{is_claim_of, ordinal_of},
        status::part::Part,
        validate::ValidChat,
    },
};
use jiff::SignedDuration;
use k8s_openapi::{ByteString, api::core::v1::PersistentVolumeClaim};
use sentinel_domain::{config::Connection, keyring::KeyError};

/// Folder in pods of services below which credentials of stores are mounted: one folder a store.
pub const CREDENTIALS: &str = "/etc/sentinel/credentials";
/// Folder in pods of services below which authorities of stores are mounted: one folder a store, with `ca.crt`.
pub const AUTHORITIES: &str = "/etc/sentinel/authorities";

/// Entry of a store's ConfigMap that names the node that is to leave.
pub const LEAVING: &str = "leaving";
/// Entry of the ConfigMap of Cassandra and Elasticsearch that is there once nodes found each other.
pub const FOUNDED: &str = "founded";
/// Entry of Cassandra's ConfigMap that is another one when the nodes of its ring are others.
pub const MEMBERS: &str = "members";
/// What a node of Cassandra says when it has given its data away and left.
pub const LEFT: &str = "left the ring";

/// How many nodes of a managed store are to run now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// Nodes.
    pub replicas: i32,
    /// Those of them that hold data: all but one that has left.
    pub members: i32,
    /// Why these are not those that the resource asks for, and what to do.
    pub refusal: Option<String>,
    /// Node that is to give its data away and leave, or that is not seen to be gone yet.
    pub leaving: Option<String>,
    /// How far a node is that leaves.
    pub progress: Option<String>,
    /// What keeps it from leaving.
    pub trouble: Option<String>,
    /// What is to be done now for it.
    pub acts: Vec<Act>,
}

impl Scale {
    /// That many nodes, and nothing to say.
    fn of(replicas: i32) -> Self {
        Self { replicas, members: replicas, ..Self::default() }
    }

    /// Nodes other than the one that leaves. It is always the last.
    fn others(&self) -> i32 {
        let ordinal = self.leaving.as_ref().and_then(|node| node.rsplit_once('-')?.1.parse().ok());
        ordinal.map_or(self.replicas, |ordinal: i32| ordinal.min(self.replicas))
    }
}

/// Something to do for a node that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Deletes the volume claim of that name: what it holds, others hold.
    DeleteClaim(String),
    /// Lets Elasticsearch give the shards and the vote of the node to others.
    Exclude(String),
    /// Lets Elasticsearch use a node of that name again.
    Readmit(String),
}

/// Port that clients of a managed store connect to.
pub fn client_port(store: Store) -> u16 {
    match store {
        Store::Postgres => 5432,
        Store::Cassandra => 9042,
        Store::Redis => 6379,
        Store::Kafka => 9092,
        Store::Elasticsearch => 9200,
        Store::S3 => 9000,
    }
}

/// Whether a managed store asks for credentials.
pub fn has_credentials(store: Store) -> bool {
    // The search engine's builds do not all have security: it is behind its NetworkPolicy.
    store != Store::Elasticsearch
}

/// Fresh content of the Secret with the credentials of a managed store: `username`, `password` and what else its
/// start needs. None for a store that asks for none. Called only when there is no Secret yet.
pub fn credentials(chat: &ValidChat, store: Store) -> Result<Option<BTreeMap<String, ByteString>>, KeyError> {
    match chat.managed(store).filter(|_| has_credentials(store)) {
        Some(managed) => credentials::fresh(managed, store).map(Some),
        None => Ok(None),
    }
}

/// Whether services use a managed store as a user of their own, who can do less than the one that it was made with: read and
/// write rows. The migration makes that user, which an image of before does not know how to.
pub fn has_service_user(chat: &ValidChat, store: Store) -> bool {
    chat.template_revision >= 3 && chat.managed(store).is_some() && matches!(store, Store::Postgres | Store::Cassandra)
}

/// Fresh content of the Secret as which services use a managed store: `username` and `password`.
pub fn service_credentials() -> Result<BTreeMap<String, ByteString>, KeyError> {
    credentials::of_services()
}

/// How services reach a managed store.
pub fn connection(chat: &ValidChat, store: Store) -> Connection {
    let address = format!("{}.{}.svc:{}", chat.names.component(store.component()), chat.namespace, client_port(store));
    Connection {
        endpoints: vec![match store {
            Store::Elasticsearch | Store::S3 => format!("http://{address}"),
            _ => address,
        }],
        credentials: has_credentials(store).then(|| format!("{CREDENTIALS}/{}", store.as_str()).into()),
        tls: None,
    }
}

/// Connections between the nodes of a managed store, and those that it opens itself.
pub fn flows(chat: &ValidChat, store: Store) -> Vec<Flow> {
    let me = Peer::Part(store.component());
    // Moves shards before it takes a node away.
    let operator = (store == Store::Elasticsearch).then(|| Flow {
        from: Peer::Operator,
        to: me,
        port: i32::from(client_port(store)),
    });
    let ports: &[u16] = match store {
        Store::Cassandra => &[cassandra::PEER_PORT],
        Store::Kafka => &[client_port(Store::Kafka), kafka::CONTROLLER_PORT],
        Store::Elasticsearch => &[elasticsearch::PEER_PORT],
        // One server, which opens no connections.
        Store::Postgres | Store::Redis | Store::S3 => &[],
    };
    if chat.managed(store).is_none() || ports.is_empty() {
        return Vec::new();
    }
    let peers = ports.iter().map(|port| Flow { from: me, to: me, port: i32::from(*port) });
    peers.chain(operator).chain([Flow { from: me, to: Peer::Dns, port: 53 }]).collect()
}

/// How long the volume of a node that was added counts for what it is to become: it is made as large as the first ones were
/// once, and then grows. The setting of all nodes would change twice for that.
const GROWS: SignedDuration = SignedDuration::from_mins(10);

/// MiB that the first `nodes` nodes of a managed store can count on: those of the smallest volume. It is not what the resource
/// asks for while claims grow, and never becomes that where the storage class does not let them. What a class gives beyond what
/// was asked for does not count; what the resource does not ask for any more does, as no volume shrinks.
pub fn smallest_volume(chat: &ValidChat, store: Store, observed: &Observed, nodes: i32) -> Option<u32> {
    let set = chat.names.workload(store.component());
    let asked = chat.managed(store).and_then(|managed| memory::mib(&managed.storage.size));
    let is_used = |claim: &&PersistentVolumeClaim| {
        let ordinal = claim.metadata.name.as_deref().and_then(|claim| ordinal_of(claim, &set));
        ordinal.is_some_and(|ordinal| ordinal < nodes)
    };
    let size = |claim: &PersistentVolumeClaim| {
        let has = memory::mib(growth::capacity(claim)?)?;
        let promised = growth::asked(claim).and_then(memory::mib).max(asked);
        Some(promised.map_or(has, |promised| has.min(promised)))
    };
    let is_new = |claim: &PersistentVolumeClaim| {
        let made = claim.metadata.creation_timestamp.as_ref();
        made.is_some_and(|made| observed.read_at.duration_since(made.0) < GROWS)
    };
    let sizes = || observed.claims.iter().filter(is_used).filter_map(|claim| Some((size(claim)?, is_new(claim))));
    let settled = sizes().filter(|(size, is_new)| !is_new || asked.is_none_or(|asked| *size >= asked));
    // Where all of them are new, they are as large as they were made.
    settled.map(|(size, _)| size).min().or_else(|| sizes().map(|(size, _)| size).min())
}

/// Whether the ring of a managed Cassandra, or the cluster of a managed Elasticsearch, of more than one node was founded
/// before. Nodes after the first get claims only when that one has served, so any claim of theirs tells it; also one that
/// waits for its volume, which somebody may have put back. Nodes of Kafka start together, and know from their credentials.
pub fn is_founded(chat: &ValidChat, store: Store, observed: &Observed) -> bool {
    let set = chat.names.workload(store.component());
    let first = first_claim_name(&set);
    let mut claims = observed.claims.iter().filter_map(|claim| claim.metadata.name.as_deref());
    matches!(store, Store::Cassandra | Store::Elasticsearch)
        && claims.any(|claim| is_claim_of(claim, &set) && claim != first)
}

/// Who the nodes of a managed Cassandra's ring are: one word made from the claims of all, which changes with each that came
/// or went. While nodes come, go or are not ready it is as before. None for one node, which has nothing of others.
pub fn members(chat: &ValidChat, store: Store, observed: &Observed, scale: &Scale) -> Option<String> {
    if store != Store::Cassandra {
        return None;
    }
    let nodes = scale::Nodes::of(store, &chat.names, observed);
    let set = chat.names.workload(store.component());
    let mut claims: Vec<(i32, &str)> = Vec::new();
    for claim in &observed.claims {
        let ordinal = claim.metadata.name.as_deref().and_then(|name| ordinal_of(name, &set));
        claims.extend(ordinal.filter(|ordinal| *ordinal < scale.replicas).zip(claim.metadata.uid.as_deref()));
    }
    let is_whole = nodes.settled && nodes.running == Some(scale.replicas) && nodes.highest + 1 == scale.replicas;
    if !is_whole || nodes.told.is_some() || scale.leaving.is_some() || i32::try_from(claims.len()) != Ok(scale.replicas)
    {
        let live = observed.get(Kind::ConfigMap, &chat.names.component(store.component()))?;
        return live["data"][MEMBERS].as_str().map(String::from);
    }
    claims.sort_unstable();
    let uids: Vec<&[u8]> = claims.iter().map(|(_, uid)| uid.as_bytes()).collect();
    (uids.len() > 1).then(|| build::digest(&uids))
}

/// The claim of the first pod of a StatefulSet.
pub fn first_claim_name(set: &str) -> String {
    format!("data-{set}-0")
}

/// The uid of the claim of a managed store's first node.
pub fn first_claim(chat: &ValidChat, store: Store, observed: &Observed) -> Option<String> {
    let name = first_claim_name(&chat.names.workload(store.component()));
    let claim = observed.claims.iter().find(|claim| claim.metadata.name.as_ref() == Some(&name))?;
    claim.metadata.uid.clone()
}

/// MiB that each node of a managed store can count on.
fn volume(managed: &Managed, facts: &StoreFacts) -> u32 {
    facts.volume.or_else(|| memory::mib(&managed.storage.size)).unwrap_or(8 << 10)
}

/// Connections that a managed Postgres is to take; none for another store.
pub fn connections(chat: &ValidChat, store: Store, observed: &Observed) -> Option<u32> {
    (store == Store::Postgres).then(|| postgres::connections(chat, observed))
}

/// MiB that a managed Postgres was limited to by default until now; none for another store.
pub fn limit(chat: &ValidChat, store: Store, observed: &Observed) -> Option<u32> {
    (store == Store::Postgres).then(|| postgres::limit_before(chat, observed))?
}

/// How many nodes of a managed store are to run, judged by what runs: what cannot be done safely is refused.
pub fn scale(chat: &ValidChat, store: Store, observed: &Observed) -> Scale {
    let nodes = scale::Nodes::of(store, &chat.names, observed);
    let wanted = chat.managed(store).map_or(0, |managed| managed.replicas);
    scale::decide(store, &chat.names.workload(store.component()), &nodes, wanted)
}

/// Whether Elasticsearch has to be asked what its nodes hold: one of them is to leave, or left and is still on record.
pub fn asks_elasticsearch(chat: &ValidChat, observed: &Observed) -> bool {
    let Some(managed) = chat.managed(Store::Elasticsearch) else { return false };
    let nodes = scale::Nodes::of(Store::Elasticsearch, &chat.names, observed);
    nodes.told.is_some() || nodes.running.is_some_and(|running| managed.replicas < running)
}

/// The objects of a managed store: ConfigMap, Services, StatefulSet. `facts.replicas` tells how many nodes.
pub fn build(chat: &ValidChat, store: Store, facts: &StoreFacts) -> Result<Vec<Child>, build::Error> {
    let Some(managed) = chat.managed(store) else { return Ok(Vec::new()) };
    let build = match store {
        Store::Postgres => postgres::build,
        Store::Cassandra => cassandra::build,
        Store::Redis => redis::build,
        Store::Kafka => kafka::build,
        Store::Elasticsearch => elasticsearch::build,
        Store::S3 => s3::build,
    };
    build(chat, managed, facts)
}

/// The nodes of a managed store as one workload. One that leaves is not waited for.
pub fn workload(chat: &ValidChat, store: Store, observed: &Observed) -> Part {
    assess::workload(chat, store, observed, &scale(chat, store, observed))
}

/// How a managed store is doing.
pub fn assess(chat: &ValidChat, store: Store, observed: &Observed) -> DependencyStatus {
    assess::assess(chat, store, observed, &scale(chat, store, observed))
}
