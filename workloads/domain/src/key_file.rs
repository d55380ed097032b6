//! Key files: how the files of the keys folder are named and read. The entries of the Secret that is mounted there are named
//! and read so, too.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::keyring::KEY_BYTES;

/// The signing key that is made where there is none.
pub const FIRST_SIGNING_KEY: &str = "jwt-0001.pem";
/// The key-encryption key that is made where there is none.
pub const FIRST_ENCRYPTION_KEY: &str = "kek-0001";
/// The key of Web Push.
pub const VAPID_FILE: &str = "vapid.pem";
/// The public halves of the signing keys as a JWK set (RFC 7517), for processes that verify tokens and sign none.
pub const PUBLIC_KEYS_FILE: &str = "jwks.json";

const SIGNING_PREFIX: &str = "jwt-";
const SIGNING_SUFFIX: &str = ".pem";
const ENCRYPTION_PREFIX: &str = "kek-";
/// What the name of a key-encryption key ends in that protects nothing yet.
const PREPARED_SUFFIX: &str = ".next";

/// Which key a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFile<'a> {
    /// One that signs tokens.
    Signing {
        /// Its id (`kid`).
        id: &'a str,
    },
    /// A key-encryption key.
    Encryption {
        /// Its name in the keyring.
        name: &'a str,
        /// Whether it opens and verifies but protects nothing yet.
        is_prepared: bool,
    },
    /// That of Web Push.
    Vapid,
}

impl<'a> KeyFile<'a> {
    /// Which key the file of this name holds. `None` when it is that of none, as of what Kubernetes makes beside the entries of
    /// a Secret, which begins with a dot.
    pub fn named(file: &'a str) -> Option<Self> {
        if file == VAPID_FILE {
            return Some(Self::Vapid);
        }
        if file.starts_with(ENCRYPTION_PREFIX) {
            let prepared = file.strip_suffix(PREPARED_SUFFIX);
            return Some(Self::Encryption { name: prepared.unwrap_or(file), is_prepared: prepared.is_some() });
        }
        // A signing key is known before it is used without a name for that: a newer one waits before it signs.
        let id = file.strip_suffix(SIGNING_SUFFIX).filter(|id| id.starts_with(SIGNING_PREFIX))?;
        Some(Self::Signing { id })
    }
}

/// Reads a key-encryption key: [`KEY_BYTES`] bytes in base64.
pub fn encryption_key(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    STANDARD.decode(text.trim_ascii()).ok()?.try_into().ok()
}

/// Reads a private key in PKCS #8, PEM, and gives its DER.
pub fn private_key(pem: &str) -> Option<Vec<u8>> {
    let base64: String = pem
        .trim()
        .strip_prefix("-----BEGIN PRIVATE KEY-----")?
        .strip_suffix("-----END PRIVATE KEY-----")?
        .split_whitespace()
        .collect();
    STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_generation;

    #[test]
    fn keys_are_told_by_their_names() {
        let encryption = |name, is_prepared| Some(KeyFile::Encryption { name, is_prepared });
        assert_eq!(KeyFile::named("jwt-0001.pem"), Some(KeyFile::Signing { id: "jwt-0001" }));
        assert_eq!(KeyFile::named("kek-0001"), encryption("kek-0001", false));
        assert_eq!(KeyFile::named("kek-0002.next"), encryption("kek-0002", true));
        assert_eq!(KeyFile::named("vapid.pem"), Some(KeyFile::Vapid));
        for other in
            ["jwt-0001", "jwt-0001.pem.next", ".jwt-0001.pem", "..data", ".kek-0001", "vapid.pem.next", "jwks.json"]
        {
            assert_eq!(KeyFile::named(other), None, "{other}");
        }
    }

    #[test]
    fn an_encryption_key_is_read_as_it_is_generated() {
        let text = key_generation::encryption_key().unwrap();
        let key = encryption_key(text.as_bytes()).unwrap();
        assert_eq!(encryption_key(format!(" {text}\r\n").as_bytes()), Some(key));
        for wrong in ["", "not base64", "c2hvcnQ=", &STANDARD.encode([7; KEY_BYTES + 1]), &STANDARD.encode(&text)] {
            assert_eq!(encryption_key(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_private_key_is_read_as_it_is_generated() {
        let der = [1_u8, 2, 3].repeat(40);
        let pem = key_generation::private_key_pem(&der);
        assert_eq!(private_key(&pem), Some(der.clone()));
        assert_eq!(private_key(&format!("\n{}", pem.replace('\n', "\r\n"))), Some(der));
        let body = pem.lines().nth(1).unwrap_or_default();
        for wrong in ["", body, &pem.replace("PRIVATE", "EC PRIVATE"), &pem.repeat(2), &pem.replace("AQID", "?")] {
            assert_eq!(private_key(wrong), None, "{wrong}");
        }
    }
}
