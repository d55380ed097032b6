//! The platform of profile Embedded: one pod that runs all roles over its own volume.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec},
    core::v1::{Container, PodSpec, Service, VolumeMount},
};

use super::{
    Facts,
    config::{ADMIN_PORT, DATA, FILE, FOLDER, KEYS, PORT},
    mail, metadata, pod,
    ports::{self, container_port, service_port},
    push,
    volumes::{self, read_only, writable},
    workload,
};
use crate::{names::Component, steps::validate::ValidChat};

/// User and group of the platform's processes.
pub(super) const USER: i64 = 65532;
/// Memory that the pod cannot exceed when nothing else is said: pictures that are read and turned take up to 256 MiB of it,
/// uploads that are checked 96 MiB, passwords that are hashed 152 MiB.
pub(super) const MEMORY_LIMIT: &str = "1Gi";
/// What the pod serves: every service.
const ROLES: &[&str] = &["users", "message", "presence", "notification", "search", "media"];
/// Seconds that a pod gets on top of its drain time.
pub(super) const GRACE: i64 = 15;

pub(super) fn stateful_set(chat: &ValidChat, facts: &Facts, content: String) -> StatefulSet {
    let overrides = chat.spec.services.sentinel.as_ref();
    StatefulSet {
        metadata: metadata(chat, chat.names.stateful_set(), Some(Component::Sentinel)),
        spec: StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(chat.names.pods(Component::Sentinel)),
            selector: workload::selector(chat, Component::Sentinel),
            update_strategy: Some(workload::one_by_one()),
            persistent_volume_claim_retention_policy: Some(workload::volumes_stay()),
            volume_claim_templates: Some(vec![volumes::claim(chat, Component::Sentinel, &chat.spec.storage)]),
            template: pod::template(
                chat,
                Component::Sentinel,
                content,
                overrides.and_then(|o| o.pod.as_ref()),
                pod_spec(chat, facts),
            ),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

fn pod_spec(chat: &ValidChat, facts: &Facts) -> PodSpec {
    let (tmp, tmp_mount) = volumes::tmp();
    let (mail, mail_mounts) = mail::mounted(chat);
    let (push, push_mounts) = push::mounted(chat);
    PodSpec {
        security_context: Some(pod::pod_security(USER)),
        termination_grace_period_seconds: Some(i64::from(chat.spec.drain_seconds) + GRACE),
        containers: vec![container(chat, tmp_mount, [mail_mounts, push_mounts].concat())],
        volumes: Some(
            [
                vec![
                    volumes::config_map("config", chat.names.config()),
                    volumes::secret("keys", &facts.key_secret, None),
                    tmp,
                ],
                mail,
                push,
            ]
            .concat(),
        ),
        ..PodSpec::default()
    }
}

fn container(chat: &ValidChat, tmp: VolumeMount, secrets: Vec<VolumeMount>) -> Container {
    let overrides = chat.spec.services.sentinel.as_ref();
    let config = format!("{FOLDER}/{FILE}");
    Container {
        name: Component::Sentinel.as_str().into(),
        image: Some(chat.sentinel_image.to_string()),
        image_pull_policy: Some(chat.spec.image.pull_policy.as_str().into()),
        args: Some([&["serve"], ROLES, &["--config", &config]].concat().into_iter().map(String::from).collect()),
        ports: Some(vec![container_port("http", PORT), container_port("admin", ADMIN_PORT)]),
        // What SQLite copies a database to while it makes it anew is as large as that, too large for /tmp.
        env: Some(vec![pod::env("SQLITE_TMPDIR", DATA)]),
        // An hour, as for a managed store: a process that is ended while it brings a large store to its schema begins anew.
        startup_probe: Some(pod::probe("/healthz", "admin", 1, 3600)),
        liveness_probe: Some(pod::probe("/healthz", "admin", 10, 6)),
        readiness_probe: Some(pod::probe("/readyz", "admin", 3, 2)),
        resources: Some(pod::resources(
            chat.template_revision,
            overrides.and_then(|o| o.resources.as_ref()),
            "100m",
            "128Mi",
            MEMORY_LIMIT,
        )),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_LINES.into()),
        volume_mounts: Some(
            [vec![read_only("config", FOLDER), read_only("keys", KEYS), writable("data", DATA), tmp], secrets].concat(),
        ),
        ..Container::default()
    }
}

/// What gives the pod its name, also while it is not ready, and what the gateway proxies to.
pub(super) fn services(chat: &ValidChat) -> [Service; 2] {
    let (http, admin) = (service_port("http", PORT), service_port("admin", ADMIN_PORT));
    [
        ports::headless_service(chat, Component::Sentinel, vec![http.clone(), admin]),
        ports::service(chat, Component::Sentinel, vec![http]),
    ]
}
