//! Writing entries. An entry is replaced only by one that is not older; a removed message leaves its version behind, and
//! a removed chat one for all of its messages.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    ids::{ChatId, UserId},
    message::MessageKind,
    ports::{Removal, SearchDocument, Version},
    search::{TERM_BYTES, Term},
};

use super::{
    super::{failure::Failure, rows::execute},
    statements::{
        CHAT, DELETE_MEMBER, DELETE_MESSAGE, DELETE_MESSAGES_OF, DELETE_TERM, DELETE_TERMS_OF, DELETE_WORD,
        DELETE_WORDS_OF, INSERT_CHAT, INSERT_MEMBER, INSERT_TERM, INSERT_WORD, MESSAGE, MESSAGES_UP_TO, SET_MEMBERS,
        SET_MESSAGE, SET_REMOVED,
    },
};
use crate::content::kind_code;

/// A chat as the index knows it.
struct Known {
    number: i64,
    members: Option<[UserId; 2]>,
    removed: Option<Version>,
}

/// An entry that is there.
struct There {
    version: Version,
    terms: Terms,
}

/// The terms of a message in the form of rows, each kind in order and without repeats.
#[derive(Default)]
struct Terms {
    blind: Vec<i64>,
    plain: Vec<String>,
}

impl Terms {
    fn of(terms: &[Term]) -> Self {
        let mut all = Self::default();
        for term in terms {
            match term {
                Term::Blind(bytes) => all.blind.push(number(*bytes)),
                Term::Plain(word) => all.plain.push(word.clone()),
            }
        }
        all.blind.sort_unstable();
        all.blind.dedup();
        all.plain.sort_unstable();
        all.plain.dedup();
        all
    }

    /// What was stored by [`Terms::stored`].
    fn read(blind: &[u8], plain: Option<&str>) -> Self {
        let (blind, _) = blind.as_chunks::<TERM_BYTES>();
        let blind = blind.iter().map(|term| i64::from_be_bytes(*term)).collect();
        Self { blind, plain: plain.into_iter().flat_map(str::lines).map(str::to_owned).collect() }
    }

    /// As columns of the message's row. No term has a line break.
    fn stored(&self) -> (Vec<u8>, Option<String>) {
        let plain = Some(self.plain.join("\n")).filter(|words| !words.is_empty());
        (self.blind.iter().flat_map(|term| term.to_be_bytes()).collect(), plain)
    }
}

/// The number of a blind term in a row.
pub(super) fn number(term: [u8; TERM_BYTES]) -> i64 {
    i64::from_be_bytes(term)
}

/// What a row says of a message besides its terms: the kind, and whether the chat's higher member wrote it.
pub(super) fn label(kind: MessageKind, high: bool) -> u8 {
    kind_code(kind) * 2 + u8::from(high)
}

/// Puts messages in, but for those of which something newer is there. Gives whether that took any terms out.
pub(super) fn put(db: &Connection, documents: &[SearchDocument]) -> Result<bool, Failure> {
    let mut taken_out = false;
    for document in documents {
        taken_out |= put_one(db, document)?;
    }
    Ok(taken_out)
}

fn put_one(db: &Connection, document: &SearchDocument) -> Result<bool, Failure> {
    let SearchDocument { message_id, chat_id, members, sender_id, kind, terms, version } = document;
    let chat = known_or_new(db, *chat_id)?;
    if chat.removed.is_some_and(|removed| removed >= *version) {
        return Ok(false);
    }
    let there = there(db, chat.number, message_id.as_bytes())?;
    if there.as_ref().is_some_and(|there| there.version > *version) {
        return Ok(false);
    }
    if chat.members != Some(*members) {
        let [low, high] = members;
        execute(db, SET_MEMBERS, params![chat.number, low.as_bytes(), high.as_bytes()])?;
        for member in members {
            execute(db, INSERT_MEMBER, params![member.as_bytes(), chat.number])?;
        }
    }
    let new = Terms::of(terms);
    let old = there.map(|there| there.terms).unwrap_or_default();
    let label = label(*kind, *sender_id == members[1]);
    let taken_out = change_terms(db, chat.number, message_id.as_bytes(), label, &old, &new)?;
    let (blind, plain) = new.stored();
    execute(db, SET_MESSAGE, params![chat.number, message_id.as_bytes(), version.0, label, blind, plain])?;
    Ok(taken_out)
}

