//! The signing keys, read from files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::KeyPair;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet},
};
use sentinel_domain::{
    key_file::{FIRST_SIGNING_KEY, KeyFile, PUBLIC_KEYS_FILE},
    time::Timestamp,
    token_key,
};
use serde_json::{Value, json};

/// Seconds after which every service has read a new key from its mounted Secret.
const PROPAGATION_SECONDS: i64 = 120;
/// Length of a public key.
const PUBLIC_BYTES: usize = 32;

/// Why the keys of tokens could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The folder or a file can't be read.
    #[error("cannot read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} is not an Ed25519 private key in PKCS#8 PEM")]
    NotAKey {
        /// Which one.
        path: PathBuf,
    },
    /// A file holds something else.
    #[error("{path} is not a JWK set of Ed25519 keys with their ids")]
    NotKeys {
        /// Which one.
        path: PathBuf,
    },
    /// The folder has no key.
    #[error("{path} has no signing key: put one there as {FIRST_SIGNING_KEY}")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    /// Its `kid`.
    pub id: String,
    /// Its private half; none where tokens are only verified.
    pub encoding: Option<EncodingKey>,
    /// Its public half.
    pub decoding: DecodingKey,
    public: Vec<u8>,
    signs_from: Timestamp,
}

/// All keys by name, the oldest first; never empty.
pub(super) struct KeySet {
    older: Vec<Key>,
    newest: Key,
}

impl KeySet {
    /// Reads every signing key of a folder. The oldest signs; a newer one as soon as every service has had time to read it.
    /// Where there is none, the public keys of [`PUBLIC_KEYS_FILE`] verify and nothing signs.
    ///
    /// A process can't tell whether those that run beside it know a key that it finds at its start, so it goes by the file's
    /// time. In a mounted Secret that is when this pod's volume was written last, which is never before the key was added.
    pub fn read(folder: &Path, now: Timestamp) -> Result<Self, TokenKeyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TokenKeyError::Read { path, source }
        };
        let mut keys = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let Some(id) = key_id(&path) else { continue };
            let pem = fs::read_to_string(&path).map_err(failed(&path))?;
            let written = fs::metadata(&path).and_then(|file| file.modified()).map_err(failed(&path))?;
            let mut key = Key::parse(id, &pem).ok_or(TokenKeyError::NotAKey { path })?;
            key.signs_from = known_everywhere(written, now);
            keys.push(key);
        }
        if keys.is_empty() {
            keys = published(&folder.join(PUBLIC_KEYS_FILE))?;
        }
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(oldest) = keys.first_mut() {
            oldest.signs_from = Timestamp(i64::MIN);
        }
        let newest = keys.pop().ok_or_else(|| TokenKeyError::Empty { path: folder.to_owned() })?;
        Ok(Self { older: keys, newest })
    }

    /// These keys, where those that `before` did not have wait before they sign.
    pub fn following(mut self, before: &Self, now: Timestamp) -> Self {
        for key in self.older.iter_mut().chain([&mut self.newest]) {
            let known = before.get(&key.id).filter(|old| old.public == key.public);
            key.signs_from = known.map_or(now.plus_seconds(PROPAGATION_SECONDS), |old| old.signs_from);
        }
        self
    }

    /// The key that signs now.
    pub fn signing(&self, now: Timestamp) -> &Key {
        self.all().rev().find(|key| key.signs_from <= now).unwrap_or(&self.newest)
    }

    /// The key with this id.
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.all().find(|key| key.id == id)
    }

    /// The public keys as a JWK set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.all().map(|key| token_key::jwk(&key.id, &key.public)).collect::<Vec<_>>() })
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Key> {
        self.older.iter().chain([&self.newest])
    }
}

impl Key {
    fn parse(id: String, pem: &str) -> Option<Self> {
        let pair = token_key::read(pem)?;
        let public = pair.public_key().as_ref().to_vec();
        // Version 2 of the format, because that is what jsonwebtoken reads.
        let encoding = EncodingKey::from_ed_der(pair.to_pkcs8().ok()?.as_ref());
        Some(Self { encoding: Some(encoding), ..Self::public(id, public) })
    }

    fn public(id: String, public: Vec<u8>) -> Self {
        let decoding = DecodingKey::from_ed_der(&public);
        Self { id, encoding: None, decoding, public, signs_from: Timestamp(i64::MIN) }
    }

    fn published(jwk: &Jwk) -> Option<Self> {
        let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else { return None };
        let public = URL_SAFE_NO_PAD.decode(&pair.x).ok()?;
        let is_ed25519 = pair.curve == EllipticCurve::Ed25519 && public.len() == PUBLIC_BYTES;
        is_ed25519.then_some(Self::public(jwk.common.key_id.clone()?, public))
    }
}

/// The public keys of a JWK set; none where there is no such file.
fn published(path: &Path) -> Result<Vec<Key>, TokenKeyError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TokenKeyError::Read { path: path.to_owned(), source }),
    };
    let set: Option<JwkSet> = serde_json::from_slice(&text).ok();
    let keys: Option<Vec<Key>> = set.and_then(|set| set.keys.iter().map(Key::published).collect());
    keys.ok_or_else(|| TokenKeyError::NotKeys { path: path.to_owned() })
}

/// When every service has read a key that was written then; a file's time may be wrong, but waiting is bounded.
fn known_everywhere(written: SystemTime, now: Timestamp) -> Timestamp {
    let written = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(written).unwrap_or(i64::MAX)).min(now).plus_seconds(PROPAGATION_SECONDS)
}

/// The id of the key in a file; `None` when it has no signing key.
fn key_id(path: &Path) -> Option<String> {
    let Some(KeyFile::Signing { id }) = KeyFile::named(path.file_name()?.to_str()?) else { return None };
    Some(id.to_owned())
}
