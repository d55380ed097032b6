//! Rotation of key-encryption keys.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    ids::ChatId,
    keyring::{KeyError, Keyring, Rewrapped, WrappedKey},
    mail::MAIL,
    report::EVIDENCE,
};

use super::{
    OpenError,
    batch::Batch,
    failure::{Failure, is_about_content},
    rows::{self, execute},
    statements::{
        EVIDENCE_BEFORE, KEK_AFTER, KEYS_BEFORE, KEYS_UNDER, MAIL_BEFORE, SET_EVIDENCE, SET_KEK, SET_KEY, SET_MAIL,
    },
};

/// Chat keys of one transaction.
const STEP: u32 = 256;

/// Whether the keyring opens what is in the database: it must open one chat of each key-encryption key in use.
pub(super) fn check_keys(db: &Connection, keyring: &Keyring) -> Result<(), OpenError> {
    let mut kek = String::new();
    while let Some(next) = db.query_row(KEK_AFTER, [&kek], |row| row.get(0)).optional()? {
        kek = next;
        check_key(db, keyring, &kek)?;
    }
    Ok(())
}

/// A chat that is damaged does not tell that the key is wrong: that is so when no chat can be opened.
fn check_key(db: &Connection, keyring: &Keyring, kek: &str) -> Result<(), OpenError> {
    let mut select = db.prepare(KEYS_UNDER)?;
    let mut failed = None;
    for found in select.query_map([kek], wrapped_key)? {
        let (chat, wrapped) = match found {
            Err(error) if is_about_content(&error) => continue,
            found => found?,
        };
        match keyring.unwrap_key(chat, &wrapped) {
            Err(error @ KeyError::Corrupt) => failed = Some(error),
            opened => return opened.map(drop).map_err(OpenError::from),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Wraps some of the chat keys anew that are under an older key-encryption key.
pub(super) fn rewrap_some(batch: &mut Batch<'_>) -> Result<Rewrapped, Failure> {
    let keyring = batch.keys.keyring()?;
    let (mut anew, mut damaged, mut done) = (Vec::new(), Vec::new(), Rewrapped::default());
    {
        let mut select = batch.db.prepare_cached(KEYS_BEFORE)?;
        let mut found = select.query(params![keyring.newest(), STEP])?;
        while let Some(row) = found.next()? {
            let chat = ChatId::from_bytes(rows::key(row, 0)?);
            let failure = match wrapped_key(row).map(|(chat, wrapped)| keyring.rewrap(chat, &wrapped)) {
                Ok(Ok(key)) => {
                    anew.extend(key.map(|key| (chat, key)));
                    continue;
                }
                Ok(Err(error @ KeyError::Random)) => return Err(error.into()),
                Ok(Err(error)) => Failure::from(error),
                Err(error) if is_about_content(&error) => Failure::from(error),
                Err(error) => return Err(error.into()),
            };
            tracing::warn!(%chat, ?failure, "the key of a chat can't be opened and is left out");
            damaged.push(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?.to_vec());
            done.unreadable.insert(chat);
        }
    }
    for (chat, WrappedKey { kek, bytes }) in &anew {
        execute(batch.db, SET_KEY, params![chat.as_bytes(), kek, bytes])?;
    }
    // When nothing else is under an older key, a key that opens nothing would be taken for a wrong one at the next start.
    for id in &damaged {
        execute(batch.db, SET_KEK, params![id, keyring.newest()])?;
    }
    done.count = anew.len();
    Ok(done)
}

/// What is sealed under a key-encryption key itself.
#[derive(Clone, Copy)]
pub(super) struct Sealed {
    purpose: &'static str,
    select: &'static str,
    update: &'static str,
}

pub(super) const SEALED: [Sealed; 2] = [
    Sealed { purpose: EVIDENCE, select: EVIDENCE_BEFORE, update: SET_EVIDENCE },
    Sealed { purpose: MAIL, select: MAIL_BEFORE, update: SET_MAIL },
];

/// Seals some anew that are under an older key, after the id; gives their number and where to go on.
pub(super) fn reseal_some(
    batch: &mut Batch<'_>,
    kind: Sealed,
    after: [u8; 16],
) -> Result<(usize, Option<[u8; 16]>), Failure> {
    let keyring = batch.keys.keyring()?;
    let found: Vec<([u8; 16], WrappedKey)> = batch
        .db
        .prepare_cached(kind.select)?
        .query_map(params![keyring.newest(), after, STEP], |row| {
            Ok((row.get(0)?, WrappedKey { kek: row.get(1)?, bytes: row.get(2)? }))
        })?
        .collect::<Result<_, _>>()?;
    let mut done = 0;
    for (id, sealed) in &found {
        match keyring.reseal(kind.purpose, id, sealed) {
            Ok(Some(WrappedKey { kek, bytes })) => {
                execute(batch.db, kind.update, params![id, kek, bytes])?;
                done += 1;
            }
            Ok(None) => {}
            // Lost before; the others need not be.
            Err(error) => {
                let id = uuid::Uuid::from_bytes(*id);
                tracing::warn!(%id, kind = kind.purpose, error = &error as &dyn std::error::Error, "can't be sealed anew");
            }
        }
    }
    Ok((done, found.last().map(|(id, _)| *id)))
}

fn wrapped_key(row: &Row<'_>) -> rusqlite::Result<(ChatId, WrappedKey)> {
    Ok((ChatId::from_bytes(row.get(0)?), WrappedKey { kek: row.get(1)?, bytes: row.get(2)? }))
}
