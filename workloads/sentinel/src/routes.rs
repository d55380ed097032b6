//! The API descriptions beside the routes: OpenAPI at `/openapi.json`, browsable at `/docs`, `AsyncAPI` at
//! `/asyncapi.json`.

use anyhow::Context as _;
use axum::{Router, http::header, routing::get};
use utoipa_swagger_ui::SwaggerUi;

use crate::{arguments::Role, describe};

/// The routes of `api` and the description of these roles, whether or not this process serves all of them.
pub fn with_description(api: Router, roles: &[Role]) -> anyhow::Result<Router> {
    let description = describe::openapi(roles).to_json().context("writing the API description")?;
    let events = describe::asyncapi().to_string();
    let events = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], events) });
    let description = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) });
    Ok(api
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .route("/openapi.json", description)
        .route("/asyncapi.json", events))
}
