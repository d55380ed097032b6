//! Key-encryption keys, and the keys derived from them.
//!
//! The keyring holds every key-encryption key (KEK) that is still needed: the newest, by name, protects what is
//! written from now on; older ones still open what they protected. Subkeys for other purposes are derived by
//! HKDF-SHA-256 (RFC 5869), so that no key serves two purposes.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time, hkdf, hmac, rand,
};

use crate::ids::{ChatId, MessageId};

/// Bytes of every symmetric key.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// Bytes of the authentication codes in cursors and tokens (128 bits).
pub const TAG_BYTES: usize = 16;

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// No key-encryption key was given.
    #[error("no key-encryption key: put a file kek-0001 with 32 random bytes in base64 into the keys folder")]
    Empty,
    /// Something was protected by a key that is not in the keyring.
    #[error("key-encryption key {0} is needed but missing from the keys folder")]
    Missing(String),
    /// The data was changed, or belongs to another chat, message or key.
    #[error("encrypted data does not belong where it was found, or was changed")]
    Corrupt,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
}

/// Fills an array from the system's random number generator.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

/// All key-encryption keys by name; names sort by age.
pub struct Keyring {
    keys: BTreeMap<String, [u8; KEY_BYTES]>,
    newest: String,
}

/// The key of one chat, ready for use.
pub struct ChatKey {
    key: LessSafeKey,
}

/// A chat key, or something else that is encrypted by a key-encryption key, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// Name of the key-encryption key.
    pub kek: String,
    /// Nonce, what is encrypted and tag.
    pub bytes: Vec<u8>,
}

/// What came of putting what is stored under the newest key-encryption key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys of chats, reports and mails that were put under it.
    pub count: usize,
    /// Chats whose key can't be opened, because it is damaged or its key-encryption key is missing.
    pub unreadable: BTreeSet<ChatId>,
}

impl Keyring {
    /// A keyring of the given keys by name.
    pub fn new(keys: BTreeMap<String, [u8; KEY_BYTES]>) -> Result<Self, KeyError> {
        let newest = keys.keys().next_back().cloned().ok_or(KeyError::Empty)?;
        Ok(Self { keys, newest })
    }

    /// The same with keys that open and verify but protect nothing yet. So every process can know a key before the
    /// first one uses it.
    #[must_use]
    pub fn with_next(mut self, next: BTreeMap<String, [u8; KEY_BYTES]>) -> Self {
        for (name, key) in next {
            self.keys.entry(name).or_insert(key);
        }
        self
    }

    /// Name of the key that protects what is written now.
    pub fn newest(&self) -> &str {
        &self.newest
    }

    /// A code over `data` for `purpose`, made with the newest key.
    pub fn authenticate(&self, purpose: &'static str, data: &[u8]) -> [u8; TAG_BYTES] {
        tag(&self.keys[&self.newest], purpose, data)
    }

    /// Whether `code` was made over `data` for `purpose` with any key of the ring.
    pub fn verifies(&self, purpose: &'static str, data: &[u8], code: &[u8]) -> bool {
        self.keys.values().any(|key| constant_time::verify_slices_are_equal(&tag(key, purpose, data), code).is_ok())
    }

    /// The keys for `purpose` that each key of the ring gives: the newest, then all others.
    pub fn subkeys(&self, purpose: &'static str) -> ([u8; KEY_BYTES], Vec<[u8; KEY_BYTES]>) {
        let others = self.keys.iter().rev().filter(|(name, _)| **name != self.newest);
        (subkey(&self.keys[&self.newest], purpose), others.map(|(_, key)| subkey(key, purpose)).collect())
    }

    /// A new random chat key and its stored form.
    pub fn new_chat_key(&self, chat: ChatId) -> Result<(ChatKey, WrappedKey), KeyError> {
        let raw = random_bytes::<KEY_BYTES>()?;
        Ok((ChatKey::of(&raw)?, self.wrap(chat, &raw)?))
    }

    /// Opens a stored chat key.
    pub fn unwrap_key(&self, chat: ChatId, wrapped: &WrappedKey) -> Result<ChatKey, KeyError> {
        ChatKey::of(&self.raw(chat, wrapped)?)
    }

    /// The stored form of a chat key under the newest key-encryption key; `None` when it already is.
    pub fn rewrap(&self, chat: ChatId, wrapped: &WrappedKey) -> Result<Option<WrappedKey>, KeyError> {
        if wrapped.kek == self.newest {
            return Ok(None);
        }
        self.wrap(chat, &self.raw(chat, wrapped)?).map(Some)
    }

