//! Makes the API descriptions of the routes (OpenAPI) and of the sockets' events (`AsyncAPI`) out of those of the services.

use serde_json::{Value, json};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::arguments::Role;

/// The description of every route that clients may call where these roles are served.
pub fn openapi(roles: &[Role]) -> OpenApi {
    let mut routes = OpenApiRouter::<()>::new();
    let mut api = routes.to_openapi();
    for role in roles {
        api.merge(match role {
            Role::Users => sentinel_users::openapi(),
            Role::Message => sentinel_message::openapi(),
            Role::Presence => sentinel_presence::openapi(),
            Role::Notification => sentinel_notification::openapi(),
            Role::Search => sentinel_search::openapi(),
            Role::Media => sentinel_media::openapi(),
        });
    }
    api.info = InfoBuilder::new()
        .title("Sentinel")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Private one-to-one chat. Get a token from `POST /register` or `POST /login`, send it as \
             `Authorization: Bearer …`, and connect Socket.IO (path `/socket.io/`, namespace `/chat`) with \
             `auth: {token}`. The token says who calls: where any request names another as `user_id` or `sender_id`, it is \
             refused (403 `forbidden`), unless it is about other people.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    api
}

/// The description of the events of sockets.
pub fn asyncapi() -> Value {
    sentinel_message::asyncapi(&json!({
        "title": "Sentinel",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Events of Socket.IO (protocol 5, Engine.IO 4, path `/socket.io/`, polling and WebSocket). \
                        The token says who sends: an event that names another as `user_id` or `sender_id` is refused.",
        "license": { "name": "Apache-2.0" },
    }))
}

#[cfg(test)]
mod tests;
