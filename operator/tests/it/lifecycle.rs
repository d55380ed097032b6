//! From nothing to Ready, through changes, without writing for nothing.

use sentinel_operator::settings::Settings;
use serde_json::json;

use crate::{
    api_server::Answer,
    world::{CHATS, DEPLOYMENTS, NS, SECRETS, SETS, World},
};

#[tokio::test]
async fn the_first_reconcile_makes_everything_and_the_second_writes_nothing() {
    let world = World::with(&json!({}));
    world.reconcile().await.unwrap();
    let writes = world.server.take_writes();
    let position = |part: &str| writes.iter().position(|write| write.contains(part)).unwrap();
    assert!(position("secrets") < position("statefulsets"), "{writes:?}");
    assert!(position("configmaps/chat-gateway") < position("deployments"), "{writes:?}");
    assert!(position("services/chat-sentinel") < position("deployments"), "{writes:?}");
    assert_eq!(world.server.names("v1/services", NS), ["chat-gateway", "chat-pods", "chat-sentinel"]);
    assert!(world.condition("Ready").starts_with("False/NotAvailable"), "{}", world.condition("Ready"));
    assert!(world.condition("Progressing").starts_with("True/RollingOut"));
    assert!(world.condition("Degraded").starts_with("False/"));

    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_chat_may_be_called_default_where_kubernetes_has_a_service_account_of_that_name() {
    let world = World::empty(Settings::default());
    let accounts = "v1/serviceaccounts";
    let theirs = world.server.put(accounts, NS, json!({ "metadata": { "name": "default" } }));
    world.apply("default", &json!({}));
    for _ in 0..3 {
        world.reconcile_of("default").await.unwrap();
    }
    let set = world.server.get(SETS, NS, "default").expect("its pods are made");
    assert_eq!(set["spec"]["template"]["spec"]["serviceAccountName"], "default.pods");
    assert_eq!(world.server.names(accounts, NS), ["default", "default.pods"]);
    assert_eq!(world.server.get(accounts, NS, "default").unwrap(), theirs, "it is not taken over");
}

#[tokio::test]
async fn ready_follows_what_is_observed() {
    let world = World::with(&json!({ "gateway": { "replicas": 2 } }));
    world.settle().await;
    world.run_everything();
    world.reconcile().await.unwrap();
    assert_eq!(
        world.server.take_writes(),
        ["PATCH /apis/chat.sentinel.dev/v1alpha1/namespaces/team/sentinelchats/chat/status"]
    );
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    let status = world.server.get(CHATS, NS, "chat").unwrap()["status"].clone();
    assert_eq!(status["url"], "http://chat-gateway.team.svc");
    assert_eq!(status["version"], "1");
    assert_eq!(status["services"][1], json!({ "name": "gateway", "desired": 2, "ready": 2 }));
    assert!(status["selector"].as_str().unwrap().ends_with("controller-revision-hash=chat-1"));

    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());

    // A new spec is not ready because the old one was.
    world.apply("chat", &json!({ "gateway": { "replicas": 3 } }));
    world.reconcile().await.unwrap();
    assert!(world.condition("Ready").starts_with("False/"), "{}", world.condition("Ready"));
    world.run_everything();
    world.reconcile().await.unwrap();
    assert!(world.condition("Ready").starts_with("True/"));
}

#[tokio::test]
async fn the_version_is_that_of_before_until_the_new_one_runs() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let version = || world.server.get(CHATS, NS, "chat").unwrap()["status"]["version"].clone();
    assert_eq!(version(), "1");

    world.server.fault("PATCH", "/statefulsets/chat", Answer::Status(403, "exceeded quota"), 99);
    world.apply("chat", &json!({ "image": { "tag": "2" } }));
    assert!(world.reconcile().await.is_err());
    assert_eq!(version(), "1", "what could not be changed runs on");
    world.server.heal();
    world.settle().await;
    assert_eq!(version(), "1", "the new pod does not serve yet");
    world.run_everything();
    world.settle().await;
    assert_eq!(version(), "2");

    world.apply("chat", &json!({ "image": { "tag": "3" }, "storage": { "className": "other" } }));
    world.settle().await;
    assert!(world.condition("Ready").starts_with("False/ImmutableField"), "{}", world.condition("Ready"));
    assert_eq!(version(), "2", "what Kubernetes does not let change runs on");
}

