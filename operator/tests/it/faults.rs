//! An API server that fails.

use serde_json::json;

use crate::{
    api_server::Answer,
    distributed::{self, external, managed},
    world::{CHATS, CLAIMS, DEPLOYMENTS, NS, SECRETS, SETS, World},
};

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let world = World::with(&json!({}));
    world.server.fault("PATCH", "/statefulsets/chat", Answer::Status(409, "conflict"), 2);
    world.reconcile().await.unwrap();
    assert!(world.server.get(SETS, NS, "chat").is_some());
}

#[tokio::test]
async fn a_forbidden_create_becomes_a_condition_and_stops_nothing_else() {
    let world = World::with(&json!({}));
    world.server.fault("PATCH", "/deployments/chat-gateway", Answer::Status(403, "not allowed by policy"), 9);
    let error = world.reconcile().await.unwrap_err().to_string();
    assert!(error.contains("cannot apply Deployment chat-gateway: not allowed by policy"), "{error}");
    assert!(world.server.get(SETS, NS, "chat").is_some());
    for type_ in ["Ready", "Degraded"] {
        let condition = world.condition(type_);
        assert!(condition.contains("/Forbidden: cannot apply Deployment chat-gateway"), "{type_} {condition}");
    }
    world.server.heal();
    world.settle().await;
    world.run_everything();
    world.reconcile().await.unwrap();
    assert!(world.condition("Ready").starts_with("True/"));
    assert!(world.condition("Degraded").starts_with("False/"));
}

#[tokio::test]
async fn an_object_that_admission_denies_is_told_with_who_denies_it() {
    let world = World::with(&json!({}));
    let denied = "admission webhook \"quotas.example.com\" denied the request: too many pods";
    world.server.fault("PATCH", "/deployments/chat-gateway", Answer::Status(403, denied), 9);
    world.reconcile().await.unwrap_err();
    let condition = world.condition("Degraded");
    let expected = "True/AdmissionDenied: cannot apply Deployment chat-gateway: admission webhook quotas.example.com of this \
                    cluster denies it: ";
    assert!(condition.starts_with(expected), "{condition}");
    assert!(condition.ends_with("too many pods"), "{condition}");
    world.run_everything();
    world.reconcile().await.unwrap_err();
    assert!(world.condition("Progressing").starts_with("False/"), "nothing moves: {}", world.condition("Progressing"));
}

/// The pods serve all the same, and nobody finds them.
#[tokio::test]
async fn without_the_ingress_that_was_asked_for_the_platform_is_not_ready() {
    let spec = |tag: &str| {
        let gateway = json!({ "host": "chat.example.com", "ingress": {} });
        json!({ "gateway": gateway, "image": { "tag": tag } })
    };
    let world = World::with(&spec("1"));
    let denied = "admission webhook \"hosts.example.com\" denied the request: the host is taken";
    world.server.fault("PATCH", "/ingresses/chat-gateway", Answer::Status(403, denied), 99);
    world.reconcile().await.unwrap_err();
    let told = world.condition("Progressing");
    assert!(told.starts_with("True/"), "pods start meanwhile: {told}");
    world.run_everything();
    world.reconcile().await.unwrap_err();
    for (type_, status) in [("Ready", "False"), ("Degraded", "True")] {
        let told = world.condition(type_);
        assert!(told.starts_with(&format!("{status}/AdmissionDenied: cannot apply Ingress chat-gateway: ")), "{told}");
    }
    assert!(world.condition("Progressing").starts_with("False/"), "{}", world.condition("Progressing"));
    world.apply("chat", &spec("2"));
    world.reconcile().await.unwrap_err();
    world.run_everything();
    world.reconcile().await.unwrap_err();
    let version = world.server.get(CHATS, NS, "chat").unwrap()["status"]["version"].clone();
    assert_eq!(version, "2", "that one serves");

    world.server.heal();
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn in_a_namespace_that_is_being_deleted_nothing_is_tried_again_and_again() {
    let world = World::with(&json!({}));
    let ends = "x is forbidden: unable to create new content in namespace team because it is being terminated";
    for method in ["POST", "PATCH"] {
        world.server.fault(method, "/v1/namespaces/team/", Answer::Status(403, ends), 99);
        world.server.fault(method, "/policy/", Answer::Status(403, ends), 99);
    }
    world.reconcile().await.unwrap();
    let condition = world.condition("Degraded");
    let expected = "True/NamespaceTerminating: the namespace is being deleted, so nothing can be made in it";
    assert_eq!(condition, expected, "once for all objects");
}

#[tokio::test]
async fn what_the_api_server_refuses_of_a_pod_is_told_by_the_field_of_the_resource() {
    let world = World::with(&json!({}));
    let path = "spec.template.spec.tolerations[0].operator";
    let answer = Answer::Invalid(path, "Invalid value: \"Exists\": value must be empty when `operator` is 'Exists'");
    world.server.fault("PATCH", "/deployments/chat-gateway", answer, 9);
    world.reconcile().await.unwrap_err();
    let condition = world.condition("Degraded");
    let expected = "True/Invalid: correct gateway.pod.tolerations[0].operator: cannot apply Deployment chat-gateway: ";
    assert!(condition.starts_with(expected), "{condition}");
    assert!(condition.contains("value must be empty"), "{condition}");
}

#[tokio::test]
async fn objects_of_others_are_not_taken_over() {
    let world = World::with(&json!({}));
    let theirs = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "chat-config", "namespace": NS }, "data": { "theirs": "kept" } });
    world.server.put("v1/configmaps", NS, theirs);
    assert!(world.reconcile().await.is_err());
    let condition = world.condition("Degraded");
    assert!(condition.contains("/NotOurs: ConfigMap chat-config exists"), "{condition}");
    let found = world.server.get("v1/configmaps", NS, "chat-config").unwrap();
    assert_eq!(found["data"], json!({ "theirs": "kept" }));
    assert_eq!(found["metadata"].get("ownerReferences"), None);

    world.server.delete("v1/configmaps", NS, "chat-config");
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"));
}

