//! Who may connect to whom: one table, from which every NetworkPolicy is derived.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
        util::intstr::IntOrString,
    },
};

use serde_json::Value;

use super::{
    config::{ADMIN_PORT, PORT},
    metadata, nginx, push, services,
    workload::selector,
};
use crate::{
    api::{External, RedisMode, Store},
    endpoint::Endpoint,
    names::{Component, MANAGER},
    providers,
    steps::validate::ValidChat,
};

/// Label that every namespace has its name in.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Where name servers of some distributions listen in their pods. Policies are held against the address of the pod, after
/// that of the Service was translated.
const DNS_POD_PORT: i32 = 5353;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Anybody who reaches the cluster; as a destination, anything anywhere.
    Anyone,
    /// A part of the platform.
    Part(Component),
    /// The namespaces that may read metrics.
    Monitoring,
    /// This operator.
    Operator,
    /// Name resolution, wherever the cluster has it.
    Dns,
}

/// A connection that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who opens it.
    pub from: Peer,
    /// Who accepts it.
    pub to: Peer,
    /// At which port.
    pub port: i32,
}

/// The namespace of the operator that a live policy lets in.
pub fn operator_namespace_of(policy: &Value) -> Option<String> {
    let rules = policy.pointer("/spec/ingress")?.as_array()?;
    let mut peers = rules.iter().filter_map(|rule| rule["from"].as_array()).flatten();
    peers.find_map(|peer| peer["namespaceSelector"]["matchLabels"][NAMESPACE].as_str()).map(String::from)
}

/// All connections of a resource.
pub fn flows(chat: &ValidChat) -> Vec<Flow> {
    if chat.is_distributed() { distributed_flows(chat) } else { embedded_flows(chat) }
}

/// Components that have pods, and with them a policy.
pub(super) fn components(chat: &ValidChat) -> Vec<Component> {
    if !chat.is_distributed() {
        return vec![Component::Sentinel, Component::Gateway];
    }
    let stores = Store::ALL.into_iter().filter(|store| chat.managed(*store).is_some()).map(Store::component);
    let services = services::of(chat).iter().map(|service| service.component);
    stores.chain([Component::Migration]).chain(services).chain([Component::Gateway]).collect()
}

fn distributed_flows(chat: &ValidChat) -> Vec<Flow> {
    let gateway = Peer::Part(Component::Gateway);
    let mut flows = vec![
        Flow { from: Peer::Anyone, to: gateway, port: nginx::PORT },
        Flow { from: gateway, to: Peer::Dns, port: 53 },
    ];
    if nginx::own_certificate(chat).is_some() {
        flows.push(Flow { from: Peer::Anyone, to: gateway, port: nginx::TLS_PORT });
    }
    for service in services::of(chat) {
        let me = Peer::Part(service.component);
        flows.push(Flow { from: gateway, to: me, port: i32::from(PORT) });
        // Asks which volumes are full.
        flows.push(Flow { from: Peer::Operator, to: me, port: i32::from(ADMIN_PORT) });
        if service.has_named_pods() {
            // A request for another replica's client is passed on.
            flows.push(Flow { from: me, to: me, port: i32::from(PORT) });
        }
        if !chat.spec.network_policy.monitoring_namespaces.is_empty() {
            flows.push(Flow { from: Peer::Monitoring, to: me, port: i32::from(ADMIN_PORT) });
        }
        if service.component == Component::Users {
            flows.extend(mail_flow(chat, me));
        }
        if service.component == Component::Notification {
            // Push services.
            flows.extend(push::ports(chat).into_iter().map(|port| Flow { from: me, to: Peer::Anyone, port }));
        }
        flows.push(Flow { from: me, to: Peer::Dns, port: 53 });
        flows.extend(service.stores.iter().flat_map(|store| store_flows(chat, me, *store)));
    }
    if chat.managed(Store::S3).is_some() {
        // Files go between clients and the bucket by signed links.
        flows.extend(store_flows(chat, gateway, Store::S3));
    }
    let migration = Peer::Part(Component::Migration);
    flows.push(Flow { from: migration, to: Peer::Dns, port: 53 });
    for store in Store::ALL {
        flows.extend(store_flows(chat, migration, store));
        if chat.managed(store).is_some() {
            flows.extend(providers::flows(chat, store));
        }
    }
    flows
}

/// The connections of `from` to a store, wherever it is.
fn store_flows(chat: &ValidChat, from: Peer, store: Store) -> Vec<Flow> {
    let Some(external) = chat.external(store) else {
        let port = i32::from(providers::client_port(store));
        return vec![Flow { from, to: Peer::Part(store.component()), port }];
    };
    let mut ports = external_ports(external);
    ports.extend(told_port(chat, store));
    ports.into_iter().map(|port| Flow { from, to: Peer::Anyone, port }).collect()
}

