//! A small cluster with the operator in it.

use std::sync::Arc;

use jiff::Timestamp;
use sentinel_domain::findings::Findings;
use sentinel_operator::{
    reconcile::{Context, Error, reconcile},
    settings::Settings,
    steps::{observe::probe::Reach, unreadable::Guarded},
};
use serde_json::{Value, json};

use crate::api_server::ApiServer;

/// Where resources are.
pub const CHATS: &str = "chat.sentinel.dev/v1alpha1/sentinelchats";
/// Where StatefulSets are.
pub const SETS: &str = "apps/v1/statefulsets";
/// Where Deployments are.
pub const DEPLOYMENTS: &str = "apps/v1/deployments";
/// Where Jobs are.
pub const JOBS: &str = "batch/v1/jobs";
/// Where Secrets are.
pub const SECRETS: &str = "v1/secrets";
/// Where claims are.
pub const CLAIMS: &str = "v1/persistentvolumeclaims";
/// Where pods are.
pub const PODS: &str = "v1/pods";
/// The namespace of all resources.
pub const NS: &str = "team";

/// A small cluster with the operator in it.
pub struct World {
    /// Its API server.
    pub server: ApiServer,
    /// What reconciles share.
    pub context: Arc<Context>,
}

impl World {
    /// A cluster with one resource called `chat`.
    pub fn with(spec: &Value) -> Self {
        let world = Self::empty(Settings {
            sentinel_image: "sentinel:1".into(),
            gateway_image: "nginx:1".into(),
            ..Settings::default()
        });
        world.apply("chat", spec);
        world
    }

    /// A cluster without resources.
    pub fn empty(settings: Settings) -> Self {
        let server = ApiServer::default();
        Self { context: context(&server, settings), server }
    }

    /// The same cluster after the operator was upgraded.
    pub fn upgraded(self, settings: Settings) -> Self {
        Self { context: context(&self.server, settings), ..self }
    }

    /// Writes a resource as a user would.
    pub fn apply(&self, name: &str, spec: &Value) {
        let old = self.server.get(CHATS, NS, name).unwrap_or_else(|| json!({ "metadata": { "name": name } }));
        let mut chat = json!({
            "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
            "metadata": old["metadata"], "spec": spec,
        });
        if !old["status"].is_null() {
            chat["status"] = old["status"].clone();
        }
        self.server.put(CHATS, NS, chat);
    }

    /// One reconcile of `chat`, with the object as the API server has it.
    pub async fn reconcile(&self) -> Result<(), Error> {
        self.reconcile_of("chat").await
    }

    /// The same of the resource called `name`.
    pub async fn reconcile_of(&self, name: &str) -> Result<(), Error> {
        let object = self.server.get(CHATS, NS, name).expect("the resource is gone");
        let guarded: Guarded = serde_json::from_value(object).unwrap();
        reconcile(Arc::new(guarded), self.context.clone()).await.map(|_| ())
    }

    /// Reconciles until nothing is written any more, and forgets what was.
    pub async fn settle(&self) {
        for _ in 0..5 {
            self.server.take_writes();
            self.reconcile().await.unwrap();
            if self.server.take_writes().is_empty() {
                return;
            }
        }
        panic!("the operator does not settle");
    }

    /// One condition as `status/reason: message`.
    pub fn condition(&self, type_: &str) -> String {
        let chat = self.server.get(CHATS, NS, "chat").unwrap();
        let conditions = chat["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == type_);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found.map_or_else(
            || "absent".into(),
            |c| format!("{}/{}: {}", text(&c["status"]), text(&c["reason"]), text(&c["message"])),
        )
    }

