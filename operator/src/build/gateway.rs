//! The gateway's pods and Service.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, PodSpec, Service, ServiceSpec, VolumeMount},
};

use super::{
    metadata, nginx, pod,
    ports::{container_port, service_port},
    volumes::{self, read_only, writable},
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
    let mut volumes = vec![
        volumes::config_map("config", chat.names.gateway()),
        // For the process id. Nothing that passes through comes here, and could reach no disk if it did.
        volumes::empty("tmp", Some("Memory"), "1Mi"),
    ];
    let mut mounts = vec![
        // The single file, so that what the image has next to it (mime types) stays visible.
        VolumeMount { sub_path: Some(nginx::CONFIG.into()), ..read_only("config", nginx::CONFIG_PATH) },
        writable("tmp", "/tmp"),
    ];
    if let Some(secret) = nginx::own_certificate(chat) {
        volumes.push(volumes::secret("tls", secret, None));
        mounts.push(read_only("tls", nginx::CERTIFICATES));
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
    let mut ports = vec![container_port("http", nginx::PORT)];
    if nginx::own_certificate(chat).is_some() {
        ports.push(container_port("https", nginx::TLS_PORT));
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
    let mut ports = vec![service_port("http", 80)];
    if tls {
        ports.push(service_port("https", 443));
    }
    // The fixed node port belongs to the port that clients use.
    if let Some(port) = ports.last_mut() {
        port.node_port = service.node_port;
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
