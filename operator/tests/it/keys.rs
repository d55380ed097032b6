//! Which keys pods get, and what others are told of this chat by.

use sentinel_operator::{api::SentinelChat, settings::Settings, steps::validate};
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, managed, refused_for_a_while, running},
    world::{CHATS, DEPLOYMENTS, NS, SECRETS, SETS, World},
};

/// What the folder of keys of a service is made of: entries of the Secret, and whether the public keys are there.
fn keys_of(world: &World, service: &str) -> (Vec<String>, bool) {
    let path = if service == "message" { SETS } else { DEPLOYMENTS };
    let workload = world.server.get(path, NS, &format!("chat-{service}")).unwrap();
    let volumes = workload["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
    let sources = volumes.iter().find(|volume| volume["name"] == "keys").unwrap()["projected"]["sources"].clone();
    let sources = sources.as_array().unwrap();
    let mut entries = Vec::new();
    for secret in sources.iter().map(|source| &source["secret"]).filter(|secret| !secret.is_null()) {
        assert_eq!(secret["name"], "chat-keys", "{service}");
        let items = secret["items"].as_array().unwrap();
        assert!(!items.is_empty(), "no items would be all entries: {service}");
        entries.extend(items.iter().map(|item| {
            assert_eq!(item["key"], item["path"]);
            item["key"].as_str().unwrap().to_owned()
        }));
    }
    (entries, sources.iter().any(|source| source["configMap"]["name"] == "chat-public-keys"))
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
    for service in ["message", "search"] {
        assert_eq!(keys_of(&world, service), (vec!["kek-0001".to_owned()], true), "{service}");
    }
    // They show nothing that is encrypted.
    for service in ["presence", "media"] {
        assert_eq!(keys_of(&world, service), (Vec::new(), true), "{service}");
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
    // A pod that starts again when the entry has its name, and before there is a newer pod, has the key as well.
    let users = ["jwt-0001.pem", "jwt-0002.pem", "kek-0001", "kek-0002", "kek-0002.next"].map(String::from).to_vec();
    assert_eq!(keys_of(&world, "users"), (users, false));
    assert_eq!(keys_of(&world, "search"), (["kek-0001", "kek-0002", "kek-0002.next"].map(String::from).to_vec(), true));
}

/// As an operator of before left it.
async fn of_before(world: &World) {
    world.server.edit(CHATS, NS, "chat", |chat| chat["status"]["templateRevision"] = json!(1));
    migrated(world).await;
}

/// Whether a service that signs nothing is given the whole Secret.
fn has_all_keys(world: &World) -> bool {
    let search = world.server.get(DEPLOYMENTS, NS, "chat-search").unwrap();
    let volumes = search["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
    let keys = volumes.iter().find(|volume| volume["name"] == "keys").unwrap();
    let is_whole = keys["secret"]["secretName"] == "chat-keys" && keys["secret"]["items"].is_null();
    assert_eq!(is_whole, keys["projected"].is_null(), "{keys}");
    is_whole
}

async fn migrated(world: &World) {
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
}

fn newer() -> Settings {
    Settings { sentinel_image: "sentinel:2".into(), gateway_image: "nginx:1".into(), ..Settings::default() }
}

#[tokio::test]
async fn an_image_that_may_know_no_public_keys_gets_the_private_ones_until_there_is_another() {
    for upgrades in ["Pinned", "Automatic"] {
        let mut spec = managed();
        spec["upgrades"] = json!(upgrades);
        spec["image"] = json!({ "tag": "own" });
        let world = running(&spec).await;
        of_before(&world).await;
        assert!(has_all_keys(&world), "{upgrades}");

        // An upgrade of the operator is none of an image that the resource names, nor is another change of it.
        let world = world.upgraded(newer());
        world.settle().await;
        spec["drainSeconds"] = json!(20);
        world.apply("chat", &spec);
        world.settle().await;
        assert!(has_all_keys(&world), "{upgrades}");
        let condition = world.condition("UpgradeAvailable");
        assert!(condition.starts_with("False/"), "nothing would make it go away: {condition}");

        spec["image"]["tag"] = json!("newer");
        world.apply("chat", &spec);
        migrated(&world).await;
        assert!(!has_all_keys(&world), "{upgrades}");
        assert!(keys_of(&world, "search").1);

        // As the documentation has it, to write it back is no way back: who knows what the image is?
        spec["image"]["tag"] = json!("own");
        world.apply("chat", &spec);
        migrated(&world).await;
        assert!(!has_all_keys(&world), "{upgrades}");
    }
}

/// `kubectl sentinel plan` tells what the operator would do.
#[tokio::test]
async fn a_plan_knows_what_is_kept_with_the_image_and_what_comes_with_another() {
    let world = running(&managed()).await;
    of_before(&world).await;
    let live: SentinelChat = serde_json::from_value(world.server.get(CHATS, NS, "chat").unwrap()).unwrap();
    let planned = |change: Value| {
        let mut file = json!({ "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
            "metadata": { "name": "chat", "namespace": NS, "generation": live.metadata.generation }, "spec": managed() });
        file["spec"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let chat = validate::written_over(&live, serde_json::from_value(file).unwrap());
        let valid = validate::validate(&chat, &newer()).unwrap();
        (valid.template_revision, valid.sentinel_image.to_string())
    };
    assert_eq!(planned(json!({})), (1, "sentinel:1".into()));
    assert_eq!(planned(json!({ "image": { "tag": "1" }, "drainSeconds": 20 })), (1, "sentinel:1".into()));
    assert_eq!(planned(json!({ "drainSeconds": 20 })), (3, "sentinel:2".into()));
}

#[tokio::test]
async fn with_the_operators_own_image_come_the_public_keys() {
    let mut spec = managed();
    spec["upgrades"] = json!("Automatic");
    let automatic = running(&spec).await;
    of_before(&automatic).await;
    assert!(has_all_keys(&automatic));
    let automatic = automatic.upgraded(newer());
    migrated(&automatic).await;
    assert!(!has_all_keys(&automatic));

    let pinned = running(&managed()).await;
    of_before(&pinned).await;
    let pinned = pinned.upgraded(newer());
    pinned.settle().await;
    assert!(has_all_keys(&pinned));
    assert!(pinned.condition("UpgradeAvailable").starts_with("True/"));
    let mut spec = managed();
    spec["drainSeconds"] = json!(20);
    pinned.apply("chat", &spec);
    migrated(&pinned).await;
    assert!(!has_all_keys(&pinned));
}

#[tokio::test]
async fn a_change_that_is_refused_for_a_while_gives_an_image_no_keys_that_it_may_not_know() {
    let world = running(&managed()).await;
    of_before(&world).await;
    refused_for_a_while(&world, managed()).await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
    let search = world.server.get(DEPLOYMENTS, NS, "chat-search").unwrap();
    let volumes = search["spec"]["template"]["spec"]["volumes"].to_string();
    assert!(volumes.contains("\"secretName\":\"own\"") && !volumes.contains("chat-public-keys"), "{volumes}");
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
