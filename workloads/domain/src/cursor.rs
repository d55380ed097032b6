//! Opaque, stateless cursors: a payload with a code that binds it to one query of one caller.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    ids::UserId,
    keyring::{Keyring, TAG_BYTES},
};

const PURPOSE: &str = "cursor";

/// A cursor that this service did not make for this query and caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a cursor of this query: start again without it")]
pub struct ForgedCursor;

/// Writes `payload` as a cursor that only `caller` can use, only for `query` (a route and its filters).
pub fn encode(keyring: &Keyring, query: &str, caller: UserId, payload: &[u8]) -> String {
    let code = keyring.authenticate(PURPOSE, &bound(query, caller, payload));
    URL_SAFE_NO_PAD.encode([payload, &code].concat())
}

/// Reads the payload back.
pub fn decode(keyring: &Keyring, query: &str, caller: UserId, cursor: &str) -> Result<Vec<u8>, ForgedCursor> {
    let mut bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ForgedCursor)?;
    let length = bytes.len().checked_sub(TAG_BYTES).ok_or(ForgedCursor)?;
    let code = bytes.split_off(length);
    if keyring.verifies(PURPOSE, &bound(query, caller, &bytes), &code) { Ok(bytes) } else { Err(ForgedCursor) }
}

/// [`decode`] for a payload that is one id.
pub fn decode_id(keyring: &Keyring, query: &str, caller: UserId, cursor: &str) -> Result<[u8; 16], ForgedCursor> {
    decode(keyring, query, caller, cursor)?.try_into().map_err(|_| ForgedCursor)
}

fn bound(query: &str, caller: UserId, payload: &[u8]) -> Vec<u8> {
    let length = (query.len() as u64).to_be_bytes();
    [length.as_slice(), query.as_bytes(), caller.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_serves_its_own_query_and_caller_only() {
        let keyring = Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap();
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let cursor = encode(&keyring, "chats", ann, b"here");
        assert_eq!(decode(&keyring, "chats", ann, &cursor).unwrap(), b"here");
        assert_eq!(decode(&keyring, "chats", bob, &cursor), Err(ForgedCursor));
        assert_eq!(decode(&keyring, "users", ann, &cursor), Err(ForgedCursor));
        for forged in ["", "AAAA", "not base64!", &cursor[1..], &format!("{cursor}A")] {
            assert_eq!(decode(&keyring, "chats", ann, forged), Err(ForgedCursor), "{forged}");
        }
    }
}
