//! Whether entries of Secrets hold what the platform reads of them.
//!
//! It reads them when it starts and ends when it cannot, also those of a feature that it could do without. So they are
//! checked here as it does, before a pod gets them. What is wrong is told without showing anything of a secret. Pure.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sentinel_domain::{key_file, token_key};
use serde_json::Value;

/// Fields of a service account that have to be there.
const SERVICE_ACCOUNT_FIELDS: [&str; 4] = ["project_id", "client_email", "private_key", "token_uri"];

/// What an entry has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A Google service account, as the Firebase console gives it.
    ServiceAccount,
    /// The private key of Web Push.
    VapidKey,
    /// A private key that signs tokens.
    SigningKey,
    /// A key that encrypts the keys of chats.
    EncryptionKey,
    /// One line of text.
    Line,
    /// Certificates of authorities.
    Authorities,
}

impl Content {
    /// What is wrong with `bytes`, as the end of a sentence about the entry.
    pub fn check(self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::ServiceAccount => service_account(bytes).map_err(|why| {
                format!("must be a service account's JSON file, as the Firebase console gives it: {why}")
            }),
            Self::VapidKey => vapid_key(bytes).ok_or_else(|| {
                "must hold a P-256 key in PKCS #8 (PEM), as openssl genpkey -algorithm EC -pkeyopt \
                 ec_paramgen_curve:P-256 prints it"
                    .into()
            }),
            Self::SigningKey => signing_key(bytes).ok_or_else(|| {
                "must hold an Ed25519 key in PKCS #8 (PEM), as openssl genpkey -algorithm ed25519 prints it".into()
            }),
            Self::EncryptionKey => key_file::encryption_key(bytes).map(drop).ok_or_else(|| {
                "must hold 32 random bytes in base64, as openssl rand -base64 32 prints them (an entry under data is \
                 in base64 once more)"
                    .into()
            }),
            Self::Line => line(bytes).ok_or_else(|| "must hold text in UTF-8 and not be empty".into()),
            Self::Authorities => authorities(bytes).ok_or_else(|| "must hold certificates in PEM, one at least".into()),
        }
    }
}

fn service_account(bytes: &[u8]) -> Result<(), String> {
    // The place, never what is there.
    let file: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is no JSON at line {}, column {}", error.line(), error.column()))?;
    for field in SERVICE_ACCOUNT_FIELDS {
        file[field].as_str().ok_or_else(|| format!("it has no text {field}"))?;
    }
    if !matches!(file["private_key_id"], Value::Null | Value::String(_)) {
        return Err("private_key_id is no text".into());
    }
    if file["project_id"].as_str().is_none_or(|id| id.is_empty() || id.contains(['/', '?', '#'])) {
        return Err("project_id is no project's id".into());
    }
    let pem = file["private_key"].as_str().unwrap_or_default();
    let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    };
    key.map(drop).ok_or_else(|| "private_key is no RSA key in PEM".into())
}

fn vapid_key(bytes: &[u8]) -> Option<()> {
    let der = key_file::private_key(std::str::from_utf8(bytes).ok()?)?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok().map(drop)
}

fn signing_key(bytes: &[u8]) -> Option<()> {
    token_key::read(std::str::from_utf8(bytes).ok()?).map(drop)
}

fn line(bytes: &[u8]) -> Option<()> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.trim_end_matches(['\r', '\n']).is_empty()).then_some(())
}

fn authorities(bytes: &[u8]) -> Option<()> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        store.add(certificate.ok()?).ok()?;
    }
    (!store.is_empty()).then_some(())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{encoding::AsDer, rsa::KeySize, signature::Ed25519KeyPair};
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::json;

    use super::*;

    /// One without a key that anybody has.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIURk8ufipX5yTpQLu3U3lZzeeF9XgwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKbWFpbCByZWxheTAgFw0yNjExMjYxNTA4MjJaGA8yMTI2MTEw