#[tokio::test]
async fn objects_of_another_chat_are_not_taken_over_and_those_of_its_predecessor_are() {
    let theirs = |name: &str| {
        let owner =
            json!([{ "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat", "name": name, "uid": "x" }]);
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": 5 },
            "metadata": { "name": "chat-gateway", "ownerReferences": owner,
                "labels": { "app.kubernetes.io/managed-by": "sentinel-operator", "app.kubernetes.io/instance": name } } })
    };
    let world = World::with(&json!({}));
    world.server.put(DEPLOYMENTS, NS, theirs("another"));
    assert!(world.reconcile().await.is_err());
    let condition = world.condition("Degraded");
    assert!(condition.contains("/NotOurs: Deployment chat-gateway exists"), "{condition}");
    let found = world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap();
    assert_eq!((&found["spec"]["replicas"], &found["metadata"]["ownerReferences"][0]["uid"]), (&json!(5), &json!("x")));

    // One without its labels: they tell whose it is no more, but its owner does.
    let mut before = theirs("chat");
    before["metadata"]["labels"] = json!({});
    world.server.put(DEPLOYMENTS, NS, before);
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["replicas"], 1);
}

#[tokio::test]
async fn a_cluster_that_cannot_be_read_is_told_instead_of_what_it_was_before() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.reconcile().await.unwrap();
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    world.server.fault("GET", "/networkpolicies?", Answer::Status(403, "no rights on networkpolicies"), 1);
    world.reconcile().await.unwrap();
    for type_ in ["Ready", "Degraded", "Accepted"] {
        let condition = world.condition(type_);
        assert!(condition.contains("/Forbidden: cannot list NetworkPolicy: no rights"), "{type_} {condition}");
    }
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

#[tokio::test]
async fn a_reconcile_that_gets_no_answer_ends() {
    let mut world = World::with(&json!({}));
    world.server.fault("GET", "/configmaps?", Answer::Hang, 1);
    let context = std::sync::Arc::get_mut(&mut world.context).unwrap();
    context.longest = std::time::Duration::from_millis(200);
    let error = world.reconcile().await.unwrap_err().to_string();
    assert!(error.contains("the API server did not answer in time"), "{error}");
    std::sync::Arc::get_mut(&mut world.context).unwrap().longest = std::time::Duration::from_mins(5);
    world.settle().await;
    assert!(world.server.get(SETS, NS, "chat").is_some());
}

#[tokio::test]
async fn without_its_configuration_no_workload_is_started() {
    let world = World::with(&json!({}));
    world.server.fault("PATCH", "/configmaps/chat-config", Answer::Status(500, "etcd is full"), 1);
    assert!(world.reconcile().await.is_err());
    assert!(world.server.get(SETS, NS, "chat").is_none());
    world.settle().await;
    assert!(world.server.get(SETS, NS, "chat").is_some());
}

