use axum::{
    body::{Body, to_bytes},
    http::StatusCode,
    routing,
};
use tower::ServiceExt as _;

use super::*;

/// The API with a web client in front of it: `index.html`, and a script in three forms.
fn app(folder: &Path) -> Router {
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    for (name, content) in [
        ("index.html", "<p>chat"),
        ("sw.js", "self"),
        ("assets/app-1a2b.js", "plain"),
        ("assets/app-1a2b.js.gz", "gzipped"),
        ("assets/app-1a2b.js.br", "brotli"),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let api = Router::new()
        .route("/login", routing::post(async || "logged in"))
        .route("/users/chat", routing::get(async || "chats"));
    in_front_of(api, Site::read(folder, &[]).unwrap())
}

async fn get(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn browsers_get_the_page_and_the_api_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in ["/", "/index.html", "/login", "/chats", "/settings"] {
        let (status, headers, body) = get(&app, "GET", path, &browser).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "<p>chat"), "{path}");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    }
    assert_eq!(get(&app, "GET", "/", &[]).await.2, "<p>chat");
    // What only looks like a page, and what only a program asks for, is the API's.
    for (method, path, headers, status) in [
        ("GET", "/chats/7", &browser[..], 404),
        ("GET", "/assets/gone-1a2b.js", &browser[..], 404),
        ("GET", "/login", &[("accept", "application/json")][..], 405),
        ("GET", "/chats", &[][..], 404),
        ("POST", "/", &browser[..], 404),
        ("POST", "/login", &browser[..], 200),
        ("GET", "/users/chat", &browser[..], 200),
    ] {
        let (got, headers, body) = get(&app, method, path, headers).await;
        assert_eq!(got.as_u16(), status, "{method} {path}");
        assert!(!headers.contains_key("content-security-policy") && body != "<p>chat", "{method} {path}");
    }
}

#[tokio::test]
async fn files_come_in_the_smallest_form_that_the_client_takes() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    for (accept, encoding, content) in
        [("gzip, deflate, br", Some("br"), "brotli"), ("gzip", Some("gzip"), "gzipped"), ("br;q=0", None, "plain")]
    {
        let (status, headers, body) = get(&app, "GET", "/assets/app-1a2b.js", &[("accept-encoding", accept)]).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, content));
        assert_eq!(headers.get("content-encoding").map(|value| value.to_str().unwrap()), encoding);
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(headers["content-length"], content.len().to_string());
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    }
    // The compressed forms are no files of their own.
    assert_eq!(get(&app, "GET", "/assets/app-1a2b.js.gz", &[]).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let (_, headers, _) = get(&app, "GET", "/sw.js", &[]).await;
    assert_eq!(headers["cache-control"], "no-cache");
    let etag = headers["etag"].to_str().unwrap().to_owned();
    for sent in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let (status, headers, body) = get(&app, "GET", "/sw.js", &[("if-none-match", &sent)]).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{sent}");
        assert_eq!(headers["etag"], etag);
    }
    assert_eq!(get(&app, "GET", "/sw.js", &[("if-none-match", "\"other\"")]).await.0, StatusCode::OK);
    // Another form is another entity.
    let (_, brotli, _) = get(&app, "GET", "/assets/app-1a2b.js", &[("accept-encoding", "br")]).await;
    let (_, plain, _) = get(&app, "GET", "/assets/app-1a2b.js", &[]).await;
    assert_ne!(brotli["etag"], plain["etag"]);
}

#[tokio::test]
async fn without_a_web_client_the_base_url_says_what_it_is() {
    let app = in_front_of(Router::new(), Site::start_page());
    let (status, headers, body) = get(&app, "GET", "/", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("Sentinel is running"));
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
}

#[test]
fn a_wrong_folder_is_told_by_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| Site::read(path, &[]).err().unwrap().to_string();
    assert!(error(folder.path()).contains("has no index.html"));
    assert!(error(&folder.path().join("none")).starts_with("reading "));
    std::fs::File::create(folder.path().join("huge")).unwrap().set_len(40 << 20).unwrap();
    assert!(error(folder.path()).contains("larger than 32 MiB"));
}
