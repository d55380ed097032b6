//! What is removed when it is old, in pieces of a few milliseconds while no command waits.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sentinel_domain::{
    clock,
    ids::{ChatId, EventId, UserId},
    report::REPORT_SECONDS,
    retention::{
        AUDIT_SECONDS, CLIENT_MESSAGE_ID_SECONDS, DEAD_LETTER_SECONDS, ENDED_SESSION_SECONDS, Horizon, INBOX_SECONDS,
        MessageRetention, NOTIFICATION_SECONDS,
    },
    session::SessionLifetime,
    time::Timestamp,
};

use super::{
    checkpointer::Checkpointer,
    media,
    rows::{self, execute},
    sessions,
    statements::{
        ACCOUNT_IDS_AFTER, CHAT_IDS_AFTER, CLOCK, DELETE_EARLIER, EARLIER_AFTER, EXPIRED_UP_TO, HORIZON,
        PRUNABLE_UP_TO, PRUNE_AUDIT, PRUNE_DEAD_LETTERS, PRUNE_ENDED, PRUNE_INBOX, PRUNE_MESSAGES, PRUNE_NOTIFICATIONS,
        PRUNE_NOTIFICATIONS_OF_MESSAGES, PRUNE_REPORTS, PRUNE_SENT, RAISE_HORIZON, SET_INBOX_PRUNED,
        SET_NEWEST_REMOVED, STALE_SESSIONS,
    },
};

/// Between two rounds.
const PAUSE: Duration = Duration::from_hours(1);
/// Before the first round, so that a server that often restarts gets to it.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// Rows of one step.
const STEP: u32 = 500;
/// How long a step may wait for readers before it leaves the log for later.
const LOG_PATIENCE: Duration = Duration::from_millis(100);
/// How long it leaves the log alone after it waited in vain: who keeps it may read for minutes, as a backup does, and callers
/// must not wait with each command.
const LOG_PAUSE: Duration = Duration::from_secs(5);

/// Which messages are too old: by how long they are kept, and by what was noted when that may have been shorter.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    messages: MessageRetention,
    noted: Horizon,
}

impl Rule {
    /// The rule of a database that is being opened.
    pub(super) fn of(db: &Connection, messages: MessageRetention) -> rusqlite::Result<Self> {
        let noted = db.query_row(HORIZON, [], |row| row.get(0)).optional()?;
        Ok(Self { messages, noted: noted.map_or(Horizon::NONE, |at| Horizon::at(Timestamp(at))) })
    }

    /// Which messages are too old at `now`.
    pub(super) fn horizon(self, now: Timestamp) -> Horizon {
        self.messages.horizon(now).max(self.noted)
    }
}

/// Notes what is too old at `now`, so that it stays so when messages are kept longer one day. A clock that is wrong must not
/// hide messages that are yet to be written: no more is noted than there is.
fn note(db: &Connection, messages: MessageRetention, now: Timestamp) -> rusqlite::Result<()> {
    let newest = db.prepare_cached(CLOCK)?.query_row([], |row| row.get(0).map(EventId::from_bytes)).optional()?;
    if let (Some(newest), true) = (newest, messages != MessageRetention::FOREVER) {
        let at = messages.horizon(now).time().0.min(newest.timestamp().0 + 1);
        execute(db, RAISE_HORIZON, [at])?;
    }
    Ok(())
}

/// Where the round stands.
pub(super) struct Retention {
    lifetime: SessionLifetime,
    rule: Rule,
    due: Instant,
    stage: Stage,
    /// Whether there was a round.
    begun: bool,
    shred_log: bool,
    /// When the log may be looked at.
    log_due: Instant,
}

#[derive(Clone, Copy)]
enum Stage {
    Sessions,
    Inboxes { after: [u8; 16] },
    Sent { after: i64 },
    Messages { after: [u8; 16] },
    Done,
}

