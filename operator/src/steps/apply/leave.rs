//! Does what a node that leaves its store needs: what and when, [`crate::providers::scale`] decides.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, api::DeleteParams};

use super::Failure;
use crate::{
    answer::describe,
    build::Stage,
    providers::Act,
    steps::{
        observe::{
            CLAIM, Observed,
            search_nodes::{self, Elasticsearch},
        },
        prune,
        status::conditions::SCALE_IN_FAILING,
    },
};

/// Does all of `acts`; each failure is told, and what failed is decided anew the next time.
pub async fn carry_out(
    client: &Client,
    namespace: &str,
    elasticsearch: &Elasticsearch,
    observed: &Observed,
    acts: &[Act],
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for act in acts {
        let done = match act {
            Act::DeleteClaim(name) => delete_claim(client, namespace, observed, name).await,
            Act::Exclude(node) => told(elasticsearch.exclude(node).await, "exclude", node),
            Act::Readmit(node) => told(elasticsearch.readmit(node).await, "readmit", node),
        };
        match done {
            Ok(()) => tracing::info!(?act, namespace, "done for a node that leaves"),
            Err(failure) => failures.push(failure),
        }
    }
    failures
}

/// The very claim that was seen: a successor of the same name is another node's.
async fn delete_claim(client: &Client, namespace: &str, observed: &Observed, name: &str) -> Result<(), Failure> {
    let seen = observed.claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(name));
    let Some(uid) = seen.and_then(|claim| claim.metadata.uid.clone()) else { return Ok(()) };
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let deleted = prune::delete(&api, name, Some(uid), DeleteParams::default()).await;
    deleted.map(drop).map_err(|error| Failure::new(Stage::Extra, "delete", CLAIM, name, &error))
}

fn told(answer: Result<(), search_nodes::Error>, verb: &str, node: &str) -> Result<(), Failure> {
    answer.map_err(|error| Failure {
        stage: Stage::Extra,
        reason: SCALE_IN_FAILING,
        message: format!("cannot {verb} {node} in Elasticsearch, it is tried again: {}", describe(&error)),
        transient: true,
    })
}
