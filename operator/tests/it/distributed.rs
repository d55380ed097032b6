//! Profile Distributed: stores, then the migration, then services; stores of somebody else; what goes wrong.

use sentinel_operator::settings::Settings;
use serde_json::{Value, json};

use crate::{
    api_server::ApiServer,
    world::{CHATS, CLAIMS, DEPLOYMENTS, JOBS, NS, SECRETS, SETS, World},
};

/// A time at which something ended.
pub const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// All stores run by the operator.
pub fn managed() -> Value {
    json!({ "profile": "Distributed", "dependencies": {
        "postgres": { "managed": {} }, "cassandra": { "managed": {} }, "kafka": { "managed": {} },
        "redis": { "managed": {} }, "elasticsearch": { "managed": {} }, "s3": { "managed": {} },
    } })
}

/// All stores at one address, which is a listener's.
pub fn external(address: &str) -> Value {
    let hosts = json!({ "external": { "endpoints": [address] } });
    let urls = json!({ "external": { "endpoints": [format!("http://{address}")] } });
    json!({ "profile": "Distributed", "dependencies": {
        "postgres": hosts, "cassandra": hosts, "kafka": hosts, "redis": hosts, "elasticsearch": urls, "s3": urls,
    } })
}

/// A cluster on which everything runs.
pub async fn running(spec: &Value) -> World {
    let world = World::with(spec);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    world
}

/// The Deployments of services.
pub fn services(world: &World) -> Vec<String> {
    world.server.names(DEPLOYMENTS, NS).into_iter().filter(|name| name != "chat-gateway").collect()
}

