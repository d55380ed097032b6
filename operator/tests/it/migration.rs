//! The migration: when it runs, when it runs again, and what goes on as before until it has proven the stores.

use sentinel_operator::names::APPLIED;
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, external, managed, running, services},
    policies::egress,
    world::{CHATS, CLAIMS, DEPLOYMENTS, JOBS, NS, PODS, SETS, World},
};

fn image(world: &World) -> Value {
    let users = world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap();
    users["spec"]["template"]["spec"]["containers"][0]["image"].clone()
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
    // Beside what services read, it says how many copies stores are to keep.
    let mut migration = configuration("chat-migration");
    let copies = migration["stores"]["cassandra"].as_object_mut().unwrap().remove("replicationFactor");
    assert_eq!((copies, migration), (Some(json!(1)), before.clone()));

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
async fn what_somebody_else_lets_in_goes_also_while_a_change_is_carried_out() {
    const POLICIES: &str = "networking.k8s.io/v1/networkpolicies";
    let world = running(&managed()).await;
    let mut spec = managed();
    spec["image"] = json!({ "tag": "2" });
    world.apply("chat", &spec);
    world.settle().await;
    let before = world.server.get(POLICIES, NS, "chat-users").unwrap()["spec"].clone();
    let theirs = json!({ "from": [{ "namespaceSelector": {} }], "ports": [{ "port": 8080 }] });
    for rule in [json!({}), theirs] {
        world.server.edit(POLICIES, NS, "chat-users", |policy| {
            policy["spec"]["ingress"].as_array_mut().unwrap().push(rule.clone());
        });
        world.settle().await;
        assert_eq!(world.server.get(POLICIES, NS, "chat-users").unwrap()["spec"], before, "{rule}");
    }
    assert_eq!(image(&world), "sentinel:1", "nothing of it is settled");
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

/// How a pod of the users service runs, and is pulled; and how clients get at files.
fn with_pod_settings() -> Value {
    let mut spec = managed();
    spec["media"] = json!({ "cdnBaseUrl": "https://cdn.example.com" });
    spec["image"] = json!({ "pullSecrets": [{ "name": "registry" }] });
    spec["services"] = json!({ "users": {
        "resources": { "limits": { "memory": "1Gi" } },
        "pod": { "nodeSelector": { "disk": "fast" }, "annotations": { "team": "chat" } },
    } });
    spec
}

#[tokio::test]
async fn how_pods_run_makes_no_other_migration() {
    let world = running(&managed()).await;
    let job = || {
        let names = world.server.names(JOBS, NS);
        assert_eq!(names.len(), 1, "{names:?}");
        world.server.get(JOBS, NS, &names[0]).unwrap()
    };
    let before = job();
    world.apply("chat", &with_pod_settings());
    world.settle().await;
    assert_eq!(job(), before);
    // Stores are pulled with them, too.
    world.run_everything();
    world.settle().await;
    assert_eq!(job(), before, "it is done");
    let users = world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap()["spec"]["template"]["spec"].clone();
    assert_eq!(users["imagePullSecrets"], json!([{ "name": "registry" }]));
    assert_eq!(users["nodeSelector"], json!({ "disk": "fast" }));
    assert!(world.condition("SchemaMigrated").starts_with("True/"), "{}", world.condition("SchemaMigrated"));
}

/// Topics keep the copies that they were made with, and so does a keyspace: but of that, a look tells that it could keep more.
#[tokio::test]
async fn more_nodes_make_another_migration_only_where_it_has_something_to_do_or_to_tell() {
    for (store, is_migrated) in [("kafka", false), ("cassandra", true), ("elasticsearch", true)] {
        let world = running(&managed()).await;
        let before = world.server.names(JOBS, NS);
        let mut spec = managed();
        spec["dependencies"][store]["managed"]["replicas"] = json!(3);
        spec["services"] = json!({ "users": { "replicas": 3 } });
        world.apply("chat", &spec);
        world.settle().await;
        let users = world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap()["spec"]["replicas"].clone();
        assert_eq!(users == 3, !is_migrated, "{store}: services have {users}");
        world.run_everything();
        world.settle().await;
        let after = world.server.names(JOBS, NS);
        assert_eq!((after.len(), after != before), (1, is_migrated), "{store}: {before:?} {after:?}");
        let migrated = world.condition("SchemaMigrated");
        assert_eq!(migrated.starts_with("True/"), !is_migrated, "{store}: {migrated}");
    }
}

#[tokio::test]
async fn copies_that_somebody_writes_for_a_kafka_of_theirs_make_another_migration() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = external(&listener.local_addr().unwrap().to_string());
    let world = running(&spec).await;
    let before = world.server.names(JOBS, NS);
    spec["dependencies"]["kafka"]["external"]["replicationFactor"] = json!(2);
    world.apply("chat", &spec);
    world.settle().await;
    let after = world.server.names(JOBS, NS);
    let is_new = |name: &String| name.starts_with("chat-migration-") && !before.contains(name);
    assert!(after.iter().any(is_new), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_migration_that_gets_no_further_is_made_anew_with_what_was_corrected() {
    for failed in [false, true] {
        let world = World::with(&managed());
        world.settle().await;
        world.run_everything();
        world.settle().await;
        let name = world.server.names(JOBS, NS).remove(0);
        let job = || world.server.get(JOBS, NS, &name).unwrap();
        let before = job();
        world.apply("chat", &with_pod_settings());
        world.settle().await;
        world.run_everything();
        world.settle().await;
        assert_eq!(job()["metadata"]["uid"], before["metadata"]["uid"], "one that runs is not disturbed");

        if failed {
            world.end_job(Some("killed: out of memory"), &jiff::Timestamp::now().to_string());
        } else {
            let owner =
                json!({ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": before["metadata"]["uid"] });
            let labels = before["spec"]["template"]["metadata"]["labels"].clone();
            let fits_nowhere = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }]);
            let pod = json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [] },
                "metadata": { "name": format!("{name}-x"), "labels": labels, "ownerReferences": [owner] },
                "status": { "phase": "Pending", "conditions": fits_nowhere } });
            world.server.put(PODS, NS, pod);
        }
        world.reconcile().await.unwrap();
        world.settle().await;
        assert_eq!(world.server.names(JOBS, NS), [name.as_str()]);
        assert_ne!(job()["metadata"]["uid"], before["metadata"]["uid"], "failed: {failed}");
        let pod = &job()["spec"]["template"]["spec"];
        assert_eq!(pod["nodeSelector"], json!({ "disk": "fast" }));
        assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "1Gi");
        let migrated = world.condition("SchemaMigrated");
        assert_eq!(migrated, format!("False/Migrating: Job {name} runs"));
        world.end_job(None, LONG_AGO);
        world.settle().await;
        assert!(world.condition("SchemaMigrated").starts_with("True/"), "{}", world.condition("SchemaMigrated"));
    }
}

