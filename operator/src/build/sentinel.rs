//! The platform of profile Embedded: one pod that runs all roles over its own volume.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec},
        core::v1::{
            ConfigMapVolumeSource, Container, ContainerPort, EnvVar, PersistentVolumeClaim, PersistentVolumeClaimSpec,
            PodSpec, SecretVolumeSource, Service, ServicePort, ServiceSpec, Volume, VolumeMount,
            VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::{
    Facts,
    config::{ADMIN_PORT, DATA, FILE, FOLDER, KEYS, PORT},
    mail, metadata, pod, push, workload,
};
use crate::{names::Component, steps::validate::ValidChat};

/// User and group of the platform's processes.
pub(super) const USER: i64 = 65532;
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
            volume_claim_templates: Some(vec![claim(chat)]),
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
    let (tmp, tmp_mount) = pod::tmp();
    let (mail, mail_mounts) = mail::mounted(chat);
    let (push, push_mounts) = push::mounted(chat);
    PodSpec {
        security_context: Some(pod::pod_security(USER)),
        termination_grace_period_seconds: Some(i64::from(chat.spec.drain_seconds) + GRACE),
        containers: vec![container(chat, tmp_mount, [mail_mounts, push_mounts].concat())],
        volumes: Some(
            [
                vec![
                    Volume {
                        name: "config".into(),
                        config_map: Some(ConfigMapVolumeSource {
                            name: chat.names.config(),
                            ..ConfigMapVolumeSource::default()
                        }),
                        ..Volume::default()
                    },
                    Volume {
                        name: "keys".into(),
                        secret: Some(SecretVolumeSource {
                            secret_name: Some(facts.key_secret.clone()),
                            default_mode: Some(0o440),
                            ..SecretVolumeSource::default()
                        }),
                        ..Volume::default()
                    },
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
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.into()),
        container_port: i32::from(number),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let read_only = |name: &str, path: &str| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let config = format!("{FOLDER}/{FILE}");
    Container {
        name: Component::Sentinel.as_str().into(),
        image: Some(chat.sentinel_image.to_string()),
        image_pull_policy: Some(chat.spec.image.pull_policy.as_str().into()),
        args: Some([&["serve"], ROLES, &["--config", &config]].concat().into_iter().map(String::from).collect()),
        ports: Some(vec![port("http", PORT), port("admin", ADMIN_PORT)]),
        // What SQLite copies a database to while it makes it anew is as large as that, too large for /tmp.
        env: Some(vec![EnvVar { name: "SQLITE_TMPDIR".into(), value: Some(DATA.into()), value_from: None }]),
        // An hour, as for a managed store: a process that is ended while it brings a large store to its schema begins anew.
        startup_probe: Some(pod::probe("/healthz", "admin", 1, 3600)),
        liveness_probe: Some(pod::probe("/healthz", "admin", 10, 6)),
        readiness_probe: Some(pod::probe("/readyz", "admin", 3, 2)),
        resources: Some(pod::resources(
            chat.template_revision,
            overrides.and_then(|o| o.resources.as_ref()),
            "100m",
            "128Mi",
            "1Gi",
        )),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_LINES.into()),
        volume_mounts: Some(
            [
                vec![
                    read_only("config", FOLDER),
                    read_only("keys", KEYS),
                    VolumeMount { name: "data".into(), mount_path: DATA.into(), ..VolumeMount::default() },
                    tmp,
                ],
                secrets,
            ]
            .concat(),
        ),
        ..Container::default()
    }
}

fn claim(chat: &ValidChat) -> PersistentVolumeClaim {
    let storage = &chat.spec.storage;
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".into()),
            // Labels of a claim template are immutable like selectors.
            labels: Some(chat.names.selector(Component::Sentinel)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".into(), Quantity(storage.size.clone()))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

pub(super) fn service_port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.into())),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

/// Gives the pod its name; also found while the pod is not ready.
pub(super) fn pods_service(chat: &ValidChat) -> Service {
    Service {
        metadata: metadata(chat, chat.names.pods(Component::Sentinel), Some(Component::Sentinel)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(chat.names.selector(Component::Sentinel)),
            ports: Some(vec![service_port("http", PORT), service_port("admin", ADMIN_PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// What the gateway proxies to.
pub(super) fn service(chat: &ValidChat) -> Service {
    Service {
        metadata: metadata(chat, chat.names.sentinel(), Some(Component::Sentinel)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(chat.names.selector(Component::Sentinel)),
            ports: Some(vec![service_port("http", PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
