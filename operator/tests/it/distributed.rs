//! Profile Distributed: stores, then the migration, then services; stores of somebody else; what goes wrong.

use sentinel_operator::settings::Settings;
use serde_json::{Value, json};

use crate::{
    policies::egress,
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

fn services(world: &World) -> Vec<String> {
    world.server.names(DEPLOYMENTS, NS).into_iter().filter(|name| name != "chat-gateway").collect()
}

fn image(world: &World) -> Value {
    let users = world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap();
    users["spec"]["template"]["spec"]["containers"][0]["image"].clone()
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

/// Many a cluster cleans ended Jobs up.
#[tokio::test]
async fn a_migration_that_was_cleaned_up_is_not_run_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let migrations = |world: &World| {
        let mut names = world.server.names(JOBS, NS);
        names.retain(|name| name.starts_with("chat-migration-"));
        names
    };
    for spec in [managed(), external(&address)] {
        let world = running(&spec).await;
        let job = migrations(&world).remove(0);
        world.server.delete(JOBS, NS, &job);
        world.settle().await;
        assert_eq!(migrations(&world), Vec::<String>::new());
        assert_eq!(world.condition("SchemaMigrated"), format!("True/Migrated: Job {job}"));
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
        let is_looked_at = world.server.names(JOBS, NS).iter().any(|name| name.starts_with("chat-check-"));
        assert_eq!(is_looked_at, spec == external(&address), "as before");

        let mut changed = spec.clone();
        changed["image"] = json!({ "tag": "2" });
        world.apply("chat", &changed);
        world.settle().await;
        assert_eq!(migrations(&world).len(), 1, "another image asks for another one");

        // As the documentation has it.
        world.apply("chat", &spec);
        world.settle().await;
        world.end_job(None, LONG_AGO);
        world.settle().await;
        let again = migrations(&world).remove(0);
        world.server.delete(JOBS, NS, &again);
        world.server.edit(CHATS, NS, "chat", |chat| chat["status"]["migration"] = json!(null));
        world.settle().await;
        assert_eq!(migrations(&world), [again]);
    }
}

/// Where a quota asks every pod for limits, Jobs are pods, too.
#[tokio::test]
async fn the_migration_has_the_resources_of_the_users_service() {
    let mut spec = managed();
    spec["services"] = json!({ "users": { "resources": {
        "requests": { "cpu": "200m" }, "limits": { "cpu": "1", "memory": "128Mi", "ephemeral-storage": "1Gi" } } } });
    let world = World::with(&spec);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let job = world.server.names(JOBS, NS).remove(0);
    let job = world.server.get(JOBS, NS, &job).unwrap();
    assert_eq!(
        job["spec"]["template"]["spec"]["containers"][0]["resources"],
        json!({ "requests": { "cpu": "200m", "memory": "64Mi" },
            "limits": { "cpu": "1", "memory": "256Mi", "ephemeral-storage": "1Gi" } })
    );
}

#[tokio::test]
async fn services_of_the_earlier_image_run_on_until_the_stores_have_the_new_schema() {
    let world = running(&managed()).await;
    let first = world.server.names(JOBS, NS);
    let mut spec = managed();
    spec["image"] = json!({ "tag": "2" });
    world.apply("chat", &spec);
    world.settle().await;
    let second = world.server.names(JOBS, NS);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    assert_eq!(image(&world), "sentinel:1");
    assert_eq!(world.server.get(CHATS, NS, "chat").unwrap()["status"]["version"], "1");
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_eq!(image(&world), "sentinel:2");
}

#[tokio::test]
async fn what_runs_keeps_its_configuration_and_its_stores_until_others_are_proven() {
    const MAPS: &str = "v1/configmaps";
    const POLICIES: &str = "networking.k8s.io/v1/networkpolicies";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = running(&managed()).await;
    let configuration = |name: &str| {
        let map = world.server.get(MAPS, NS, name).unwrap();
        serde_json::from_str::<Value>(map["data"]["sentinel.json"].as_str().unwrap()).unwrap()
    };
    let before = configuration("chat-config");
    assert_eq!(configuration("chat-migration"), before);

    let mut spec = managed();
    spec["dependencies"]["redis"] = json!({ "external": { "endpoints": [address.to_string()] } });
    world.apply("chat", &spec);
    world.settle().await;
    let redis = |config: &Value| config["stores"]["redis"]["connection"]["endpoints"][0].clone();
    assert_eq!(configuration("chat-config"), before, "a pod of before may start again");
    assert_eq!(redis(&configuration("chat-migration")), json!(address.to_string()));
    let ports = |name: &str| egress(&world.server.get(POLICIES, NS, name).unwrap());
    let (old, new) = (6379, i64::from(address.port()));
    assert!(ports("chat-users").contains(&old) && ports("chat-users").contains(&new), "{:?}", ports("chat-users"));
    let there = || {
        let set = world.server.get(SETS, NS, "chat-redis").is_some();
        let service = world.server.get("v1/services", NS, "chat-redis").is_some();
        let policy = world.server.get(POLICIES, NS, "chat-redis").is_some();
        [set, service, policy]
    };
    assert_eq!(there(), [true; 3], "nobody knows yet whether the new one can be used");

    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_eq!(redis(&configuration("chat-config")), json!(address.to_string()));
    assert_eq!(there(), [true; 3], "pods of before use it until they are replaced");
    assert!(ports("chat-users").contains(&old), "{:?}", ports("chat-users"));
    world.run_everything();
    world.settle().await;
    assert_eq!(there(), [false; 3]);
    assert!(!ports("chat-users").contains(&old), "{:?}", ports("chat-users"));
    assert!(world.server.get(CLAIMS, NS, "data-chat-redis-0").is_some(), "its data stays");
}

#[tokio::test]
async fn files_in_a_managed_s3_can_be_got_until_nobody_signs_links_to_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = running(&managed()).await;
    let gateway = || {
        let map = world.server.get("v1/configmaps", NS, "chat-gateway").unwrap();
        let deployment = world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap();
        (map["data"]["nginx.conf"].as_str().unwrap().to_owned(), deployment["spec"].clone())
    };
    let before = gateway();
    assert!(before.0.contains("location /sentinel-media/"), "{}", before.0);

    let mut spec = managed();
    let address = format!("http://{}", listener.local_addr().unwrap());
    spec["dependencies"]["s3"] = json!({ "external": { "endpoints": [address] } });
    spec["gateway"] = json!({ "replicas": 3 });
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(gateway(), before, "services of before use the managed one");
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_eq!(gateway(), before, "pods of before still sign links to it");

    world.run_everything();
    world.settle().await;
    assert!(world.server.get(SETS, NS, "chat-s3").is_none());
    let after = gateway();
    assert!(!after.0.contains("location /sentinel-media/"), "{}", after.0);
    assert_eq!(after.1["replicas"], 3);
    assert_ne!(after.1["template"], before.1["template"], "pods of the gateway are made anew");
    // From now on it waits for nobody.
    spec["gateway"] = json!({ "replicas": 2 });
    spec["image"] = json!({ "tag": "2" });
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(gateway().1["replicas"], 2);
}

