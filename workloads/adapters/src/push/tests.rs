//! Pushes against a server that gives each documented answer.

use std::{fs, sync::LazyLock, time::Instant};

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sentinel_domain::{
    config::{FcmConfig, PushConfig, WebPushConfig},
    ids::{ChatId, MessageId},
    key_file::VAPID_FILE,
    key_generation::{private_key_pem, vapid_key},
    push::Alert,
    time::Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    encryption::Recipient,
    encryption::tests::decrypt,
    fcm_answer::tests::{fault, violation},
    scripted::{Scripted, Step},
    *,
};

/// Short pauses, and a request that is given up soon.
const PATIENCE: Patience =
    Patience { tries: 3, first_pause: Duration::from_millis(10), longest_pause: Duration::from_secs(2) };

/// The service account's key, private (PEM) and public: one for all, since making one takes a while.
static ACCOUNT: LazyLock<(String, Vec<u8>)> = LazyLock::new(|| {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    (private_key_pem(der.as_ref()), public)
});

struct World {
    service: Scripted,
    pushes: Pushes,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let service = Scripted::start(steps).await;
        let folder = tempfile::tempdir().unwrap();
        let account = json!({
            "type": "service_account",
            "project_id": "chat-1",
            "private_key_id": "k1",
            "private_key": ACCOUNT.0,
            "client_email": "push@chat-1.example",
            "token_uri": format!("{}/token", service.url),
        });
        let credentials = folder.path().join("account.json");
        fs::write(&credentials, account.to_string()).unwrap();
        fs::write(folder.path().join(VAPID_FILE), vapid_key().unwrap()).unwrap();
        let push = PushConfig {
            fcm: Some(FcmConfig { credentials, base_url: service.url.clone() }),
            web_push: WebPushConfig {
                subject: "mailto:ops@example.com".into(),
                allow_loopback: true,
                ..WebPushConfig::default()
            },
            ..PushConfig::default()
        };
        let config = json!({"listen": "0.0.0.0:1", "adminListen": "0.0.0.0:2", "keysDir": folder.path()});
        let config = PlatformConfig { push, ..serde_json::from_value(config).unwrap() };
        let mut pushes = Pushes::load(&config).unwrap();
        pushes.patience = PATIENCE;
        Self { service, pushes, _folder: folder }
    }

    async fn fcm(&self) -> Pushed {
        self.pushes.push(&PushAddress::Fcm { token: "token-1".into() }, &push()).await
    }

    fn browser(&self, key: &str, auth: &str) -> PushAddress {
        PushAddress::WebPush {
            endpoint: format!("{}/subscription/1", self.service.url),
            p256dh: key.into(),
            auth: auth.into(),
        }
    }

    async fn web(&self) -> Pushed {
        let browser = Browser::new();
        self.pushes.push(&self.browser(&browser.key(), &browser.auth()), &push()).await
    }

    fn sent(&self) -> usize {
        self.service.pushes().len()
    }
}

/// A subscribed browser.
struct Browser {
    private: PrivateKey,
    recipient: Recipient,
}

impl Browser {
    fn new() -> Self {
        let private = PrivateKey::generate(&ECDH_P256).unwrap();
        let key = private.compute_public_key().unwrap().as_ref().try_into().unwrap();
        Self { private, recipient: Recipient { key, secret: [7; 16] } }
    }

    fn key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.recipient.key)
    }

    fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.recipient.secret)
    }
}

fn chat() -> ChatId {
    ChatId(Uuid::from_u128(2))
}

fn push() -> Push {
    Push {
        message_id: MessageId(Uuid::from_u128(1)),
        chat_id: Some(chat()),
        created_at: Timestamp(1_750_000_000_000),
        badge: 3,
        alert: Some(Alert { header: "New message".into(), body: "You have a new message".into() }),
    }
}

#[tokio::test]
async fn fcm_gets_a_message_that_collapses_by_chat() {
    let world = World::new([]).await;
    assert_eq!(world.fcm().await, Pushed::Accepted);
    let seen = &world.service.pushes()[0];
    assert_eq!(seen.path, "/v1/projects/chat-1/messages:send");
    assert_eq!(seen.headers["authorization"], "Bearer access-1");
    let message = serde_json::from_slice::<Value>(&seen.body).unwrap()["message"].take();
    assert_eq!(message["token"], "token-1");
    assert_eq!(message["notification"], json!({"title": "New message", "body": "You have a new message"}));
    assert_eq!(message["android"]["collapse_key"], chat().to_string());
    assert_eq!(message["apns"]["payload"]["aps"]["badge"], 3);
    assert!(message["data"].as_object().unwrap().values().all(Value::is_string), "FCM takes texts only");

    let badge = Push { alert: None, ..push() };
    world.pushes.push(&PushAddress::Fcm { token: "token-1".into() }, &badge).await;
    let message = serde_json::from_slice::<Value>(&world.service.pushes()[1].body).unwrap()["message"].take();
    assert_eq!((&message["notification"], &message["data"]["kind"]), (&Value::Null, &json!("badge")));
}

