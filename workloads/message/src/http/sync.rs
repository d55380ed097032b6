//! What happened since a token.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, NeedsToken, TakesParameters},
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
        (
            status = 400,
            description = "`since` is not a token of the caller (`invalid_cursor`): load the chats anew, then go on from \
                `sync_token` of a socket's `ready`, or from the last `next` of this route read to its end without `since`",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn since(
    State(App(service)): State<App>,
    user: AuthUser,
    Query(query): Query<SyncSince>,
) -> Result<Response, Problem> {
    Ok(Json(sync::since(&service, user.user_id, query).await?).into_response())
}
