//! The certificate of a gateway that ends TLS itself.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::world::{DEPLOYMENTS, NS, SECRETS, World};

const DAY: Duration = Duration::from_hours(24);

/// Data of a Secret with a certificate for 90 days, that many of which are left.
fn secret(name: &str, left: u32) -> Value {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = (SystemTime::now() + DAY * left).into();
    params.not_before = (SystemTime::now() + DAY * left - DAY * 90).into();
    let key = KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    json!({ "tls.crt": STANDARD.encode(chain), "tls.key": STANDARD.encode(key.serialize_pem()) })
}

fn put(world: &World, data: &Value) {
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "web" }, "data": data }));
}

#[tokio::test]
async fn a_gateway_gets_no_certificate_that_it_could_not_start_with() {
    let spec = json!({ "gateway": { "host": "chat.example.com", "tls": { "secret": { "name": "web" } } } });
    let world = World::with(&spec);
    put(&world, &secret("chat.example.com", 60));
    world.settle().await;
    world.run_everything();
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    let before = world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap();

    let mut mixed = secret("chat.example.com", 60);
    mixed["tls.key"] = secret("chat.example.com", 60)["tls.key"].clone();
    let mut torn = secret("chat.example.com", 60);
    torn["tls.crt"] = json!("eA==");
    for (data, expected) in [
        (mixed, "entry tls.key of Secret web is not the key of the first certificate in tls.crt"),
        (torn, "entry tls.crt of Secret web must hold certificates in PEM"),
    ] {
        put(&world, &data);
        world.reconcile().await.unwrap();
        let condition = world.condition("Accepted");
        assert!(condition.starts_with(&format!("False/SecretInvalid: gateway.tls.secret: {expected}")), "{condition}");
        assert_eq!(world.condition("CertificateHealthy"), condition);
        assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap(), before, "what runs goes on");
    }
    put(&world, &secret("chat.example.com", 60));
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
    assert_ne!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap(), before, "a new one rolls the gateway");
}

#[tokio::test]
async fn a_certificate_that_clients_refuse_or_soon_will_keeps_nothing_from_being_changed() {
    let mut spec = json!({ "gateway": { "host": "chat.example.com", "tls": { "secret": { "name": "web" } } } });
    let world = World::with(&spec);
    for (data, replicas, expected) in [
        (
            secret("chat.example.com", 10),
            2,
            "True/CertificateExpires: gateway.tls.secret: the certificate in Secret web",
        ),
        (secret("chat.example.com", 0), 3, "True/CertificateExpired: "),
        (secret("www.example.com", 60), 4, "True/CertificateNameMismatch: "),
        (secret("*.example.com", 60), 5, "False/"),
    ] {
        spec["gateway"]["replicas"] = json!(replicas);
        world.apply("chat", &spec);
        put(&world, &data);
        world.settle().await;
        world.run_everything();
        world.settle().await;
        let condition = world.condition("Degraded");
        assert!(condition.starts_with(expected), "{condition}");
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
        assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["replicas"], replicas);
    }
    // An Ingress reads the certificate itself, and may be given it later.
    spec["gateway"]["ingress"] = json!({});
    world.apply("chat", &spec);
    put(&world, &json!({}));
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
}

#[tokio::test]
async fn a_certificate_is_looked_at_whatever_else_is_missing() {
    let mut spec = json!({ "gateway": { "host": "chat.example.com", "tls": { "secret": { "name": "web" } } } });
    let world = World::with(&spec);
    put(&world, &secret("chat.example.com", 60));
    world.settle().await;
    let healthy = || world.condition("CertificateHealthy");
    assert!(healthy().starts_with("True/Valid"), "{}", healthy());

    spec["push"] = json!({ "fcm": { "credentialsSecret": { "name": "gone" } } });
    world.apply("chat", &spec);
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("False/SecretNotFound: push"), "{}", world.condition("Accepted"));
    assert!(healthy().starts_with("True/Valid"), "{}", healthy());
    put(&world, &secret("chat.example.com", 0));
    world.settle().await;
    assert!(healthy().starts_with("False/CertificateExpired: "), "{}", healthy());
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/SecretNotFound: push") && told.contains("; CertificateExpired: "), "{told}");
    world.server.delete(SECRETS, NS, "web");
    world.settle().await;
    assert!(healthy().starts_with("False/SecretNotFound: gateway.tls.secret: "), "{}", healthy());

    // Nobody looks while the resource makes no sense.
    let broken = |spec: &Value| {
        let mut spec = spec.clone();
        spec["auth"] = json!({ "accessTokenLifetime": "soon" });
        spec
    };
    world.apply("chat", &broken(&spec));
    world.settle().await;
    assert!(healthy().starts_with("False/SecretNotFound: "), "what was wrong stays told: {}", healthy());
    put(&world, &secret("chat.example.com", 60));
    world.apply("chat", &spec);
    world.settle().await;
    assert!(healthy().starts_with("True/Valid"), "{}", healthy());
    world.apply("chat", &broken(&spec));
    world.settle().await;
    assert!(healthy().starts_with("Unknown/InvalidSpec: "), "{}", healthy());
}
