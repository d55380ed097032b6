//! The HTTP routes.

mod chats;
mod history;
mod messages;
mod sync;

use std::sync::Arc;

use axum::{extract::FromRef, routing::get};
use sentinel_http::tokens::Tokens;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::service::MessageService;

/// What handlers and extractors get.
#[derive(Clone)]
pub(crate) struct App(pub Arc<MessageService>);

impl FromRef<App> for Arc<Tokens> {
    fn from_ref(app: &App) -> Self {
        app.0.tokens.clone()
    }
}

/// The routes for chats and messages, each described.
pub fn router(service: Arc<MessageService>) -> OpenApiRouter {
    described().with_state(App(service))
}

/// The description of the routes.
pub fn openapi() -> OpenApi {
    sentinel_http::describe::merged(described().into_openapi())
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(chats::list, chats::start))
        // Clients of the seed write it with a slash.
        .route("/users/chat/", get(chats::list))
        .routes(routes!(history::page, history::seed_page))
        .routes(routes!(messages::send))
        .routes(routes!(messages::edit, messages::delete))
        .routes(routes!(messages::read))
        .routes(routes!(sync::since))
}
