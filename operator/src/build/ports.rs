//! Ports of containers, and the Services that lead to them.

use k8s_openapi::{
    api::core::v1::{ContainerPort, Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata;
use crate::{names::Component, steps::validate::ValidChat};

/// A port of a container.
pub(crate) fn container_port(name: &str, number: impl Into<i32>) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

/// A port of a Service, which leads to the container's port of the same name.
pub(crate) fn service_port(name: &str, number: impl Into<i32>) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: number.into(),
        target_port: Some(IntOrString::String(name.into())),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

/// One address for all pods of a component that are ready.
pub(crate) fn service(chat: &ValidChat, component: Component, ports: Vec<ServicePort>) -> Service {
    Service {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(chat.names.selector(component)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Gives pods of a component their names; also found before they are ready, because some need each other for that, and after
/// it, so that what they have begun can be finished.
pub(crate) fn headless_service(chat: &ValidChat, component: Component, ports: Vec<ServicePort>) -> Service {
    Service {
        metadata: metadata(chat, chat.names.pods(component), Some(component)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(chat.names.selector(component)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