/// Takes messages out, but for those of which something newer is there.
pub(super) fn remove(db: &Connection, removals: &[Removal]) -> Result<(), Failure> {
    for Removal { message_id, chat_id, version } in removals {
        let chat = known_or_new(db, *chat_id)?;
        if chat.removed.is_some_and(|removed| removed >= *version) {
            continue;
        }
        let there = there(db, chat.number, message_id.as_bytes())?;
        if there.as_ref().is_some_and(|there| there.version > *version) {
            continue;
        }
        let old = there.map(|there| there.terms).unwrap_or_default();
        change_terms(db, chat.number, message_id.as_bytes(), 0, &old, &Terms::default())?;
        let (gone, words): (Option<Vec<u8>>, Option<String>) = (None, None);
        execute(db, SET_MESSAGE, params![chat.number, message_id.as_bytes(), version.0, 0, gone, words])?;
    }
    Ok(())
}

/// Takes a chat out with all its messages.
pub(super) fn remove_chat(db: &Connection, id: ChatId, version: Version) -> Result<(), Failure> {
    let chat = known_or_new(db, id)?;
    execute(db, SET_REMOVED, params![chat.number, chat.removed.map_or(version, |before| before.max(version)).0])?;
    for member in chat.members.into_iter().flatten() {
        execute(db, DELETE_MEMBER, params![member.as_bytes(), chat.number])?;
    }
    execute(db, DELETE_TERMS_OF, [chat.number])?;
    execute(db, DELETE_WORDS_OF, [chat.number])?;
    execute(db, DELETE_MESSAGES_OF, [chat.number])?;
    Ok(())
}

/// Takes out messages of a chat up to one, the oldest first and no more than `limit`, as if they had never been there;
/// gives their number.
pub(super) fn forget(db: &Connection, chat: i64, up_to: &[u8; 16], limit: u32) -> Result<u32, Failure> {
    let mut select = db.prepare_cached(MESSAGES_UP_TO)?;
    let found: Vec<[u8; 16]> =
        select.query_map(params![chat, up_to, limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for message in &found {
        let old = there(db, chat, message)?.map(|there| there.terms).unwrap_or_default();
        change_terms(db, chat, message, 0, &old, &Terms::default())?;
        execute(db, DELETE_MESSAGE, params![chat, message])?;
    }
    Ok(u32::try_from(found.len()).unwrap_or(limit))
}

/// The version of an entry, removed or not.
pub(super) fn version_of(db: &Connection, chat: ChatId, message: &[u8; 16]) -> Result<Option<Version>, Failure> {
    let Some(chat) = db.prepare_cached(CHAT)?.query_row([chat.as_bytes()], known).optional()? else { return Ok(None) };
    Ok(there(db, chat.number, message)?.map(|there| there.version))
}

fn known_or_new(db: &Connection, id: ChatId) -> Result<Known, Failure> {
    if let Some(known) = db.prepare_cached(CHAT)?.query_row([id.as_bytes()], known).optional()? {
        return Ok(known);
    }
    execute(db, INSERT_CHAT, [id.as_bytes()])?;
    Ok(Known { number: db.last_insert_rowid(), members: None, removed: None })
}

/// A row of `number, low, high, removed`.
fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let low = row.get::<_, Option<[u8; 16]>>(1)?.map(UserId::from_bytes);
    let high = row.get::<_, Option<[u8; 16]>>(2)?.map(UserId::from_bytes);
    Ok(Known {
        number: row.get(0)?,
        members: low.zip(high).map(<[UserId; 2]>::from),
        removed: row.get::<_, Option<i64>>(3)?.map(Version),
    })
}

fn there(db: &Connection, chat: i64, message: &[u8; 16]) -> Result<Option<There>, Failure> {
    let mut select = db.prepare_cached(MESSAGE)?;
    let found = select.query_row(params![chat, message], |row| {
        let (blind, plain) = (row.get_ref(1)?.as_blob_or_null()?, row.get_ref(2)?.as_str_or_null()?);
        Ok(There { version: Version(row.get(0)?), terms: Terms::read(blind.unwrap_or_default(), plain) })
    });
    Ok(found.optional()?)
}

/// Writes the difference between the terms that a message has and those that it gets; gives whether any went.
fn change_terms(
    db: &Connection,
    chat: i64,
    message: &[u8; 16],
    label: u8,
    old: &Terms,
    new: &Terms,
) -> Result<bool, Failure> {
    let mut gone = 0;
    for term in old.blind.iter().filter(|term| new.blind.binary_search(term).is_err()) {
        gone += execute(db, DELETE_TERM, params![chat, term, message])?;
    }
    for term in new.blind.iter().filter(|term| old.blind.binary_search(term).is_err()) {
        execute(db, INSERT_TERM, params![chat, term, message, label])?;
    }
    for word in old.plain.iter().filter(|word| new.plain.binary_search(word).is_err()) {
        gone += execute(db, DELETE_WORD, params![chat, word, message])?;
    }
    for word in new.plain.iter().filter(|word| old.plain.binary_search(word).is_err()) {
        execute(db, INSERT_WORD, params![chat, word, message, label])?;
    }
    Ok(gone > 0)
}
