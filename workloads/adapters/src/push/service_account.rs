//! A Google service account: the file, and the assertion by which it asks for an access token (RFC 7523).

use std::{fmt, fs, path::Path};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use super::PushError;

/// What the access token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Seconds for which an assertion is good; it is used at once.
const GOOD_FOR_SECONDS: i64 = 300;

#[derive(Deserialize)]
struct File {
    project_id: String,
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

/// A service account.
pub(super) struct ServiceAccount {
    pub project: String,
    pub token_url: String,
    email: String,
    key_id: Option<String>,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccount {
    pub fn load(path: &Path) -> Result<Self, PushError> {
        let text = fs::read(path).map_err(|source| PushError::Read { path: path.to_owned(), source })?;
        let wrong = |why: String| PushError::ServiceAccount { path: path.to_owned(), why };
        // The error names a field or a place, never what is there.
        let file: File = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let key = EncodingKey::from_rsa_pem(file.private_key.as_bytes())
            .map_err(|_| wrong("private_key is no RSA key in PEM".into()))?;
        if file.project_id.is_empty() || file.project_id.contains(['/', '?', '#']) {
            return Err(wrong("project_id is no project's id".into()));
        }
        Ok(Self {
            project: file.project_id,
            token_url: file.token_uri,
            email: file.client_email,
            key_id: file.private_key_id,
            key,
        })
    }

    /// A signed assertion; `None` when it can't be signed.
    pub fn assertion(&self, now: i64) -> Option<String> {
        let claims =
            Claims { iss: &self.email, scope: SCOPE, aud: &self.token_url, iat: now, exp: now + GOOD_FOR_SECONDS };
        let header = Header { kid: self.key_id.clone(), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &claims, &self.key).ok()
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("project", &self.project).finish_non_exhaustive()
    }
}
