//! Which keys pods get, and what others are told of this chat by.

use serde_json::{Value, json};

use crate::{
    distributed::{managed, running},
    world::{CHATS, DEPLOYMENTS, NS, SECRETS, SETS, World},
};

/// What the folder of keys of a service is made of: entries of the Secret, and whether the public keys are there.
fn keys_of(world: &World, service: &str) -> (Vec<String>, bool) {
    let path = if service == "message" { SETS } else { DEPLOYMENTS };
    let workload = world.server.get(path, NS, &format!("chat-{service}")).unwrap();
    let volumes = workload["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
    let sources = volumes.iter().find(|volume| volume["name"] == "keys").unwrap()["projected"]["sources"].clone();
    let secret = &sources[0]["secret"];
    assert_eq!(secret["name"], "chat-keys", "{service}");
    let entries = secret["items"].as_array().unwrap().iter().map(|item| {
        assert_eq!(item["key"], item["path"]);
        item["key"].as_str().unwrap().to_owned()
    });
    (entries.collect(), sources[1]["configMap"]["name"] == "chat-public-keys")
}

fn public_keys(world: &World) -> Vec<String> {
    let map = world.server.get("v1/configmaps", NS, "chat-public-keys").unwrap();
    let text = map["data"]["jwks.json"].as_str().unwrap();
    assert!(!text.contains("\"d\"") && !text.contains("PRIVATE"), "{text}");
    let keys: Value = serde_json::from_str(text).unwrap();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_service_gets_only_the_keys_that_it_needs() {
    let world = running(&managed()).await;
    assert_eq!(public_keys(&world), ["jwt-0001"]);
    assert_eq!(keys_of(&world, "users"), (["jwt-0001.pem", "kek-0001"].map(String::from).to_vec(), false));
    assert_eq!(keys_of(&world, "notification"), (["kek-0001", "vapid.pem"].map(String::from).to_vec(), true));
    for service in ["message", "presence", "search", "media"] {
        assert_eq!(keys_of(&world, service), (vec!["kek-0001".to_owned()], true), "{service}");
    }

    // A newer key is known to those who verify before a pod can sign with it.
    world.server.take_writes();
    world.server.edit(SECRETS, NS, "chat-keys", |secret| {
        let fresh = sentinel_domain::key_generation::signing_key().unwrap();
        let mut data = json!({ "jwt-0002.pem": k8s_openapi::ByteString(fresh.into_bytes()) });
        data["kek-0002.next"] = secret["data"]["kek-0001"].clone();
        secret["data"].as_object_mut().unwrap().append(data.as_object_mut().unwrap());
    });
    world.reconcile().await.unwrap();
    let writes = world.server.take_writes();
    let place =
        |name: &str| writes.iter().position(|write| write.contains(name)).unwrap_or_else(|| panic!("{writes:?}"));
    assert!(place("chat-public-keys") < place("chat-users"), "{writes:?}");
    world.settle().await;
    assert_eq!(public_keys(&world), ["jwt-0001", "jwt-0002"]);
    let users = ["jwt-0001.pem", "jwt-0002.pem", "kek-0001", "kek-0002.next"].map(String::from).to_vec();
    assert_eq!(keys_of(&world, "users"), (users, false));
    assert_eq!(keys_of(&world, "search"), (["kek-0001", "kek-0002.next"].map(String::from).to_vec(), true));
}

#[tokio::test]
async fn a_pinned_image_that_may_know_no_public_keys_gets_the_private_ones_until_the_chat_is_changed() {
    let world = running(&managed()).await;
    // As an operator of before left it.
    world.server.edit(CHATS, NS, "chat", |chat| chat["status"]["templateRevision"] = json!(1));
    world.settle().await;
    let volumes =
        world.server.get(DEPLOYMENTS, NS, "chat-search").unwrap()["spec"]["template"]["spec"]["volumes"].clone();
    let keys = volumes.as_array().unwrap().iter().find(|volume| volume["name"] == "keys").unwrap().clone();
    assert_eq!(keys["secret"]["secretName"], "chat-keys");
    assert!(keys["secret"]["items"].is_null() && keys["projected"].is_null(), "{keys}");

    assert!(world.condition("UpgradeAvailable").starts_with("True/"));
    let mut spec = managed();
    spec["drainSeconds"] = json!(20);
    world.apply("chat", &spec);
    world.settle().await;
    assert!(keys_of(&world, "search").1, "the change takes the newer templates");
}

#[tokio::test]
async fn push_services_are_told_of_the_chats_own_page_or_address() {
    for (spec, expected) in [
        (json!({ "gateway": { "host": "chat.example.com" } }), json!("https://chat.example.com")),
        (
            json!({ "mail": { "host": "mail.example.com", "from": "Sentinel <chat@example.com>",
                "baseUrl": "https://chat.example.com" } }),
            json!("mailto:chat@example.com"),
        ),
        (
            json!({ "gateway": { "host": "chat.example.com" },
                "push": { "webPush": { "subject": "mailto:ops@example.com" } } }),
            json!("mailto:ops@example.com"),
        ),
        (json!({}), Value::Null),
    ] {
        let world = World::with(&spec);
        world.settle().await;
        let map = world.server.get("v1/configmaps", NS, "chat-config").unwrap();
        let file: Value = serde_json::from_str(map["data"]["sentinel.json"].as_str().unwrap()).unwrap();
        assert_eq!(file["push"]["webPush"]["subject"], expected, "{spec}");
    }
}
