//! All routes of the service.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use sentinel_http::describe::{Any, Common};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    account, administration, blocks, email, export, login, lookup, refresh, register, reports,
    service::{Users, UsersService},
    sessions,
};

/// The routes of the users service with their description.
pub fn router(service: Arc<UsersService>) -> OpenApiRouter {
    described().with_state(Users(service))
}

/// The description of the routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    sentinel_http::describe::merged(described().into_openapi())
}

fn described() -> OpenApiRouter<Users> {
    OpenApiRouter::with_openapi(Common::openapi())
        .routes(routes!(register::register))
        .routes(routes!(login::login))
        .routes(routes!(refresh::refresh))
        .routes(routes!(sessions::logout))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::end_session))
        .routes(routes!(sessions::change_password))
        .routes(routes!(email::send_verification))
        .routes(routes!(email::verify))
        .routes(routes!(email::forgot))
        .routes(routes!(email::reset))
        .routes(routes!(lookup::show))
        .routes(routes!(lookup::show_by_name))
        .routes(routes!(lookup::show_by_id))
        .routes(routes!(lookup::search))
        .routes(routes!(account::me, account::change_me, account::delete_me))
        .routes(routes!(account::protected))
        .routes(routes!(export::export))
        .routes(routes!(blocks::block, blocks::unblock))
        .routes(routes!(blocks::list_blocks))
        .routes(routes!(reports::report))
        .routes(routes!(administration::users::list))
        .routes(routes!(administration::users::show))
        .routes(routes!(administration::users::disable))
        .routes(routes!(administration::users::enable))
        .routes(routes!(administration::users::end_sessions))
        .routes(routes!(administration::statistics))
        .routes(routes!(administration::audit::list))
        .routes(routes!(administration::reports::list))
        .routes(routes!(administration::reports::resolve))
        .routes(routes!(jwks))
}

/// The public keys that access tokens are verified with.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "users",
    responses((status = 200, description = "A JWK set (RFC 7517).", body = Object), Any)
)]
async fn jwks(State(users): State<Users>) -> Response {
    // A new key is published two minutes before it signs; caches must have noticed by then.
    ([(header::CACHE_CONTROL, "public, max-age=60")], axum::Json(users.tokens.jwks())).into_response()
}
