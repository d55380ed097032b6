use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request},
    http::request::Builder,
    routing,
};
use sentinel_domain::{
    account::Username,
    config::LimitsConfig,
    ids::{SessionId, UserId},
    key_generation::signing_key,
    time::Timestamp,
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

use super::*;
use crate::{auth::AuthUser, client::ClientAddress, extract::Json};

struct App {
    router: Router,
    tokens: Arc<Tokens>,
    _keys: TempDir,
}

fn app(limits: &str) -> App {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("jwt-0001.pem"), signing_key().unwrap()).unwrap();
    let json = format!(
        r#"{{"listen":"0.0.0.0:1","adminListen":"0.0.0.0:2","dataDir":"/d","keysDir":"/k","limits":{limits},
        "auth":{{"corsOrigins":["https://chat.example.com","*"]}},"trustedProxies":["10.0.0.0/8"]}}"#
    );
    let config: Arc<PlatformConfig> = Arc::new(serde_json::from_str(&json).unwrap());
    let tokens = Arc::new(Tokens::load(keys.path(), &config.auth).unwrap());
    let router = Router::new()
        .route("/me", routing::get(|user: AuthUser| async move { user.username.to_string() }))
        .route("/address", routing::get(|ClientAddress(address): ClientAddress| async move { address.to_string() }))
        .route("/panic", routing::get(|| async { panic!("secret text") as () }))
        .route("/guarded", routing::post(|_: AuthUser, Json(value): Json<Value>| async move { Json(value) }))
        .route("/echo", routing::post(|Json(value): Json<Value>| async move { Json(value) }))
        .with_state(Arc::clone(&tokens));
    let limits: LimitsConfig = config.limits;
    let router = apply(router, &config, Arc::clone(&tokens), Arc::new(RateLimits::new(&limits)));
    App { router, tokens, _keys: keys }
}

impl App {
    async fn call(&self, request: Request) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    fn token(&self, user: u128) -> String {
        let (user, session) = (UserId(Uuid::from_u128(user)), SessionId(Uuid::from_u128(user)));
        self.tokens.issue(user, session, &Username::parse("ann").unwrap(), Timestamp::now()).unwrap().token
    }
}

fn empty(builder: Builder) -> Request {
    builder.body(Body::empty()).unwrap()
}

fn from(peer: &str, mut request: Request) -> Request {
    let peer: IpAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 1)));
    request
}

async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_panics_are_problems() {
    let app = app("{}");
    let response = app.call(empty(Request::get("/nothing").header("x-request-id", "abcd-0001"))).await;
    assert_eq!((response.status().as_u16(), &response.headers()["x-request-id"]), (404, &"abcd-0001".parse().unwrap()));
    let body = problem(response).await;
    assert_eq!((&body["code"], &body["request_id"]), (&"not_found".into(), &"abcd-0001".into()));

    let response = app.call(empty(Request::delete("/echo"))).await;
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    assert_eq!(problem(response).await["code"], "method_not_allowed");

    let response = app.call(empty(Request::get("/panic"))).await;
    assert_eq!(response.status(), 500);
    let body = problem(response).await;
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("secret"));
}

#[tokio::test]
async fn callers_without_a_good_token_are_challenged() {
    let app = app("{}");
    let response = app.call(empty(Request::get("/me"))).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["www-authenticate"]),
        (401, &"Bearer realm=\"sentinel\"".parse().unwrap())
    );
    assert_eq!(problem(response).await["code"], "missing_token");
    let response = app.call(empty(Request::get("/me").header("authorization", "Bearer a.b.c"))).await;
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer error=\"invalid_token\""));
    assert_eq!(problem(response).await["code"], "invalid_token");
    let request = Request::get("/me").header("authorization", format!("Bearer {}", app.token(1)));
    assert_eq!(text(app.call(empty(request)).await).await, "ann");
}

#[tokio::test]
async fn every_answer_has_security_and_rate_limit_headers() {
    let response = app("{}").call(empty(Request::get("/address"))).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("ratelimit-limit"), "500");
    assert_eq!(header("ratelimit-remaining"), "499");
    assert!(Uuid::try_parse(&header("x-request-id")).is_ok());
}

