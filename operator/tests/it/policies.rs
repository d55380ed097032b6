//! Who may connect to whom, as NetworkPolicies have it.

use sentinel_operator::{render, settings::Settings};
use serde_json::{Value, json};

use crate::distributed::external;

/// Ports that the pods of `component` may connect to.
pub fn egress(policy: &Value) -> Vec<i64> {
    let rules = policy["spec"]["egress"].as_array().cloned().unwrap_or_default();
    let ports = rules.iter().flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default());
    ports.filter_map(|port| port["port"].as_i64()).collect()
}

fn rendered(spec: &Value, name: &str) -> Value {
    let chat = json!({ "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
        "metadata": { "name": "chat", "namespace": "team" }, "spec": spec });
    let chat = render::parse(&chat.to_string()).unwrap().remove(0);
    let objects = render::render(&chat, &Settings::default()).unwrap();
    let found = objects.into_iter().find(|o| o["kind"] == "NetworkPolicy" && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no policy {name}"))
}

#[test]
fn servers_that_the_endpoints_of_a_store_tell_of_can_be_reached() {
    let mut spec = external("10.0.0.1:26379");
    assert!(!egress(&rendered(&spec, "chat-users")).contains(&6379), "a server alone is at its endpoint");
    spec["dependencies"]["redis"]["external"]["mode"] = json!("Sentinel");
    for name in ["chat-users", "chat-message", "chat-media", "chat-migration"] {
        let ports = egress(&rendered(&spec, name));
        assert!(ports.contains(&26379) && ports.contains(&6379), "{name}: {ports:?}");
    }
    spec["dependencies"]["redis"]["external"]["serverPort"] = json!(6390);
    let ports = egress(&rendered(&spec, "chat-users"));
    assert!(ports.contains(&6390) && !ports.contains(&6379), "{ports:?}");

    spec["dependencies"]["kafka"]["external"]["extraPorts"] = json!([9093, 9094]);
    let ports = egress(&rendered(&spec, "chat-message"));
    assert!(ports.contains(&9093) && ports.contains(&9094), "{ports:?}");
    assert!(!egress(&rendered(&spec, "chat-users")).contains(&9093), "only the services that need the store");
}

/// The name servers of OpenShift are behind a Service with port 53, and listen at another one.
#[test]
fn names_can_be_looked_up_wherever_the_name_servers_listen() {
    let distributed = external("10.0.0.1:9042");
    for (spec, name) in [
        (&json!({}), "chat-gateway"),
        (&json!({}), "chat-sentinel"),
        (&distributed, "chat-users"),
        (&distributed, "chat-migration"),
    ] {
        let ports = egress(&rendered(spec, name));
        for port in [53, 5353] {
            assert_eq!(ports.iter().filter(|open| **open == port).count(), 2, "{name}, UDP and TCP: {ports:?}");
        }
    }
}
