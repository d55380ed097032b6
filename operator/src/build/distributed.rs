//! The workloads of profile Distributed: one for each row of the table of services, and what pods of all of them share.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet, StatefulSetSpec},
    core::v1::{Container, PodSpec, PodTemplateSpec, Volume, VolumeMount},
};
use serde_json::Value;

use super::{
    Child, Error, Facts, Kind, StoreFacts,
    config::{self, ADMIN_PORT, FILE, FOLDER, KEYS, PORT},
    digest, keys, mail, metadata, pod,
    ports::{self, container_port, service_port},
    push,
    sentinel::{GRACE, USER},
    services::{self, Given, Service},
    stores::CA,
    volumes::{self, read_only},
    workload::{self, one_by_one, selector},
};
use crate::{
    api::Store,
    providers::{AUTHORITIES, CREDENTIALS},
    steps::validate::ValidChat,
};

/// What all services are made of, in no particular order; `file` is the configuration.
pub(super) fn children(chat: &ValidChat, facts: &Facts, file: &Value) -> Result<Vec<Child>, Error> {
    let mut children = Vec::new();
    for service in services::of(chat) {
        // What the gateway proxies to, and where metrics are found.
        let ports = vec![service_port("http", PORT), service_port("admin", ADMIN_PORT)];
        children.push(Child::new(Kind::Service, &ports::service(chat, service.component, ports))?);
        let live = facts.replicas.get(&service.component).copied();
        let replicas = service.applied_replicas(chat, live);
        let budget = workload::disruption_budget(chat, service.component, service.replicas_with(chat, live));
        children.extend(budget.map(|budget| Child::new(Kind::PodDisruptionBudget, &budget)).transpose()?);
        let template = template(chat, *service, facts, file)?;
        if service.has_named_pods() {
            let names = ports::headless_service(chat, service.component, vec![service_port("http", PORT)]);
            children.push(Child::new(Kind::Service, &names)?);
            children.push(Child::new(Kind::StatefulSet, &stateful_set(chat, *service, replicas, template))?);
        } else {
            children.push(Child::new(Kind::Deployment, &deployment(chat, *service, replicas, template))?);
        }
    }
    Ok(children)
}

fn deployment(chat: &ValidChat, service: Service, replicas: Option<i32>, template: PodTemplateSpec) -> Deployment {
    let Service { component, .. } = service;
    let metadata = metadata(chat, chat.names.workload(component), Some(component));
    workload::deployment(metadata, replicas, selector(chat, component), template)
}

fn stateful_set(chat: &ValidChat, service: Service, replicas: Option<i32>, template: PodTemplateSpec) -> StatefulSet {
    StatefulSet {
        metadata: metadata(chat, chat.names.workload(service.component), Some(service.component)),
        spec: StatefulSetSpec {
            replicas,
            service_name: Some(chat.names.pods(service.component)),
            // No pod needs another one to start.
            pod_management_policy: Some("Parallel".into()),
            selector: selector(chat, service.component),
            update_strategy: Some(one_by_one()),
            revision_history_limit: Some(3),
            template,
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

fn template(chat: &ValidChat, service: Service, facts: &Facts, file: &Value) -> Result<PodTemplateSpec, Error> {
    let config = config::of_service(chat, file, service.stores)?;
    let overrides = service.overrides(chat);
    let mut parts: Vec<&[u8]> = vec![&config, facts.keys_digest.as_bytes()];
    let known = service.stores.iter().filter_map(|store| facts.stores.get(store));
    parts.extend(known.map(|known| known.digest_of_services().as_bytes()));
    let (mut volumes, mut mounts) =
        mounted(facts, service.stores, |_, known| known.secret_of_services(), chat.names.config());
    if service.given.contains(&Given::Push) {
        parts.extend(facts.push_digest.as_deref().map(str::as_bytes));
        let (secrets, folders) = push::mounted(chat);
        volumes.extend(secrets);
        mounts.extend(folders);
    }
    volumes.push(keys::volume(chat, facts, service));
    mounts.push(read_only("keys", KEYS));
    if service.given.contains(&Given::Mail) {
        let (mail, mail_mounts) = mail::mounted(chat);
        volumes.extend(mail);
        mounts.extend(mail_mounts);
        parts.extend(facts.mail_digest.as_deref().map(str::as_bytes));
    }
    let spec = PodSpec {
        security_context: Some(pod::pod_security(USER)),
        termination_grace_period_seconds: Some(pod::LINGER + i64::from(chat.spec.drain_seconds) + GRACE),
        containers: vec![container(chat, service, mounts)],
        volumes: Some(volumes),
        // Also for a single pod, or a second one would replace the first.
        topology_spread_constraints: Some(vec![pod::spread(chat, service.component)]),
        ..PodSpec::default()
    };
    Ok(pod::template(chat, service.component, digest(&parts), overrides.and_then(|o| o.pod.as_ref()), spec))
}

fn container(chat: &ValidChat, service: Service, mounts: Vec<VolumeMount>) -> Container {
    let config = format!("{FOLDER}/{FILE}");
    let resources = service.overrides(chat).and_then(|overrides| overrides.resources.as_ref());
    Container {
        name: service.component.as_str().into(),
        image: Some(chat.sentinel_image.to_string()),
        image_pull_policy: Some(chat.spec.image.pull_policy.as_str().into()),
        args: Some(["serve", service.role, "--config", &config].map(String::from).to_vec()),
        env: Some(vec![pod::env_of_field("POD_NAME", "metadata.name")]),
        ports: Some(vec![container_port("http", PORT), container_port("admin", ADMIN_PORT)]),
        lifecycle: Some(pod::linger(pod::LINGER)),
        // Stores may take a while to answer; a process that cannot reach one says so and ends.
        startup_probe: Some(pod::probe("/healthz", "admin", 1, 120)),
        liveness_probe: Some(pod::probe("/healthz", "admin", 10, 6)),
        readiness_probe: Some(pod::probe("/readyz", "admin", 3, 2)),
        resources: Some(pod::resources(chat.template_revision, resources, service.cpu, service.memory, service.limit)),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_LINES.into()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The ConfigMap `config`, `/tmp`, and authorities of `stores` with those credentials of them.
pub(super) fn mounted(
    facts: &Facts,
    stores: &[Store],
    credentials: impl Fn(Store, &StoreFacts) -> Option<&str>,
    config: String,
) -> (Vec<Volume>, Vec<VolumeMount>) {
    let (tmp, tmp_mount) = volumes::tmp();
    let mut volumes = vec![volumes::config_map("config", config), tmp];
    let mut mounts = vec![read_only("config", FOLDER), tmp_mount];
    for store in stores.iter().collect::<BTreeSet<_>>() {
        let Some(known) = facts.stores.get(store) else { continue };
        let name = store.as_str();
        if let Some(secret) = credentials(*store, known) {
            volumes.push(volumes::secret(&format!("{name}-credentials"), secret, None));
            mounts.push(read_only(&format!("{name}-credentials"), &format!("{CREDENTIALS}/{name}")));
        }
        if let Some(secret) = &known.ca_secret {
            // The authorities only: the same Secret may hold a key.
            volumes.push(volumes::secret(&format!("{name}-authorities"), secret, Some(CA)));
            mounts.push(read_only(&format!("{name}-authorities"), &format!("{AUTHORITIES}/{name}")));
        }
    }
    (volumes, mounts)
}
