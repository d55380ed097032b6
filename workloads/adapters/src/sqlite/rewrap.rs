//! Rotation of key-encryption keys.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    ids::ChatId,
    keyring::{Keyring, WrappedKey},
};

use super::{
    OpenError,
    batch::Batch,
    failure::Failure,
    rows::execute,
    statements::{KEY_AFTER, KEYS_BEFORE, SET_KEY},
};

/// Chat keys of one transaction.
const STEP: u32 = 256;

/// Whether the keyring opens what is in the database: tries one chat of each key-encryption key in use.
pub(super) fn check_keys(db: &Connection, keyring: &Keyring) -> Result<(), OpenError> {
    let mut kek = String::new();
    while let Some((chat, wrapped)) = db.query_row(KEY_AFTER, [&kek], wrapped_key).optional()? {
        keyring.unwrap_key(chat, &wrapped)?;
        kek = wrapped.kek;
    }
    Ok(())
}

/// Wraps some of the chat keys anew that are under an older key-encryption key; gives their number.
pub(super) fn rewrap_some(batch: &mut Batch<'_>) -> Result<usize, Failure> {
    let keyring = batch.keys.keyring();
    let mut rewrapped = Vec::new();
    {
        let mut select = batch.db.prepare_cached(KEYS_BEFORE)?;
        for row in select.query_map(params![keyring.newest(), STEP], wrapped_key)? {
            let (chat, wrapped) = row?;
            rewrapped.extend(keyring.rewrap(chat, &wrapped)?.map(|key| (chat, key)));
        }
    }
    for (chat, WrappedKey { kek, bytes }) in &rewrapped {
        execute(batch.db, SET_KEY, params![chat.as_bytes(), kek, bytes])?;
    }
    Ok(rewrapped.len())
}

fn wrapped_key(row: &Row<'_>) -> rusqlite::Result<(ChatId, WrappedKey)> {
    Ok((ChatId::from_bytes(row.get(0)?), WrappedKey { kek: row.get(1)?, bytes: row.get(2)? }))
}
