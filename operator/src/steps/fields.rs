//! Which field of the resource it is that something is wrong with. Pure.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::core::Status;

use crate::{
    api::Store,
    build::{Child, Kind},
    names::{Component, component_of},
};

/// What of a pod is taken over from the resource as it was written.
const POD: [&str; 7] = [
    "affinity",
    "annotations",
    "labels",
    "nodeSelector",
    "priorityClassName",
    "tolerations",
    "topologySpreadConstraints",
];

/// The fields of the resource that a refused workload has its wrong values from.
pub fn refused(child: &Child, status: &Status) -> Vec<String> {
    let Some(part) = child.component().map(settings) else { return Vec::new() };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let of_cause = |path: &str| of_gateway(child.kind, &part, path).or_else(|| field(&part, path));
    let mut fields: Vec<String> = causes.filter_map(|cause| of_cause(&cause.field)).collect();
    fields.sort();
    fields.dedup();
    fields
}

/// Why a pod was not made, with the field where that is one of the resource.
pub fn with_field(component: &str, refusal: String) -> String {
    if refusal.contains("no PriorityClass with name") {
        return format!("{refusal}; correct {}.pod.priorityClassName", settings(component));
    }
    refusal
}

/// Where the resource has the settings of a part.
fn settings(component: &str) -> String {
    match component {
        "gateway" => "gateway".into(),
        // Its Job is like the pods of this service.
        "migration" => "services.users".into(),
        store if is_store(store) => format!("dependencies.{store}.managed"),
        service => format!("services.{service}"),
    }
}

fn is_store(component: &str) -> bool {
    Store::ALL.iter().any(|store| store.as_str() == component)
}

/// Which field names the image of a pod.
pub fn image(pod: &Pod) -> String {
    match component_of(&pod.metadata) {
        Some("gateway") => "gateway.image".into(),
        Some(store) if is_store(store) => format!("dependencies.{store}.managed.image"),
        _ => "image".into(),
    }
}

/// The field with what is said in `setting` of the storage that a claim is of.
pub fn storage(claim: &PersistentVolumeClaim, setting: &str) -> String {
    match component_of(&claim.metadata) {
        Some(part) if part != Component::Sentinel.as_str() => format!("dependencies.{part}.managed.storage.{setting}"),
        _ => format!("storage.{setting}"),
    }
}

/// The field that `path` of the way in comes from.
fn of_gateway(kind: Kind, part: &str, path: &str) -> Option<String> {
    let object = match kind {
        Kind::Service => "service",
        Kind::Ingress => "ingress",
        _ => return None,
    };
    let is_port = kind == Kind::Service && path.starts_with("spec.ports[") && path.ends_with("].nodePort");
    let field = match path {
        _ if part != "gateway" => return None,
        _ if is_port => "nodePort",
        "metadata.annotations" => "annotations",
        "spec.ingressClassName" => "className",
        _ => return None,
    };
    Some(format!("{part}.{object}.{field}"))
}

/// The field that `path` of a workload comes from.
fn field(part: &str, path: &str) -> Option<String> {
    let path = path.strip_prefix("spec.template.")?;
    let path = path.strip_prefix("spec.").or_else(|| path.strip_prefix("metadata.")).unwrap_or(path);
    if let Some((_, resources)) = path.split_once(".resources").filter(|(before, _)| before.contains("ontainers[")) {
        return Some(format!("{part}.resources{resources}"));
    }
    let name = path.split(['.', '[']).next()?;
    POD.contains(&name).then(|| format!("{part}.pod.{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_workload_is_that_of_the_resource() {
        for (component, path, expected) in [
            ("gateway", "spec.template.spec.tolerations[0].operator", Some("gateway.pod.tolerations[0].operator")),
            ("users", "spec.template.labels", Some("services.users.pod.labels")),
            ("migration", "spec.template.metadata.annotations", Some("services.users.pod.annotations")),
            (
                "kafka",
                "spec.template.spec.affinity.podAffinity",
                Some("dependencies.kafka.managed.pod.affinity.podAffinity"),
            ),
            (
                "sentinel",
                "spec.template.spec.containers[0].resources.requests",
                Some("services.sentinel.resources.requests"),
            ),
            ("users", "spec.template.spec.containers[0].image", None),
            ("users", "spec.replicas", None),
        ] {
            assert_eq!(field(&settings(component), path).as_deref(), expected, "{path}");
        }
        for (kind, path, expected) in [
            (Kind::Service, "spec.ports[0].nodePort", Some("gateway.service.nodePort")),
            (Kind::Service, "metadata.annotations", Some("gateway.service.annotations")),
            (Kind::Ingress, "metadata.annotations", Some("gateway.ingress.annotations")),
            (Kind::Ingress, "spec.ingressClassName", Some("gateway.ingress.className")),
            (Kind::Deployment, "metadata.annotations", None),
            (Kind::Service, "spec.ports[0].name", None),
        ] {
            assert_eq!(of_gateway(kind, "gateway", path).as_deref(), expected, "{path}");
        }
        assert_eq!(of_gateway(Kind::Service, "services.users", "metadata.annotations"), None);
        let told = with_field("gateway", "pods \"x\" is forbidden: no PriorityClass with name urgent was found".into());
        assert!(told.ends_with("was found; correct gateway.pod.priorityClassName"), "{told}");
        assert_eq!(with_field("gateway", "exceeded quota".into()), "exceeded quota");
    }
}
