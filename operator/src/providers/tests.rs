//! What is made for each managed store, as a whole.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::Profile,
    build::Kind,
    render,
    settings::{Settings, StoreImages},
    steps::validate::validate,
};

fn chat(replicas: i32) -> ValidChat {
    let nodes = json!({ "managed": { "replicas": replicas } });
    let one = json!({ "managed": {} });
    let text = json!({
        "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
        "metadata": { "name": "chat", "namespace": "team" },
        "spec": { "dependencies": {
            "postgres": one, "redis": one, "s3": one, "cassandra": nodes, "kafka": nodes, "elasticsearch": nodes,
        } },
    });
    let chat = render::parse(&text.to_string()).unwrap().remove(0);
    let image = |name: &str| format!("{name}:1.2");
    let images = StoreImages {
        postgres_image: image("postgres"),
        cassandra_image: image("cassandra"),
        redis_image: image("redis"),
        kafka_image: image("kafka"),
        elasticsearch_image: image("elasticsearch"),
        s3_image: image("s3"),
    };
    let mut chat = validate(&chat, &Settings { store_images: images, ..Settings::default() }).unwrap();
    chat.spec.profile = Profile::Distributed;
    chat
}

fn facts(chat: &ValidChat, store: Store) -> StoreFacts {
    StoreFacts {
        secret: has_credentials(store).then(|| chat.names.credentials(store)),
        replicas: chat.managed(store).unwrap().replicas,
        digest: "d1".into(),
        ..StoreFacts::default()
    }
}

fn objects(chat: &ValidChat, store: Store) -> Vec<Value> {
    build(chat, store, &facts(chat, store)).unwrap().into_iter().map(|child| child.value).collect()
}

fn stateful_set(chat: &ValidChat, store: Store) -> Value {
    objects(chat, store).into_iter().find(|object| object["kind"] == "StatefulSet").unwrap()
}

#[test]
fn every_store_makes_what_its_snapshot_says() {
    for store in Store::ALL {
        let objects = objects(&chat(1), store);
        insta::assert_snapshot!(format!("{}-1", store.as_str()), render::to_yaml(&objects).unwrap());
    }
    for store in [Store::Cassandra, Store::Kafka, Store::Elasticsearch] {
        let objects = objects(&chat(3), store);
        insta::assert_snapshot!(format!("{}-3", store.as_str()), render::to_yaml(&objects).unwrap());
    }
}

#[test]
fn more_nodes_are_added_and_do_not_replace_those_that_run() {
    for store in [Store::Cassandra, Store::Kafka, Store::Elasticsearch] {
        let (one, three) = (chat(1), chat(3));
        assert_eq!(stateful_set(&one, store)["spec"]["template"], stateful_set(&three, store)["spec"]["template"]);
        let configuration = |chat: &ValidChat| objects(chat, store).into_iter().find(|o| o["kind"] == "ConfigMap");
        assert_eq!(configuration(&one), configuration(&three));
    }
}

#[test]
fn pods_roll_when_their_configuration_or_password_changes() {
    let chat = chat(1);
    for store in Store::ALL {
        let roll = |chat: &ValidChat, facts: &StoreFacts| {
            let set = build(chat, store, facts).unwrap().pop().unwrap().value;
            set["spec"]["template"]["metadata"]["annotations"][crate::names::CONTENT].clone()
        };
        let before = facts(&chat, store);
        let after = StoreFacts { digest: "d2".into(), ..before.clone() };
        // Cassandra keeps its roles itself, and Elasticsearch has none.
        let reads_it = !matches!(store, Store::Cassandra | Store::Elasticsearch);
        assert_eq!(roll(&chat, &before) != roll(&chat, &after), reads_it, "{store:?}");
    }
    let mut small = chat.clone();
    small.spec.dependencies.as_mut().unwrap().postgres.managed.as_mut().unwrap().resources =
        serde_json::from_value(json!({ "limits": { "memory": "512Mi" } })).unwrap();
    let shared = objects(&small, Store::Postgres)[0]["data"]["postgresql.conf"].as_str().unwrap().to_owned();
    assert!(shared.contains("shared_buffers = 128MB"), "{shared}");
}