#[tokio::test]
async fn stores_come_first_then_the_migration_then_services() {
    let world = World::with(&managed());
    world.settle().await;
    let stores = ["chat-cassandra", "chat-elasticsearch", "chat-kafka", "chat-postgres", "chat-redis", "chat-s3"]
        .map(String::from);
    assert_eq!(world.server.names(SETS, NS), stores);
    assert!(world.server.names(JOBS, NS).is_empty());
    assert_eq!(world.server.names(DEPLOYMENTS, NS), ["chat-gateway"]);
    assert!(world.condition("DependenciesReady").starts_with("False/Starting: postgres: 0 of 1 nodes are ready"));
    assert!(world.condition("SchemaMigrated").starts_with("False/WaitsForStores"));
    assert!(!world.condition("Ready").contains("users"), "{}", world.condition("Ready"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    world.run_everything();
    world.settle().await;
    assert_eq!(world.server.names(JOBS, NS).len(), 1);
    assert!(services(&world).is_empty());
    assert!(world.condition("DependenciesReady").starts_with("True/"));
    assert!(world.condition("SchemaMigrated").starts_with("False/Migrating"));

    world.end_job(None, LONG_AGO);
    world.settle().await;
    let names = ["chat-media", "chat-notification", "chat-presence", "chat-search", "chat-users"];
    assert_eq!(services(&world), names);
    let message = world.server.get(SETS, NS, "chat-message").unwrap();
    assert_eq!(message["spec"]["podManagementPolicy"], "Parallel");
    assert_eq!(message["spec"]["serviceName"], "chat-message-pods");
    assert!(world.condition("SchemaMigrated").starts_with("True/"));
    assert!(world.condition("Ready").starts_with("False/"));

    world.run_everything();
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    let status = world.server.get(CHATS, NS, "chat").unwrap()["status"].clone();
    assert_eq!(status["version"], "1");
    assert_eq!(status["services"].as_array().unwrap().len(), 7);
    let cassandra = &status["dependencies"][1];
    assert_eq!(cassandra["name"], "cassandra");
    assert_eq!((&cassandra["ready"], &cassandra["reachable"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn a_store_that_fails_does_not_stop_a_change_of_services() {
    let world = running(&managed()).await;
    world.server.edit(SETS, NS, "chat-redis", |set| {
        set["status"]["availableReplicas"] = json!(0);
        set["status"]["readyReplicas"] = json!(0);
    });
    let mut spec = managed();
    spec["services"] = json!({ "users": { "replicas": 3 } });
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap()["spec"]["replicas"], 3);
    assert!(world.condition("DependenciesReady").starts_with("False/"));
    assert!(world.condition("Ready").starts_with("False/"));
}

/// A topic and a keyspace keep the copies that they were made with; the number of shard copies is read by the search service.
#[tokio::test]
async fn a_store_that_grows_restarts_no_service_that_reads_nothing_of_it() {
    for store in ["kafka", "cassandra", "elasticsearch"] {
        let world = running(&managed()).await;
        let services = ["users", "media", "notification", "presence", "search"];
        let content = || {
            let of = |service| world.server.get(DEPLOYMENTS, NS, &format!("chat-{service}")).unwrap();
            services.map(|service| of(service)["spec"]["template"]["metadata"]["annotations"].clone())
        };
        let before = content();
        let mut spec = managed();
        spec["dependencies"][store]["managed"]["replicas"] = json!(3);
        world.apply("chat", &spec);
        world.settle().await;
        world.run_everything();
        world.settle().await;
        world.end_job(None, LONG_AGO);
        world.settle().await;
        let nodes = world.server.get(SETS, NS, &format!("chat-{store}")).unwrap()["spec"]["replicas"].clone();
        assert_eq!(nodes, json!(3), "{store}");
        for ((service, before), after) in services.iter().zip(before).zip(content()) {
            let reads_it = (store, *service) == ("elasticsearch", "search");
            assert_eq!(before != after, reads_it, "{store} {service}");
        }
    }
}

#[tokio::test]
async fn an_autoscaler_may_look_after_the_pods_of_a_service() {
    let world = running(&managed()).await;
    let scale = |world: &World, replicas: i32| {
        for (path, name) in [(DEPLOYMENTS, "chat-search"), (SETS, "chat-message")] {
            world.server.edit(path, NS, name, |workload| workload["spec"]["replicas"] = json!(replicas));
        }
        world.run_everything();
    };
    let replicas = |world: &World| {
        let (search, message) =
            (world.server.get(DEPLOYMENTS, NS, "chat-search"), world.server.get(SETS, NS, "chat-message"));
        (search.unwrap()["spec"]["replicas"].clone(), message.unwrap()["spec"]["replicas"].clone())
    };
    scale(&world, 4);
    world.server.take_writes();
    world.settle().await;
    assert_eq!(replicas(&world), (json!(4), json!(4)));
    let status = world.server.get(CHATS, NS, "chat").unwrap()["status"].clone();
    let search = status["services"].as_array().unwrap().iter().find(|service| service["name"] == "search").unwrap();
    assert_eq!((&search["desired"], &search["ready"]), (&json!(4), &json!(4)));
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    scale(&world, 5);
    world.reconcile().await.unwrap();
    let writes = world.server.take_writes();
    assert!(
        !writes.iter().any(|write| write.contains("/deployments") || write.contains("/statefulsets")),
        "{writes:?}"
    );

    let mut spec = managed();
    spec["drainSeconds"] = json!(20);
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(replicas(&world), (json!(5), json!(5)), "another change leaves them alone");

    // Nobody serves is no number of pods to keep.
    scale(&world, 0);
    world.settle().await;
    assert_eq!(replicas(&world), (json!(1), json!(2)));

    spec["services"] = json!({ "search": { "replicas": 2 }, "message": { "replicas": 2 } });
    world.apply("chat", &spec);
    world.settle().await;
    scale(&world, 4);
    world.settle().await;
    assert_eq!(replicas(&world), (json!(2), json!(2)), "what the resource says is put back");
}

/// Between the operator's look and its write.
#[tokio::test]
async fn what_an_autoscaler_changes_meanwhile_is_kept() {
    let world = running(&managed()).await;
    let replicas = |world: &World| {
        let get = |path, name| world.server.get(path, NS, name).unwrap()["spec"]["replicas"].clone();
        (get(DEPLOYMENTS, "chat-search"), get(SETS, "chat-message"))
    };
    let mut spec = managed();
    let mut change = async |seconds: i64| {
        spec["drainSeconds"] = json!(seconds);
        world.apply("chat", &spec);
        world.settle().await;
    };
    for number in [3, 4] {
        // Once before the number is handed over, and once after it.
        for (path, name) in [(DEPLOYMENTS, "chat-search"), (SETS, "chat-message")] {
            let requests =
                if name == "chat-search" { "/deployments/chat-search" } else { "/statefulsets/chat-message" };
            let scale = move |server: &ApiServer, by: i64| {
                server.edit(path, NS, name, |workload| workload["spec"]["replicas"] = json!(number + by));
            };
            world.server.interrupt("PATCH", requests, move |server| scale(server, 0));
            world.server.interrupt("PATCH", requests, move |server| scale(server, 10));
        }
        change(20 + number).await;
        world.run_everything();
        assert_eq!(replicas(&world), (json!(number + 10), json!(number + 10)));
    }
    // Without an autoscaler, the number stays, too.
    change(30).await;
    assert_eq!(replicas(&world), (json!(14), json!(14)));
}

#[tokio::test]
async fn a_number_that_the_resource_leaves_to_an_autoscaler_stays() {
    let mut spec = managed();
    spec["services"] = json!({ "search": { "replicas": 3 }, "message": { "replicas": 4 } });
    let world = running(&spec).await;
    spec = managed();
    world.apply("chat", &spec);
    world.settle().await;
    for seconds in [20, 21] {
        spec["drainSeconds"] = json!(seconds);
        world.apply("chat", &spec);
        world.settle().await;
        let get = |path, name| world.server.get(path, NS, name).unwrap()["spec"]["replicas"].clone();
        assert_eq!((get(DEPLOYMENTS, "chat-search"), get(SETS, "chat-message")), (json!(3), json!(4)));
    }
}

#[tokio::test]
async fn credentials_are_made_once_and_not_again_while_their_data_exists() {
    let world = running(&managed()).await;
    let credentials = |store: &str| world.server.get(SECRETS, NS, &format!("chat-{store}-credentials"));
    for store in ["postgres", "cassandra", "redis", "kafka", "s3"] {
        let secret = credentials(store).unwrap();
        assert!(secret["data"]["username"].is_string() && secret["data"]["password"].is_string(), "{store}");
        assert!(secret["metadata"]["ownerReferences"].is_null(), "credentials must outlive the resource");
    }
    let before = credentials("postgres");
    world.apply("chat", &{
        let mut spec = managed();
        spec["drainSeconds"] = json!(20);
        spec
    });
    world.settle().await;
    assert_eq!(credentials("postgres"), before);

    world.server.delete(SECRETS, NS, "chat-postgres-credentials");
    world.reconcile().await.unwrap();
    assert!(credentials("postgres").is_none());
    let condition = world.condition("Degraded");
    assert!(condition.contains("CredentialsLost: Secret chat-postgres-credentials is gone"), "{condition}");
    assert!(condition.contains("delete StatefulSet chat-postgres if it is there, and then the claim"), "{condition}");
    world.server.delete(CLAIMS, NS, "data-chat-postgres-0");
    world.settle().await;
    assert!(credentials("postgres").is_some());
}

#[tokio::test]
async fn delete_removes_the_data_of_every_store_and_its_credentials() {
    let mut spec = managed();
    spec["deletionPolicy"] = json!("Delete");
    let world = running(&spec).await;
    assert_eq!(world.server.names(CLAIMS, NS).len(), 6);
    let other =
        json!({ "metadata": { "name": "data-chat-2-0", "labels": { "app.kubernetes.io/instance": "chat-2" } } });
    world.server.put(CLAIMS, NS, other);
    world.server.delete(CHATS, NS, "chat");
    world.reconcile().await.unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none());
    assert_eq!(world.server.names(CLAIMS, NS), ["data-chat-2-0"]);
    assert!(world.server.names(SECRETS, NS).is_empty());
}

#[tokio::test]
async fn stores_of_somebody_else_are_used_when_they_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let world = running(&external(&address)).await;
    assert_eq!(world.server.names(SETS, NS), ["chat-message"]);
    let config = world.server.get("v1/configmaps", NS, "chat-config").unwrap();
    let config: Value = serde_json::from_str(config["data"]["sentinel.json"].as_str().unwrap()).unwrap();
    assert_eq!(config["stores"]["postgres"]["connection"]["endpoints"], json!([address]));
    assert_eq!(config["messagePeers"], "chat-message-{ordinal}.chat-message-pods.team.svc:8080");

    drop(listener);
    world.settle().await;
    let condition = world.condition("DependenciesReady");
    assert!(condition.starts_with("False/StoreUnreachable: postgres: "), "{condition}");
    assert!(condition.contains("correct dependencies.postgres.external.endpoints"), "{condition}");
    assert!(world.condition("Degraded").contains("StoreUnreachable"));
    assert_eq!(services(&world).len(), 5, "services go on");
    let _listener = tokio::net::TcpListener::bind(address).await.unwrap();
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

#[tokio::test]
async fn a_secret_of_a_store_is_told_by_the_field_that_names_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = external(&listener.local_addr().unwrap().to_string());
    spec["dependencies"]["kafka"]["external"]["secret"] = json!({ "name": "kafka" });
    spec["dependencies"]["kafka"]["external"]["tls"] = json!({ "caSecret": { "name": "kafka-ca" } });
    let world = World::with(&spec);
    let refused = async |expected: &str| {
        world.reconcile().await.unwrap();
        let condition = world.condition("Accepted");
        assert!(condition.starts_with("False/") && condition.contains(expected), "{condition}");
    };
    let put =
        |name: &str, data: Value| world.server.put(SECRETS, NS, json!({ "metadata": { "name": name }, "data": data }));
    refused("SecretNotFound: dependencies.kafka.external.secret: Secret kafka does not exist").await;
    put("kafka", json!({ "username": "eA==" }));
    refused("dependencies.kafka.external.secret: Secret kafka has no entry password; add it").await;
    put("kafka", json!({ "username": "eA==", "password": "eA==" }));
    refused("dependencies.kafka.external.tls.caSecret: Secret kafka-ca does not exist").await;
    put("kafka-ca", json!({ "tls.crt": "eA==" }));
    refused("has no entry ca.crt; add it").await;
    put("kafka-ca", json!({ "ca.crt": "eA==" }));
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
    let content = |service: &str| {
        let workload = world.server.get(DEPLOYMENTS, NS, &format!("chat-{service}")).unwrap();
        workload["spec"]["template"]["metadata"]["annotations"]["chat.sentinel.dev/content"].clone()
    };
    let (search, users) = (content("search"), content("users"));
    let jobs = world.server.names(JOBS, NS);
    put("kafka-ca", json!({ "ca.crt": "eA==", "tls.crt": "eQ==", "tls.key": "eQ==" }));
    put("kafka", json!({ "username": "eA==", "password": "eA==", "note": "eQ==" }));
    world.settle().await;
    assert_eq!((content("search"), world.server.names(JOBS, NS)), (search.clone(), jobs), "nobody reads these entries");
    put("kafka", json!({ "username": "eA==", "password": "eQ==" }));
    world.settle().await;
    assert_eq!(content("search"), search, "first it is seen whether they are right");
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_ne!(content("search"), search, "changed credentials roll the pods that use them");
    assert_eq!(content("users"), users, "and no others");
}

#[tokio::test]
async fn images_of_stores_are_pinned_like_the_others() {
    let world = running(&managed()).await;
    let image = |world: &World| {
        let set = world.server.get(SETS, NS, "chat-kafka").unwrap();
        set["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let before = image(&world);
    let mut settings =
        Settings { sentinel_image: "sentinel:1".into(), gateway_image: "nginx:1".into(), ..Settings::default() };
    settings.store_images.kafka_image = "apache/kafka:5.0.0".into();
    let world = world.upgraded(settings);
    world.settle().await;
    assert_eq!(image(&world), before);
    assert!(world.condition("UpgradeAvailable").starts_with("True/"));
    world.apply("chat", &{
        let mut spec = managed();
        spec["drainSeconds"] = json!(20);
        spec
    });
    world.settle().await;
    assert_eq!(image(&world), "apache/kafka:5.0.0");
}

/// Changes the chat to `spec` with keys of its own, whose Secret comes only after the change was refused.
pub async fn refused_for_a_while(world: &World, mut spec: Value) {
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    spec["encryption"] = json!({ "keySecret": { "name": "own" } });
    world.apply("chat", &spec);
    world.reconcile().await.unwrap();
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").starts_with("False/SecretNotFound"), "{}", world.condition("Accepted"));
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "own" }, "data": keys["data"] }));
    world.settle().await;
}

#[tokio::test]
async fn a_store_gets_the_image_of_a_change_that_was_refused_for_a_while() {
    let world = running(&managed()).await;
    let mut spec = managed();
    spec["dependencies"]["kafka"]["managed"]["image"] = json!({ "tag": "4.2.0" });
    refused_for_a_while(&world, spec).await;
    let set = world.server.get(SETS, NS, "chat-kafka").unwrap();
    assert_eq!(set["spec"]["template"]["spec"]["containers"][0]["image"], "apache/kafka:4.2.0");
}

#[tokio::test]
async fn nodes_with_data_are_not_taken_away() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(5);
    let world = running(&spec).await;
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(2);
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(world.server.get(SETS, NS, "chat-cassandra").unwrap()["spec"]["replicas"], 5);
    let condition = world.condition("Degraded");
    assert!(condition.starts_with("True/ScaleRefused: dependencies.cassandra.managed.replicas"), "{condition}");
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

#[tokio::test]
async fn the_managed_postgres_takes_the_connections_of_all_pods_and_seldom_changes() {
    let connections = |world: &World| {
        let map = world.server.get("v1/configmaps", NS, "chat-postgres").unwrap();
        let text = map["data"]["postgresql.conf"].as_str().unwrap().to_owned();
        text.lines().find_map(|line| line.strip_prefix("max_connections = ")).unwrap().parse::<u32>().unwrap()
    };
    let world = running(&managed()).await;
    assert_eq!(connections(&world), 400);
    let replicas = |count: i32| {
        let mut spec = managed();
        spec["services"] = json!({ "message": { "replicas": count } });
        spec
    };
    for (count, expected) in [(27, 400), (28, 800), (67, 800), (2, 800)] {
        world.apply("chat", &replicas(count));
        world.settle().await;
        assert_eq!(connections(&world), expected, "{count}");
    }
    let set = world.server.get(SETS, NS, "chat-postgres").unwrap();
    let limit = &set["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"];
    assert_eq!(limit, "3072Mi", "that of the most pods that were written");

    // While its pods are made anew, those of before end beside them and keep their connections.
    let mut spec = managed();
    spec["services"] = json!({ "search": { "replicas": 13 } });
    let world = running(&spec).await;
    assert_eq!(connections(&world), 400);
    spec["services"]["search"]["replicas"] = json!(14);
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(connections(&world), 800);
}
