//! Which message a sender's client id made.
//!
//! Client ids are random, so an index of them by value would cost a page of the log for each message. Instead, each
//! batch writes one row with all of its own, and the writer has the newest in memory, where it looks them up. When
//! they are too many, each batch moves some of the oldest to an index in the database.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension, params};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    message::ClientMessageId,
};

use super::{
    rows::execute,
    statements::{DELETE_SENT, EARLIER, INSERT_EARLIER, INSERT_SENT, SENT_AFTER},
};

/// Entries in memory before some move; about 80 bytes each.
const KEPT: usize = 500_000;
/// Entries that a batch moves for each one that it adds. Each entry takes a page of the index, so thousands at once would
/// hold up all callers for as long as many batches take; and large batches, of many callers, still share pages.
const MOVED_FOR_NEW: usize = 2;

const ENTRY_BYTES: usize = 40;

/// Stands for a sender and a client id. Found by it, a message is compared with both: a collision harms nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint(i64);

impl Fingerprint {
    pub(super) fn of(sender: UserId, id: &ClientMessageId) -> Self {
        let mut digest = Context::new(&SHA256);
        digest.update(sender.as_bytes());
        digest.update(id.as_str().as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.finish().as_ref()[..8]);
        Self(i64::from_be_bytes(bytes))
    }
}

/// Where a message is.
type Place = (ChatId, MessageId);

/// What was sent under client ids, the current batch's included.
pub(super) struct Sent {
    /// Entries in memory before some move.
    most: usize,
    kept: HashMap<Fingerprint, Place>,
    /// Batches in memory, oldest first: their keys and their entries' fingerprints.
    batches: VecDeque<([u8; 16], Vec<Fingerprint>)>,
    /// Of the current batch.
    new: Vec<Fingerprint>,
    /// How many of the oldest batches the current one moves to the index.
    moving: usize,
}

impl Default for Sent {
    fn default() -> Self {
        Self { most: KEPT, kept: HashMap::new(), batches: VecDeque::new(), new: Vec::new(), moving: 0 }
    }
}

impl Sent {
    /// Reads what is not in the index.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut sent = Self::default();
        let mut select = db.prepare(SENT_AFTER)?;
        let mut rows = select.query([[0_u8; 0].as_slice()])?;
        while let Some(row) = rows.next()? {
            let (entries, _) = row.get_ref(1)?.as_blob()?.as_chunks::<ENTRY_BYTES>();
            let entries: Vec<_> = entries.iter().map(read_entry).collect();
            sent.batches.push_back((row.get(0)?, entries.iter().map(|(fingerprint, _)| *fingerprint).collect()));
            sent.kept.extend(entries);
        }
        Ok(sent)
    }

    /// Where the message is that was sent last under this fingerprint.
    pub(super) fn find(&self, db: &Connection, fingerprint: Fingerprint) -> rusqlite::Result<Option<Place>> {
        if let Some(place) = self.kept.get(&fingerprint) {
            return Ok(Some(*place));
        }
        let mut select = db.prepare_cached(EARLIER)?;
        let place = |row: &rusqlite::Row<'_>| Ok((ChatId::from_bytes(row.get(0)?), MessageId::from_bytes(row.get(1)?)));
        select.query_row([fingerprint.0], place).optional()
    }

    /// Adds a message of the current batch.
    pub(super) fn add(&mut self, fingerprint: Fingerprint, chat: ChatId, message: MessageId) {
        self.kept.insert(fingerprint, (chat, message));
        self.new.push(fingerprint);
    }

    /// Writes the current batch's row, and moves old ones if there are too many.
    pub(super) fn write(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let entries: Vec<(Fingerprint, Place)> = self.new.iter().filter_map(|new| self.entry(*new)).collect();
        let Some((_, (_, first))) = entries.first() else { return Ok(()) };
        let bytes: Vec<u8> = entries.iter().flat_map(entry_bytes).collect();
        execute(db, INSERT_SENT, params![first.as_bytes(), bytes])?;
        if self.kept.len() > self.most {
            self.move_some(db, entries.len() * MOVED_FOR_NEW)?;
        }
        Ok(())
    }

    fn move_some(&mut self, db: &Connection, count: usize) -> rusqlite::Result<()> {
        let mut moved = Vec::with_capacity(count);
        for (batch, fingerprints) in &self.batches {
            if moved.len() >= count {
                break;
            }
            execute(db, DELETE_SENT, [batch])?;
            moved.extend(fingerprints.iter().filter_map(|old| self.entry(*old)));
            self.moving += 1;
        }
        moved.sort_unstable();
        let mut insert = db.prepare_cached(INSERT_EARLIER)?;
        for (fingerprint, (chat, message)) in moved {
            insert.execute(params![fingerprint.0, chat.as_bytes(), message.as_bytes()])?;
        }
        Ok(())
    }

    /// The current batch is durable.
    pub(super) fn committed(&mut self) {
        for (_, fingerprints) in self.batches.drain(..std::mem::take(&mut self.moving)) {
            for fingerprint in fingerprints {
                self.kept.remove(&fingerprint);
            }
        }
        let first = self.new.first().and_then(|first| self.kept.get(first));
        if let Some((_, first)) = first {
            self.batches.push_back((*first.as_bytes(), std::mem::take(&mut self.new)));
        }
    }

    /// The current batch is gone.
    pub(super) fn rolled_back(&mut self) {
        self.moving = 0;
        for fingerprint in self.new.drain(..) {
            self.kept.remove(&fingerprint);
        }
    }

    fn entry(&self, fingerprint: Fingerprint) -> Option<(Fingerprint, Place)> {
        self.kept.get(&fingerprint).map(|place| (fingerprint, *place))
    }
}

