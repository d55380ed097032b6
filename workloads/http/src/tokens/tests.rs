use std::{
    fs,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sentinel_domain::key_generation::signing_key;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp(1_750_000_000_123);

/// A folder of keys whose pairs the test knows.
struct Keys {
    folder: TempDir,
}

impl Keys {
    fn new(names: &[&str]) -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        for name in names {
            keys.add(name);
        }
        keys
    }

    fn add(&self, name: &str) {
        fs::write(self.folder.path().join(format!("{name}.pem")), signing_key().unwrap()).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(format!("{name}.pem"))).unwrap();
    }

    /// Gives a key's file a time so many seconds from now.
    fn age(&self, name: &str, seconds: i64) {
        let file = fs::File::options().write(true).open(self.folder.path().join(format!("{name}.pem"))).unwrap();
        let now = SystemTime::now();
        let by = Duration::from_secs(seconds.unsigned_abs());
        file.set_modified(if seconds < 0 { now - by } else { now + by }).unwrap();
    }

    fn pair(&self, name: &str) -> Ed25519KeyPair {
        let pem = fs::read_to_string(self.folder.path().join(format!("{name}.pem"))).unwrap();
        let der = base64::engine::general_purpose::STANDARD.decode(pem.lines().nth(1).unwrap()).unwrap();
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap()
    }

    fn tokens(&self) -> Tokens {
        Tokens::load(self.folder.path(), &AuthConfig::default()).unwrap()
    }
}

fn user() -> UserId {
    UserId(Uuid::from_u128(1))
}

fn session() -> SessionId {
    SessionId(Uuid::from_u128(2))
}

fn issue(tokens: &Tokens) -> String {
    tokens.issue(user(), session(), &Username::parse("ann").unwrap(), NOW).unwrap().token
}

/// The key that signs so many seconds from now.
fn kid(tokens: &Tokens, seconds: i64) -> Value {
    let at = Timestamp::now().plus_seconds(seconds);
    part(&tokens.issue(user(), session(), &Username::parse("ann").unwrap(), at).unwrap().token, 0)["kid"].clone()
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

/// A token of these parts, signed as `sign` does.
fn forge(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[test]
fn an_issued_token_says_who_and_in_which_session() {
    let tokens = Keys::new(&["jwt-0001"]).tokens();
    let issued = tokens.issue(user(), session(), &Username::parse("ann").unwrap(), NOW).unwrap();
    let claims = tokens.verify(&issued.token, NOW).unwrap();
    assert_eq!((claims.user_id, claims.session_id, claims.username.as_str()), (user(), session(), "ann"));
    assert_eq!((claims.expires_at, issued.expires_at), (Timestamp(1_750_000_900_000), claims.expires_at));
    assert_eq!(part(&issued.token, 0), json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "jwt-0001" }));
    let payload = part(&issued.token, 1);
    for claim in ["iss", "aud", "sub", "sid", "username", "iat", "nbf", "exp", "jti", "typ"] {
        assert!(payload.get(claim).is_some(), "{claim}");
    }
    assert_eq!(payload["sub"], user().to_string());
}

#[test]
fn a_token_ends_with_its_time_and_with_its_session() {
    let tokens = Keys::new(&["jwt-0001"]).tokens();
    let token = issue(&tokens);
    assert!(tokens.verify(&token, NOW.plus_seconds(899)).is_ok());
    assert_eq!(tokens.verify(&token, NOW.plus_seconds(900)), Err(TokenError::Expired));
    assert!(tokens.verify(&token, NOW.plus_seconds(-10)).is_ok());
    assert_eq!(tokens.verify(&token, NOW.plus_seconds(-11)), Err(TokenError::Early));
    tokens.revoke_session(session(), NOW);
    assert_eq!(tokens.verify(&token, NOW), Err(TokenError::SessionEnded));
    assert_eq!(TokenError::SessionEnded.code().as_str(), "session_ended");
}