    /// Encrypts something small for `purpose` under the newest key; `context` says where it belongs.
    pub fn seal(&self, purpose: &'static str, context: &[u8], plain: &[u8]) -> Result<WrappedKey, KeyError> {
        let key = aead_key(&subkey(&self.keys[&self.newest], purpose))?;
        Ok(WrappedKey { kek: self.newest.clone(), bytes: seal(&key, context, plain)? })
    }

    /// Decrypts what [`Keyring::seal`] made for the same purpose and context.
    pub fn open(&self, purpose: &'static str, context: &[u8], sealed: &WrappedKey) -> Result<Vec<u8>, KeyError> {
        let key = self.keys.get(&sealed.kek).ok_or_else(|| KeyError::Missing(sealed.kek.clone()))?;
        open(&aead_key(&subkey(key, purpose))?, context, &sealed.bytes)
    }

    /// What [`Keyring::seal`] made, under the newest key; `None` when it already is.
    pub fn reseal(
        &self,
        purpose: &'static str,
        context: &[u8],
        sealed: &WrappedKey,
    ) -> Result<Option<WrappedKey>, KeyError> {
        if sealed.kek == self.newest {
            return Ok(None);
        }
        self.seal(purpose, context, &self.open(purpose, context, sealed)?).map(Some)
    }

    fn wrap(&self, chat: ChatId, raw: &[u8; KEY_BYTES]) -> Result<WrappedKey, KeyError> {
        let kek = aead_key(&subkey(&self.keys[&self.newest], "chat-keys"))?;
        let bytes = seal(&kek, &key_context(chat, &self.newest), raw)?;
        Ok(WrappedKey { kek: self.newest.clone(), bytes })
    }

    fn raw(&self, chat: ChatId, wrapped: &WrappedKey) -> Result<[u8; KEY_BYTES], KeyError> {
        let kek = self.keys.get(&wrapped.kek).ok_or_else(|| KeyError::Missing(wrapped.kek.clone()))?;
        let kek = aead_key(&subkey(kek, "chat-keys"))?;
        open(&kek, &key_context(chat, &wrapped.kek), &wrapped.bytes)?.try_into().map_err(|_| KeyError::Corrupt)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl ChatKey {
    fn of(raw: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        aead_key(raw).map(|key| Self { key })
    }

    /// Encrypts what a message says. `version` counts its edits; the result is nonce, ciphertext and tag.
    pub fn seal(&self, chat: ChatId, message: MessageId, version: u32, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal(&self.key, &message_context(chat, message, version), plain)
    }

    /// Decrypts what [`ChatKey::seal`] made for the same chat, message and version.
    pub fn open(&self, chat: ChatId, message: MessageId, version: u32, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        open(&self.key, &message_context(chat, message, version), sealed)
    }
}

fn key_context(chat: ChatId, kek: &str) -> Vec<u8> {
    [b"chat-key\0".as_slice(), chat.as_bytes(), kek.as_bytes()].concat()
}

fn message_context(chat: ChatId, message: MessageId, version: u32) -> [u8; 36] {
    let mut context = [0; 36];
    context[..16].copy_from_slice(chat.as_bytes());
    context[16..32].copy_from_slice(message.as_bytes());
    context[32..].copy_from_slice(&version.to_be_bytes());
    context
}

fn subkey(key: &[u8; KEY_BYTES], purpose: &'static str) -> [u8; KEY_BYTES] {
    let mut out = [0; KEY_BYTES];
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"sentinel");
    // Expanding one hash length never fails (RFC 5869 allows 255 of them).
    if let Ok(okm) = salt.extract(key).expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256) {
        let _ = okm.fill(&mut out);
    }
    out
}

fn tag(key: &[u8; KEY_BYTES], purpose: &'static str, data: &[u8]) -> [u8; TAG_BYTES] {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &subkey(key, purpose)), data);
    let mut out = [0; TAG_BYTES];
    out.copy_from_slice(&mac.as_ref()[..TAG_BYTES]);
    out
}

fn aead_key(raw: &[u8; KEY_BYTES]) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, raw).map(LessSafeKey::new).map_err(|_| KeyError::Corrupt)
}

