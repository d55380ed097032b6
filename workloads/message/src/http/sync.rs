//! What happened since a token.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use sentinel_http::{
    auth::AuthUser,
    extract::{Json, Query},
    problem::{Problem, ProblemBody},
};

use super::App;
use crate::{
    requests::SyncSince,
    sync::{self, SyncPage},
};

/// Catch up
///
/// Everything that happened to the caller since the token, from any node, days later.
#[utoipa::path(
    get, path = "/sync", tag = "messages", operation_id = "sync", security(("bearer" = [])),
    params(
        ("since" = Option<String>, Query, description = "`next` of the answer before, or `sync_token` of a socket's \
            `ready`; from the oldest event that is kept if left out"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most this many events; 100 by \
            default"),
    ),
    responses(
        (status = 200, description = "What happened, in order", body = SyncPage),
        (status = 400, description = "The token is not one of the caller's", body = ProblemBody),
        (status = 401, description = "No good access token", body = ProblemBody),
        (status = 422, description = "The request is malformed", body = ProblemBody),
    )
)]
pub(super) async fn since(
    State(App(service)): State<App>,
    user: AuthUser,
    Query(query): Query<SyncSince>,
) -> Result<Response, Problem> {
    Ok(Json(sync::since(&service, user.user_id, query).await?).into_response())
}
