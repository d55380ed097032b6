//! Keys that sign access tokens (Ed25519): how they are read, and how their public halves are published.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::key_file::{KeyFile, private_key};

/// Reads a private key in PKCS #8, PEM.
pub fn read(pem: &str) -> Option<Ed25519KeyPair> {
    // OpenSSL writes PKCS #8 version 1, which has no public half to check against.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private_key(pem)?).ok()
}

/// The public half of a key as a JWK (RFC 8037).
pub fn jwk(id: &str, public: &[u8]) -> Value {
    let x = URL_SAFE_NO_PAD.encode(public);
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x })
}

/// The public halves of the signing keys among files or entries of a Secret, as a JWK set.
pub fn jwks<'a>(entries: impl Iterator<Item = (&'a str, &'a [u8])>) -> Value {
    let public = |(name, pem): (&str, &[u8])| {
        let Some(KeyFile::Signing { id }) = KeyFile::named(name) else { return None };
        let pair = read(std::str::from_utf8(pem).ok()?)?;
        Some(jwk(id, pair.public_key().as_ref()))
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
}