#[tokio::test]
async fn a_notice_is_pushed_as_what_it_is_and_collapses_with_nothing_else() {
    let notice = Push { chat_id: None, ..push() };
    let world = World::new([]).await;
    world.pushes.push(&PushAddress::Fcm { token: "token-1".into() }, &notice).await;
    let message = serde_json::from_slice::<Value>(&world.service.pushes()[0].body).unwrap()["message"].take();
    let data = &message["data"];
    assert_eq!((&data["kind"], &data["notification_id"]), (&json!("notice"), &json!(notice.message_id)));
    assert_eq!((data.get("chat_id"), data.get("message_id")), (None, None));
    assert_eq!(message["android"]["collapse_key"], notice.message_id.to_string());

    let world = World::new([Step::plain(201)]).await;
    let browser = Browser::new();
    assert_eq!(world.pushes.push(&world.browser(&browser.key(), &browser.auth()), &notice).await, Pushed::Accepted);
    let body = &world.service.pushes()[0].body;
    let text: Value = serde_json::from_slice(&decrypt(body, &browser.private, &browser.recipient)).unwrap();
    assert_eq!((&text["kind"], text.get("chat_id")), (&json!("notice"), None));
}

#[tokio::test]
async fn the_access_token_is_asked_for_once_and_with_a_signed_assertion() {
    let world = World::new([]).await;
    let all = futures::future::join_all((0..8).map(|_| world.fcm())).await;
    assert!(all.iter().all(|pushed| *pushed == Pushed::Accepted));
    assert_eq!(world.sent(), 8);
    let [asked] = &world.service.tokens()[..] else { panic!("one request for a token") };
    let form = std::str::from_utf8(&asked.body).unwrap();
    let assertion =
        form.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let key = jsonwebtoken::DecodingKey::from_rsa_der(&ACCOUNT.1);
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_audience(&[format!("{}/token", world.service.url)]);
    let claims = jsonwebtoken::decode::<Value>(assertion, &key, &rules).unwrap().claims;
    assert_eq!(
        (&claims["iss"], &claims["scope"]),
        (&json!("push@chat-1.example"), &json!("https://www.googleapis.com/auth/firebase.messaging"))
    );
}

#[tokio::test]
async fn a_refused_access_token_is_renewed_once() {
    let unauthenticated = json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}});
    let world = World::new([Step::json(401, &unauthenticated)]).await;
    assert_eq!(world.fcm().await, Pushed::Accepted);
    assert_eq!(world.service.pushes()[1].headers["authorization"], "Bearer access-2");

    let again = [Step::json(401, &unauthenticated), Step::json(401, &unauthenticated)];
    let world = World::new(again).await;
    assert_eq!(world.fcm().await, Pushed::Failed("unauthorized"));
    assert_eq!((world.sent(), world.service.tokens().len()), (2, 2));
}

