//! Where clients find the platform.

use serde_json::Value;

use crate::{
    api::{Endpoint, ServiceType},
    build::Kind,
    steps::{observe::Observed, validate::ValidChat},
};

/// The base URL, as far as it is known yet.
pub fn base_url(chat: &ValidChat, observed: &Observed) -> Option<String> {
    let gateway = &chat.spec.gateway;
    let scheme = if gateway.tls.is_some() { "https" } else { "http" };
    let service = observed.get(Kind::Service, &chat.names.gateway())?;
    if let Some(host) = &gateway.host {
        // A name for a node port still needs the port.
        let port = (gateway.ingress.is_none() && gateway.service.type_ == ServiceType::NodePort)
            .then(|| node_port(service, scheme))
            .flatten();
        return Some(with_port(scheme, host, port));
    }
    match gateway.service.type_ {
        ServiceType::LoadBalancer => {
            let entry = service.pointer("/status/loadBalancer/ingress/0")?;
            let address = entry["hostname"].as_str().or(entry["ip"].as_str())?;
            Some(format!("{scheme}://{}", bracketed(address)))
        }
        // Which address of which node is reachable is not known here: inside the cluster this works.
        ServiceType::NodePort | ServiceType::ClusterIP => {
            Some(format!("{scheme}://{}.{}.svc", chat.names.gateway(), chat.namespace))
        }
    }
}

/// Whether a Service waits for the address of its load balancer.
pub fn lacks_address(service: &Value) -> bool {
    let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    service["spec"]["type"] == ServiceType::LoadBalancer.as_str() && ingress.is_none_or(Vec::is_empty)
}

/// What is told while clients do not find the platform because a load balancer has no address. They come through the Ingress
/// if there is one.
pub fn pending_address(chat: &ValidChat, observed: &Observed) -> Option<String> {
    let name = chat.names.gateway();
    observed
        .get(Kind::Service, &name)
        .filter(|service| chat.spec.gateway.ingress.is_none() && lacks_address(service))?;
    let warning = observed.warning(Kind::Service.as_str(), &name);
    let why = warning.map_or_else(|| "; has the cluster any load balancers?".into(), |why| format!(": {why}"));
    Some(format!("the load balancer of Service {name} has no address yet{why}"))
}

fn node_port(service: &Value, scheme: &str) -> Option<i64> {
    let ports = service.pointer("/spec/ports")?.as_array()?;
    ports.iter().find(|port| port["name"] == scheme)?["nodePort"].as_i64()
}

fn with_port(scheme: &str, host: &str, port: Option<i64>) -> String {
    port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"))
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// What is found below the base URL.
pub fn of(base: &str) -> Vec<Endpoint> {
    let endpoint = |name: &str, url: String| Endpoint { name: name.into(), url };
    vec![
        endpoint("api", base.to_owned()),
        endpoint("docs", format!("{base}/docs")),
        endpoint("socket", format!("{base}/socket.io/")),
    ]
}
