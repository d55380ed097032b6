//! `PUT` and `DELETE /users/{id}/block`, `GET /blocks`.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{ids::UserId, time::Timestamp};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, MayBeMissing, NeedsToken, TakesParameters},
    extract::{Json, Path, Query},
    page,
    problem::{Code, Problem, ProblemBody},
};

use crate::{
    answer::{BlockAnswer, BlocksAnswer},
    service::Users,
};

/// What a cursor is bound to, besides the caller.
const QUERY: &str = "blocks";

/// Block an account. A repeat changes nothing.
#[utoipa::path(
    put, path = "/users/{id}/block", tag = "blocks", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "Who.")),
    responses(
        (status = 204, description = "Blocked."),
        (status = 422, description = "It is the caller (`cannot_block_self`).",
            body = ProblemBody, content_type = "application/problem+json"),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn block(
    State(users): State<Users>,
    user: AuthUser,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    if id == user.user_id {
        return Err(Problem::invalid(
            "id",
            Code::CannotBlockSelf,
            "you can't block yourself; give another account's id",
        ));
    }
    users.accounts.block(user.user_id, id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a block back. Nothing happens when there is none.
#[utoipa::path(
    delete, path = "/users/{id}/block", tag = "blocks", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "Who.")),
    responses((status = 204, description = "Not blocked."), TakesParameters, NeedsToken, Any)
)]
pub(crate) async fn unblock(
    State(users): State<Users>,
    user: AuthUser,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    users.accounts.unblock(user.user_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The accounts that the caller blocks, newest first.
#[utoipa::path(
    get, path = "/blocks", tag = "blocks", security(("bearer" = [])), params(page::Asked),
    responses(
        (status = 200, description = "Who is blocked.", body = BlocksAnswer),
        TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn list_blocks(
    State(users): State<Users>,
    user: AuthUser,
    Query(asked): Query<page::Asked>,
) -> Result<Json<BlocksAnswer>, Problem> {
    let limit = page::limit(asked.limit, page::DEFAULT)?;
    let before = page::place(&users.keyring, QUERY, user.user_id, asked.cursor.as_deref())?;
    let before = before.map(|(at, who)| (at, UserId::from_bytes(who)));
    let mut blocks = users.accounts.blocks(user.user_id, before, limit + 1).await?;
    let last = page::cut(&mut blocks, limit).map(|(profile, at)| (*at, *profile.user_id.as_bytes()));
    let next_cursor = last.map(|place| page::place_cursor(&users.keyring, QUERY, user.user_id, place));
    Ok(Json(BlocksAnswer { blocks: blocks.into_iter().map(BlockAnswer::from).collect(), next_cursor }))
}
