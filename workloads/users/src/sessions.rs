//! `POST /logout`, `GET /sessions`, `DELETE /sessions/{id}`, `POST /password`.

use std::cmp::Reverse;

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    account::check_password,
    audit::{AuditAction, AuditEntry},
    ids::SessionId,
    ports::{PasswordChange as StoredChange, StoreError},
    session::Session,
};
use sentinel_http::{
    auth::AuthUser,
    client::ClientAddress,
    describe::{Any, MayBeMissing, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path, Query},
    page,
    problem::{Problem, ProblemBody},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    answer::{SessionAnswer, SessionsAnswer},
    register::code_of,
    service::{Users, wrong_password},
};

/// What a cursor is bound to, besides the caller.
const QUERY: &str = "sessions";

/// Log out: end the session that asks.
#[utoipa::path(
    post, path = "/logout", tag = "sessions", security(("bearer" = [])),
    responses((status = 204, description = "The session has ended, its sockets close."), NeedsToken, Any)
)]
pub(crate) async fn logout(State(users): State<Users>, user: AuthUser) -> Result<StatusCode, Problem> {
    match users.sessions.end_session(user.user_id, user.session_id).await {
        // Ended elsewhere a moment ago: what was wanted.
        Ok(()) | Err(StoreError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    users.revoke(user.user_id, [user.session_id]);
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's sessions, newest first. An account has at most 100: one more ends the one that was not used for longest.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions", security(("bearer" = [])), params(page::Asked),
    responses(
        (status = 200, description = "Where the caller is logged in.", body = SessionsAnswer),
        TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn list_sessions(
    State(users): State<Users>,
    user: AuthUser,
    Query(asked): Query<page::Asked>,
) -> Result<Json<SessionsAnswer>, Problem> {
    let limit = page::limit(asked.limit, page::DEFAULT)?;
    let before = page::place(&users.keyring, QUERY, user.user_id, asked.cursor.as_deref())?;
    let place = |session: &Session| (session.created_at, *session.id.as_bytes());
    // They are few.
    let mut sessions = users.sessions.sessions(user.user_id).await?;
    sessions.sort_by_key(|session| Reverse(place(session)));
    sessions.retain(|session| before.is_none_or(|before| place(session) < before));
    let last = page::cut(&mut sessions, limit).map(place);
    let next_cursor = last.map(|place| page::place_cursor(&users.keyring, QUERY, user.user_id, place));
    let sessions = sessions.into_iter().map(|session| SessionAnswer::new(session, user.session_id)).collect();
    Ok(Json(SessionsAnswer { sessions, next_cursor }))
}

/// End one of the caller's sessions.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The session.")),
    responses(
        (status = 204, description = "The session has ended, its sockets close."),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn end_session(
    State(users): State<Users>,
    user: AuthUser,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, Problem> {
    users.sessions.end_session(user.user_id, id).await?;
    users.revoke(user.user_id, [id]);
    Ok(StatusCode::NO_CONTENT)
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordChange {
    /// The password until now.
    #[schema(format = Password)]
    current_password: String,
    /// 8 to 128 bytes.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    new_password: String,
}

/// Change the password and end all other sessions.
#[utoipa::path(
    post, path = "/password", tag = "sessions", security(("bearer" = [])), request_body = PasswordChange,
    responses(
        (status = 204, description = "The password is changed; only the session that asks goes on."),
        (status = 403, description = "The current password is wrong, or was changed meanwhile (`invalid_credentials`).",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The new password can't be one (`invalid_password`).",
            body = ProblemBody, content_type = "application/problem+json"),
        TakesJson, NeedsToken, Any,
    )
)]
pub(crate) async fn change_password(
    State(users): State<Users>,
    user: AuthUser,
    client: ClientAddress,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    check_password(&change.new_password)
        .map_err(|error| Problem::invalid("new_password", code_of(&error), error.to_string()))?;
    let confirmed = users.confirm_password(&user, change.current_password).await?;
    let password_hash = users.passwords.hash(change.new_password).await?;
    let entry = AuditEntry::now(AuditAction::PasswordChanged, Some(user.user_id), Some(user.user_id));
    let entry = entry.from_address(client.0.to_string());
    let change = StoredChange { user: user.user_id, confirmed, password_hash, session: user.session_id, entry };
    let ended = users.accounts.change_password(change).await?;
    let changed = || wrong_password("the password was changed meanwhile, or the session has ended; log in again");
    users.revoke(user.user_id, ended.ok_or_else(changed)?);
    Ok(StatusCode::NO_CONTENT)
}