#[test]
fn forged_tokens_are_refused_each_for_its_reason() {
    let keys = Keys::new(&["jwt-0001", "jwt-0002"]);
    let tokens = keys.tokens();
    let genuine = issue(&tokens);
    let (header, claims) = (part(&genuine, 0), part(&genuine, 1));
    let pair = keys.pair("jwt-0001");
    let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    assert!(tokens.verify(&forge(&header, &claims, sign), NOW).is_ok());

    let with = |value: &Value, key: &str, new: Value| {
        let mut value = value.clone();
        value[key] = new;
        value
    };
    let without = |value: &Value, key: &str| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().remove(key);
        value
    };
    let headers = [
        (with(&header, "alg", json!("none")), TokenError::Malformed),
        (with(&header, "alg", json!("RS256")), TokenError::Malformed),
        (with(&header, "typ", json!("JWT")), TokenError::Malformed),
        (without(&header, "typ"), TokenError::Malformed),
        (with(&header, "crit", json!(["exp"])), TokenError::Malformed),
        (with(&header, "kid", json!("jwt-0009")), TokenError::UnknownKey),
        (with(&header, "kid", json!("../jwt-0001")), TokenError::UnknownKey),
        (without(&header, "kid"), TokenError::UnknownKey),
        (with(&header, "kid", json!("jwt-0002")), TokenError::Signature),
    ];
    for (header, error) in headers {
        assert_eq!(tokens.verify(&forge(&header, &claims, sign), NOW), Err(error), "{header}");
    }
    let payloads = [
        (with(&claims, "aud", json!("others")), TokenError::Audience),
        (with(&claims, "iss", json!("others")), TokenError::Audience),
        (with(&claims, "typ", json!("refresh")), TokenError::Malformed),
        (with(&claims, "exp", json!(1)), TokenError::Expired),
        (with(&claims, "nbf", json!(9_000_000_000_i64)), TokenError::Early),
        (with(&claims, "sub", json!("ann")), TokenError::Malformed),
        (without(&claims, "exp"), TokenError::Malformed),
        (without(&claims, "aud"), TokenError::Malformed),
        (without(&claims, "sid"), TokenError::Malformed),
    ];
    for (claims, error) in payloads {
        assert_eq!(tokens.verify(&forge(&header, &claims, sign), NOW), Err(error), "{claims}");
    }
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let keys = Keys::new(&["jwt-0001"]);
    let tokens = keys.tokens();
    let genuine = issue(&tokens);
    let mut header = part(&genuine, 0);
    header["alg"] = json!("HS256");
    let public = keys.pair("jwt-0001").public_key().as_ref().to_vec();
    let sign = |message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message).as_ref().to_vec();
    assert_eq!(tokens.verify(&forge(&header, &part(&genuine, 1), sign), NOW), Err(TokenError::Malformed));
}

#[test]
fn changed_unsigned_and_nonsense_tokens_are_refused() {
    let tokens = Keys::new(&["jwt-0001"]).tokens();
    let token = issue(&tokens);
    let (message, _) = token.rsplit_once('.').unwrap();
    assert!(tokens.verify(&format!("{message}."), NOW).is_err());
    let mut claims = part(&token, 1);
    claims["sub"] = json!(Uuid::from_u128(9));
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let changed = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    assert_eq!(tokens.verify(&changed, NOW), Err(TokenError::Signature));
    for nonsense in ["", ".", "..", "a.b.c", "a.b.c.d", &"a".repeat(5000), "ä.ö.ü"] {
        assert_eq!(tokens.verify(nonsense, NOW), Err(TokenError::Malformed), "{nonsense}");
    }
}

#[test]
fn rotation_keeps_tokens_good_and_lets_a_new_key_sign_once_all_have_it() {
    let keys = Keys::new(&["jwt-0001"]);
    let tokens = keys.tokens();
    let old = issue(&tokens);
    keys.add("jwt-0002");
    tokens.reload().unwrap();
    assert_eq!(tokens.jwks()["keys"].as_array().unwrap().len(), 2);
    assert!(tokens.verify(&old, NOW).is_ok());
    assert_eq!(kid(&tokens, 0), "jwt-0001");
    assert_eq!(kid(&tokens, 130), "jwt-0002");
    keys.remove("jwt-0001");
    tokens.reload().unwrap();
    assert_eq!(kid(&tokens, 0), "jwt-0002");
    assert_eq!(tokens.verify(&old, NOW), Err(TokenError::UnknownKey));
}

#[test]
fn a_process_that_starts_with_a_new_key_signs_with_the_old_one_until_all_have_the_new() {
    let keys = Keys::new(&["jwt-0001"]);
    let runs = keys.tokens();
    for name in ["jwt-0002", "jwt-0003"] {
        keys.add(name);
    }
    let starts = keys.tokens();
    let token = starts.issue(user(), session(), &Username::parse("ann").unwrap(), Timestamp::now()).unwrap().token;
    // Whoever runs has not read the new keys yet.
    assert!(runs.verify(&token, Timestamp::now()).is_ok());
    assert_eq!(kid(&starts, 60), "jwt-0001");
    assert_eq!(kid(&starts, 130), "jwt-0003");
    // Reading them again is no news.
    starts.reload().unwrap();
    assert_eq!(kid(&starts, 130), "jwt-0003");

    // A restart long after does not wait again, and a file's time that can't be does not make it wait for ever.
    for (seconds, now) in [(-121, "jwt-0003"), (1_000_000, "jwt-0001")] {
        keys.age("jwt-0003", seconds);
        keys.age("jwt-0002", seconds);
        let restarted = keys.tokens();
        assert_eq!((kid(&restarted, 0), kid(&restarted, 130)), (json!(now), json!("jwt-0003")), "{seconds}");
    }
    // The only key signs at once.
    assert_eq!(kid(&Keys::new(&["jwt-0007"]).tokens(), 0), "jwt-0007");
}