/// A new Cassandra has a superuser that everybody knows, and Elasticsearch no password at all.
#[tokio::test]
async fn a_store_is_not_made_before_what_keeps_others_away_from_it() {
    let world = World::with(&managed());
    let refused = |name: &str| {
        let path = format!("/networkpolicies/{name}");
        world.server.fault("PATCH", &path, Answer::Status(403, "exceeded quota: policies"), 99);
    };
    refused("chat-cassandra");
    refused("chat-elasticsearch");
    assert!(world.reconcile().await.is_err());
    let others = ["chat-kafka", "chat-postgres", "chat-redis", "chat-s3"];
    assert_eq!(world.server.names(SETS, NS), others, "each has its own policy");
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/QuotaExceeded: cannot apply NetworkPolicy chat-cassandra: "), "{told}");
    assert!(told.contains("; StatefulSet chat-cassandra is not made before that; QuotaExceeded: "), "{told}");
    assert!(told.ends_with("; StatefulSet chat-elasticsearch is not made before that"), "{told}");
    assert!(world.condition("Ready").starts_with("False/QuotaExceeded"), "{}", world.condition("Ready"));
    assert!(world.reconcile().await.is_err());
    assert_eq!(world.server.names(SETS, NS), others, "nor later on");

    world.server.heal();
    world.settle().await;
    assert_eq!(world.server.names(SETS, NS).len(), 6);
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_policy_that_cannot_be_changed_holds_nothing_back_that_runs() {
    let world = distributed::running(&managed()).await;
    let mut spec = managed();
    spec["networkPolicy"] = json!({ "monitoringNamespaces": ["monitoring"] });
    spec["services"] = json!({ "users": { "replicas": 3 } });
    world.server.fault("PATCH", "/networkpolicies/chat-users", Answer::Status(500, "not now"), 99);
    world.apply("chat", &spec);
    assert!(world.reconcile().await.is_err());
    assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap()["spec"]["replicas"], 3);
    let told = world.condition("Degraded");
    assert!(told.contains("cannot apply NetworkPolicy chat-users") && !told.contains("is not made"), "{told}");
}

/// Who switches policies off keeps others away in another way, and the operator may have no rights on them then.
#[tokio::test]
async fn without_policies_nothing_waits_for_them() {
    let mut spec = managed();
    spec["networkPolicy"] = json!({ "enabled": false });
    let world = World::with(&spec);
    world.server.fault("PATCH", "/networkpolicies/", Answer::Status(403, "no rights"), 99);
    world.settle().await;
    assert_eq!(world.server.names(SETS, NS).len(), 6);
}

#[tokio::test]
async fn every_kind_of_failure_passes() {
    for code in [409, 410, 429, 500, 503] {
        for (method, path) in [
            ("GET", "/secrets/chat-keys"),
            ("GET", "/configmaps?"),
            ("GET", "/pods?"),
            ("POST", "/secrets"),
            ("PATCH", "/services/chat-gateway"),
            ("PATCH", "/deployments"),
            ("PATCH", "/sentinelchats/chat/status"),
        ] {
            let world = World::with(&json!({}));
            world.server.fault(method, path, Answer::Status(code, "not now"), 5);
            let _ = world.reconcile().await;
            world.server.heal();
            world.settle().await;
            world.run_everything();
            world.reconcile().await.unwrap();
            assert!(world.condition("Ready").starts_with("True/"), "{code} {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_not_absent() {
    let world = World::with(&json!({}));
    world.settle().await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    world.server.fault("GET", "/secrets/chat-keys", Answer::Status(500, "timeout"), 1);
    assert!(world.reconcile().await.is_err());
    world.server.fault("GET", "/secrets/chat-keys", Answer::Text(404, "404 page not found"), 1);
    let _ = world.reconcile().await;
    assert_eq!(world.server.take_writes().iter().filter(|write| !write.contains("/status")).count(), 0);
    world.server.fault("GET", "/secrets/chat-keys", Answer::Status(403, "no rights on secrets"), 1);
    world.reconcile().await.unwrap();
    assert!(world.condition("Degraded").contains("SecretForbidden"), "{}", world.condition("Degraded"));
    assert_eq!(world.server.get(SECRETS, NS, "chat-keys").unwrap(), keys);
}

#[tokio::test]
async fn lost_keys_are_not_replaced_while_their_data_exists() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.server.delete(SECRETS, NS, "chat-keys");
    world.reconcile().await.unwrap();
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_none());
    assert!(
        world.condition("Degraded").contains("KeysLost: Secret chat-keys is gone"),
        "{}",
        world.condition("Degraded")
    );
    // What it says to do instead: a claim stays as long as a pod uses it, and its StatefulSet would make it anew.
    let told = world.condition("Degraded");
    assert!(told.contains("delete StatefulSet chat if it is there, and then the claim"), "{told}");
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| {
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    world.server.delete(SETS, NS, "chat");
    world.reconcile().await.unwrap();
    assert!(world.server.get(SETS, NS, "chat").is_none(), "it must not come back before the claim is deleted");
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_none());
    world.server.delete(CLAIMS, NS, "data-chat-0");
    assert!(world.server.get(CLAIMS, NS, "data-chat-0").is_some(), "it waits for its pod");
    world.settle().await;
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_some());
    assert!(world.server.get(SETS, NS, "chat").is_some());
}

