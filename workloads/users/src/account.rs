//! The caller's own account: `GET /me` (and `/protected`), `PATCH /me`, `DELETE /me`.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    ports::ConfirmedRemoval,
};
use sentinel_http::{
    auth::AuthUser,
    client::ClientAddress,
    describe::{Any, NeedsToken, TakesJson},
    extract::Json,
    problem::{Problem, ProblemBody},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    answer::AccountAnswer,
    profile::{ProfilePatch, change},
    service::{Users, own, wrong_password},
};

/// The caller's own account.
#[utoipa::path(
    get, path = "/me", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The account.", body = AccountAnswer), NeedsToken, Any)
)]
pub(crate) async fn me(State(users): State<Users>, user: AuthUser) -> Result<Json<AccountAnswer>, Problem> {
    let account = users.own_account(&user).await?;
    Ok(Json(AccountAnswer::new(account, users.mail.is_some())))
}

/// The caller's own account; the same as `GET /me`.
#[utoipa::path(
    get, path = "/protected", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The account.", body = AccountAnswer), NeedsToken, Any)
)]
pub(crate) async fn protected(State(users): State<Users>, user: AuthUser) -> Result<Json<AccountAnswer>, Problem> {
    me(State(users), user).await
}

/// Change the caller's profile.
#[utoipa::path(
    patch, path = "/me", tag = "account", security(("bearer" = [])), request_body = ProfilePatch,
    responses(
        (status = 200, description = "The account as it is now.", body = AccountAnswer),
        (status = 422, description = "What no profile can have (`invalid_display_name`, `invalid_avatar_url`).",
            body = ProblemBody, content_type = "application/problem+json"),
        TakesJson, NeedsToken, Any,
    )
)]
pub(crate) async fn change_me(
    State(users): State<Users>,
    user: AuthUser,
    Json(patch): Json<ProfilePatch>,
) -> Result<Json<AccountAnswer>, Problem> {
    let account = users.accounts.change_profile(user.user_id, change(&user.username, patch)?).await.map_err(own)?;
    Ok(Json(AccountAnswer::new(account, users.mail.is_some())))
}

/// The password, so that a stolen token can't destroy an account.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Deletion {
    /// The password.
    #[schema(format = Password)]
    password: String,
}

/// Delete the caller's account with its sessions, blocks, files and chats; the chats' keys are destroyed.
///
/// What others reported about it stays with the administrators, for 180 days from when it was reported.
#[utoipa::path(
    delete, path = "/me", tag = "account", security(("bearer" = [])), request_body = Deletion,
    responses(
        (status = 204, description = "The account is gone."),
        (status = 403, description = "The password is wrong (`invalid_credentials`); the token is still good.",
            body = ProblemBody, content_type = "application/problem+json"),
        TakesJson, NeedsToken, Any,
    )
)]
pub(crate) async fn delete_me(
    State(users): State<Users>,
    user: AuthUser,
    client: ClientAddress,
    Json(deletion): Json<Deletion>,
) -> Result<StatusCode, Problem> {
    let password_hash = users.confirm_password(&user, deletion.password).await?;
    let sessions = users.sessions.sessions(user.user_id).await?;
    let entry = AuditEntry::now(AuditAction::AccountDeleted, Some(user.user_id), Some(user.user_id));
    let confirmed = ConfirmedRemoval { password_hash, entry: entry.from_address(client.0.to_string()) };
    if !users.accounts.remove_account(user.user_id, Some(confirmed)).await.map_err(own)? {
        return Err(wrong_password("the password was changed meanwhile; give the new one"));
    }
    users.revoke(user.user_id, sessions.into_iter().map(|session| session.id));
    users.forget_presence(user.user_id);
    tracing::info!(user_id = %user.user_id, "an account was deleted");
    Ok(StatusCode::NO_CONTENT)
}
