//! Finding: for each chat of the caller the newest message that has all terms, and of these the newest first.
//!
//! In a chat, the terms leapfrog: each is asked for its newest message that is not newer than the last one's answer,
//! until all name the same. So what is looked at depends on the rarest term, whichever that is.

use std::collections::BinaryHeap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, MessageId, UserId},
    ports::{SearchHit, SearchPage, SearchQuery},
    search::Term,
    time::Timestamp,
};

use super::{
    super::{failure::Failure, rows::exists},
    entries::{label, number},
    statements::{ANY_MESSAGE, CHAT_OF, CHATS_OF, IS_MEMBER, WITH_TERM, WITH_WORD},
};

/// A chat that is searched.
struct Place {
    number: i64,
    id: ChatId,
    members: [UserId; 2],
}

/// A message by its id as a number, which is how ids are ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    id: u128,
    label: u8,
}

/// One search.
struct Search<'a> {
    db: &'a Connection,
    query: &'a SearchQuery,
    /// The oldest message that may be found.
    oldest: u128,
}

/// Messages that have what is asked for, newest first.
pub(super) fn page(db: &Connection, query: &SearchQuery) -> Result<SearchPage, Failure> {
    let places = places(db, query)?;
    let search = Search { db, query, oldest: query.from.map_or(0, first_of) };
    let newest = match (query.before.map(|before| before.0.as_u128()), query.to.map(first_of)) {
        (None, None) => Some(u128::MAX),
        // Both are the first that may not be found.
        (before, to) => before.unwrap_or(u128::MAX).min(to.unwrap_or(u128::MAX)).checked_sub(1),
    };
    let mut heads = BinaryHeap::new();
    if let Some(newest) = newest {
        for (at, place) in places.iter().enumerate() {
            heads.extend(search.next(place, newest)?.map(|found| (found, at)));
        }
    }
    let mut hits = Vec::new();
    while hits.len() < query.limit {
        let Some((found, at)) = heads.pop() else { break };
        let place = &places[at];
        hits.push(SearchHit { message_id: MessageId(uuid::Uuid::from_u128(found.id)), chat_id: place.id });
        if let Some(below) = found.id.checked_sub(1) {
            heads.extend(search.next(place, below)?.map(|found| (found, at)));
        }
    }
    Ok(SearchPage { hits, more: !heads.is_empty() })
}

/// The caller's chats, or of these the one that is asked for.
fn places(db: &Connection, query: &SearchQuery) -> Result<Vec<Place>, Failure> {
    let caller = query.caller.as_bytes();
    let Some(chat) = query.chat else {
        let mut select = db.prepare_cached(CHATS_OF)?;
        let found = select.query_map([caller], place)?.collect::<Result<Vec<_>, _>>()?;
        return Ok(found.into_iter().flatten().collect());
    };
    let found = db.prepare_cached(CHAT_OF)?.query_row([chat.as_bytes()], place).optional()?.flatten();
    // Whatever else is asked, the caller must be a member.
    Ok(match found {
        Some(place) if exists(db, IS_MEMBER, params![caller, place.number])? => vec![place],
        _ => Vec::new(),
    })
}

/// A row of `number, chat_id, low, high`; a chat without members has no messages.
fn place(row: &Row<'_>) -> rusqlite::Result<Option<Place>> {
    let member = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<[u8; 16]>>(column)?.map(UserId::from_bytes));
    let (number, id) = (row.get(0)?, ChatId::from_bytes(row.get(1)?));
    Ok(member(2)?.zip(member(3)?).map(|(low, high)| Place { number, id, members: [low, high] }))
}

/// The first id of a moment.
fn first_of(at: Timestamp) -> u128 {
    Instant { millis: u64::try_from(at.0).unwrap_or(0), counter: 0 }.id(0).as_u128()
}

impl Search<'_> {
    /// The newest message of a chat, not newer than `newest`, that has all that is asked for.
    fn next(&self, place: &Place, newest: u128) -> Result<Option<Candidate>, Failure> {
        let mut newest = newest;
        // Of each group one must be there.
        let groups = &self.query.terms;
        'candidates: loop {
            let Some(mut found) = self.newest(place, groups.first(), newest)? else { return Ok(None) };
            for group in groups.iter().skip(1) {
                let Some(other) = self.newest(place, Some(group), found.id)? else { return Ok(None) };
                if other.id < found.id {
                    newest = other.id;
                    continue 'candidates;
                }
                found = other;
            }
            if found.id < self.oldest {
                return Ok(None);
            }
            if self.is_meant(place, found.label) {
                return Ok(Some(found));
            }
            let Some(below) = found.id.checked_sub(1) else { return Ok(None) };
            newest = below;
        }
    }

    /// The newest message that has a term of the group, or without a group any message.
    fn newest(&self, place: &Place, group: Option<&Vec<Term>>, newest: u128) -> Result<Option<Candidate>, Failure> {
        let newest = newest.to_be_bytes();
        let Some(group) = group else {
            let mut select = self.db.prepare_cached(ANY_MESSAGE)?;
            return Ok(select.query_row(params![place.number, newest], candidate).optional()?);
        };
        let (mut with_term, mut with_word) = (self.db.prepare_cached(WITH_TERM)?, self.db.prepare_cached(WITH_WORD)?);
        let mut best = None;
        for term in group {
            let found = match term {
                Term::Blind(bytes) => with_term.query_row(params![place.number, number(*bytes), newest], candidate),
                Term::Plain(word) => with_word.query_row(params![place.number, word, newest], candidate),
            };
            best = best.max(found.optional()?);
        }
        Ok(best)
    }

    fn is_meant(&self, place: &Place, found: u8) -> bool {
        let of_kind = self.query.kind.is_none_or(|kind| found == label(kind, false) || found == label(kind, true));
        let sender = place.members[usize::from(found % 2)];
        of_kind && self.query.sender.is_none_or(|asked| asked == sender)
    }
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate { id: u128::from_be_bytes(row.get(0)?), label: row.get(1)? })
}