#[test]
fn a_folder_without_good_keys_is_refused_by_name_and_changes_nothing() {
    let keys = Keys::new(&["jwt-0001"]);
    let tokens = keys.tokens();
    fs::write(keys.folder.path().join("jwt-0002.pem"), "not a key").unwrap();
    let error = tokens.reload().unwrap_err().to_string();
    assert!(error.contains("jwt-0002.pem"), "{error}");
    assert!(tokens.verify(&issue(&tokens), NOW).is_ok());
    keys.remove("jwt-0001");
    keys.remove("jwt-0002");
    fs::write(keys.folder.path().join("kek-0001"), "ignored").unwrap();
    fs::create_dir(keys.folder.path().join("..data")).unwrap();
    assert!(matches!(tokens.reload(), Err(TokenKeyError::Empty { .. })));
}

#[test]
fn the_published_keys_verify_what_was_signed() {
    let tokens = Keys::new(&["jwt-0001"]).tokens();
    let jwk = &tokens.jwks()["keys"][0];
    assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["kid"]), (&json!("OKP"), &json!("Ed25519"), &json!("jwt-0001")));
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(tokens.jwks()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find("jwt-0001").unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["sentinel-clients"]);
    validation.validate_exp = false;
    assert!(jsonwebtoken::decode::<Value>(issue(&tokens), &key, &validation).is_ok());
    assert!(tokens.jwks().to_string().find("\"d\"").is_none());
}

#[test]
fn public_keys_are_enough_to_verify_and_sign_nothing() {
    let keys = Keys::new(&["jwt-0001"]);
    let signer = keys.tokens();
    let folder = tempfile::tempdir().unwrap();
    let publish = |text: &str| fs::write(folder.path().join("jwks.json"), text).unwrap();
    publish(&signer.jwks().to_string());
    let verifier = Tokens::load(folder.path(), &AuthConfig::default()).unwrap();
    assert_eq!(verifier.verify(&issue(&signer), NOW).unwrap().user_id, user());
    assert_eq!(verifier.jwks(), signer.jwks());
    assert!(signer.can_sign() && !verifier.can_sign());
    let username = Username::parse("ann").unwrap();
    assert_eq!(verifier.issue(user(), session(), &username, NOW).err(), Some(TokenError::Unsigned));

    // A newer key is read while the process runs, before anybody signs with it.
    keys.add("jwt-0002");
    signer.reload().unwrap();
    publish(&signer.jwks().to_string());
    verifier.reload().unwrap();
    let at = Timestamp::now().plus_seconds(130);
    let token = signer.issue(user(), session(), &username, at).unwrap().token;
    assert_eq!(part(&token, 0)["kid"], "jwt-0002");
    assert!(verifier.verify(&token, at).is_ok());

    for bad in ["", "{}", r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"jwt-0001","x":"AAAA"}]}"#] {
        publish(bad);
        assert!(matches!(verifier.reload(), Err(TokenKeyError::NotKeys { .. })), "{bad}");
    }
    publish(r#"{"keys":[]}"#);
    assert!(matches!(verifier.reload(), Err(TokenKeyError::Empty { .. })));
    assert!(verifier.verify(&token, at).is_ok(), "the keys stay as they were");
}

#[test]
fn a_token_is_good_for_no_longer_than_the_lifetime_that_is_configured_now() {
    let keys = Keys::new(&["jwt-0001"]);
    let token = issue(&keys.tokens());
    let lowered = AuthConfig { access_token_seconds: 60, ..AuthConfig::default() };
    let lowered = Tokens::load(keys.folder.path(), &lowered).unwrap();
    let end = Timestamp((NOW.seconds() + 60) * 1000);
    assert_eq!(lowered.verify(&token, NOW.plus_seconds(59)).unwrap().expires_at, end);
    assert_eq!(lowered.verify(&token, NOW.plus_seconds(60)), Err(TokenError::Expired));
}
