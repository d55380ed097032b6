//! The Job that brings the stores to the schema of an image. It is named by what it does, so that another image or
//! other stores make another Job.

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, PodSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use sentinel_domain::config::StoresConfig;

use super::{
    Error, Facts,
    config::{FILE, FOLDER},
    digest, distributed, metadata, pod,
    sentinel::USER,
};
use crate::{api::Store, names::Component, steps::validate::ValidChat};

/// Seconds after which a migration that does not end counts as failed.
const DEADLINE: i64 = 3600;

pub(super) fn job(chat: &ValidChat, facts: &Facts, stores: &StoresConfig) -> Result<Job, Error> {
    let (volumes, mounts) = distributed::mounted(chat, facts, &Store::ALL);
    let config = format!("{FOLDER}/{FILE}");
    let container = Container {
        name: Component::Migration.as_str().into(),
        image: Some(chat.sentinel_image.to_string()),
        image_pull_policy: Some(chat.spec.image.pull_policy.as_str().into()),
        args: Some(["migrate", "--config", &config].map(String::from).to_vec()),
        resources: Some(pod::resources(None, "50m", "64Mi", "256Mi")),
        security_context: Some(pod::container_security()),
        // What it says last is the reason that the condition tells.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    let spec = PodSpec {
        security_context: Some(pod::pod_security(USER)),
        restart_policy: Some("Never".into()),
        containers: vec![container],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    let hash = digest(&[&serde_json::to_vec(stores)?, &serde_json::to_vec(&spec)?]);
    let short = &hash[..8];
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{short}", chat.names.component(Component::Migration))),
            ..metadata(chat, String::new(), Some(Component::Migration))
        },
        spec: Some(JobSpec {
            // One try a Job: the operator tries again, with growing pauses, and tells why.
            backoff_limit: Some(0),
            active_deadline_seconds: Some(DEADLINE),
            template: pod::template(chat, Component::Migration, hash.clone(), None, spec),
            ..JobSpec::default()
        }),
        status: None,
    })
}
