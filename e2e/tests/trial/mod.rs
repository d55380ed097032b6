//! A resource beside the chat under test, which is wrong on purpose.

#![allow(dead_code)] // each test file uses a part of this

use std::time::Duration;

use k8s_openapi::{api::core::v1::PersistentVolumeClaim, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use sentinel_operator::names::INSTANCE;
use serde_json::{Value, json};

use crate::deployed::{Deployed, eventually};

const GONE: Duration = Duration::from_mins(2);

/// A resource that is wrong on purpose.
pub struct Trial<'a> {
    deployed: &'a Deployed,
    name: &'static str,
}

impl<'a> Trial<'a> {
    /// Makes it in the namespace of the chat under test, small and without replicas that would take memory.
    pub async fn make(deployed: &'a Deployed, name: &'static str, spec: &Value) -> Self {
        let trial = Self { deployed, name };
        trial.clean().await;
        let mut resource = json!({
            "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
            "metadata": { "name": name }, "spec": spec,
        });
        resource["spec"]["deletionPolicy"] = json!("Delete");
        let options = PatchParams::apply("sentinel-e2e").force();
        deployed.chats().patch(name, &options, &Patch::Apply(&resource)).await.expect("the resource is taken");
        trial
    }

    /// Waits until a condition has that status; gives it.
    pub async fn condition(&self, type_: &str, status: &str, patience: Duration) -> Condition {
        eventually(&format!("{}: {type_} is {status}", self.name), patience, async || {
            let chat = self.deployed.chats().get(self.name).await.map_err(|error| error.to_string())?;
            let conditions = chat.status.unwrap_or_default().conditions;
            let found = conditions.iter().find(|condition| condition.type_ == type_);
            found.filter(|condition| condition.status == status).cloned().ok_or_else(|| format!("{conditions:?}"))
        })
        .await
    }

    /// Waits until a condition has that reason; gives it.
    pub async fn reason(&self, type_: &str, reason: &str, patience: Duration) -> Condition {
        eventually(&format!("{}: {type_} is so because of {reason}", self.name), patience, async || {
            let chat = self.deployed.chats().get(self.name).await.map_err(|error| error.to_string())?;
            let conditions = chat.status.unwrap_or_default().conditions;
            let found = conditions.iter().find(|condition| condition.type_ == type_);
            found.filter(|condition| condition.reason == reason).cloned().ok_or_else(|| format!("{conditions:?}"))
        })
        .await
    }

    /// Selects what was made for it.
    pub fn selector(&self) -> ListParams {
        ListParams::default().labels(&format!("{INSTANCE}={}", self.name))
    }

    /// Takes it away with all that was made for it.
    pub async fn end(self) {
        self.clean().await;
    }

    async fn clean(&self) {
        let chats = self.deployed.chats();
        if chats.get_opt(self.name).await.expect("resources can be read").is_none() {
            return;
        }
        chats.delete(self.name, &DeleteParams::foreground()).await.expect("the resource can be deleted");
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.deployed.client.clone(), &self.deployed.namespace);
        eventually(&format!("{} is gone", self.name), GONE, async || {
            let chat = chats.get_opt(self.name).await.map_err(|error| error.to_string())?;
            let claims = claims.list(&self.selector()).await.map_err(|error| error.to_string())?.items.len();
            let pods =
                self.deployed.pods().list(&self.selector()).await.map_err(|error| error.to_string())?.items.len();
            if chat.is_none() && claims + pods == 0 { Ok(()) } else { Err(format!("{claims} claims, {pods} pods")) }
        })
        .await;
    }
}

/// Profile Distributed over stores at `host`, in which `{store}` stands for the name of each; with Secrets by store.
pub fn stores_at(host: &str, secrets: &[(&str, &str)]) -> Value {
    let at = |store: &str, port: u16, scheme: &str| {
        let host = host.replace("{store}", store);
        let mut external = json!({ "endpoints": [format!("{scheme}{host}:{port}")] });
        if let Some((_, secret)) = secrets.iter().find(|(of, _)| *of == store) {
            external["secret"] = json!({ "name": secret });
        }
        external
    };
    let with = |mut external: Value, more: Value| {
        external.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "external": external })
    };
    json!({ "profile": "Distributed", "dependencies": {
        "postgres": with(at("postgres", 5432, ""), json!({})),
        "cassandra": with(at("cassandra", 9042, ""), json!({ "keyspace": "trial", "replicationFactor": 1 })),
        "redis": with(at("redis", 6379, ""), json!({})),
        "kafka": with(at("kafka", 9092, ""), json!({
            "topic": "trial", "deadLetterTopic": "trial_dead_letters", "partitions": 1, "replicationFactor": 1 })),
        "elasticsearch": with(at("elasticsearch", 9200, "http://"), json!({ "indexPrefix": "trial", "shardCopies": 0 })),
        "s3": with(at("s3", 9000, "http://"), json!({})),
    } })
}
