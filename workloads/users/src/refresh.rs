//! `POST /token/refresh`.

use axum::{
    extract::State,
    http::{StatusCode, header},
};
use sentinel_domain::{
    ports::Credentials,
    session::{Rotation, Session, read_refresh_token},
    time::Timestamp,
};
use sentinel_http::{
    client::ClientAddress,
    describe::{Any, TakesJson},
    extract::Json,
    problem::{Code, Problem, ProblemBody},
    rate::Action,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{answer::TokenAnswer, service::Users};

/// A refresh token to be used.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Refresh {
    /// From the last answer with tokens.
    refresh_token: String,
}

/// Get new tokens.
///
/// Each refresh token is good for one use. For 30 s after it the same token gives the session's current one, because
/// several tabs may use it at once, or one of them late; use after that means that it was copied, and ends the session.
#[utoipa::path(
    post, path = "/token/refresh", tag = "users", request_body = Refresh,
    responses(
        (status = 200, description = "New tokens of the same session.", body = TokenAnswer),
        (status = 401, description = "Not a refresh token of a running session (`invalid_refresh_token`), not used for \
            too long (`refresh_expired`), or used before (`refresh_reused`): log in again.",
            body = ProblemBody, content_type = "application/problem+json"),
        TakesJson, Any,
    )
)]
pub(crate) async fn refresh(
    State(users): State<Users>,
    address: ClientAddress,
    Json(body): Json<Refresh>,
) -> Result<Json<TokenAnswer>, Problem> {
    let Some((id, generation)) = read_refresh_token(&users.keyring, &body.refresh_token) else {
        users.limits.check(Action::Refresh, &address.rate_key())?;
        return Err(invalid());
    };
    users.limits.check(Action::Refresh, &id.to_string())?;
    let now = Timestamp::now();
    let Some(session) = users.sessions.session(id).await? else {
        users.tokens.revoke_session(id, now);
        return Err(invalid());
    };
    // Before the token is used up: while this fails, it stays good. Whoever's rights change meanwhile has no session to rotate.
    let Credentials { account, standing, .. } =
        users.accounts.credentials(session.user_id).await?.ok_or_else(invalid)?;
    let lifetime = users.config.auth.refresh_token_seconds;
    let rotated = users.sessions.rotate_session(id, generation, now, lifetime).await?;
    let generation = next_generation(rotated).inspect_err(|_| users.revoke(account.id, [id]))?;
    Ok(Json(users.token_answer(account.id, &account.username, standing, id, generation, now)?))
}

/// The generation whose tokens to give.
fn next_generation(rotated: Option<(Session, Rotation)>) -> Result<u32, Problem> {
    match rotated {
        Some((_, Rotation::Advance(generation) | Rotation::Repeat(generation))) => Ok(generation),
        Some((_, Rotation::Expired)) => {
            Err(refused(Code::RefreshExpired, "the session was not used for too long; log in again"))
        }
        Some((session, Rotation::Reused)) => {
            tracing::warn!(user_id = %session.user_id, session_id = %session.id, "a refresh token was used again");
            metrics::counter!("sentinel_refresh_tokens_reused_total").increment(1);
            Err(refused(Code::RefreshReused, "the refresh token was used before; the session has ended, log in again"))
        }
        None => Err(invalid()),
    }
}

fn invalid() -> Problem {
    refused(Code::InvalidRefreshToken, "not a refresh token of a running session; log in again")
}

fn refused(code: Code, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
        .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"sentinel\"")
}