    /// Does what controllers and kubelet would do until everything runs. Jobs are left alone.
    pub fn run_everything(&self) {
        for name in self.server.names(SETS, NS) {
            let template = self.server.get(SETS, NS, &name).unwrap();
            let replicas = template["spec"]["replicas"].as_i64().unwrap();
            let template = &template["spec"]["volumeClaimTemplates"][0];
            for ordinal in 0..replicas {
                let claim_name = format!("data-{name}-{ordinal}");
                if template.is_object() && self.server.get(CLAIMS, NS, &claim_name).is_none() {
                    let mut claim = template.clone();
                    claim["metadata"]["name"] = json!(claim_name);
                    claim["status"] = json!({ "phase": "Bound" });
                    self.server.put(CLAIMS, NS, claim);
                }
            }
            self.server.edit(SETS, NS, &name, |set| {
                let revision = format!("{name}-1");
                set["status"] = json!({
                    "observedGeneration": set["metadata"]["generation"], "replicas": replicas,
                    "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas,
                    "updateRevision": revision, "currentRevision": revision,
                });
            });
        }
        for name in self.server.names(DEPLOYMENTS, NS) {
            self.server.edit(DEPLOYMENTS, NS, &name, |deployment| {
                let replicas = deployment["spec"]["replicas"].clone();
                deployment["status"] = json!({
                    "observedGeneration": deployment["metadata"]["generation"], "replicas": replicas,
                    "availableReplicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
                });
            });
        }
    }

    /// Ends the migration, with success or with `words` as the last ones of its pod, at `time`.
    pub fn end_job(&self, words: Option<&str>, time: &str) {
        self.end(&self.migration(), words.is_none(), words, time);
    }

    /// Ends the migration with what it found of the stores, at `time`.
    pub fn end_job_with(&self, findings: &Findings, time: &str) {
        self.end_with(&self.migration(), findings, time);
    }

    /// Ends a Job with what it found of the stores, at `time`.
    pub fn end_with(&self, job: &str, findings: &Findings, time: &str) {
        self.end(job, findings.summary().is_none(), Some(&findings.to_last_words().unwrap()), time);
    }

    fn migration(&self) -> String {
        let mut names = self.server.names(JOBS, NS);
        names.retain(|name| name.starts_with("chat-migration-"));
        assert_eq!(names.len(), 1, "{names:?}");
        names.remove(0)
    }

    fn end(&self, name: &str, succeeds: bool, words: Option<&str>, time: &str) {
        let type_ = if succeeds { "Complete" } else { "Failed" };
        self.server.edit(JOBS, NS, name, |job| {
            job["status"] = json!({ "conditions": [{ "type": type_, "status": "True", "lastTransitionTime": time,
                "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit" }] });
        });
        let Some(words) = words else { return };
        let job = self.server.get(JOBS, NS, name).unwrap();
        let labels = job["spec"]["template"]["metadata"]["labels"].clone();
        let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"] });
        let code = i32::from(!succeeds);
        self.server.put(
            PODS,
            NS,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": format!("{name}-x"), "labels": labels, "ownerReferences": [owner] },
                "spec": { "containers": [] },
                "status": { "phase": if succeeds { "Succeeded" } else { "Failed" }, "containerStatuses": [{
                    "name": "migration", "image": "sentinel:1", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "terminated": { "exitCode": code, "message": words,
                        "finishedAt": jiff::Timestamp::now().to_string() } } }] },
            }),
        );
    }

    /// A pod of the StatefulSet.
    pub fn put_pod(&self, revision: &str, ready: bool, waiting: Option<&str>) {
        let set = self.server.get(SETS, NS, "chat").unwrap();
        let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "chat", "controller": true,
            "uid": set["metadata"]["uid"] });
        let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
        labels["controller-revision-hash"] = json!(revision);
        let state =
            waiting.map_or_else(|| json!({ "running": {} }), |reason| json!({ "waiting": { "reason": reason } }));
        self.server.put(
            PODS,
            NS,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "chat-0", "labels": labels, "ownerReferences": [owner] },
                "spec": { "containers": [] },
                "status": {
                    "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
                    "containerStatuses": [{ "name": "sentinel", "image": "sentinel:1", "imageID": "", "ready": ready,
                        "restartCount": 0, "state": state }],
                },
            }),
        );
    }
}

/// What reconciles share, where external stores are listeners of the test.
fn context(server: &ApiServer, settings: Settings) -> Arc<Context> {
    Arc::new(Context { reach: Reach::Own, ..Context::new(server.client(), settings) })
}

/// A moment for pure tests.
pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}