#[tokio::test]
async fn what_others_add_stays_and_what_they_change_is_set_right() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.server.edit(DEPLOYMENTS, NS, "chat-gateway", |deployment| {
        deployment["metadata"]["annotations"]["other.example.com/note"] = json!("kept");
        deployment["spec"]["template"]["spec"]["schedulerName"] = json!("default-scheduler");
    });
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());

    world.server.edit(DEPLOYMENTS, NS, "chat-gateway", |deployment| deployment["spec"]["replicas"] = json!(7));
    world.settle().await;
    let deployment = world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["metadata"]["annotations"]["other.example.com/note"], "kept");
}

#[tokio::test]
async fn a_field_that_is_no_longer_wanted_goes() {
    let pod = json!({ "nodeSelector": { "disk": "fast" } });
    let world = World::with(&json!({ "gateway": { "pod": pod } }));
    world.settle().await;
    let selector = |world: &World| {
        world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["template"]["spec"]["nodeSelector"].clone()
    };
    assert_eq!(selector(&world), json!({ "disk": "fast" }));
    world.apply("chat", &json!({}));
    world.settle().await;
    assert!(selector(&world).is_null());
}

#[tokio::test]
async fn prune_removes_what_is_ours_only() {
    let world = World::with(&json!({ "gateway": { "replicas": 2 } }));
    world.settle().await;
    let policies = "networking.k8s.io/v1/networkpolicies";
    let labels = world.server.get(policies, NS, "chat-gateway").unwrap()["metadata"]["labels"].clone();
    world.server.put(policies, NS, json!({ "metadata": { "name": "copied-labels", "labels": labels } }));
    world.apply("chat", &json!({ "networkPolicy": { "enabled": false } }));
    world.settle().await;
    assert_eq!(world.server.names(policies, NS), ["copied-labels"]);
    assert!(world.server.names("policy/v1/poddisruptionbudgets", NS).is_empty());
}

#[tokio::test]
async fn pause_writes_nothing_but_its_own_condition() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.server.delete(DEPLOYMENTS, NS, "chat-gateway");
    world.apply("chat", &json!({ "paused": true, "gateway": { "replicas": 2 } }));
    world.reconcile().await.unwrap();
    assert_eq!(
        world.server.take_writes(),
        ["PATCH /apis/chat.sentinel.dev/v1alpha1/namespaces/team/sentinelchats/chat/status"]
    );
    assert!(world.condition("Paused").starts_with("True/"));
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());
    world.apply("chat", &json!({}));
    world.settle().await;
    assert!(world.condition("Paused").starts_with("False/"));
    assert!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").is_some());
}

#[tokio::test]
async fn a_resource_that_an_older_definition_let_through_is_refused_and_leaves_what_runs() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.apply("chat", &json!({ "profile": "Distributed" }));
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").starts_with("False/InvalidSpec: dependencies: write postgres"));
    assert!(world.condition("Ready").starts_with("False/InvalidSpec"));
    assert_eq!(world.server.take_writes().len(), 1, "the status only");
    assert!(world.server.get(SETS, NS, "chat").is_some());
}

#[tokio::test]
async fn keys_are_made_once_and_their_change_rolls_the_pods() {
    let world = World::with(&json!({}));
    world.settle().await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    assert!(keys["metadata"]["ownerReferences"].is_null(), "keys must outlive the resource");
    let content = |world: &World| {
        let set = world.server.get(SETS, NS, "chat").unwrap();
        set["spec"]["template"]["metadata"]["annotations"]["chat.sentinel.dev/content"].clone()
    };
    let before = content(&world);
    world.apply("chat", &json!({ "drainSeconds": 20 }));
    world.settle().await;
    assert_eq!(world.server.get(SECRETS, NS, "chat-keys").unwrap(), keys);
    assert_ne!(content(&world), before, "a changed configuration rolls the pods");
    let before = content(&world);
    world.server.edit(SECRETS, NS, "chat-keys", |secret| {
        secret["data"]["jwt-0002.pem"] = secret["data"]["jwt-0001.pem"].clone();
    });
    world.settle().await;
    assert_ne!(content(&world), before, "changed keys roll the pods");
    let before = content(&world);
    for entry in ["jwt-0003.pem", "kek-0002", "kek-0003.next"] {
        world.server.edit(SECRETS, NS, "chat-keys", |secret| secret["data"][entry] = json!("eA=="));
        world.settle().await;
        let told = format!("SecretInvalid: encryption.keySecret: entry {entry} of Secret chat-keys must hold");
        assert!(world.condition("Accepted").contains(&told), "{}", world.condition("Accepted"));
        assert_eq!(content(&world), before, "no pod gets a key that it cannot read");
        world.server.edit(SECRETS, NS, "chat-keys", |secret| {
            secret["data"].as_object_mut().unwrap().remove(entry);
        });
    }
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
    let before = content(&world);
    // Only a key that encrypts is prepared.
    for entry in ["note", "jwt-0003.pem.next"] {
        world.server.edit(SECRETS, NS, "chat-keys", |secret| secret["data"][entry] = json!("eA=="));
        world.settle().await;
        assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
        assert_eq!(content(&world), before, "an entry that nobody reads does not");
    }
}

