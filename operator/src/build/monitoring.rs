//! The optional ServiceMonitor. Its kind belongs to the Prometheus operator, so it is built as JSON.

use serde_json::json;

use super::{Child, Kind, services};
use crate::{
    names::{COMPONENT, Component, INSTANCE},
    steps::validate::ValidChat,
};

pub(super) fn service_monitor(chat: &ValidChat) -> Option<Child> {
    let wanted = chat.spec.monitoring.service_monitor.as_ref()?;
    let name = chat.names.sentinel();
    let mut labels = wanted.labels.clone();
    labels.extend(chat.names.component_labels(Component::Sentinel));
    let selector = if chat.is_distributed() {
        let services: Vec<&str> = services::of(chat).iter().map(|service| service.component.as_str()).collect();
        json!({
            "matchLabels": { INSTANCE: chat.names.instance },
            "matchExpressions": [{ "key": COMPONENT, "operator": "In", "values": services }]
        })
    } else {
        json!({ "matchLabels": chat.names.selector(Component::Sentinel) })
    };
    let mut value = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": { "name": name, "namespace": chat.namespace, "labels": labels },
        "spec": {
            "selector": selector,
            "endpoints": [{ "port": "admin", "path": "/metrics", "interval": wanted.interval }]
        }
    });
    if let (Some(owner), Some(metadata)) = (&chat.owner, value["metadata"].as_object_mut()) {
        metadata.insert("ownerReferences".into(), json!([owner]));
    }
    Some(Child { kind: Kind::ServiceMonitor, name, value })
}
