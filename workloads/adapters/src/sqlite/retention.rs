//! What is removed when it is old, in pieces of a few milliseconds while no command waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sentinel_domain::{clock, ids::EventId, time::Timestamp};

use super::{
    rows::{self, execute},
    sessions,
    statements::{
        ACCOUNT_IDS_AFTER, DELETE_EARLIER, EARLIER_AFTER, PRUNABLE_UP_TO, PRUNE_AUDIT, PRUNE_DEAD_LETTERS, PRUNE_ENDED,
        PRUNE_INBOX, PRUNE_NOTIFICATIONS, PRUNE_SENT, SET_INBOX_PRUNED, STALE_SESSIONS,
    },
};

const DAY_SECONDS: i64 = 24 * 3600;
/// How long inboxes keep events, and how long notifications are kept.
pub(super) const INBOX_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long a client message id is remembered.
pub(super) const SENT_SECONDS: i64 = 7 * DAY_SECONDS;
/// How long an ended session is remembered; longer than any access token lives.
const ENDED_SECONDS: i64 = 35 * DAY_SECONDS;
/// How long events that a consumer gave up are kept for somebody to look at.
const DEAD_LETTER_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long the audit log keeps entries.
const AUDIT_SECONDS: i64 = 400 * DAY_SECONDS;
/// Between two rounds.
const PAUSE: Duration = Duration::from_hours(1);
/// Before the first round, so that a server that often restarts gets to it.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// Rows of one step.
const STEP: u32 = 500;
/// How long a step may wait for readers before it leaves the log for later.
const LOG_PATIENCE: Duration = Duration::from_millis(100);

/// The longest life of an unused session that was asked for; nothing is known before the first rotation.
#[derive(Clone, Default)]
pub(super) struct SessionLifetime(Arc<AtomicU32>);

impl SessionLifetime {
    pub(super) fn observe(&self, seconds: u32) {
        self.0.fetch_max(seconds, Ordering::Relaxed);
    }

    fn get(&self) -> Option<i64> {
        Some(i64::from(self.0.load(Ordering::Relaxed))).filter(|seconds| *seconds > 0)
    }
}

/// Where the round stands.
pub(super) struct Retention {
    lifetime: SessionLifetime,
    due: Instant,
    stage: Stage,
    shred_log: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    Sessions,
    Inboxes { after: [u8; 16] },
    Sent { after: i64 },
    Done,
}

impl Retention {
    pub(super) fn new(lifetime: SessionLifetime) -> Self {
        Self { lifetime, due: Instant::now() + FIRST_PAUSE, stage: Stage::Sessions, shred_log: false }
    }

    /// Asks to overwrite the write-ahead log, which still has the keys of deleted chats.
    pub(super) fn shred_log(&mut self) {
        self.shred_log = true;
    }

    /// Does one piece; `false` when there is nothing to do now.
    pub(super) fn step(&mut self, db: &mut Connection) -> rusqlite::Result<bool> {
        if std::mem::take(&mut self.shred_log) {
            db.busy_timeout(LOG_PATIENCE)?;
            let emptied = super::checkpoint(db);
            db.busy_timeout(super::PATIENCE)?;
            // Readers are in the way: after the next command.
            self.shred_log = !emptied?;
        }
        if Instant::now() < self.due {
            return Ok(false);
        }
        let next = prune(db, self.stage, self.lifetime.get(), Timestamp::now())?;
        if matches!(next, Stage::Done) {
            self.due = Instant::now() + PAUSE;
            self.stage = Stage::Sessions;
            return Ok(false);
        }
        self.stage = next;
        Ok(true)
    }
}

/// Does all pieces of one round at once, as if it were `now`.
#[cfg(test)]
pub(super) fn round(db: &mut Connection, lifetime: Option<i64>, now: Timestamp) -> rusqlite::Result<()> {
    let mut stage = Stage::Sessions;
    while !matches!(stage, Stage::Done) {
        stage = prune(db, stage, lifetime, now)?;
    }
    Ok(())
}

fn prune(db: &mut Connection, stage: Stage, lifetime: Option<i64>, now: Timestamp) -> rusqlite::Result<Stage> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let next = match stage {
        Stage::Sessions => prune_sessions(&step, lifetime, now)?,
        Stage::Inboxes { after } => prune_inboxes(&step, after, first_id(now.plus_seconds(-INBOX_SECONDS)))?,
        Stage::Sent { after } => prune_sent(&step, after, first_id(now.plus_seconds(-SENT_SECONDS)))?,
        Stage::Done => Stage::Done,
    };
    step.commit()?;
    Ok(next)
}