#[tokio::test]
async fn other_pull_secrets_make_another_migration() {
    let world = running(&managed()).await;
    let first = world.server.names(JOBS, NS);
    let mut spec = managed();
    spec["image"] = json!({ "pullSecrets": [{ "name": "registry" }] });
    world.apply("chat", &spec);
    world.settle().await;
    // Stores are pulled with them, too.
    world.run_everything();
    world.settle().await;
    let second = world.server.names(JOBS, NS);
    assert!(second.len() == 1 && second != first, "the template of a Job cannot change: {first:?} {second:?}");
    let job = world.server.get(JOBS, NS, &second[0]).unwrap();
    assert_eq!(job["spec"]["template"]["spec"]["imagePullSecrets"], json!([{ "name": "registry" }]));
    world.end_job(None, LONG_AGO);
    world.settle().await;
    let users = world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap();
    assert_eq!(users["spec"]["template"]["spec"]["imagePullSecrets"], json!([{ "name": "registry" }]));
}

/// It came back empty: without topics, tables or an index.
#[tokio::test]
async fn a_store_with_another_volume_is_migrated_again() {
    let world = running(&managed()).await;
    let first = world.server.names(JOBS, NS);
    world.server.delete(CLAIMS, NS, "data-chat-kafka-0");
    world.run_everything();
    world.settle().await;
    let second = world.server.names(JOBS, NS);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    assert!(world.condition("SchemaMigrated").starts_with("False/Migrating"), "{}", world.condition("SchemaMigrated"));
    assert!(!world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert_eq!(world.server.names(JOBS, NS), second);
}

#[tokio::test]
async fn a_failed_migration_tells_its_last_words_and_is_tried_again_after_a_pause() {
    let world = World::with(&managed());
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let job = world.server.names(JOBS, NS);
    let uid = |world: &World| world.server.get(JOBS, NS, &job[0]).map(|job| job["metadata"]["uid"].clone());
    let first = uid(&world);
    let now = jiff::Timestamp::now().to_string();
    world.end_job(Some("starting\nError: keyspace sentinel needs 3 nodes and there is 1\n"), &now);
    world.settle().await;
    assert_eq!(uid(&world), first, "a pause comes first");
    for type_ in ["SchemaMigrated", "Degraded", "Ready"] {
        let condition = world.condition(type_);
        assert!(condition.contains("failed once") && condition.contains("needs 3 nodes"), "{type_} {condition}");
    }
    assert!(services(&world).is_empty());

    world.server.edit(JOBS, NS, &job[0], |job| job["status"]["conditions"][0]["lastTransitionTime"] = json!(LONG_AGO));
    world.reconcile().await.unwrap();
    assert_eq!(uid(&world), None);
    world.settle().await;
    assert!(uid(&world).is_some() && uid(&world) != first);
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    world.end_job(Some("Error: again"), &now);
    world.settle().await;
    assert!(world.condition("SchemaMigrated").contains("failed 2 times"), "{}", world.condition("SchemaMigrated"));
    world.server.edit(JOBS, NS, &job[0], |job| job["status"] = json!({}));
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_eq!(services(&world).len(), 5);
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

#[tokio::test]
async fn a_store_gets_the_image_of_a_change_that_was_refused_for_a_while() {
    let world = running(&managed()).await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    let mut spec = managed();
    spec["dependencies"]["kafka"]["managed"]["image"] = json!({ "tag": "4.2.0" });
    spec["encryption"] = json!({ "keySecret": { "name": "own" } });
    world.apply("chat", &spec);
    world.reconcile().await.unwrap();
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").starts_with("False/SecretNotFound"), "{}", world.condition("Accepted"));
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "own" }, "data": keys["data"] }));
    world.settle().await;
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