fn seal(key: &LessSafeKey, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let nonce = random_bytes::<NONCE_BYTES>()?;
    let mut out = Vec::with_capacity(NONCE_BYTES + plain.len() + TAG_BYTES);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut out[NONCE_BYTES..])
        .map_err(|_| KeyError::Corrupt)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

fn open(key: &LessSafeKey, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or(KeyError::Corrupt)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Corrupt)?;
    let mut body = body.to_vec();
    let length = key.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| KeyError::Corrupt)?.len();
    body.truncate(length);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ring(names: &[&str]) -> Keyring {
        // The key is made of its name, so that the same name in two rings is the same key.
        let key = |name: &str| std::array::from_fn(|i| name.as_bytes()[i % name.len()]);
        Keyring::new(names.iter().map(|name| ((*name).to_owned(), key(name))).collect()).unwrap()
    }

    #[test]
    fn a_sealed_message_opens_only_where_it_belongs() {
        let chat = ChatId(Uuid::from_u128(1));
        let message = MessageId(Uuid::from_u128(2));
        let (key, _) = ring(&["kek-0001"]).new_chat_key(chat).unwrap();
        let sealed = key.seal(chat, message, 0, b"hello").unwrap();
        assert_eq!(key.open(chat, message, 0, &sealed).unwrap(), b"hello");
        assert_eq!(key.open(chat, message, 1, &sealed), Err(KeyError::Corrupt));
        assert_eq!(key.open(ChatId(Uuid::from_u128(9)), message, 0, &sealed), Err(KeyError::Corrupt));
        assert_eq!(key.open(chat, message, 0, &sealed[..5]), Err(KeyError::Corrupt));
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_context_only() {
        let sealed = ring(&["kek-0001"]).seal("reports", b"here", b"hello").unwrap();
        let later = ring(&["kek-0001", "kek-0002"]);
        assert_eq!(later.open("reports", b"here", &sealed).unwrap(), b"hello");
        assert_eq!(later.open("reports", b"there", &sealed), Err(KeyError::Corrupt));
        assert_eq!(later.open("mail", b"here", &sealed), Err(KeyError::Corrupt));
        let missing = ring(&["kek-0002"]).open("reports", b"here", &sealed);
        assert_eq!(missing, Err(KeyError::Missing("kek-0001".into())));
    }

    #[test]
    fn rotation_rewraps_and_old_keys_still_open() {
        let chat = ChatId(Uuid::from_u128(1));
        let message = MessageId(Uuid::from_u128(2));
        let (key, wrapped) = ring(&["kek-0001"]).new_chat_key(chat).unwrap();
        let sealed = key.seal(chat, message, 0, b"hello").unwrap();
        let both = ring(&["kek-0001", "kek-0002"]);
        let rewrapped = both.rewrap(chat, &wrapped).unwrap().unwrap();
        assert_eq!(rewrapped.kek, "kek-0002");
        assert_eq!(both.rewrap(chat, &rewrapped), Ok(None));
        let only_new = ring(&["kek-0002"]);
        assert_eq!(only_new.unwrap_key(chat, &rewrapped).unwrap().open(chat, message, 0, &sealed).unwrap(), b"hello");
        assert_eq!(only_new.unwrap_key(chat, &wrapped).err(), Some(KeyError::Missing("kek-0001".into())));
    }

    #[test]
    fn a_next_key_opens_and_verifies_and_protects_nothing() {
        let activated = ring(&["kek-0001", "kek-0002"]);
        let prepared = ring(&["kek-0001"]).with_next(activated.keys.clone());
        assert_eq!(prepared.newest(), "kek-0001");
        assert_eq!(prepared.seal("mail", b"", b"hello").unwrap().kek, "kek-0001");
        let sealed = activated.seal("mail", b"", b"hello").unwrap();
        assert_eq!((sealed.kek.as_str(), prepared.open("mail", b"", &sealed)), ("kek-0002", Ok(b"hello".to_vec())));
        assert!(prepared.verifies("refresh", b"data", &activated.authenticate("refresh", b"data")));
        assert_eq!(prepared.subkeys("search").1, [activated.subkeys("search").0]);
    }

    #[test]
    fn a_code_is_bound_to_its_purpose() {
        let ring = ring(&["kek-0001"]);
        let code = ring.authenticate("cursor", b"data");
        assert!(ring.verifies("cursor", b"data", &code));
        assert!(!ring.verifies("refresh", b"data", &code));
        assert!(!ring.verifies("cursor", b"date", &code));
        assert!(!ring.verifies("cursor", b"data", &code[..8]));
    }
}
