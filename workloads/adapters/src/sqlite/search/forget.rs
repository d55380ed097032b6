//! Forgetting messages that are too old: piece by piece, so that neither new messages nor searches wait for it.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use sentinel_domain::{ids::MessageId, ports::StoreError};

use super::{super::failure::Failure, SearchDatabase, entries, statements::CHATS_AFTER};

/// Messages of one piece.
const PIECE: u32 = 200;
/// Chats of one piece.
const CHATS: u32 = 500;
/// A piece is followed by a pause as long as itself, but not longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl SearchDatabase {
    /// Forgets all messages up to this one; gives their number.
    pub(super) async fn forget(&self, up_to: MessageId) -> Result<u64, StoreError> {
        let (mut after, mut count) = (0, 0);
        loop {
            let began = Instant::now();
            let (forgotten, next) = self.write(move |db| piece(db, after, up_to)).await?;
            count += forgotten;
            let Some(next) = next else { return Ok(count) };
            after = next;
            tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE)).await;
        }
    }
}

/// Forgets some messages of the chats after one; gives their number and the chat to go on after. `None`: this was all.
fn piece(db: &Connection, after: i64, up_to: MessageId) -> Result<(u64, Option<i64>), Failure> {
    let (mut after, mut left) = (after, PIECE);
    let mut select = db.prepare_cached(CHATS_AFTER)?;
    let chats: Vec<i64> = select.query_map(params![after, CHATS], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for chat in &chats {
        left -= entries::forget(db, *chat, up_to.as_bytes(), left)?.min(left);
        if left == 0 {
            // This chat may have more: the next piece begins with it again.
            return Ok((u64::from(PIECE), Some(after)));
        }
        after = *chat;
    }
    let more = chats.len() == CHATS as usize;
    Ok((u64::from(PIECE - left), more.then_some(after)))
}
