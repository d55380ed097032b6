//! What `config/operations` has for people who run a chat called `chat` fits what is made for it.

use std::{fs, path::Path};

use sentinel_operator::{render, settings::Settings};
use serde::Deserialize as _;
use serde_json::{Value, json};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config")).join(path)).unwrap()
}

/// The objects of a file, by their kinds.
fn operations(file: &str, kind: &str) -> Value {
    let text = read(&format!("operations/{file}"));
    let objects = serde_yaml_ng::Deserializer::from_str(&text).map(|object| Value::deserialize(object).unwrap());
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
}

/// The `StatefulSet` of a component of a sample.
fn stateful_set(sample: &str, component: &str) -> Value {
    let mut chat = render::parse(&read(&format!("samples/{sample}.yaml"))).unwrap().remove(0);
    chat.metadata.namespace.get_or_insert("chat".into());
    let objects = render::render(&chat, &Settings::default()).unwrap();
    let wanted = |object: &Value| {
        object["kind"] == "StatefulSet" && object["metadata"]["labels"]["app.kubernetes.io/component"] == component
    };
    objects.into_iter().find(wanted).unwrap()
}

#[test]
fn pods_that_make_copies_reach_the_stores_that_hold_something() {
    let policy = operations("backup-network.yaml", "NetworkPolicy");
    let selector = &policy["spec"]["podSelector"];
    let open: Vec<&Value> =
        policy["spec"]["ingress"][0]["ports"].as_array().unwrap().iter().map(|p| &p["port"]).collect();
    for component in selector["matchExpressions"][0]["values"].as_array().unwrap() {
        let store = stateful_set("distributed-small", component.as_str().unwrap());
        let labels = &store["spec"]["template"]["metadata"]["labels"];
        for (name, value) in selector["matchLabels"].as_object().unwrap() {
            assert_eq!(labels[name], *value);
        }
        let ports = store["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().unwrap();
        assert!(ports.iter().any(|port| open.contains(&&port["containerPort"])), "{component}: {ports:?}");
    }
    // The operator would take one with its labels for its own.
    assert!(policy["metadata"].get("labels").is_none());
}

#[test]
fn the_repair_goes_from_node_to_node_of_cassandra() {
    let store = stateful_set("distributed-small", "cassandra");
    let name = store["metadata"]["name"].as_str().unwrap();
    let nodes: Vec<Value> =
        (0..store["spec"]["replicas"].as_u64().unwrap()).map(|node| json!(format!("{name}-{node}"))).collect();
    for rule in operations("cassandra-repair.yaml", "Role")["rules"].as_array().unwrap() {
        assert_eq!(rule["resourceNames"], json!(nodes));
    }
    let job = operations("cassandra-repair.yaml", "CronJob");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let containers = ["initContainers", "containers"].into_iter().flat_map(|list| pod[list].as_array().unwrap());
    let containers: Vec<&Value> = containers.collect();
    // A quota would refuse pods without.
    assert!(containers.iter().all(|container| container["resources"]["limits"]["memory"] == "128Mi"), "{containers:?}");
    let args: Vec<&Value> = containers.iter().map(|container| &container["args"]).collect();
    assert_eq!(args.iter().map(|args| args[1].clone()).collect::<Vec<_>>(), nodes);
    let nodetool = &store["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][0];
    assert!(args.iter().all(|args| args[3] == *nodetool));
}

#[test]
fn a_restored_volume_is_the_one_that_the_pod_looks_for() {
    let chat = stateful_set("embedded", "sentinel");
    let name = chat["metadata"]["name"].as_str().unwrap();
    let template = &chat["spec"]["volumeClaimTemplates"][0];
    let claim = operations("restore-embedded.yaml", "PersistentVolumeClaim");
    assert_eq!(claim["metadata"]["name"], format!("{}-{name}-0", template["metadata"]["name"].as_str().unwrap()));
    assert_eq!(claim["metadata"]["labels"], template["metadata"]["labels"]);
    assert_eq!(claim["spec"]["accessModes"], template["spec"]["accessModes"]);

    let (pod, made) = (operations("restore-embedded.yaml", "Pod"), &chat["spec"]["template"]["spec"]);
    for entry in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(pod["spec"]["securityContext"][entry], made["securityContext"][entry], "{entry}");
    }
    let mounts = made["containers"][0]["volumeMounts"].as_array().unwrap();
    let data = mounts.iter().find(|mount| mount["name"] == "data").unwrap();
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], data["mountPath"]);
    assert_eq!(pod["spec"]["containers"][0]["resources"], made["containers"][0]["resources"]);
}