/// Ports of an external store. Nodes that it tells of later are taken to listen at the same ones, or at those that the
/// resource names for them.
fn external_ports(external: &External) -> BTreeSet<i32> {
    let endpoints = external.endpoints.iter().filter_map(|text| Endpoint::parse(text)).map(|e| i32::from(e.port));
    endpoints.chain(external.extra_ports.iter().copied()).collect()
}

/// Port of servers that are never at the endpoints' one: those of Redis whose sentinels are the endpoints.
fn told_port(chat: &ValidChat, store: Store) -> Option<i32> {
    let redis = chat.spec.dependencies.as_deref().filter(|_| store == Store::Redis)?.redis.external.as_ref()?;
    (redis.mode == RedisMode::Sentinel).then_some(redis.server_port)
}

fn embedded_flows(chat: &ValidChat) -> Vec<Flow> {
    let gateway = Peer::Part(Component::Gateway);
    let sentinel = Peer::Part(Component::Sentinel);
    let mut flows = vec![
        Flow { from: Peer::Anyone, to: gateway, port: nginx::PORT },
        Flow { from: gateway, to: sentinel, port: i32::from(PORT) },
        // Asks whether its volume is full.
        Flow { from: Peer::Operator, to: sentinel, port: i32::from(ADMIN_PORT) },
        Flow { from: gateway, to: Peer::Dns, port: 53 },
        Flow { from: sentinel, to: Peer::Dns, port: 53 },
    ];
    if nginx::own_certificate(chat).is_some() {
        flows.push(Flow { from: Peer::Anyone, to: gateway, port: nginx::TLS_PORT });
    }
    // Push services.
    flows.extend(push::ports(chat).into_iter().map(|port| Flow { from: sentinel, to: Peer::Anyone, port }));
    if !chat.spec.network_policy.monitoring_namespaces.is_empty() {
        flows.push(Flow { from: Peer::Monitoring, to: sentinel, port: i32::from(ADMIN_PORT) });
    }
    flows.extend(mail_flow(chat, sentinel));
    flows
}

/// The connection to the mail relay, wherever it is.
fn mail_flow(chat: &ValidChat, from: Peer) -> Option<Flow> {
    chat.spec.mail.as_ref().map(|mail| Flow { from, to: Peer::Anyone, port: mail.port })
}

/// The policy of one component: what the table allows it, and nothing else.
pub(super) fn policy(chat: &ValidChat, component: Component) -> NetworkPolicy {
    let me = Peer::Part(component);
    let flows = flows(chat);
    let incoming = flows
        .iter()
        .filter(|flow| flow.to == me)
        .map(|flow| NetworkPolicyIngressRule { from: peers(chat, flow.from), ports: Some(ports(*flow)) });
    let outgoing = flows
        .iter()
        .filter(|flow| flow.from == me)
        .map(|flow| NetworkPolicyEgressRule { to: peers(chat, flow.to), ports: Some(ports(*flow)) });
    NetworkPolicy {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(chat, component)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(incoming.collect()),
            egress: Some(outgoing.collect()),
        }),
    }
}

fn peers(chat: &ValidChat, peer: Peer) -> Option<Vec<NetworkPolicyPeer>> {
    match peer {
        Peer::Anyone | Peer::Dns => None,
        Peer::Part(component) => Some(vec![NetworkPolicyPeer {
            pod_selector: Some(selector(chat, component)),
            ..NetworkPolicyPeer::default()
        }]),
        Peer::Operator => Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector {
                match_labels: Some(BTreeMap::from([(NAMESPACE.into(), chat.operator_namespace.clone())])),
                ..LabelSelector::default()
            }),
            pod_selector: Some(LabelSelector {
                match_labels: Some(BTreeMap::from([("app.kubernetes.io/name".into(), MANAGER.into())])),
                ..LabelSelector::default()
            }),
            ..NetworkPolicyPeer::default()
        }]),
        Peer::Monitoring => Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector {
                match_labels: None::<BTreeMap<String, String>>,
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: NAMESPACE.into(),
                    operator: "In".into(),
                    values: Some(chat.spec.network_policy.monitoring_namespaces.clone()),
                }]),
            }),
            ..NetworkPolicyPeer::default()
        }]),
    }
}

fn ports(flow: Flow) -> Vec<NetworkPolicyPort> {
    let port = |protocol: &str, number: i32| NetworkPolicyPort {
        protocol: Some(protocol.into()),
        port: Some(IntOrString::Int(number)),
        ..NetworkPolicyPort::default()
    };
    if flow.to != Peer::Dns {
        return vec![port("TCP", flow.port)];
    }
    [flow.port, DNS_POD_PORT].into_iter().flat_map(|number| [port("UDP", number), port("TCP", number)]).collect()
}
