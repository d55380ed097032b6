//! Serves the API descriptions beside the routes that they describe: OpenAPI at `/openapi.json`, browsable at `/docs`, and
//! `AsyncAPI` at `/asyncapi.json`.

use anyhow::Context as _;
use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing::get,
};
use utoipa_swagger_ui::SwaggerUi;

use crate::{arguments::Role, describe};

/// What the browsable description may load and do: it is on the origin that keeps the web client's tokens. Its page brings
/// styles in attributes.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of `api` and the description of these roles, whether or not this process serves all of them.
pub fn with_description(api: Router, roles: &[Role]) -> anyhow::Result<Router> {
    let description = describe::openapi(roles).to_json().context("writing the API description")?;
    let events = describe::asyncapi().to_string();
    let events = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], events) });
    let description = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) });
    let browsable = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json"));
    Ok(api
        .merge(Router::new().merge(browsable).layer(middleware::map_response(async |mut page: Response| {
            page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            page
        })))
        .route("/openapi.json", description)
        .route("/asyncapi.json", events))
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_browsable_description_runs_only_what_it_brings() {
        let router = with_description(Router::new(), &[]).unwrap();
        for path in ["/docs/", "/docs/swagger-ui-bundle.js", "/docs/there-is-no-such-file"] {
            let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.headers()["content-security-policy"], POLICY, "{path}");
        }
        let page = router.oneshot(Request::get("/docs/").body(Body::empty()).unwrap()).await.unwrap();
        let page = String::from_utf8(to_bytes(page.into_body(), 100_000).await.unwrap().to_vec()).unwrap();
        // What is in the page itself would not run.
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"./").count(), "{page}");
        assert!(POLICY.contains("script-src 'self';"));
    }
}
