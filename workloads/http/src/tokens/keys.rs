//! The signing keys, read from files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sentinel_domain::time::Timestamp;
use serde_json::{Value, json};

/// Seconds after which every service has read a new key from its mounted Secret.
const PROPAGATION_SECONDS: i64 = 120;

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
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
    /// The folder has no key.
    #[error("{path} has no signing key: put one there as jwt-0001.pem")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// One key pair.
#[derive(Clone)]
pub(super) struct Key {
    /// Its `kid`: the file's name without `.pem`.
    pub id: String,
    /// Its private half.
    pub encoding: EncodingKey,
    /// Its public half.
    pub decoding: DecodingKey,
    public: Vec<u8>,
    signs_from: Timestamp,
}

/// All key pairs by name, the oldest first; never empty.
pub(super) struct KeySet {
    older: Vec<Key>,
    newest: Key,
}

impl KeySet {
    /// Reads every `jwt-*.pem` of a folder. The oldest signs; a newer one as soon as every service has had time to read it.
    ///
    /// A process can't tell whether those that run beside it know a key that it finds at its start, so it goes by the file's
    /// time. In a mounted Secret that is when this pod's volume was written last, which is never before the key was added.
    pub fn read(folder: &Path, now: Timestamp) -> Result<Self, KeyFileError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyFileError::Read { path, source }
        };
        let mut keys = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let Some(id) = key_id(&path) else { continue };
            let pem = fs::read_to_string(&path).map_err(failed(&path))?;
            let written = fs::metadata(&path).and_then(|file| file.modified()).map_err(failed(&path))?;
            let mut key = Key::parse(id, &pem).ok_or(KeyFileError::NotAKey { path })?;
            key.signs_from = known_everywhere(written, now);
            keys.push(key);
        }
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(oldest) = keys.first_mut() {
            oldest.signs_from = Timestamp(i64::MIN);
        }
        let newest = keys.pop().ok_or_else(|| KeyFileError::Empty { path: folder.to_owned() })?;
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
        let jwk = |key: &Key| {
            let x = URL_SAFE_NO_PAD.encode(&key.public);
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": x })
        };
        json!({ "keys": self.all().map(jwk).collect::<Vec<_>>() })
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Key> {
        self.older.iter().chain([&self.newest])
    }
}

impl Key {
    fn parse(id: String, pem: &str) -> Option<Self> {
        let base64: String = pem
            .trim()
            .strip_prefix("-----BEGIN PRIVATE KEY-----")?
            .strip_suffix("-----END PRIVATE KEY-----")?
            .split_whitespace()
            .collect();
        let der = STANDARD.decode(base64).ok()?;
        // OpenSSL writes PKCS#8 version 1, which has no public half to check against.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        // Version 2 again, because that is what jsonwebtoken reads.
        let encoding = EncodingKey::from_ed_der(pair.to_pkcs8().ok()?.as_ref());
        let decoding = DecodingKey::from_ed_der(&public);
        Some(Self { id, encoding, decoding, public, signs_from: Timestamp(i64::MIN) })
    }
}

/// When every service has read a key that was written then; a file's time may be wrong, but waiting is bounded.
fn known_everywhere(written: SystemTime, now: Timestamp) -> Timestamp {
    let written = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(written).unwrap_or(i64::MAX)).min(now).plus_seconds(PROPAGATION_SECONDS)
}

/// The id of the key in a file; `None` when the file is not one of ours (mounted Secrets have entries with a dot).
fn key_id(path: &Path) -> Option<String> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".pem")?;
    stem.starts_with("jwt-").then(|| stem.to_owned())
}
