//! The caller of a request, who is whom the access token says.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use sentinel_domain::{
    account::Username,
    ids::{SessionId, UserId},
    time::Timestamp,
};

use crate::{
    extract::{Caller, query_is_of},
    problem::{Code, Problem},
    tokens::{Claims, TokenError, Tokens},
};

/// The authenticated caller. A request that names another as `user_id` or `sender_id`, in its query or its JSON, is refused
/// with 403 `forbidden`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthUser {
    /// Who calls.
    pub user_id: UserId,
    /// In which session.
    pub session_id: SessionId,
    /// The caller's name when the token was issued.
    pub username: Username,
    /// When the token's time is over.
    pub expires_at: Timestamp,
    /// Whether the token has the scope `admin`; see [`AdminCaller`].
    pub admin: bool,
}

/// The authenticated caller of what may name other people: its `user_id` and `sender_id` say whom it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker(pub AuthUser);

/// The authenticated caller, who is an admin: the token says so. Everybody else is refused with 403 `forbidden`.
///
/// Whoever stops being an admin loses all sessions, so such a token is refused within two seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminCaller(pub AuthUser);

impl From<Claims> for AuthUser {
    fn from(claims: Claims) -> Self {
        Self {
            user_id: claims.user_id,
            session_id: claims.session_id,
            username: claims.username,
            expires_at: claims.expires_at,
            admin: claims.admin,
        }
    }
}

/// What [`crate::layers`] found out about the request's token, so that it is verified once only.
#[derive(Clone)]
pub(crate) struct Verified(pub Result<Claims, TokenError>);

/// The bearer token of a request (RFC 6750; header only, because addresses end up in logs).
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl<S> FromRequestParts<S> for AuthUser
where
    S: Send + Sync,
    Arc<Tokens>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let user = verified(parts, state)?;
        query_is_of(user.user_id, parts.uri.query())?;
        parts.extensions.insert(Caller(user.user_id));
        Ok(user)
    }
}

impl<S> FromRequestParts<S> for Asker
where
    S: Send + Sync,
    Arc<Tokens>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        verified(parts, state).map(Self)
    }
}

impl<S> FromRequestParts<S> for AdminCaller
where
    S: Send + Sync,
    Arc<Tokens>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let user = verified(parts, state)?;
        if user.admin { Ok(Self(user)) } else { Err(Problem::forbidden("this is for admins; log in as one")) }
    }
}

/// Whom the token names.
fn verified<S>(parts: &Parts, state: &S) -> Result<AuthUser, Problem>
where
    Arc<Tokens>: FromRef<S>,
{
    if let Some(Verified(claims)) = parts.extensions.get::<Verified>() {
        return Ok(claims.clone()?.into());
    }
    let token = bearer_token(&parts.headers).ok_or_else(missing_token)?;
    Ok(Arc::<Tokens>::from_ref(state).verify(token, Timestamp::now())?.into())
}

fn missing_token() -> Problem {
    // RFC 6750: no error code when the request has no credentials at all.
    Problem::new(
        StatusCode::UNAUTHORIZED,
        Code::MissingToken,
        "this needs an access token; send it as Authorization: Bearer TOKEN",
    )
    .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"sentinel\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_read_from_the_header_whatever_the_schemes_case() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        for none in ["abc", "Basic abc", "Bearer"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