#[tokio::test]
async fn many_who_poll_from_one_address_have_room_and_new_sockets_count_as_requests() {
    let app = app(r#"{"requestsPerSecond":1}"#);
    let call = async |address: &str| app.call(from("192.0.2.1", empty(Request::get(address)))).await;
    // Counted, for on a slow machine some more come in while these are asked.
    let until_refused = async |address: &str| {
        for passed in 0..1000 {
            match call(address).await.status().as_u16() {
                404 => {}
                status => return (passed, status),
            }
        }
        (1000, 404)
    };
    let (polls, status) = until_refused("/socket.io/?EIO=4&transport=polling&sid=one").await;
    assert!((200..400).contains(&polls) && status == 429, "{polls} {status}");
    let (sockets, status) = until_refused("/socket.io/?EIO=4&transport=polling").await;
    assert!((10..20).contains(&sockets) && status == 429, "{sockets} {status}");
    assert_eq!(call("/address?sid=one").await.status(), 429);
}

#[tokio::test]
async fn requests_are_counted_by_user_or_else_by_address() {
    let app = app(r#"{"requestsPerSecond":0}"#);
    let anonymous = |peer: &'static str| from(peer, empty(Request::get("/address")));
    assert_eq!(app.call(anonymous("192.0.2.1")).await.status(), 200);
    let refused = app.call(anonymous("192.0.2.1")).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(
        (&refused.headers()["retry-after"], &refused.headers()["ratelimit-remaining"]),
        (&"10".parse().unwrap(), &"0".parse().unwrap())
    );
    assert_eq!(problem(refused).await["code"], "rate_limited");
    assert_eq!(app.call(anonymous("192.0.2.2")).await.status(), 200);
    let user = |user| {
        let header = format!("Bearer {}", app.token(user));
        from("192.0.2.1", empty(Request::get("/me").header("authorization", header)))
    };
    assert_eq!(app.call(user(1)).await.status(), 200);
    assert_eq!(app.call(user(2)).await.status(), 200);
    assert_eq!(app.call(user(1)).await.status(), 429);
}

#[tokio::test]
async fn the_clients_address_is_what_trusted_proxies_say() {
    let app = app("{}");
    let request = |peer| from(peer, empty(Request::get("/address").header("x-forwarded-for", "198.51.100.7")));
    assert_eq!(text(app.call(request("10.1.2.3")).await).await, "198.51.100.7");
    assert_eq!(text(app.call(request("203.0.113.1")).await).await, "203.0.113.1");
}

#[tokio::test]
async fn browsers_may_call_from_configured_origins_only() {
    let app = app("{}");
    let preflight = |origin: &'static str| {
        empty(
            Request::options("/echo")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type"),
        )
    };
    let allowed = app.call(preflight("https://chat.example.com")).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://chat.example.com");
    assert!(allowed.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    assert!(allowed.headers()["access-control-allow-headers"].to_str().unwrap().contains("if-match"));
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    for origin in
        ["https://evil.example.com", "http://chat.example.com", "null", "*", "https://chat.example.com.evil.net"]
    {
        let refused = app.call(preflight(origin)).await;
        assert!(!refused.headers().contains_key("access-control-allow-origin"), "{origin}");
    }
    let response = app.call(empty(Request::get("/me").header("origin", "https://chat.example.com"))).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "https://chat.example.com");
    assert!(response.headers()["access-control-expose-headers"].to_str().unwrap().contains("retry-after"));
    assert!(response.headers()["access-control-expose-headers"].to_str().unwrap().contains("etag"));
}

#[tokio::test]
async fn a_body_above_the_limit_is_413() {
    let app = app(r#"{"bodyBytes":50}"#);
    let post = |body: String| {
        Request::post("/echo").header("content-type", "application/json").body(Body::from(body)).unwrap()
    };
    assert_eq!(app.call(post("\"small\"".into())).await.status(), 200);
    let response = app.call(post(format!("\"{}\"", "x".repeat(60)))).await;
    assert_eq!(response.status(), 413);
    assert_eq!(problem(response).await["code"], "body_too_large");
}

#[test]
fn requests_are_counted_whether_they_are_answered_or_their_client_goes_away() {
    let calls = async || {
        let app = app("{}");
        assert_eq!(app.call(empty(Request::get("/address"))).await.status(), 200);
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::post("/echo").header("content-type", "application/json").body(never).unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(50), app.call(request)).await;
        assert!(waited.is_err(), "there is nothing to answer yet");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scraped = sentinel_metrics::scrape(sentinel_metrics::PLATFORM, || runtime.block_on(calls())).unwrap();
    for line in [
        r#"sentinel_http_requests_total{method="GET",route="/address",status="200"} 1"#,
        r#"sentinel_http_requests_total{method="POST",route="/echo",status="499"} 1"#,
        r#"sentinel_http_request_duration_seconds_count{method="GET",route="/address"} 1"#,
        r#"sentinel_http_request_duration_seconds_count{method="POST",route="/echo"} 1"#,
    ] {
        assert!(scraped.lines().any(|found| found == line), "{line} is not in:\n{scraped}");
    }
}

/// Sends a request in two pieces, as clients do, and gives the head of its answer.
fn send(connection: &mut TcpStream, head: &str, body: &str) -> String {
    connection.write_all(format!("{head}\r\nhost: chat\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(3));
    connection.write_all(body.as_bytes()).unwrap();
    let mut answer = vec![];
    loop {
        let mut part = [0; 4096];
        let length = connection.read(&mut part).unwrap();
        assert!(length > 0, "closed without an answer: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..length]);
        let text = String::from_utf8(answer.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == promised.parse::<usize>().unwrap() {
            return head;
        }
    }
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_does_not_cost_the_next_request_of_the_connection() {
    let app = app("{}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, app.router.clone()).into_future());
    let good =
        format!("POST /echo HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer {}", app.token(1));
    tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        for _ in 0..50 {
            let refused = send(&mut connection, "POST /guarded HTTP/1.1\r\nauthorization: Bearer a.b.c", "{\"a\":1}");
            assert!(refused.starts_with("http/1.1 401") && !refused.contains("connection: close"), "{refused}");
        }
        let answered = send(&mut connection, &good, "{\"a\":1}");
        assert!(answered.starts_with("http/1.1 200"), "{answered}");

        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(b"POST /guarded HTTP/1.1\r\nhost: chat\r\ncontent-length: 9000000\r\n\r\n{").unwrap();
        let mut head = [0; 15];
        connection.read_exact(&mut head).unwrap();
        let mut rest = String::new();
        connection.read_to_string(&mut rest).unwrap();
        assert_eq!(&head, b"HTTP/1.1 401 Un");
        assert!(rest.to_ascii_lowercase().contains("connection: close"), "{rest}");
    })
    .await
    .unwrap();
    server.abort();
}
