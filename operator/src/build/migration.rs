//! The Job that brings the stores to the schema of an image, and the one that looks at stores of somebody else now and
//! then. Both are named by what they do, so that another image, other stores, other credentials or other volumes make another
//! Job, and nothing else does: where and with how much their pods run changes nothing about what comes out.
//!
//! They use stores as whoever owns what is in them. The migration also has the credentials of services, as which it lets
//! these in before any of them starts with them. An image that does not know how ends at the argument that says so, and
//! services stay as they were.

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, PodSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::Value;

use super::{
    Error, Facts,
    config::{self, FILE, FOLDER},
    digest, distributed, metadata, pod,
    sentinel::USER,
    volumes,
};
use crate::{
    api::Store,
    names::{CONTENT, Component},
    steps::validate::ValidChat,
};

/// Where Kubernetes reads the last words of a container.
const LAST_WORDS: &str = "/dev/termination-log";

/// Folder below which the credentials of services are mounted: one folder a store.
const SERVICE_CREDENTIALS: &str = "/etc/sentinel/service-credentials";

/// What a Job does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Looks at the stores and brings them to the schema.
    Migrate,
    /// Looks at the stores.
    Check,
}

impl Task {
    fn command(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Check => "check-stores",
        }
    }

    /// Seconds after which a Job that does not end counts as failed. A look ends by itself, and nothing waits for it: while its
    /// pod can't start, that pod is all that tells why, and Kubernetes would delete it.
    fn deadline(self) -> Option<i64> {
        (self == Self::Migrate).then_some(3600)
    }
}

/// Whether an object is the Job that looks at stores.
pub fn is_check(chat: &ValidChat, child: &super::Child) -> bool {
    child.kind == super::Kind::Job && child.name.starts_with(&chat.names.check())
}

/// What of the stores' configuration can change what comes out: not how clients get at files, nor how many nodes a managed
/// Kafka has, since topics keep the copies that they were made with. So does a keyspace of Cassandra, but a look tells then that
/// it could keep more.
fn reached(chat: &ValidChat, stores: &Value) -> Value {
    let mut reached = stores.clone();
    config::remove(&mut reached, "/s3/publicEndpoint");
    config::remove(&mut reached, "/s3/cdnBaseUrl");
    if chat.managed(Store::Kafka).is_some() {
        config::remove(&mut reached, "/kafka/replicationFactor");
    }
    reached
}

/// `stores` is what the configuration says of them.
pub(super) fn job(chat: &ValidChat, facts: &Facts, stores: &Value, task: Task) -> Result<Job, Error> {
    // Somebody else's store is looked at as services see it.
    let is_service = |store| task == Task::Check && chat.external(store).is_some();
    let (mut volumes, mut mounts) = distributed::mounted(
        facts,
        &Store::ALL,
        |store, known| if is_service(store) { known.secret_of_services() } else { known.secret.as_deref() },
        chat.names.component(Component::Migration),
    );
    let roles = facts.stores.iter().filter(|(store, _)| task == Task::Migrate && chat.managed(**store).is_some());
    let roles: Vec<_> = roles.filter_map(|(store, known)| Some((store.as_str(), known.service.as_ref()?))).collect();
    for (store, service) in &roles {
        let name = format!("{store}-service-credentials");
        volumes.push(volumes::secret(&name, &service.secret, None));
        mounts.push(volumes::read_only(&name, &format!("{SERVICE_CREDENTIALS}/{store}")));
    }
    let config = format!("{FOLDER}/{FILE}");
    let mut args = vec![task.command(), "--config", &config, "--report", LAST_WORDS];
    if !roles.is_empty() {
        args.extend(["--service-credentials", SERVICE_CREDENTIALS]);
    }
    // A Job runs where the first service that waits for it may run, with what is set aside for that.
    let users = chat.spec.services.users.as_ref();
    let container = Container {
        name: Component::Migration.as_str().into(),
        image: Some(chat.sentinel_image.to_string()),
        image_pull_policy: Some(chat.spec.image.pull_policy.as_str().into()),
        args: Some(args.into_iter().map(String::from).collect()),
        resources: Some(pod::at_least(users.and_then(|users| users.resources.as_ref()), "50m", "64Mi", "256Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_LINES.into()),
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
    let settings = users.and_then(|users| users.pod.as_ref());
    let mut template = pod::template(chat, Component::Migration, String::new(), settings, spec);
    let (stores, image) = (serde_json::to_vec(&reached(chat, stores))?, chat.sentinel_image.to_string());
    let mut parts: Vec<&[u8]> = vec![task.command().as_bytes(), image.as_bytes(), &stores];
    parts.extend(facts.stores.values().map(|facts| facts.digest.as_bytes()));
    parts.extend(facts.stores.values().filter_map(|facts| Some(facts.service.as_ref()?.digest.as_bytes())));
    if task == Task::Migrate {
        // A store that came back empty is migrated again.
        parts.extend(facts.stores.values().filter_map(|facts| Some(facts.first_claim.as_ref()?.as_bytes())));
    }
    let hash = digest(&parts);
    let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
    annotations.insert(CONTENT.into(), hash.clone());
    let short = &hash[..8];
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(match task {
                Task::Migrate => format!("{}-{short}", chat.names.component(Component::Migration)),
                Task::Check => format!("{}{short}", chat.names.check()),
            }),
            ..metadata(chat, String::new(), Some(Component::Migration))
        },
        spec: Some(JobSpec {
            // One try a Job: the operator tries again, with growing pauses, and tells why.
            backoff_limit: Some(0),
            active_deadline_seconds: task.deadline(),
            template,
            ..JobSpec::default()
        }),
        status: None,
    })
}
