//! Whether stores of somebody else can be reached: by a connection, without a word of their protocols. Whether the
//! credentials are right, the migration tells.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};

use super::validate::ValidChat;
use crate::{api::Store, endpoint::Endpoint};

/// How long an endpoint has for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// An endpoint of an external store, and why it could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// As the resource has it.
    pub endpoint: String,
    /// None when it answered.
    pub trouble: Option<String>,
}

/// What was found of each external store.
pub type Probes = BTreeMap<Store, Vec<Probed>>;

/// Connects to every endpoint of every external store, all at once.
pub async fn probe(chat: &ValidChat) -> Probes {
    let external = Store::ALL.into_iter().filter_map(|store| Some((store, chat.external(store)?)));
    let stores = external.map(async |(store, external)| {
        let endpoints = external
            .endpoints
            .iter()
            .map(async |endpoint| Probed { endpoint: endpoint.clone(), trouble: reach(endpoint).await.err() });
        (store, join_all(endpoints).await)
    });
    join_all(stores).await.into_iter().collect()
}

async fn reach(text: &str) -> Result<(), String> {
    let endpoint = Endpoint::parse(text).ok_or("it is not host:port")?;
    match timeout(PATIENCE, TcpStream::connect((endpoint.host.as_str(), endpoint.port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