/// Sorts before every id of this millisecond.
fn first_id(at: Timestamp) -> EventId {
    EventId(clock::Instant { millis: u64::try_from(at.0).unwrap_or(0), counter: 0 }.id(0))
}

fn prune_sessions(step: &Transaction<'_>, lifetime: Option<i64>, now: Timestamp) -> rusqlite::Result<Stage> {
    execute(step, PRUNE_ENDED, [now.plus_seconds(-ENDED_SECONDS).0])?;
    execute(step, PRUNE_AUDIT, [first_id(now.plus_seconds(-AUDIT_SECONDS)).as_bytes()])?;
    execute(step, PRUNE_DEAD_LETTERS, [now.plus_seconds(-DEAD_LETTER_SECONDS).0])?;
    let Some(lifetime) = lifetime else { return Ok(Stage::Inboxes { after: [0; 16] }) };
    let mut select = step.prepare_cached(STALE_SESSIONS)?;
    let stale: Vec<[u8; 16]> =
        select.query_map(params![now.plus_seconds(-lifetime).0, STEP], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &stale {
        sessions::remove(step, id, now)?;
    }
    Ok(if stale.len() < STEP as usize { Stage::Inboxes { after: [0; 16] } } else { Stage::Sessions })
}

/// Goes from account to account: an index of all inboxes by time would cost a write for each event.
fn prune_inboxes(step: &Transaction<'_>, after: [u8; 16], horizon: EventId) -> rusqlite::Result<Stage> {
    let mut after = after;
    let mut budget = STEP;
    let mut accounts = step.prepare_cached(ACCOUNT_IDS_AFTER)?;
    let ids: Vec<[u8; 16]> = accounts.query_map(params![after, STEP], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        execute(step, PRUNE_NOTIFICATIONS, params![id, horizon.as_bytes()])?;
        let up_to: Option<EventId> = step
            .prepare_cached(PRUNABLE_UP_TO)?
            .query_row(params![id, horizon.as_bytes(), budget], |row| rows::event_id(row, 0))?;
        if let Some(up_to) = up_to {
            let removed = execute(step, PRUNE_INBOX, params![id, up_to.as_bytes()])?;
            execute(step, SET_INBOX_PRUNED, params![id, up_to.as_bytes()])?;
            budget = budget.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
            if budget == 0 {
                // This account may have more: the next step begins with it again.
                return Ok(Stage::Inboxes { after });
            }
        }
        after = *id;
    }
    let last = ids.len() < STEP as usize;
    Ok(if last { Stage::Sent { after: i64::MIN } } else { Stage::Inboxes { after } })
}

fn prune_sent(step: &Transaction<'_>, after: i64, horizon: EventId) -> rusqlite::Result<Stage> {
    execute(step, PRUNE_SENT, [horizon.as_bytes()])?;
    let mut select = step.prepare_cached(EARLIER_AFTER)?;
    let rows: Vec<(i64, [u8; 16])> =
        select.query_map(params![after, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (fingerprint, message) in &rows {
        if EventId::from_bytes(*message) < horizon {
            execute(step, DELETE_EARLIER, [fingerprint])?;
        }
    }
    Ok(match rows.get(STEP as usize - 1) {
        Some((last, _)) => Stage::Sent { after: *last },
        None => Stage::Done,
    })
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        account::{Email, Username},
        ids::{SessionId, UserId},
        message::{ClientMessageId, Draft, MessageKind},
        ports::{AccountStore, ChatStore, HistoryQuery, NewAccount, SessionStore},
        session::Session,
    };
    use uuid::Uuid;

    use super::*;
    use crate::sqlite::{Sqlite, statements::INSERT_DEAD_LETTER, tests::open};

    const START: Timestamp = Timestamp(1_750_000_000_000);

    async fn account(sqlite: &Sqlite, name: &str) -> UserId {
        let new = NewAccount {
            id: UserId(Uuid::new_v4()),
            username: Username::parse(name).unwrap(),
            email: Email::parse(&format!("{name}@example.com")).unwrap(),
            password_hash: String::new(),
            created_at: START,
        };
        sqlite.create_account(new).await.unwrap().id
    }

    #[tokio::test]
    async fn what_is_old_goes_and_what_is_not_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let sqlite = open(&path);
        let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
        let idle = account(&sqlite, "idle").await;
        let (chat, _) = sqlite.start_chat(ann, bob, START).await.unwrap();
        let send = async |number: u32, now: Timestamp| {
            let draft = Draft {
                chat_id: chat.id,
                sender_id: ann,
                kind: MessageKind::Text,
                text: number.to_string(),
                attachments: vec![],
                reply_to: None,
                client_message_id: ClientMessageId::parse(number.to_string()).ok(),
            };
            sqlite.append(draft, None, now).await.unwrap()
        };
        let edit = async |message, now: Timestamp| {
            sqlite.edit(ann, chat.id, message, "edited".into(), now).await.unwrap();
            sqlite.inbox_head(bob, now).await.unwrap().up_to()
        };
        // More than one step of each kind.
        let (mut sent, mut edits) = (Vec::new(), Vec::new());
        for number in 0..STEP + 20 {
            sent.push(send(number, START).await.message.id);
        }
        for message in &sent {
            edits.push(edit(*message, START).await);
        }
        let kept = edit(sent[0], START.plus_seconds(20 * DAY_SECONDS)).await;
        let session = |refreshed_at| Session {
            id: SessionId(Uuid::new_v4()),
            user_id: ann,
            device: String::new(),
            created_at: START,
            refreshed_at,
            generation: 0,
        };
        let (stale, fresh) = (session(START), session(START.plus_seconds(30 * DAY_SECONDS)));
        sqlite.create_session(stale).await.unwrap();
        sqlite.create_session(fresh.clone()).await.unwrap();

        let mut db = Connection::open(&path).unwrap();
        let now = START.plus_seconds(INBOX_SECONDS + 10);
        round(&mut db, Some(10 * DAY_SECONDS), now).unwrap();

        let client = |since: EventId| sqlite.inbox(bob, Some(since.into()), 100);
        assert!(client(edits[3]).await.unwrap().reset, "something after it is gone");
        let up_to_date = client(*edits.last().unwrap()).await.unwrap();
        assert!(!up_to_date.reset, "nothing after it is gone");
        assert_eq!(up_to_date.events.iter().map(|event| event.id).collect::<Vec<_>>(), [kept]);
        assert!(!sqlite.inbox(bob, None, 100).await.unwrap().reset);
        let head = sqlite.inbox_head(idle, now).await.unwrap();
        assert!(!sqlite.inbox(idle, Some(head), 10).await.unwrap().reset);
        let page = sqlite.history(ann, chat.id, HistoryQuery::Latest, 1000).await.unwrap();
        assert_eq!(page.messages.len(), sent.len(), "history is kept");
        assert_eq!(sqlite.sessions(ann).await.unwrap(), [fresh]);
        assert_eq!(db.query_row("SELECT count(*) FROM sent", [], |row| row.get::<_, u32>(0)).unwrap(), 0);

        let later = now.plus_seconds(INBOX_SECONDS + 10);
        round(&mut db, None, later).unwrap();
        let emptied = sqlite.inbox_head(bob, later).await.unwrap();
        let inbox = sqlite.inbox(bob, Some(emptied), 10).await.unwrap();
        assert!(inbox.events.is_empty() && !inbox.reset);
    }

    #[tokio::test]
    async fn dead_letters_are_kept_for_thirty_days() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let sqlite = open(&path);
        for (id, days) in [(1_u128, 0), (2, 10)] {
            let (id, at) = (*Uuid::from_u128(id).as_bytes(), START.plus_seconds(days * DAY_SECONDS).0);
            let written = sqlite.write(move |batch| {
                Ok(execute(batch.db, INSERT_DEAD_LETTER, params!["search", id, "{}", "poison", at])?)
            });
            written.await.unwrap();
        }
        let mut db = Connection::open(&path).unwrap();
        let mut kept_after = |days: i64| {
            round(&mut db, None, START.plus_seconds(days * DAY_SECONDS)).unwrap();
            db.query_row("SELECT count(*) FROM dead_letters", [], |row| row.get::<_, u32>(0)).unwrap()
        };
        assert_eq!([29, 30, 31, 40, 41].map(&mut kept_after), [2, 2, 1, 1, 0]);
    }
}
