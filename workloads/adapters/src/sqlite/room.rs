//! What becomes of a full volume: it is noted, and looked at again until there is room.
//!
//! Writes that do not fit are refused as any failure of the database is, and undone; reads go on. Small writes may still
//! fit, so that one went through does not prove much: only a write of [`TRIED_BYTES`] does.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use sentinel_domain::room::Room;

use super::failure::Failure;

/// What must fit before the volume counts as one with room: a few messages of full size.
const TRIED_BYTES: usize = 128 * 1024;
/// How often that is tried at most.
const TRIED_EVERY: Duration = Duration::from_secs(1);
const FORGET: &str = "DROP TABLE IF EXISTS room_wanted";

/// The volume of one database, as its writer sees it.
pub(super) struct Volume {
    room: Room,
    tried: Instant,
}

impl Volume {
    pub(super) fn new(room: Room) -> Self {
        Self { room, tried: Instant::now() }
    }

    /// Notes why a batch failed.
    pub(super) fn refused(&mut self, failure: &Failure) {
        if failure.is_full() {
            self.ran_out();
        }
    }

    /// Notes that something did not fit.
    pub(super) fn ran_out(&mut self) {
        if self.room.ran_out() {
            tracing::error!("the volume is full: nothing is written until it is larger or something is taken off it");
            self.tried = Instant::now();
        }
    }

    /// Looks whether there is room again, if there was none and it is time.
    pub(super) fn look(&mut self, db: &Connection) {
        if !self.room.is_full() || self.tried.elapsed() < TRIED_EVERY {
            return;
        }
        self.tried = Instant::now();
        match try_to_write(db) {
            Ok(()) => {
                self.room.is_back();
                tracing::info!("the volume has room again");
            }
            Err(error) => {
                // Of what is left when this fails too, the next look gets rid.
                let _ = db.execute_batch("ROLLBACK");
                tracing::debug!(%error, "the volume is still full");
            }
        }
    }
}

/// It must be committed: what is not may never reach the volume.
fn try_to_write(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(FORGET)?;
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE; CREATE TABLE room_wanted (bytes BLOB NOT NULL);
        INSERT INTO room_wanted VALUES (zeroblob({TRIED_BYTES})); COMMIT"
    ))?;
    db.execute_batch(FORGET)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sentinel_domain::{
        ids::{ChatId, UserId},
        message::{ClientMessageId, Draft},
        ports::{Appended, ChatReader, ChatStore, HistoryQuery, StoreError},
        time::Timestamp,
    };
    use sentinel_testing::draft;

    use super::*;
    use crate::sqlite::{
        Sqlite,
        tests::{account, open},
    };

    const PATIENCE: Duration = Duration::from_mins(1);

    async fn send(sqlite: &Sqlite, chat: ChatId, sender: UserId, number: usize) -> Result<Appended, StoreError> {
        let text = format!("{number}: {}", "x".repeat(4000));
        let client_message_id = ClientMessageId::parse(number.to_string()).ok();
        let draft = Draft { client_message_id, ..draft(chat, sender, &text) };
        sqlite.append(draft, None, Timestamp::now()).await
    }

    /// Lets the database have so many pages more than it has. `SQLite` answers as it does on a full volume.
    async fn grant(sqlite: &Sqlite, more: u32) {
        let granted = sqlite.write(move |batch| {
            let pages: u32 = batch.db.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = pages.saturating_add(more).to_string();
            Ok(batch.db.query_row(&format!("PRAGMA max_page_count = {most}"), [], |row| row.get::<_, u32>(0))?)
        });
        granted.await.unwrap();
    }

    /// Looks as readiness does until the volume is as it should be.
    async fn becomes(sqlite: &Sqlite, full: bool) {
        let deadline = Instant::now() + PATIENCE;
        while sqlite.room().is_full() != full {
            assert!(Instant::now() < deadline, "full: {}", !full);
            sqlite.check().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn on_a_full_volume_sends_are_refused_and_repeats_make_one_message_each_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let sqlite = open(&path);
        let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
        let chat = sqlite.start_chat(ann, bob, Timestamp::now()).await.unwrap().0.id;
        let history = async || sqlite.history(bob, chat, HistoryQuery::Latest, 100).await.unwrap().messages;

        grant(&sqlite, 8).await;
        let mut sent = Vec::new();
        let refused = loop {
            match send(&sqlite, chat, ann, sent.len()).await {
                Ok(appended) => sent.push(appended.message.id),
                Err(error) => break error,
            }
            assert!(sent.len() < 90, "it never gets full");
        };
        assert!(matches!(refused, StoreError::Unavailable(_)), "clients are to try again: {refused:?}");
        assert!(sqlite.room().is_full());
        // The volume is looked at again meanwhile, and is still full.
        let look_again = Instant::now() + 2 * TRIED_EVERY;
        while Instant::now() < look_again {
            sqlite.check().await.unwrap();
            assert!(sqlite.room().is_full());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ids = async || history().await.iter().rev().map(|message| message.id).collect::<Vec<_>>();
        assert_eq!(ids().await, sent, "what was acknowledged is there, and nothing else");

        grant(&sqlite, 10_000).await;
        becomes(&sqlite, false).await;
        let number = sent.len();
        let repeat = send(&sqlite, chat, ann, number).await.unwrap();
        assert!(!repeat.duplicate, "nothing of it was written before");
        let again = send(&sqlite, chat, ann, number).await.unwrap();
        assert!(again.duplicate && again.message.id == repeat.message.id);
        sent.push(repeat.message.id);
        assert_eq!(ids().await, sent);
        drop(sqlite);
        assert_nothing_is_left(&path);
    }

    fn assert_nothing_is_left(path: &Path) {
        let db = Connection::open(path).unwrap();
        assert!(!db.table_exists(None, "room_wanted").unwrap());
        assert_eq!(db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    }
}