impl Retention {
    pub(super) fn new(lifetime: SessionLifetime, rule: Rule) -> Self {
        let now = Instant::now();
        let due = now + FIRST_PAUSE;
        // An earlier process may have been killed before it emptied the log.
        Self { lifetime, rule, due, stage: Stage::Sessions, begun: false, shred_log: true, log_due: now }
    }

    /// Which messages are too old at `now`.
    pub(super) fn horizon(&self, now: Timestamp) -> Horizon {
        self.rule.horizon(now)
    }

    /// Notes what got too old since the last round; to be called at the end.
    pub(super) fn end(&self, db: &Connection) -> rusqlite::Result<()> {
        if self.begun { note(db, self.rule.messages, Timestamp::now()) } else { Ok(()) }
    }

    /// Asks to overwrite the write-ahead log, which still has the keys of deleted chats.
    pub(super) fn shred_log(&mut self) {
        self.shred_log = true;
    }

    /// Does one piece; `false` when there is nothing to do now. A log that could not be emptied is tried again after a command
    /// some seconds later.
    pub(super) fn step(&mut self, db: &mut Connection, checkpointer: &Checkpointer) -> rusqlite::Result<bool> {
        if self.shred_log && Instant::now() >= self.log_due {
            let paused = checkpointer.pause();
            db.busy_timeout(LOG_PATIENCE)?;
            let emptied = super::checkpoint(db);
            db.busy_timeout(super::PATIENCE)?;
            drop(paused);
            match emptied {
                Ok(emptied) => self.shred_log = !emptied,
                Err(error) => {
                    tracing::warn!(%error, "the log still has what was deleted; that is tried again in some seconds");
                }
            }
            if self.shred_log {
                self.log_due = Instant::now() + LOG_PAUSE;
            }
        }
        if Instant::now() < self.due {
            return Ok(false);
        }
        self.begun = true;
        let next = prune(db, self.stage, self.lifetime.longest(), self.rule, Timestamp::now());
        // Not after each command: on a full volume all of them fail.
        let next = next.inspect_err(|_| self.due = Instant::now() + FIRST_PAUSE)?;
        if matches!(next, Stage::Done) {
            // It may still have messages that are gone.
            self.shred_log |= self.rule.horizon(Timestamp::now()) != Horizon::NONE;
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
pub(super) fn round(
    db: &mut Connection,
    lifetime: Option<i64>,
    messages: MessageRetention,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (mut stage, rule) = (Stage::Sessions, Rule::of(db, messages)?);
    while !matches!(stage, Stage::Done) {
        stage = prune(db, stage, lifetime, rule, now)?;
    }
    Ok(())
}

fn prune(
    db: &mut Connection,
    stage: Stage,
    lifetime: Option<i64>,
    rule: Rule,
    now: Timestamp,
) -> rusqlite::Result<Stage> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let horizon = rule.horizon(now);
    let next = match stage {
        Stage::Sessions => {
            note(&step, rule.messages, now)?;
            prune_sessions(&step, lifetime, now)?
        }
        Stage::Inboxes { after } => prune_inboxes(&step, after, now, horizon)?,
        Stage::Sent { after } => prune_sent(&step, after, first_id(now.plus_seconds(-CLIENT_MESSAGE_ID_SECONDS)))?,
        Stage::Messages { after } if horizon != Horizon::NONE => prune_messages(&step, after, horizon, now)?,
        Stage::Messages { .. } | Stage::Done => Stage::Done,
    };
    step.commit()?;
    Ok(next)
}

/// Sorts before every id of this millisecond.
fn first_id(at: Timestamp) -> EventId {
    EventId(clock::Instant { millis: u64::try_from(at.0).unwrap_or(0), counter: 0 }.id(0))
}

fn prune_sessions(step: &Transaction<'_>, lifetime: Option<i64>, now: Timestamp) -> rusqlite::Result<Stage> {
    execute(step, PRUNE_ENDED, [now.plus_seconds(-ENDED_SESSION_SECONDS).0])?;
    execute(step, PRUNE_AUDIT, [first_id(now.plus_seconds(-AUDIT_SECONDS)).as_bytes()])?;
    execute(step, PRUNE_REPORTS, [first_id(now.plus_seconds(-REPORT_SECONDS)).as_bytes()])?;
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
fn prune_inboxes(
    step: &Transaction<'_>,
    after: [u8; 16],
    now: Timestamp,
    messages: Horizon,
) -> rusqlite::Result<Stage> {
    let events = first_id(now.plus_seconds(-INBOX_SECONDS));
    let notifications = first_id(now.plus_seconds(-NOTIFICATION_SECONDS));
    let mut after = after;
    let mut budget = STEP;
    let mut accounts = step.prepare_cached(ACCOUNT_IDS_AFTER)?;
    let ids: Vec<[u8; 16]> =
        accounts.query_map(params![after, STEP], |row| rows::key(row, 0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        execute(step, PRUNE_NOTIFICATIONS, params![id, notifications.as_bytes()])?;
        execute(step, PRUNE_NOTIFICATIONS_OF_MESSAGES, params![id, messages.id().as_bytes()])?;
        let up_to: Option<Vec<u8>> =
            step.prepare_cached(PRUNABLE_UP_TO)?.query_row(params![id, events.as_bytes(), budget], |row| row.get(0))?;
        if let Some(up_to) = up_to {
            let removed = execute(step, PRUNE_INBOX, params![id, up_to])?;
            execute(step, SET_INBOX_PRUNED, params![id, whole(UserId::from_bytes(*id), &up_to)])?;
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
    let rows: Vec<(i64, [u8; 16])> = select
        .query_map(params![after, STEP], |row| Ok((row.get(0)?, rows::key(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    for (fingerprint, message) in &rows {
        if EventId::from_bytes(*message) < horizon {
            execute(step, DELETE_EARLIER, [fingerprint])?;
        }
    }
    Ok(match rows.get(STEP as usize - 1) {
        Some((last, _)) => Stage::Sent { after: *last },
        None => Stage::Messages { after: [0; 16] },
    })
}

/// The id of the last row that goes. One that is damaged goes like the others, but is no id to be kept.
fn whole(of: impl Display, up_to: &[u8]) -> [u8; 16] {
    if up_to.len() != 16 {
        rows::tell_damaged_id(of, up_to);
    }
    rows::as_far_as_it_goes(up_to)
}

/// Goes from chat to chat: messages that are too old, and files that only they show.
fn prune_messages(
    step: &Transaction<'_>,
    after: [u8; 16],
    horizon: Horizon,
    now: Timestamp,
) -> rusqlite::Result<Stage> {
    let (mut after, mut budget) = (after, STEP);
    let mut chats = step.prepare_cached(CHAT_IDS_AFTER)?;
    let ids: Vec<[u8; 16]> =
        chats.query_map(params![after, STEP], |row| rows::key(row, 0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        let up_to: Option<Vec<u8>> = step
            .prepare_cached(EXPIRED_UP_TO)?
            .query_row(params![id, horizon.id().as_bytes(), budget], |row| row.get(0))?;
        if let Some(up_to) = up_to {
            execute(step, SET_NEWEST_REMOVED, params![id, whole(ChatId::from_bytes(*id), &up_to)])?;
            let removed = execute(step, PRUNE_MESSAGES, params![id, up_to])?;
            budget = budget.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
            if budget == 0 {
                // This chat may have more: the next step begins with it again.
                return Ok(Stage::Messages { after });
            }
        }
        media::leave_expired(step, ChatId::from_bytes(*id), horizon, now)?;
        after = *id;
    }
    let last = ids.len() < STEP as usize;
    Ok(if last { Stage::Done } else { Stage::Messages { after } })
}

#[cfg(test)]
mod tests;
