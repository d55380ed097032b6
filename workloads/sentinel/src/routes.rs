//! The API description beside the routes: OpenAPI at `/openapi.json`, browsable at `/docs`.

use anyhow::Context as _;
use axum::{Router, http::header, routing::get};
use utoipa_swagger_ui::SwaggerUi;

use crate::describe;

/// The routes of `api` and the description of the whole platform, whichever services this process has.
pub fn with_description(api: Router) -> anyhow::Result<Router> {
    let description = describe::openapi().to_json().context("writing the API description")?;
    let description = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) });
    Ok(api
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .route("/openapi.json", description))
}
