use axum::{Router, body::Body, body::to_bytes, extract::DefaultBodyLimit, routing};
use sentinel_domain::ids::UserId;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

#[derive(Deserialize)]
struct Login {
    username: String,
    #[serde(default)]
    devices: Vec<Device>,
    #[serde(default)]
    minute: u16,
    #[serde(default)]
    place: Option<Place>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(rename = "room")]
    _room: Option<Room>,
}

#[derive(Deserialize)]
struct Room {
    #[serde(rename = "floor")]
    _floor: Option<i16>,
}

#[derive(Deserialize)]
struct Device {
    id: UserId,
}

#[derive(Deserialize)]
struct Paging {
    limit: Option<u16>,
}

fn app() -> Router {
    let body = |Json(login): Json<Login>| async move {
        let ids = login.devices.iter().map(|device| device.id.to_string()).collect::<Vec<_>>();
        format!("{}{}{}{}", login.username, login.minute, ids.join(","), login.place.is_some())
    };
    Router::new()
        .route("/body", routing::post(body))
        .route("/query", routing::get(|Query(paging): Query<Paging>| async move { format!("{:?}", paging.limit) }))
        .route("/path/{id}", routing::get(|Path(id): Path<UserId>| async move { id.to_string() }))
        .layer(DefaultBodyLimit::max(200))
}

async fn call(request: Request) -> (u16, Value) {
    let response = app().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn post(content_type: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::post("/body").header("content-type", content_type).body(body.into()).unwrap();
    call(request).await
}

async fn get(uri: &str) -> (u16, Value) {
    call(Request::get(uri).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_body_that_is_not_json_is_400() {
    for body in ["", "{", "{\"username\":\"ann\"} x", "{\"username\":\"\\ud8\"}", "{\"username\":\"\\ud800", "nul"] {
        let (status, problem) = post("application/json", body.to_owned()).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("malformed_json")), "{body}");
    }
    let (status, _) = post("application/json", vec![b'"', 0xff, b'"']).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_wrong_field_is_422_and_named() {
    let id = "0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10";
    let cases = [
        ("{}".into(), "username", "missing_field", "is missing"),
        ("{\"username\":5}".into(), "username", "invalid_field", "must be a string"),
        ("{\"username\":null}".into(), "username", "invalid_field", "must be a string"),
        ("{\"username\":\"a\",\"username\":\"b\"}".into(), "username", "duplicate_field", "is there twice"),
        ("{\"username\":\"a\",\"devices\":[{\"id\":\"7\"}]}".into(), "devices[0].id", "invalid_field", "is malformed"),
        (
            format!("{{\"username\":\"a\",\"devices\":[{{\"id\":\"{id}\"}},{{}}]}}"),
            "devices[1].id",
            "missing_field",
            "is missing",
        ),
        ("{\"username\":\"a\",\"minute\":-1}".into(), "minute", "invalid_field", "must be an integer from 0 to 65535"),
        ("{\"username\":\"a\",\"minute\":1.5}".into(), "minute", "invalid_field", "must be an integer from 0 to 65535"),
        ("\"text\"".into(), "", "invalid_field", "must be an object"),
        (" [\"ann\",[]]".into(), "", "invalid_field", "must be an object"),
        // As wrong as any other type, however deep.
        (
            format!("{{\"username\":\"a\",\"devices\":[[\"{id}\"]]}}"),
            "devices[0]",
            "invalid_field",
            "must be an object",
        ),
        ("{\"username\":\"a\",\"place\":[]}".into(), "place", "invalid_field", "must be an object"),
        ("{\"username\":\"a\",\"place\":[null]}".into(), "place", "invalid_field", "must be an object"),
        ("{\"username\":\"a\",\"place\":{\"room\":[3]}}".into(), "place.room", "invalid_field", "must be an object"),
        ("{\"username\":\"a\",\"place\":{\"room\":3}}".into(), "place.room", "invalid_field", "must be an object"),
    ];
    for (body, field, code, detail) in cases {
        let (status, problem) = post("application/json", body.clone()).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_request")), "{body}");
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field, "{body}");
        assert_eq!(error["code"], code, "{body}");
        assert_eq!(error["detail"], detail, "{body}");
    }
}

#[tokio::test]
async fn objects_are_read_however_deep_and_unknown_fields_may_hold_anything() {
    let place = "{\"room\":{\"floor\":-3,\"walls\":[[1,{}]]},\"a\":[{}]}";
    for place in [place, "{\"room\":null}", "{}", "null"] {
        let body = format!("{{\"username\":\"ann\",\"place\":{place},\"other\":[[{{}}],5]}}");
        assert_eq!(post("application/json", body).await.0, 200, "{place}");
    }
}

#[tokio::test]
async fn half_of_a_surrogate_pair_is_told_where_it_is() {
    let detail = "has half of a surrogate pair: \\ud800 to \\udbff and \\udc00 to \\udfff go together";
    for text in ["\\ud800", "a\\ud800b", "\\udc00", "\\ud800\\n", "\\ud800\\u0041"] {
        let (status, problem) = post("application/json", format!("{{\"username\":\"{text}\"}}")).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_request")), "{text}");
        let error = &problem["errors"][0];
        assert_eq!((&error["field"], &error["detail"]), (&"username".into(), &detail.into()), "{text}");
    }
    assert_eq!(post("application/json", "{\"username\":\"\\ud83d\\ude00\"}").await.0, 200);
}

#[tokio::test]
async fn content_types_are_read_leniently_and_others_refused() {
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        assert_eq!(post(good, "{\"username\":\"ann\",\"unknown\":1}").await.0, 200, "{good}");
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "text/json+x"] {
        assert_eq!(post(bad, "{\"username\":\"ann\"}").await.0, 415, "{bad}");
    }
}

#[tokio::test]
async fn a_large_body_is_413() {
    let (status, problem) = post("application/json", format!("{{\"username\":\"{}\"}}", "a".repeat(200))).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("body_too_large")));
}

#[tokio::test]
async fn queries_and_paths_name_what_is_wrong() {
    assert_eq!(get("/query?limit=5&other=1").await.0, 200);
    for bad in ["-1", "x", "70000", ""] {
        let (status, problem) = get(&format!("/query?limit={bad}")).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("limit")), "{bad}");
    }
    assert_eq!(get("/path/7").await.0, 422);
    assert_eq!(get("/path/0192f3a17c5e7b1a9f003d2c5a7e9b10").await.0, 422);
    assert_eq!(get("/path/%ff").await.0, 400);
    assert_eq!(get("/path/0192F3A1-7C5E-7B1A-9F00-3D2C5A7E9B10").await.0, 200);
}