#[tokio::test]
async fn an_upgrade_of_the_operator_changes_pinned_platforms_only_with_their_resource() {
    let newer =
        Settings { sentinel_image: "sentinel:2".into(), gateway_image: "nginx:2".into(), ..Settings::default() };
    let image = |world: &World| {
        let set = world.server.get(SETS, NS, "chat").unwrap();
        set["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let world = World::with(&json!({}));
    world.settle().await;
    let world = world.upgraded(newer.clone());
    world.settle().await;
    assert_eq!(image(&world), "sentinel:1");
    assert!(world.condition("UpgradeAvailable").starts_with("True/"));
    world.apply("chat", &json!({ "drainSeconds": 20 }));
    world.settle().await;
    assert_eq!(image(&world), "sentinel:2");
    assert!(world.condition("UpgradeAvailable").starts_with("False/"));

    let world = World::with(&json!({ "upgrades": "Automatic" }));
    world.settle().await;
    let world = world.upgraded(newer);
    world.settle().await;
    assert_eq!(image(&world), "sentinel:2");
}

#[tokio::test]
async fn a_pinned_platform_can_be_paused_after_an_upgrade_of_the_operator() {
    let newer =
        || Settings { sentinel_image: "sentinel:2".into(), gateway_image: "nginx:2".into(), ..Settings::default() };
    let image = |world: &World| {
        let set = world.server.get(SETS, NS, "chat").unwrap();
        set["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let world = World::with(&json!({}));
    world.settle().await;
    let world = world.upgraded(newer());
    for spec in [json!({ "paused": true }), json!({}), json!({ "paused": true }), json!({ "paused": false })] {
        world.apply("chat", &spec);
        world.settle().await;
        assert_eq!(image(&world), "sentinel:1", "{spec}");
    }
    // What is changed during a pause is a change.
    world.apply("chat", &json!({ "paused": true, "drainSeconds": 20 }));
    world.settle().await;
    world.apply("chat", &json!({ "drainSeconds": 20 }));
    world.settle().await;
    assert_eq!(image(&world), "sentinel:2");

    // A status of an operator that did not write the hash.
    let world = World::with(&json!({}));
    world.settle().await;
    world.server.edit(CHATS, NS, "chat", |chat| drop(chat["status"].as_object_mut().unwrap().remove("specHash")));
    let world = world.upgraded(newer());
    world.settle().await;
    assert_eq!(image(&world), "sentinel:1");
    world.apply("chat", &json!({ "paused": true }));
    world.settle().await;
    world.apply("chat", &json!({}));
    world.settle().await;
    assert_eq!(image(&world), "sentinel:1");
}

/// A newer operator may have a hash of more fields than the one that wrote it.
#[tokio::test]
async fn a_pinned_platform_that_was_paused_before_an_upgrade_of_the_operator_keeps_its_image() {
    let world = World::with(&json!({}));
    world.settle().await;
    let is_about_now = |world: &World| {
        let chat = world.server.get(CHATS, NS, "chat").unwrap();
        chat["status"]["observedGeneration"] == chat["metadata"]["generation"]
    };
    world.apply("chat", &json!({ "paused": true }));
    world.settle().await;
    assert!(is_about_now(&world), "what is paused as it was is as healthy as it was");
    world.server.edit(CHATS, NS, "chat", |chat| chat["status"]["specHash"] = json!("of fewer fields"));
    let newer = || Settings { sentinel_image: "sentinel:2".into(), ..Settings::default() };
    let world = world.upgraded(newer());
    world.settle().await;
    world.apply("chat", &json!({ "paused": false }));
    world.settle().await;
    let image = |world: &World| {
        let set = world.server.get(SETS, NS, "chat").unwrap();
        set["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!(image(&world), "sentinel:1");

    // What is changed during the pause still is a change.
    world.apply("chat", &json!({ "paused": true, "drainSeconds": 20 }));
    world.settle().await;
    assert!(!is_about_now(&world), "nothing was done about that");
    let world = world.upgraded(newer());
    world.settle().await;
    world.apply("chat", &json!({ "drainSeconds": 20 }));
    world.settle().await;
    assert_eq!(image(&world), "sentinel:2");
}

#[tokio::test]
async fn a_change_that_was_refused_for_a_while_is_carried_out_with_its_own_image() {
    let world = World::with(&json!({}));
    world.settle().await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    world.apply("chat", &json!({ "image": { "tag": "7" }, "encryption": { "keySecret": { "name": "own" } } }));
    world.reconcile().await.unwrap();
    world.reconcile().await.unwrap();
    assert!(world.condition("Accepted").starts_with("False/SecretNotFound"));
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "own" }, "data": keys["data"] }));
    world.settle().await;
    let set = world.server.get(SETS, NS, "chat").unwrap();
    assert_eq!(set["spec"]["template"]["spec"]["containers"][0]["image"], "sentinel:7");
}

#[tokio::test]
async fn what_a_secret_for_pushes_or_mail_must_hold_is_told_before_a_pod_gets_it() {
    let world = World::with(&json!({}));
    world.settle().await;
    let before = world.server.get(SETS, NS, "chat").unwrap();
    let put = |name: &str, data: serde_json::Value| {
        world.server.put(SECRETS, NS, json!({ "metadata": { "name": name }, "data": data }));
    };
    put(
        "own",
        json!({ "service-account.json": "e30=", "vapid.pem": "eA==", "username": "eA==", "password": "Cg==", "ca.crt": "eA==" }),
    );
    let mail = json!({ "host": "smtp.example.com", "from": "chat@example.com", "baseUrl": "https://chat.example.com" });
    let with = |field: &str| {
        let mut mail = mail.clone();
        mail[field] = json!({ "name": "own" });
        json!({ "mail": mail })
    };
    for (spec, expected) in [
        (
            json!({ "push": { "fcm": { "credentialsSecret": { "name": "own" } } } }),
            "push.fcm.credentialsSecret: entry service-account.json of Secret own must be a service account's JSON file",
        ),
        (
            json!({ "push": { "webPush": { "keySecret": { "name": "own" } } } }),
            "push.webPush.keySecret: entry vapid.pem of Secret own must hold a P-256 key",
        ),
        (with("secret"), "mail.secret: entry password of Secret own must hold text"),
        (with("caSecret"), "mail.caSecret: entry ca.crt of Secret own must hold certificates"),
    ] {
        world.apply("chat", &spec);
        world.reconcile().await.unwrap();
        let condition = world.condition("Accepted");
        assert!(condition.starts_with(&format!("False/SecretInvalid: {expected}")), "{condition}");
        assert_eq!(world.server.get(SETS, NS, "chat").unwrap(), before, "what runs goes on");
    }
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    put("own", json!({ "vapid.pem": keys["data"]["vapid.pem"] }));
    world.apply("chat", &json!({ "push": { "webPush": { "keySecret": { "name": "own" } } } }));
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));

    world.apply("chat", &json!({}));
    world.server.edit(SECRETS, NS, "chat-keys", |secret| secret["data"]["vapid.pem"] = json!("eA=="));
    world.reconcile().await.unwrap();
    let condition = world.condition("Accepted");
    assert!(condition.contains("encryption.keySecret: entry vapid.pem of Secret chat-keys must hold"), "{condition}");
}

#[tokio::test]
async fn a_key_that_protects_nothing_yet_is_not_enough() {
    let world = World::with(&json!({}));
    world.settle().await;
    let rename = |from: &str, to: &str| {
        world.server.edit(SECRETS, NS, "chat-keys", |secret| {
            secret["data"][to] = secret["data"].as_object_mut().unwrap().remove(from).unwrap();
        });
    };
    rename("kek-0001", "kek-0001.next");
    world.reconcile().await.unwrap();
    let condition = world.condition("Accepted");
    assert!(condition.contains("encryption.keySecret: Secret chat-keys has no entry kek-NAME"), "{condition}");
    rename("kek-0001.next", "kek-0001");
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
}