#[tokio::test]
async fn that_there_is_no_access_token_is_found_out_once_for_all_and_costs_browsers_nothing() {
    let world = World::new([]).await;
    world.service.answer_tokens(Some((StatusCode::SERVICE_UNAVAILABLE, String::new())));
    let (apps, browser) = futures::join!(futures::future::join_all((0..8).map(|_| world.fcm())), world.web());
    assert!(apps.iter().all(|pushed| matches!(pushed, Pushed::Failed(_))), "{apps:?}");
    assert_eq!(browser, Pushed::Accepted);
    // Each of the eight tries three times. On a very slow machine that takes longer than a failure is kept.
    assert!(world.service.tokens().len() < 10, "{}", world.service.tokens().len());
    world.service.answer_tokens(None);
    let deadline = Instant::now() + Duration::from_mins(1);
    while world.fcm().await != Pushed::Accepted {
        assert!(Instant::now() < deadline, "it is never asked again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_answer_that_gives_no_token_or_is_far_too_long_is_none() {
    let token = json!({"access_token": "access-1", "expires_in": 3599}).to_string();
    let long = format!("{}{token}", " ".repeat(1024 * 1024));
    for answer in [String::new(), "<html>".into(), json!({"access_token": "access-1"}).to_string(), long] {
        let world = World::new([]).await;
        world.service.answer_tokens(Some((StatusCode::OK, answer.clone())));
        let told: String = answer.trim().chars().take(40).collect();
        assert_eq!((world.fcm().await, world.sent()), (Pushed::Failed("no_access_token"), 0), "{told:?}");
    }
    let world = World::new([]).await;
    world.service.answer_tokens(Some((StatusCode::OK, token)));
    assert_eq!(world.fcm().await, Pushed::Accepted);
}

#[tokio::test]
async fn a_push_service_that_is_away_is_left_alone_and_others_are_not_concerned() {
    let away = vec![Step::json(503, &fault(503, "UNAVAILABLE")); 3];
    let mut world = World::new(away.clone()).await;
    let tolerance = Tolerance { failures: 3, failing: Duration::ZERO, pause: Duration::from_hours(1) };
    world.pushes.breakers = CircuitBreakers::new(tolerance);
    assert_eq!(world.fcm().await, Pushed::Failed("unavailable"));
    for _ in 0..5 {
        assert_eq!(world.fcm().await, Pushed::Failed("service_away"));
    }
    assert_eq!((world.sent(), world.service.tokens().len()), (3, 1), "it is not asked any more");
    assert_eq!(world.web().await, Pushed::Accepted);

    // After the pause it is found to be back.
    let mut world = World::new(away).await;
    world.pushes.breakers = CircuitBreakers::new(Tolerance { pause: Duration::from_millis(500), ..tolerance });
    assert_eq!(world.fcm().await, Pushed::Failed("unavailable"));
    let deadline = Instant::now() + Duration::from_mins(1);
    while world.fcm().await != Pushed::Accepted {
        assert!(Instant::now() < deadline, "it is never tried again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_address_of_fcm_is_forgotten_only_when_fcm_says_that_it_is_none() {
    let cases = [
        (Step::json(404, &fault(404, "UNREGISTERED")), Pushed::AddressGone),
        (Step::json(400, &violation("message.token")), Pushed::AddressGone),
        (Step::json(400, &violation("message.android.ttl")), Pushed::Failed("invalid_request")),
        (Step::json(400, &fault(400, "INVALID_ARGUMENT")), Pushed::Failed("invalid_request")),
        (Step::json(403, &fault(403, "SENDER_ID_MISMATCH")), Pushed::Failed("sender_id_mismatch")),
        (Step::html(404), Pushed::Failed("unexpected_answer")),
    ];
    for (step, expected) in cases {
        let world = World::new([step]).await;
        assert_eq!(world.fcm().await, expected);
        assert_eq!(world.sent(), 1, "what is final is not tried again");
    }
}

#[tokio::test]
async fn what_passes_is_waited_for_and_what_does_not_is_given_up() {
    for step in [
        Step::json(429, &fault(429, "QUOTA_EXCEEDED")),
        Step::json(500, &fault(500, "INTERNAL")),
        Step::json(503, &fault(503, "UNAVAILABLE")),
        Step::html(502),
    ] {
        let world = World::new([step.clone()]).await;
        assert_eq!(world.fcm().await, Pushed::Accepted);
        assert_eq!(world.sent(), 2);
        let world = World::new(vec![step; 10]).await;
        assert!(matches!(world.fcm().await, Pushed::Failed("too_many" | "unavailable")));
        assert_eq!(world.sent(), 3);
    }
    let world = World::new([Step::plain(503).after("1")]).await;
    let began = Instant::now();
    assert_eq!(world.fcm().await, Pushed::Accepted);
    assert!(began.elapsed() >= Duration::from_secs(1), "sooner than asked");
    let world = World::new([Step::plain(429).after("3600")]).await;
    assert_eq!(world.fcm().await, Pushed::Failed("too_many"));
    assert_eq!(world.sent(), 1, "an hour is too long to wait");
}

#[tokio::test]
async fn a_push_service_that_does_not_answer_is_given_up() {
    let world = World::new([Step::Silence, Step::Silence, Step::Silence]).await;
    let browser = Browser::new();
    let web = WebPush::with_time_limit(world.pushes.web.unwrap(), Duration::from_millis(200));
    let breakers = CircuitBreakers::new(Tolerance::default());
    let pushes = Pushes { web: Some(web), fcm: None, patience: PATIENCE, breakers };
    let address = PushAddress::WebPush {
        endpoint: format!("{}/1", world.service.url),
        p256dh: browser.key(),
        auth: browser.auth(),
    };
    assert_eq!(pushes.push(&address, &push()).await, Pushed::Failed("timed_out"));
    assert_eq!(world.service.pushes().len(), 3);
    assert_eq!(pushes.push(&address, &push()).await, Pushed::Accepted);
}

#[tokio::test]
async fn a_browser_can_read_what_its_push_service_cannot() {
    let world = World::new([Step::plain(201)]).await;
    let browser = Browser::new();
    let address = world.browser(&browser.key(), &format!("{}==", browser.auth()));
    assert_eq!(world.pushes.check(&address).as_ref(), Ok(&address));
    assert_eq!(world.pushes.push(&address, &push()).await, Pushed::Accepted);
    let seen = &world.service.pushes()[0];
    assert_eq!(seen.path, "/subscription/1");
    assert_eq!(
        (&seen.headers["content-encoding"], &seen.headers["ttl"]),
        (&"aes128gcm".parse().unwrap(), &"86400".parse().unwrap())
    );
    assert!(seen.headers["topic"].len() <= 32);
    let authorization = seen.headers["authorization"].to_str().unwrap();
    assert!(authorization.starts_with("vapid t="));
    assert!(authorization.ends_with(&format!(", k={}", world.pushes.web_push_key().unwrap())));
    let text: Value = serde_json::from_slice(&decrypt(&seen.body, &browser.private, &browser.recipient)).unwrap();
    assert_eq!((&text["header"], &text["badge"]), (&json!("New message"), &json!(3)));
    assert_eq!((&text["chat_id"], &text["kind"]), (&json!(chat()), &json!("new_message")));

    let badge = Push { alert: None, ..push() };
    assert_eq!(world.pushes.push(&address, &badge).await, Pushed::Accepted);
    assert_eq!(world.sent(), 1, "browsers are not woken for nothing to show");
}

#[tokio::test]
async fn each_answer_of_a_web_push_service() {
    for (step, expected, sent) in [
        (Step::plain(404), Pushed::AddressGone, 1),
        (Step::plain(410), Pushed::AddressGone, 1),
        (Step::plain(400), Pushed::Failed("invalid_request"), 1),
        (Step::plain(401), Pushed::Failed("vapid_refused"), 1),
        (Step::plain(403), Pushed::Failed("vapid_refused"), 1),
        (Step::plain(413), Pushed::Failed("too_large"), 1),
        (Step::plain(307), Pushed::Failed("unexpected_answer"), 1),
        (Step::plain(429), Pushed::Accepted, 2),
        (Step::html(502), Pushed::Accepted, 2),
    ] {
        let world = World::new([step]).await;
        assert_eq!(world.web().await, expected);
        assert_eq!(world.sent(), sent);
    }
}

#[tokio::test]
async fn addresses_are_checked_before_they_are_kept() {
    let world = World::new([]).await;
    let browser = Browser::new();
    let field = |address: &PushAddress| match world.pushes.check(address) {
        Err(UnfitAddress::Malformed { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(&world.browser("AAAA", &browser.auth())), "p256dh");
    assert_eq!(field(&world.browser(&URL_SAFE_NO_PAD.encode([4; 65]), &browser.auth())), "p256dh");
    assert_eq!(field(&world.browser(&browser.key(), "short")), "auth");
    assert_eq!(field(&PushAddress::Fcm { token: String::new() }), "token");
    assert_eq!(field(&PushAddress::Fcm { token: "a b".into() }), "token");
    let elsewhere = PushAddress::WebPush {
        endpoint: "https://kubernetes.default.svc/api".into(),
        p256dh: browser.key(),
        auth: browser.auth(),
    };
    assert_eq!(world.pushes.check(&elsewhere), Err(UnfitAddress::Endpoint));
    assert_eq!(world.pushes.push(&elsewhere, &push()).await, Pushed::Failed("not_allowed"));
    let breakers = CircuitBreakers::new(Tolerance::default());
    let nothing = Pushes { fcm: None, web: None, patience: PATIENCE, breakers };
    let token = PushAddress::Fcm { token: "t".into() };
    assert_eq!(nothing.check(&token), Err(UnfitAddress::NotOffered("fcm")));
    assert_eq!(nothing.push(&token, &push()).await, Pushed::Failed("not_allowed"));
}

#[test]
fn a_file_that_is_no_service_account_is_refused_by_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.json");
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        let config = FcmConfig { credentials: path.clone(), base_url: "https://fcm.example".into() };
        Fcm::load(&config).err().unwrap().to_string()
    };
    assert!(load("{}").contains("project_id"));
    let account = json!({"project_id": "p", "client_email": "e", "private_key": "nonsense", "token_uri": "https://t"});
    let text = load(&account.to_string());
    assert!(text.contains("private_key is no RSA key") && !text.contains("nonsense"), "{text}");
}
