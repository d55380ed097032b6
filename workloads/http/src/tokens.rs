//! Access tokens: `EdDSA` JWTs (RFC 9068) that every service verifies by itself.

mod keys;
mod revoked;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use jsonwebtoken::{Algorithm, Header, Validation};
use sentinel_domain::{
    account::Username,
    config::AuthConfig,
    ids::{SessionId, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{keys::KeySet, revoked::RevokedSessions};
use crate::problem::{Code, Problem};

pub use self::keys::TokenKeyError;

/// Longest token that is looked at.
const TOKEN_BYTES: usize = 4096;
/// How far the clocks of two services may be apart.
const CLOCK_SKEW_SECONDS: i64 = 10;
/// `typ` of the header and of the claims.
const HEADER_TYPE: &str = "at+jwt";
const CLAIM_TYPE: &str = "access";
/// `scope` of an admin's tokens; others have none.
const ADMIN_SCOPE: &str = "admin";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Not a JWT with our claims, or one of another algorithm or type.
    #[error("the access token is malformed; send it as log-in or refresh gave it")]
    Malformed,
    /// Its `kid` is not one of our keys.
    #[error("the access token is signed with an unknown key; get a new one from POST /token/refresh")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the access token has a wrong signature; send it as log-in or refresh gave it")]
    Signature,
    /// Made by or for somebody else.
    #[error("the access token has another issuer or audience; log in here")]
    Audience,
    /// Its time is over.
    #[error("the access token has expired; get a new one from POST /token/refresh")]
    Expired,
    /// Its time has not come.
    #[error("the access token is not valid yet; try again shortly")]
    Early,
    /// Its session was ended.
    #[error("the session has ended; log in again")]
    SessionEnded,
    /// No token could be made.
    #[error("the access token could not be signed")]
    Unsigned,
}

impl TokenError {
    /// The stable code that clients see.
    pub fn code(self) -> Code {
        match self {
            Self::Expired => Code::TokenExpired,
            Self::SessionEnded => Code::SessionEnded,
            _ => Code::InvalidToken,
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        if error == TokenError::Unsigned {
            Self::internal()
        } else {
            Self::unauthorized(error.code(), error.to_string())
        }
    }
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub user_id: UserId,
    /// The session it was issued in.
    pub session_id: SessionId,
    /// The user's name when it was issued.
    pub username: Username,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When its time is over.
    pub expires_at: Timestamp,
    /// Its own id.
    pub jti: Uuid,
    /// Whether it has the scope `admin`.
    pub admin: bool,
}

/// A new token.
pub struct IssuedToken {
    /// The JWT.
    pub token: String,
    /// When its time is over.
    pub expires_at: Timestamp,
}

/// The claims as they are written.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    username: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
    typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Issues and verifies access tokens.
pub struct Tokens {
    keys_dir: PathBuf,
    issuer: String,
    audience: String,
    lifetime_seconds: i64,
    validation: Validation,
    keys: RwLock<Arc<KeySet>>,
    revoked: RevokedSessions,
}

impl Tokens {
    /// Reads the keys `jwt-*.pem` of a folder: all of them verify, and the newest by name signs once every service has had
    /// time to read it. A folder that has the public keys `jwks.json` instead is enough to verify.
    pub fn load(keys_dir: &Path, config: &AuthConfig) -> Result<Self, TokenKeyError> {
        let keys = KeySet::read(keys_dir, Timestamp::now())?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // Times are checked in `verify` against the clock that it is given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            keys_dir: keys_dir.to_owned(),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime_seconds: i64::from(config.access_token_seconds),
            validation,
            keys: RwLock::new(Arc::new(keys)),
            revoked: RevokedSessions::default(),
        })
    }

    /// Reads the keys again; on an error the keys stay as they are.
    ///
    /// A key that was not there before verifies at once and signs a little later, when every service has read it.
    pub fn reload(&self) -> Result<(), TokenKeyError> {
        let now = Timestamp::now();
        let read = KeySet::read(&self.keys_dir, now)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *keys = Arc::new(read.following(&keys, now));
        Ok(())
    }

    /// Whether there are private keys, and not only public ones.
    pub fn can_sign(&self) -> bool {
        self.keys().signing(Timestamp::now()).encoding.is_some()
    }

    /// Seconds for which a new token is good.
    pub fn lifetime_seconds(&self) -> i64 {
        self.lifetime_seconds
    }

    /// Makes a token.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        username: &Username,
        now: Timestamp,
    ) -> Result<IssuedToken, TokenError> {
        self.sign(user, session, username, None, now)
    }

    /// Makes a token with the scope `admin`.
    pub fn issue_admin(
        &self,
        user: UserId,
        session: SessionId,
        username: &Username,
        now: Timestamp,
    ) -> Result<IssuedToken, TokenError> {
        self.sign(user, session, username, Some(ADMIN_SCOPE.to_owned()), now)
    }

    fn sign(
        &self,
        user: UserId,
        session: SessionId,
        username: &Username,
        scope: Option<String>,
        now: Timestamp,
    ) -> Result<IssuedToken, TokenError> {
        let keys = self.keys();
        let key = keys.signing(now);
        let encoding = key.encoding.as_ref().ok_or_else(|| {
            tracing::error!("an access token could not be signed: this process has public keys only");
            TokenError::Unsigned
        })?;
        let header =
            Header { typ: Some(HEADER_TYPE.into()), kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let exp = now.seconds().saturating_add(self.lifetime_seconds);
        let payload = Payload {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user,
            sid: session,
            username: username.as_str().to_owned(),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp,
            jti: Uuid::new_v4(),
            typ: CLAIM_TYPE.into(),
            scope,
        };
        let token = jsonwebtoken::encode(&header, &payload, encoding).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "an access token could not be signed");
            TokenError::Unsigned
        })?;
        Ok(IssuedToken { token, expires_at: Timestamp(exp.saturating_mul(1000)) })
    }

    /// Reads a token, refusing whatever is not exactly what [`Tokens::issue`] makes.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let typed = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(HEADER_TYPE));
        if header.alg != Algorithm::EdDSA || !typed || header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let keys = self.keys();
        let key = header.kid.as_deref().and_then(|id| keys.get(id)).ok_or(TokenError::UnknownKey)?;
        let payload = jsonwebtoken::decode::<Payload>(token, &key.decoding, &self.validation)
            .map_err(|error| refusal(&error))?
            .claims;
        let claims = claims(&payload, self.lifetime_seconds, now)?;
        if self.revoked.contains(claims.session_id, now) { Err(TokenError::SessionEnded) } else { Ok(claims) }
    }

    /// Refuses the tokens of a session that ended, until the last of them has expired.
    pub fn revoke_session(&self, session: SessionId, now: Timestamp) {
        self.revoked.insert(session, now.plus_seconds(self.lifetime_seconds + CLOCK_SKEW_SECONDS), now);
    }

    /// The public keys as a JWK set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        self.keys().jwks()
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.issuer).field("audience", &self.audience).finish_non_exhaustive()
    }
}

fn refusal(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenError::Audience,
        _ => TokenError::Malformed,
    }
}

fn claims(payload: &Payload, lifetime_seconds: i64, now: Timestamp) -> Result<Claims, TokenError> {
    if payload.typ != CLAIM_TYPE {
        return Err(TokenError::Malformed);
    }
    // A token from before the lifetime was lowered: which sessions ended is known for the new lifetime only.
    let exp = payload.exp.min(payload.iat.saturating_add(lifetime_seconds));
    if exp <= now.seconds() {
        return Err(TokenError::Expired);
    }
    if payload.nbf > now.seconds() + CLOCK_SKEW_SECONDS {
        return Err(TokenError::Early);
    }
    Ok(Claims {
        user_id: payload.sub,
        session_id: payload.sid,
        username: Username::parse(&payload.username).map_err(|_| TokenError::Malformed)?,
        issued_at: Timestamp(payload.iat.saturating_mul(1000)),
        expires_at: Timestamp(exp.saturating_mul(1000)),
        jti: payload.jti,
        admin: payload.scope.as_deref().is_some_and(|scope| scope.split(' ').any(|scope| scope == ADMIN_SCOPE)),
    })
}

#[cfg(test)]
mod tests;
