//! The gateway's pods, Service and disruption budget.

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{
            ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, PodSpec, SecretVolumeSource,
            Service, ServicePort, ServiceSpec, Volume, VolumeMount,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};

use super::{
    metadata, nginx, pod,
    workload::{self, selector},
};
use crate::{api::ServiceType, names::Component, steps::validate::ValidChat};

/// User and group of NGINX in the official image.
const USER: i64 = 101;
/// Seconds that a pod gets to stop beside lingering: NGINX's own limit for its workers, and some to spare.
const GRACE: i64 = nginx::SHUTDOWN + 5;
/// Seconds for which a load balancer may still send a pod connections: it asks the nodes every now and then which of them have
/// pods, and only after some answers believes that one has none any more.
const BALANCER_LINGER: i64 = 30;

/// Seconds that a pod goes on serving after it was told to stop.
fn linger(chat: &ValidChat) -> i64 {
    let is_balanced = chat.spec.gateway.service.type_ == ServiceType::LoadBalancer;
    if is_balanced { BALANCER_LINGER } else { pod::LINGER }
}

pub(super) fn deployment(chat: &ValidChat, content: String) -> Deployment {
    let gateway = &chat.spec.gateway;
    let metadata = metadata(chat, chat.names.gateway(), Some(Component::Gateway));
    let mut template = pod::template(chat, Component::Gateway, content, gateway.pod.as_ref(), pod_spec(chat));
    pod::add_pull_secrets(&mut template, &gateway.image);
    workload::deployment(metadata, Some(gateway.replicas), selector(chat, Component::Gateway), template)
}

fn pod_spec(chat: &ValidChat) -> PodSpec {
    let (mut tmp, tmp_mount) = pod::tmp();
    // Bodies hold messages and passwords, which are to reach no disk.
    tmp.empty_dir = Some(EmptyDirVolumeSource {
        medium: Some("Memory".into()),
        size_limit: Some(Quantity("64Mi".into())),
        ..EmptyDirVolumeSource::default()
    });
    let mut volumes = vec![
        Volume {
            name: "config".into(),
            config_map: Some(ConfigMapVolumeSource { name: chat.names.gateway(), ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
        tmp,
    ];
    let mount = |name: &str, path: &str, file: Option<&str>| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        sub_path: file.map(String::from),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        // The single file, so that what the image has next to it (mime types) stays visible.
        mount("config", nginx::CONFIG_PATH, Some(nginx::CONFIG)),
        tmp_mount,
    ];
    if let Some(secret) = nginx::own_certificate(chat) {
        volumes.push(Volume {
            name: "tls".into(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.into()),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
        mounts.push(mount("tls", nginx::CERTIFICATES, None));
    }
    PodSpec {
        security_context: Some(pod::pod_security(USER)),
        termination_grace_period_seconds: Some(linger(chat) + GRACE),
        containers: vec![container(chat, mounts)],
        volumes: Some(volumes),
        // Also for a single pod, or a second one would replace the first.
        topology_spread_constraints: Some(vec![pod::spread(chat, Component::Gateway)]),
        ..PodSpec::default()
    }
}

fn container(chat: &ValidChat, mounts: Vec<VolumeMount>) -> Container {
    let gateway = &chat.spec.gateway;
    let port = |name: &str, number: i32| ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let mut ports = vec![port("http", nginx::PORT)];
    if nginx::own_certificate(chat).is_some() {
        ports.push(port("https", nginx::TLS_PORT));
    }
    Container {
        name: Component::Gateway.as_str().into(),
        image: Some(chat.gateway_image.to_string()),
        image_pull_policy: Some(gateway.image.pull_policy.as_str().into()),
        // Not the image's entry point: it edits files on a root filesystem that is read-only here.
        command: Some(
            ["nginx", "-e", "stderr", "-g", "daemon off;", "-c", nginx::CONFIG_PATH].map(String::from).to_vec(),
        ),
        ports: Some(ports),
        lifecycle: Some(pod::linger(linger(chat))),
        startup_probe: Some(pod::probe(nginx::HEALTH, "http", 1, 30)),
        liveness_probe: Some(pod::probe(nginx::HEALTH, "http", 10, 3)),
        readiness_probe: Some(pod::probe(nginx::HEALTH, "http", 3, 2)),
        resources: Some(pod::resources(chat.template_revision, gateway.resources.as_ref(), "50m", "32Mi", "256Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_LINES.into()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

pub(super) fn service(chat: &ValidChat) -> Service {
    let service = &chat.spec.gateway.service;
    let tls = nginx::own_certificate(chat).is_some();
    let port = |name: &str, number: i32, node_port: Option<i32>| ServicePort {
        name: Some(name.into()),
        port: number,
        target_port: Some(IntOrString::String(name.into())),
        node_port,
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    };
    // The fixed node port belongs to the port that clients use.
    let mut ports = vec![port("http", 80, service.node_port.filter(|_| !tls))];
    if tls {
        ports.push(port("https", 443, service.node_port));
    }
    let mut metadata = metadata(chat, chat.names.gateway(), Some(Component::Gateway));
    metadata.annotations = Some(service.annotations.clone()).filter(|map| !map.is_empty());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(service.type_.as_str().into()),
            // Keeps the address of clients for rate limits and logs; load balancers know which nodes answer.
            external_traffic_policy: (service.type_ == ServiceType::LoadBalancer).then(|| "Local".into()),
            selector: Some(chat.names.selector(Component::Gateway)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// None for a single replica: it could never be drained.
pub(super) fn disruption_budget(chat: &ValidChat) -> Option<PodDisruptionBudget> {
    (chat.spec.gateway.replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata(chat, chat.names.gateway(), Some(Component::Gateway)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(chat, Component::Gateway)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