#[test]
fn every_pod_is_restricted_and_keeps_its_data_on_a_volume() {
    for store in Store::ALL {
        let set = stateful_set(&chat(3), store);
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{store:?}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{store:?}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{store:?}");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{store:?}");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{store:?}");
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]), "{store:?}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{store:?}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert!(container[probe].is_object(), "{store:?} {probe}");
        }
        assert_eq!(set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain", "{store:?}");
        let claim = &set["spec"]["volumeClaimTemplates"][0];
        assert_eq!(claim["metadata"]["name"], "data", "{store:?}");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "8Gi", "{store:?}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount["name"] == "data"), "{store:?}");
    }
}

#[test]
fn nothing_that_is_made_holds_a_password() {
    let chat = chat(3);
    for store in Store::ALL {
        let text = render::to_yaml(&objects(&chat, store)).unwrap();
        let entries = credentials(&chat, store).unwrap();
        assert_eq!(entries.is_some(), has_credentials(store));
        for (name, value) in entries.unwrap_or_default() {
            let value = String::from_utf8(value.0).unwrap();
            assert!(value.len() < 16 || !text.contains(&value), "{store:?} {name}");
        }
    }
}

#[test]
fn small_installations_fit_eight_gibibytes() {
    let chat = chat(3);
    let total: i128 = Store::ALL
        .into_iter()
        .map(|store| {
            let set = stateful_set(&chat, store);
            let limit = &set["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"];
            let bytes = crate::subset::amount(limit.as_str().unwrap()).unwrap() / 1_000;
            bytes * i128::from(set["spec"]["replicas"].as_i64().unwrap())
        })
        .sum();
    assert!(total <= 7 << 30, "{total}");
}