fn entry_bytes((fingerprint, (chat, message)): &(Fingerprint, Place)) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..8].copy_from_slice(&fingerprint.0.to_be_bytes());
    bytes[8..24].copy_from_slice(chat.as_bytes());
    bytes[24..].copy_from_slice(message.as_bytes());
    bytes
}

fn read_entry(bytes: &[u8; ENTRY_BYTES]) -> (Fingerprint, Place) {
    let (mut fingerprint, mut chat, mut message) = ([0; 8], [0; 16], [0; 16]);
    fingerprint.copy_from_slice(&bytes[..8]);
    chat.copy_from_slice(&bytes[8..24]);
    message.copy_from_slice(&bytes[24..]);
    (Fingerprint(i64::from_be_bytes(fingerprint)), (ChatId::from_bytes(chat), MessageId::from_bytes(message)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::sqlite::schema;

    fn fingerprint(number: u32) -> Fingerprint {
        Fingerprint::of(UserId(Uuid::nil()), &ClientMessageId::parse(number.to_string()).unwrap())
    }

    fn place(number: u32) -> Place {
        (ChatId(Uuid::from_u128(1)), MessageId(Uuid::from_u128(number.into())))
    }

    fn add(sent: &mut Sent, number: u32) {
        sent.add(fingerprint(number), place(number).0, place(number).1);
    }

    #[test]
    fn entries_are_found_in_memory_in_the_index_and_after_a_restart() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let mut sent = Sent::default();
        for batch in 0..10 {
            for number in 0..20 {
                add(&mut sent, batch * 20 + number);
            }
            sent.write(&db).unwrap();
            sent.committed();
        }
        sent.move_some(&db, 90).unwrap();
        sent.committed();
        assert_eq!((sent.batches.len(), sent.kept.len()), (5, 100));
        for sent in [&sent, &Sent::load(&db).unwrap()] {
            assert_eq!((sent.batches.len(), sent.kept.len()), (5, 100));
            for number in 0..200 {
                assert_eq!(sent.find(&db, fingerprint(number)).unwrap(), Some(place(number)));
            }
            assert_eq!(sent.find(&db, fingerprint(200)).unwrap(), None);
        }
    }

    #[test]
    fn a_batch_moves_about_as_many_as_it_adds_once_there_are_too_many() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let mut sent = Sent { most: 1000, ..Sent::default() };
        for batch in 0..200 {
            let before = sent.kept.len();
            for number in 0..10 {
                add(&mut sent, batch * 10 + number);
            }
            sent.write(&db).unwrap();
            sent.committed();
            let moved = before + 10 - sent.kept.len();
            assert!(moved <= 20 && sent.kept.len() <= 1000, "{moved} moved, {} kept", sent.kept.len());
        }
        let indexed: u32 = db.query_row("SELECT count(*) FROM sent_earlier", [], |row| row.get(0)).unwrap();
        assert_eq!(indexed as usize + sent.kept.len(), 2000);
    }

    #[test]
    fn a_batch_that_was_rolled_back_left_nothing() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let mut sent = Sent::default();
        add(&mut sent, 1);
        sent.write(&db).unwrap();
        sent.committed();
        let undone = db.transaction().unwrap();
        add(&mut sent, 2);
        sent.write(&undone).unwrap();
        sent.move_some(&undone, 1).unwrap();
        undone.rollback().unwrap();
        sent.rolled_back();
        assert_eq!(sent.find(&db, fingerprint(1)).unwrap(), Some(place(1)));
        assert_eq!(sent.find(&db, fingerprint(2)).unwrap(), None);
        assert_eq!((sent.batches.len(), sent.kept.len()), (1, 1));
    }
}
