//! The workloads of profile Distributed: one for each row of the table of services, and what pods of all of them share.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet, StatefulSetSpec},
        core::v1::{
            ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec,
            PodTemplateSpec, SecretVolumeSource, Service as KubeService, ServiceSpec, Volume, VolumeMount,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    Child, Error, Facts, Kind, StoreFacts,
    config::{ADMIN_PORT, FILE, FOLDER, KEYS, PORT},
    digest, keys, mail, metadata, pod, push,
    sentinel::{GRACE, USER, service_port},
    services::{self, Given, Service},
    workload::{self, one_by_one, selector},
};
use crate::{
    api::Store,
    names::Component,
    providers::{AUTHORITIES, CREDENTIALS},
    steps::validate::ValidChat,
};

/// What all services are made of, in no particular order.
pub(super) fn children(chat: &ValidChat, facts: &Facts, config: &[u8]) -> Result<Vec<Child>, Error> {
    let mut children = Vec::new();
    for service in services::of(chat) {
        children.push(Child::new(Kind::Service, &address(chat, service.component))?);
        let live = facts.replicas.get(&service.component).copied();
        let replicas = service.applied_replicas(chat, live);
        if let Some(budget) = disruption_budget(chat, service.component, service.replicas_with(chat, live)) {
            children.push(Child::new(Kind::PodDisruptionBudget, &budget)?);
        }
        let template = template(chat, *service, facts, config);
        if service.has_named_pods() {
            children.push(Child::new(Kind::Service, &pod_names(chat, service.component))?);
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

fn template(chat: &ValidChat, service: Service, facts: &Facts, config: &[u8]) -> PodTemplateSpec {
    let overrides = service.overrides(chat);
    let mut parts: Vec<&[u8]> = vec![config, facts.keys_digest.as_bytes()];
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
    pod::template(chat, service.component, digest(&parts), overrides.and_then(|o| o.pod.as_ref()), spec)
}

fn container(chat: &ValidChat, service: Service, mounts: Vec<VolumeMount>) -> Container {
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.into()),
        container_port: i32::from(number),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let config = format!("{FOLDER}/{FILE}");
    let resources = service.overrides(chat).and_then(|overrides| overrides.resources.as_ref());
    Container {
        name: service.component.as_str().into(),
        image: Some(chat.sentinel_image.to_string()),
        image_pull_policy: Some(chat.spec.image.pull_policy.as_str().into()),
        args: Some(["serve", service.role, "--config", &config].map(String::from).to_vec()),
        env: Some(vec![pod_name()]),
        ports: Some(vec![port("http", PORT), port("admin", ADMIN_PORT)]),
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

fn pod_name() -> EnvVar {
    EnvVar {
        name: "POD_NAME".into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".into(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

pub(super) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.into(), mount_path: path.into(), read_only: Some(true), ..VolumeMount::default() }
}

pub(super) fn secret_volume(name: &str, secret: &str, entry: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            default_mode: Some(0o440),
            items: entry.map(|entry| {
                vec![k8s_openapi::api::core::v1::KeyToPath {
                    key: entry.into(),
                    path: entry.into(),
                    ..Default::default()
                }]
            }),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The ConfigMap `config`, `/tmp`, and authorities of `stores` with those credentials of them.
pub(super) fn mounted(
    facts: &Facts,
    stores: &[Store],
    credentials: impl Fn(Store, &StoreFacts) -> Option<&str>,
    config: String,
) -> (Vec<Volume>, Vec<VolumeMount>) {
    let (tmp, tmp_mount) = pod::tmp();
    let mut volumes = vec![
        Volume {
            name: "config".into(),
            config_map: Some(ConfigMapVolumeSource { name: config, ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
        tmp,
    ];
    let mut mounts = vec![read_only("config", FOLDER), tmp_mount];
    for store in stores.iter().collect::<BTreeSet<_>>() {
        let Some(known) = facts.stores.get(store) else { continue };
        let name = store.as_str();
        if let Some(secret) = credentials(*store, known) {
            volumes.push(secret_volume(&format!("{name}-credentials"), secret, None));
            mounts.push(read_only(&format!("{name}-credentials"), &format!("{CREDENTIALS}/{name}")));
        }
        if let Some(secret) = &known.ca_secret {
            // The authorities only: the same Secret may hold a key.
            volumes.push(secret_volume(&format!("{name}-authorities"), secret, Some(super::stores::CA)));
            mounts.push(read_only(&format!("{name}-authorities"), &format!("{AUTHORITIES}/{name}")));
        }
    }
    (volumes, mounts)
}

/// What the gateway proxies to, and where metrics are found.
fn address(chat: &ValidChat, component: Component) -> KubeService {
    KubeService {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(chat.names.selector(component)),
            ports: Some(vec![service_port("http", PORT), service_port("admin", ADMIN_PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Gives pods their names; also found while they are not ready, so that what they have begun can be finished.
fn pod_names(chat: &ValidChat, component: Component) -> KubeService {
    KubeService {
        metadata: metadata(chat, chat.names.pods(component), Some(component)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(chat.names.selector(component)),
            ports: Some(vec![service_port("http", PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// None for a single replica: it could never be drained.
pub(crate) fn disruption_budget(chat: &ValidChat, component: Component, replicas: i32) -> Option<PodDisruptionBudget> {
    (replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(chat, component)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