#[test]
fn a_default_limit_of_postgres_stays_when_fewer_pods_are_written() {
    let mut chat = chat(1);
    let limit = |chat: &ValidChat, live: &str| {
        let container = json!({ "name": "postgres", "resources": { "limits": { "memory": live } } });
        let other = json!({ "name": "other", "resources": { "limits": { "memory": "3072Mi" } } });
        let set = json!({ "spec": { "template": { "spec": { "containers": [other, container] } } } });
        let mut observed = Observed::default();
        observed.put(Kind::StatefulSet, "chat-postgres", set);
        let facts =
            StoreFacts { limit: super::limit(chat, Store::Postgres, &observed), ..facts(chat, Store::Postgres) };
        let set = build(chat, Store::Postgres, &facts).unwrap().pop().unwrap().value;
        set["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].as_str().unwrap().to_owned()
    };
    assert_eq!(limit(&chat, "1536Mi"), "1536Mi", "a lower one would be a restart");
    assert_eq!(limit(&chat, "128Mi"), "384Mi");
    assert_eq!(limit(&chat, "4Gi"), "384Mi", "somebody wrote that, and took it back");
    chat.spec.dependencies.as_mut().unwrap().postgres.managed.as_mut().unwrap().resources =
        serde_json::from_value(json!({ "limits": { "memory": "512Mi" } })).unwrap();
    assert_eq!(limit(&chat, "1536Mi"), "512Mi", "what is written counts");
}

#[test]
fn clients_find_each_store_by_one_address_and_nodes_each_other() {
    let chat = chat(3);
    assert_eq!(connection(&chat, Store::Postgres).endpoints, ["chat-postgres.team.svc:5432"]);
    assert_eq!(connection(&chat, Store::Elasticsearch).endpoints, ["http://chat-elasticsearch.team.svc:9200"]);
    for store in Store::ALL {
        let objects = objects(&chat, store);
        let client = objects
            .iter()
            .find(|o| o["metadata"]["name"] == chat.names.component(store.component()) && o["kind"] == "Service");
        assert_eq!(client.unwrap()["spec"]["ports"][0]["port"], client_port(store), "{store:?}");
        let nodes = objects.iter().find(|o| o["metadata"]["name"] == chat.names.pods(store.component())).unwrap();
        assert_eq!(nodes["spec"]["publishNotReadyAddresses"], true, "{store:?}");
        assert_eq!(stateful_set(&chat, store)["spec"]["serviceName"], nodes["metadata"]["name"], "{store:?}");
        // Every port between nodes is one that they listen at.
        for flow in flows(&chat, store).iter().filter(|flow| flow.to != Peer::Dns) {
            let ports = nodes["spec"]["ports"].as_array().unwrap();
            assert!(ports.iter().any(|port| port["port"] == flow.port), "{store:?} {flow:?}");
        }
    }
}

/// `chat-cassandra` with that many nodes, as a cluster tells of it.
fn observed(replicas: i32, ready: i32) -> Observed {
    let mut observed = Observed::default();
    observed.put(
        Kind::StatefulSet,
        "chat-cassandra",
        json!({
            "metadata": { "name": "chat-cassandra", "generation": 2 },
            "spec": { "replicas": replicas },
            "status": {
                "observedGeneration": 2, "replicas": replicas, "readyReplicas": ready, "availableReplicas": ready,
                "updatedReplicas": replicas,
            },
        }),
    );
    observed
}

#[test]
fn a_store_tells_how_many_nodes_serve_and_which_version() {
    let status = assess(&chat(3), Store::Cassandra, &observed(3, 3));
    assert_eq!((status.desired, status.ready, status.reachable), (3, 3, true));
    assert_eq!((status.version.as_deref(), status.version_source.as_deref()), (Some("1.2"), Some("Image")));
    assert_eq!(status.image.as_deref(), Some("cassandra:1.2"));
    assert_eq!(status.message, None);

    let status = assess(&chat(3), Store::Cassandra, &observed(3, 2));
    assert_eq!((status.ready, status.reachable), (2, true));
    assert_eq!(status.message.as_deref(), Some("2 of 3 nodes are ready"));

    let status = assess(&chat(3), Store::Cassandra, &Observed::default());
    assert_eq!((status.desired, status.ready, status.reachable), (3, 0, false));
    assert_eq!(status.version, None);
}

#[test]
fn a_node_that_is_to_go_is_named_to_its_pods_without_a_restart() {
    let chat = chat(3);
    let scale = scale(&chat, Store::Cassandra, &observed(5, 5));
    assert_eq!((scale.replicas, scale.leaving.as_deref()), (5, Some("chat-cassandra-4")));
    let status = assess(&chat, Store::Cassandra, &observed(5, 5));
    assert_eq!((status.desired, status.ready, status.reachable), (5, 5, true));
    assert_eq!(status.message, scale.progress);

    let before = facts(&chat, Store::Cassandra);
    let after = StoreFacts { leaving: scale.leaving, ..before.clone() };
    let made = |facts: &StoreFacts| build(&chat, Store::Cassandra, facts).unwrap();
    let (before, after) = (made(&before), made(&after));
    let config = |made: &[Child]| made.iter().find(|child| child.kind == Kind::ConfigMap).unwrap().value.clone();
    assert_eq!(config(&after)["data"][LEAVING], "chat-cassandra-4");
    assert!(config(&before)["data"].get(LEAVING).is_none());
    assert_eq!(before.last(), after.last(), "the pods stay as they are");
}

#[test]
fn who_the_nodes_of_a_ring_are_changes_when_all_are_there_and_is_told_without_a_restart() {
    let told = |wanted: i32, running: i32, ready: i32, uids: &[&str], live: Option<&str>| {
        let chat = chat(wanted);
        let mut observed = observed(running, ready);
        let claim = |(ordinal, uid): (usize, &&str)| {
            let metadata = json!({ "name": format!("data-chat-cassandra-{ordinal}"), "uid": uid });
            serde_json::from_value(json!({ "metadata": metadata, "status": { "phase": "Bound" } })).unwrap()
        };
        observed.claims = uids.iter().enumerate().map(claim).collect();
        observed.put(Kind::ConfigMap, "chat-cassandra", json!({ "data": { MEMBERS: live } }));
        let scale = scale(&chat, Store::Cassandra, &observed);
        members(&chat, Store::Cassandra, &observed, &scale)
    };
    let (three, four) = (["a", "b", "c"], ["a", "b", "c", "d"]);
    let of_three = told(3, 3, 3, &three, None).unwrap();
    let live = Some(of_three.as_str());
    assert_eq!(told(4, 3, 3, &three, live), Some(of_three.clone()));
    assert_eq!(told(4, 4, 3, &four, live), Some(of_three.clone()), "the fourth joins");
    let of_four = told(4, 4, 4, &four, live).unwrap();
    assert_ne!(of_four, of_three);
    assert_eq!(told(3, 4, 4, &four, Some(&of_four)), Some(of_four.clone()), "the fourth is to leave");
    assert_ne!(told(4, 4, 4, &["a", "b", "c", "e"], Some(&of_four)), Some(of_four), "another fourth");
    assert_eq!(told(1, 1, 1, &["a"], None), None);

    let chat = chat(3);
    let before = facts(&chat, Store::Cassandra);
    let after = StoreFacts { members: Some(of_three.clone()), ..before.clone() };
    let made = |facts: &StoreFacts| build(&chat, Store::Cassandra, facts).unwrap();
    let (before, after) = (made(&before), made(&after));
    assert_eq!(after[0].value["data"][MEMBERS], of_three);
    assert_eq!(before.last(), after.last(), "the pods stay as they are");
}

#[test]
fn that_a_ring_was_founded_is_known_by_claims_of_later_nodes_and_told_without_a_restart() {
    let chat = chat(3);
    let founded = |store: Store, claims: &[&str]| {
        let claim = |name: &&str| serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        is_founded(&chat, store, &Observed { claims: claims.iter().map(claim).collect(), ..Observed::default() })
    };
    assert!(!founded(Store::Cassandra, &[]));
    assert!(!founded(Store::Cassandra, &["data-chat-cassandra-0", "data-chat-kafka-1", "data-chat-cassandra-pods-1"]));
    assert!(founded(Store::Cassandra, &["data-chat-cassandra-2"]));
    assert!(!founded(Store::Elasticsearch, &["data-chat-elasticsearch-0"]), "one that lost its volume begins anew");
    assert!(founded(Store::Elasticsearch, &["data-chat-elasticsearch-1"]));
    assert!(!founded(Store::Kafka, &["data-chat-kafka-1", "data-chat-cassandra-1"]));

    let before = facts(&chat, Store::Cassandra);
    let after = StoreFacts { founded: true, ..before.clone() };
    let made = |facts: &StoreFacts| build(&chat, Store::Cassandra, facts).unwrap();
    let (before, after) = (made(&before), made(&after));
    let config = |made: &[Child]| made.iter().find(|child| child.kind == Kind::ConfigMap).unwrap().value.clone();
    assert!(config(&before)["data"].get(FOUNDED).is_none());
    assert!(config(&after)["data"].get(FOUNDED).is_some());
    assert_eq!(before.last(), after.last(), "the pods stay as they are");
}

#[test]
fn volumes_of_nodes_that_do_not_run_or_were_just_added_do_not_count_as_the_smallest() {
    let mut chat = chat(3);
    let large = serde_json::from_value(json!({ "size": "100Gi" })).unwrap();
    chat.spec.dependencies.as_mut().unwrap().kafka.managed.as_mut().unwrap().storage = large;
    let (long_ago, now) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let smallest = |nodes: i32, claims: &[(&str, &str)]| {
        let claim = |(ordinal, (made, size)): (usize, &(&str, &str))| {
            serde_json::from_value(json!({
                "metadata": { "name": format!("data-chat-kafka-{ordinal}"), "creationTimestamp": made },
                "status": { "phase": "Bound", "capacity": { "storage": size } } }))
            .unwrap()
        };
        let claims = claims.iter().enumerate().map(claim).collect();
        let observed = Observed { claims, read_at: now.parse().unwrap(), ..Observed::default() };
        smallest_volume(&chat, Store::Kafka, &observed, nodes).map(|mib| mib >> 10)
    };
    let (grown, left) = ((long_ago, "100Gi"), (long_ago, "8Gi"));
    assert_eq!(smallest(3, &[]), None);
    assert_eq!(smallest(1, &[grown, left]), Some(100), "left behind by a node that was taken away");
    assert_eq!(smallest(2, &[grown, left]), Some(8), "what has not grown in a day is as small as it is");
    let added = ("2026-01-01T23:59:00Z", "8Gi");
    assert_eq!(smallest(2, &[grown, added]), Some(100), "it grows to what the others have");
    assert_eq!(smallest(2, &[added, added]), Some(8));
    assert_eq!(smallest(2, &[left, added]), Some(8));
}