/// Its template is the old resource's, and cannot change.
#[tokio::test]
async fn a_job_that_a_resource_of_the_same_name_left_behind_is_made_anew() {
    let world = World::with(&managed());
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let name = world.server.names(JOBS, NS).remove(0);
    let mut left = world.server.get(JOBS, NS, &name).unwrap();
    left["metadata"]["ownerReferences"] = json!([]);
    left["metadata"]["annotations"][APPLIED] = json!("the hash of that resource's");
    left["spec"]["template"]["spec"]["nodeSelector"] = json!({ "disk": "slow" });
    world.server.delete(JOBS, NS, &name);
    world.server.put(JOBS, NS, left);
    world.settle().await;
    let job = world.server.get(JOBS, NS, &name).unwrap();
    assert_eq!(job["spec"]["template"]["spec"]["nodeSelector"], json!(null));
    assert_eq!(job["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert!(world.condition("SchemaMigrated").starts_with("True/"), "{}", world.condition("SchemaMigrated"));
}

/// Operators of before named the Job by more.
#[tokio::test]
async fn an_operator_that_names_the_migration_otherwise_runs_it_once() {
    let world = running(&managed()).await;
    let name = world.server.names(JOBS, NS).remove(0);
    let mut old = world.server.get(JOBS, NS, &name).unwrap();
    old["metadata"]["name"] = json!("chat-migration-00000000");
    world.server.delete(JOBS, NS, &name);
    world.server.put(JOBS, NS, old);
    world.server.edit(CHATS, NS, "chat", |chat| chat["status"]["migration"]["job"] = json!("chat-migration-00000000"));
    world.settle().await;
    assert_eq!(world.server.names(JOBS, NS), [name.as_str()], "that of before is pruned");
    world.end_job(None, LONG_AGO);
    world.settle().await;
    world.settle().await;
    assert_eq!(world.server.names(JOBS, NS), [name]);
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
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
