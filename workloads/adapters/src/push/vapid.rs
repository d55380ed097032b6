//! How we tell push services who we are (VAPID, RFC 8292): a signed token per origin, good for half a day.

use std::{collections::HashMap, fs, path::Path, sync::Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sentinel_domain::{key_file, time::Timestamp};
use serde::Serialize;

use super::PushError;

/// RFC 8292 allows a day at most.
const GOOD_FOR_SECONDS: i64 = 12 * 3600;
/// A token is made anew when less than this is left of it.
const RENEWED_BEFORE_SECONDS: i64 = 3600;
/// Origins whose tokens are kept; there are few push services.
const KEPT: usize = 256;

/// The key with the tokens that it signed.
pub(super) struct Vapid {
    key: EncodingKey,
    public_key: String,
    subject: String,
    tokens: Mutex<HashMap<String, (String, i64)>>,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

impl Vapid {
    pub fn load(path: &Path, subject: &str) -> Result<Self, PushError> {
        if !subject.starts_with("mailto:") && !subject.starts_with("https://") {
            let why = format!("{subject:?} must begin with `mailto:` or `https://`");
            return Err(PushError::Setting(format!("webPush.subject: {why}")));
        }
        let text = fs::read_to_string(path).map_err(|source| PushError::Read { path: path.to_owned(), source })?;
        let wrong = || PushError::VapidKey { path: path.to_owned() };
        let der = key_file::private_key(&text).ok_or_else(wrong)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(|_| wrong())?;
        let public_key = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let key = EncodingKey::from_ec_der(&der);
        Ok(Self { key, public_key, subject: subject.to_owned(), tokens: Mutex::default() })
    }

    /// The point that browsers subscribe with, in base64url.
    pub fn public_key(&self) -> String {
        self.public_key.clone()
    }

    /// The `Authorization` header for an origin such as `https://push.example`; `None` when it can't be signed.
    pub fn authorization(&self, origin: &str, now: Timestamp) -> Option<String> {
        let token = self.token(origin, now.seconds())?;
        Some(format!("vapid t={token}, k={}", self.public_key))
    }

    fn token(&self, origin: &str, now: i64) -> Option<String> {
        let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((token, until)) = tokens.get(origin)
            && until - RENEWED_BEFORE_SECONDS > now
        {
            return Some(token.clone());
        }
        let until = now + GOOD_FOR_SECONDS;
        let claims = Claims { aud: origin, exp: until, sub: &self.subject };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key).ok()?;
        if tokens.len() >= KEPT {
            tokens.clear();
        }
        tokens.insert(origin.to_owned(), (token.clone(), until));
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use sentinel_domain::{key_file::VAPID_FILE, key_generation};
    use serde_json::Value;

    use super::*;

    fn vapid() -> Vapid {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(VAPID_FILE);
        fs::write(&path, key_generation::vapid_key().unwrap()).unwrap();
        Vapid::load(&path, "mailto:ops@example.com").unwrap()
    }

    #[test]
    fn push_services_can_verify_who_we_are() {
        let vapid = vapid();
        let now = Timestamp::now();
        let header = vapid.authorization("https://push.example", now).unwrap();
        let (token, key) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let point = URL_SAFE_NO_PAD.decode(key).unwrap();
        assert_eq!((point.len(), point[0]), (65, 4));
        let key = DecodingKey::from_ec_components(
            &URL_SAFE_NO_PAD.encode(&point[1..33]),
            &URL_SAFE_NO_PAD.encode(&point[33..]),
        )
        .unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&["https://push.example"]);
        let claims = decode::<Value>(token, &key, &rules).unwrap().claims;
        assert_eq!(claims["sub"], "mailto:ops@example.com");
        assert!(claims["exp"].as_i64().unwrap() - now.seconds() <= 24 * 3600);
    }

    #[test]
    fn a_token_is_used_again_for_its_origin_until_it_is_old() {
        let vapid = vapid();
        let first = vapid.token("https://a.example", 1_000).unwrap();
        assert_eq!(vapid.token("https://a.example", 1_000 + 3600).unwrap(), first);
        assert_ne!(vapid.token("https://b.example", 1_000).unwrap(), first);
        assert_ne!(vapid.token("https://a.example", 1_000 + 11 * 3600).unwrap(), first);
    }

    #[test]
    fn what_is_no_key_or_subject_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.pem");
        fs::write(&path, "nonsense").unwrap();
        let text = |subject| Vapid::load(&path, subject).err().unwrap().to_string();
        assert!(text("mailto:a@example.com").contains("v.pem must hold a P-256 key"));
        assert!(text("ops@example.com").contains("webPush.subject"));
        fs::write(&path, key_generation::signing_key().unwrap()).unwrap();
        assert!(text("mailto:a@example.com").contains("v.pem must hold a P-256 key"), "it is an Ed25519 key");
    }
}