/// There is no claim of the operator's that would tell.
#[tokio::test]
async fn lost_keys_are_not_replaced_while_services_run_over_stores_of_somebody_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = external(&listener.local_addr().unwrap().to_string());
    let world = distributed::running(&spec).await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    world.server.delete(SECRETS, NS, "chat-keys");
    let is_refused = async || {
        world.reconcile().await.unwrap();
        let told = world.condition("Accepted");
        assert!(told.starts_with("False/KeysLost: Secret chat-keys is not there but chat-users runs"), "{told}");
        assert!(told.contains("write the Secret that has them to encryption.keySecret"), "{told}");
        assert_eq!(world.server.get(SECRETS, NS, "chat-keys"), None);
    };
    is_refused().await;

    // It comes back without labels.
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "chat-keys" }, "data": keys["data"] }));
    world.reconcile().await.unwrap();
    let told = world.condition("Accepted");
    assert!(told.contains("SecretNotOurs") && told.contains("chat-users runs with keys"), "{told}");
    assert!(told.contains("kubectl label secret chat-keys"), "{told}");

    // Keys of the user's own that are no longer named.
    world.server.delete(SECRETS, NS, "chat-keys");
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "own" }, "data": keys["data"] }));
    let plain = spec.clone();
    spec["encryption"] = json!({ "keySecret": { "name": "own" } });
    world.apply("chat", &spec);
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
    world.apply("chat", &plain);
    is_refused().await;

    // Nothing is encrypted by services that go.
    for name in world.server.names(DEPLOYMENTS, NS) {
        world.server.delete(DEPLOYMENTS, NS, &name);
    }
    world.server.delete(SETS, NS, "chat-message");
    world.settle().await;
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_some());
}

/// A backup need not keep labels, and what it gives back may be the only copy.
#[tokio::test]
async fn keys_that_were_restored_without_labels_are_told_how_to_be_used() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    let mut keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    world.server.delete(SECRETS, NS, "chat-keys");
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "chat-keys" }, "data": keys["data"] }));
    world.reconcile().await.unwrap();
    let told = world.condition("Accepted");
    let labels = "kubectl label secret chat-keys app.kubernetes.io/managed-by=sentinel-operator \
                  app.kubernetes.io/instance=chat";
    assert!(told.contains("SecretNotOurs") && told.contains(labels) && told.contains("do not delete it"), "{told}");
    keys["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "sentinel-operator" });
    world.server.put(SECRETS, NS, keys);
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
}

#[tokio::test]
async fn secrets_of_users_are_checked_and_never_touched() {
    let world = World::with(&json!({ "encryption": { "keySecret": { "name": "own" } } }));
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").contains("SecretNotFound: encryption.keySecret: Secret own does not exist"));
    let secret = |data| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own" }, "data": data });
    let generated = World::with(&json!({}));
    generated.settle().await;
    let keys = generated.server.get(SECRETS, NS, "chat-keys").unwrap()["data"].clone();
    let own = world.server.put(SECRETS, NS, secret(json!({ "jwt-a.pem": keys["jwt-0001.pem"] })));
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").contains("has no entry kek-NAME; add it"), "{}", world.condition("Accepted"));
    assert!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").is_none());
    assert_eq!(world.server.get(SECRETS, NS, "own").unwrap(), own);
    let both = json!({ "jwt-a.pem": keys["jwt-0001.pem"], "kek-a": keys["kek-0001"] });
    world.server.put(SECRETS, NS, secret(both));
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_none());

    let world = World::with(&json!({}));
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "chat-keys" }, "data": {} }));
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").contains("SecretNotOurs"), "{}", world.condition("Accepted"));
}

#[tokio::test]
async fn a_missing_kind_degrades_and_does_not_stop_the_platform() {
    let monitored =
        json!({ "monitoring": { "serviceMonitor": {} }, "networkPolicy": { "monitoringNamespaces": ["m"] } });
    let world = World::with(&monitored);
    world.server.fault("GET", "/servicemonitors", Answer::Text(404, "404 page not found"), 99);
    world.server.fault("PATCH", "/servicemonitors", Answer::Text(404, "404 page not found"), 99);
    assert!(world.reconcile().await.is_err());
    world.run_everything();
    assert!(world.reconcile().await.is_err());
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Degraded").contains("True/KindNotFound"), "{}", world.condition("Degraded"));
}