MjE1MDgyMlowFTETMBEGA1UEAwwKbWFpbCByZWxheTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABGVwfWcpZh5I9DCmlnejx5Bm2GjVNhybGOF5UcPBJc4veRxC1H3w
QFZJr1bRMDcRtsiY69ArVB84md1kDfEV8UOjUzBRMB0GA1UdDgQWBBTR+Cw6us2x
NOzDSqay4XgU9wANjDAfBgNVHSMEGDAWgBTR+Cw6us2xNOzDSqay4XgU9wANjDAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQD1nNZbq9WeANpfpkhd
IIVFZ1cWKbv4BPOizmHvz5ebBQIgd6Jx6Itf/dcDmQBYNU8kg1DLIaKJjn8xctux
14VLdZM=
-----END CERTIFICATE-----
";

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    }

    fn rsa() -> String {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        pem(der.as_ref())
    }

    fn p256() -> String {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        pem(pair.to_pkcs8v1().unwrap().as_ref())
    }

    #[test]
    fn what_is_wrong_with_a_service_account_is_told_and_nothing_of_it_shown() {
        let good = json!({ "type": "service_account", "project_id": "chat-1", "private_key_id": "k",
            "private_key": rsa(), "client_email": "push@chat-1.example", "token_uri": "https://oauth.example/token" });
        let check = |file: &Value| Content::ServiceAccount.check(file.to_string().as_bytes());
        assert_eq!(check(&good), Ok(()));
        let with = |field: &str, value: Value| {
            let mut file = good.clone();
            file[field] = value;
            check(&file).unwrap_err()
        };
        assert!(with("token_uri", Value::Null).ends_with("it has no text token_uri"));
        assert!(with("project_id", json!("a/b")).ends_with("project_id is no project's id"));
        for key in ["secret", &p256(), &pem(b"secret")] {
            assert!(with("private_key", json!(key)).ends_with("private_key is no RSA key in PEM"));
        }
        let told = |text: &str| Content::ServiceAccount.check(text.as_bytes()).unwrap_err();
        assert!(told("{\n\"private_key\": secret }").ends_with("it is no JSON at line 2, column 16"));
        for text in ["secret", "\"secret\"", "[\"secret\"]", "{\"project_id\": 7, \"x\": \"secret\"}"] {
            assert!(!told(text).contains("secret"), "{}", told(text));
        }
    }

    #[test]
    fn keys_of_tokens_and_chats_are_what_the_platform_reads() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let signing = pem(pair.to_pkcs8v1().unwrap().as_ref());
        assert_eq!(Content::SigningKey.check(signing.as_bytes()), Ok(()));
        for wrong in ["", "secret", &p256(), &signing.replace("PRIVATE", "PUBLIC"), &pem(b"secret")] {
            let told = Content::SigningKey.check(wrong.as_bytes()).unwrap_err();
            assert!(told.contains("Ed25519") && !told.contains("secret"), "{told}");
        }
        let key = STANDARD.encode([7; 32]);
        assert_eq!(Content::EncryptionKey.check(format!("{key}\n").as_bytes()), Ok(()));
        for wrong in ["", "not base64", &STANDARD.encode([7; 31]), &STANDARD.encode(&key)] {
            let told = Content::EncryptionKey.check(wrong.as_bytes()).unwrap_err();
            assert!(told.contains("openssl rand -base64 32"), "{told}");
        }
    }

    #[test]
    fn the_key_of_web_push_is_one_of_its_curve() {
        let check = |text: &str| Content::VapidKey.check(text.as_bytes());
        assert_eq!(check(&p256()), Ok(()));
        let other = pem(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref());
        for wrong in ["", "secret", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", &other, &rsa()] {
            assert!(check(wrong).unwrap_err().contains("P-256 key in PKCS #8"));
        }
    }

    #[test]
    fn text_and_certificates_are_there() {
        assert_eq!(Content::Authorities.check(AUTHORITY.as_bytes()), Ok(()));
        assert_eq!(Content::Line.check("pässword\n".as_bytes()), Ok(()));
        for wrong in [b"".as_slice(), b"\r\n", b"\xff"] {
            assert!(Content::Line.check(wrong).is_err());
        }
        let begin = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
        for wrong in ["", "secret", &begin.replace("c2VjcmV0", "?"), begin] {
            assert!(Content::Authorities.check(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
