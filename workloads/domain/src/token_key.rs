//! Keys that sign access tokens (Ed25519): how their files are named and read, and how their public halves are published.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// File with the public keys as a JWK set (RFC 7517), for processes that verify tokens and sign none.
pub const PUBLIC_KEYS_FILE: &str = "jwks.json";

/// The id (`kid`) of the key in a file or in an entry of a Secret; `None` when its name is not that of a signing key.
pub fn id(name: &str) -> Option<&str> {
    name.strip_suffix(".pem").filter(|id| id.starts_with("jwt-"))
}

/// Reads a private key in PKCS #8, PEM.
pub fn read(pem: &str) -> Option<Ed25519KeyPair> {
    let base64: String = pem
        .trim()
        .strip_prefix("-----BEGIN PRIVATE KEY-----")?
        .strip_suffix("-----END PRIVATE KEY-----")?
        .split_whitespace()
        .collect();
    let der = STANDARD.decode(base64).ok()?;
    // OpenSSL writes PKCS #8 version 1, which has no public half to check against.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()
}

/// The public half of a key as a JWK (RFC 8037).
pub fn jwk(id: &str, public: &[u8]) -> Value {
    let x = URL_SAFE_NO_PAD.encode(public);
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x })
}

/// The public halves of the signing keys among files or entries of a Secret, as a JWK set.
pub fn jwks<'a>(entries: impl Iterator<Item = (&'a str, &'a [u8])>) -> Value {
    let public = |(name, pem): (&str, &[u8])| {
        let pair = read(std::str::from_utf8(pem).ok()?)?;
        Some(jwk(id(name)?, pair.public_key().as_ref()))
    };
    json!({ "keys": entries.filter_map(public).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_generation::signing_key;

    #[test]
    fn public_halves_are_those_of_signing_keys_and_nothing_private() {
        let pem = signing_key().unwrap();
        let entries = [("jwt-0001.pem", pem.as_bytes()), ("kek-0001", b"secret"), ("vapid.pem", b"secret")];
        let jwks = jwks(entries.into_iter());
        let pair = read(&pem).unwrap();
        assert_eq!(jwks, json!({ "keys": [jwk("jwt-0001", pair.public_key().as_ref())] }));
        assert!(jwks["keys"][0].get("d").is_none());
    }

    #[test]
    fn signing_keys_are_told_by_their_names() {
        assert_eq!(id("jwt-0001.pem"), Some("jwt-0001"));
        for other in ["kek-0001", "vapid.pem", "jwt-0001", "jwt-0001.pem.next", ".jwt-0001.pem"] {
            assert_eq!(id(other), None, "{other}");
        }
    }
}
