//! The API description: OpenAPI at `/openapi.json`, browsable at `/docs`.

use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi};
use utoipa_axum::router::OpenApiRouter;

/// The description of every route that clients may call.
pub fn openapi() -> OpenApi {
    let mut routes = OpenApiRouter::<()>::new();
    let mut api = routes.to_openapi();
    for part in [
        sentinel_users::openapi(),
        sentinel_message::openapi(),
        sentinel_notification::openapi(),
        sentinel_search::openapi(),
    ] {
        api.merge(part);
    }
    api.info = InfoBuilder::new()
        .title("Sentinel")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Private one-to-one chat. Get a token from `POST /register` or `POST /login`, send it as \
             `Authorization: Bearer …`, and connect Socket.IO (path `/socket.io/`, namespace `/chat`) with \
             `auth: {token}`.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    api
}
