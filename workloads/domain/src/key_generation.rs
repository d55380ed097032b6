//! Fresh keys, each as the text of its file.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::keyring::{KEY_BYTES, KeyError, random_bytes};

const PEM_LINE: usize = 64;

/// A key that signs tokens: Ed25519, PKCS #8, PEM.
pub fn signing_key() -> Result<String, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?;
    // Version 1 of the format, without the public key, is what every reader takes.
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Random)?;
    Ok(private_key_pem(der.as_ref()))
}

/// A key that tells push services who we are (VAPID): P-256, PKCS #8, PEM.
pub fn vapid_key() -> Result<String, KeyError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Random)?;
    let der = pair.to_pkcs8v1().map_err(|_| KeyError::Random)?;
    Ok(private_key_pem(der.as_ref()))
}

/// A key-encryption key: [`KEY_BYTES`] random bytes in base64.
pub fn encryption_key() -> Result<String, KeyError> {
    Ok(STANDARD.encode(random_bytes::<KEY_BYTES>()?))
}

/// A private key (PKCS #8) as PEM.
pub fn private_key_pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    // Base64 is ASCII, so every byte is a place to break the line.
    for line in body.as_bytes().chunks(PEM_LINE) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(pem: &str) -> Vec<u8> {
        assert!(pem.lines().all(|line| line.len() <= PEM_LINE));
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    }

    #[test]
    fn a_signing_key_can_be_read_back_and_signs() {
        let pem = signing_key().unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(&pem)).unwrap();
        assert_eq!(pair.sign(b"x").as_ref().len(), 64);
        assert_ne!(pem, signing_key().unwrap());
    }

    #[test]
    fn a_vapid_key_can_be_read_back() {
        let pem = vapid_key().unwrap();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(&pem)).unwrap();
        assert_ne!(pem, vapid_key().unwrap());
    }

    #[test]
    fn an_encryption_key_is_32_bytes() {
        assert_eq!(STANDARD.decode(encryption_key().unwrap()).unwrap().len(), 32);
        assert_ne!(encryption_key().unwrap(), encryption_key().unwrap());
    }
}
