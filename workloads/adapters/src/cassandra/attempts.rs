//! One message for each client id, also when two nodes get it at the same time.
//!
//! Every attempt to send under a client id writes a row of its own and then reads all of them, each with a quorum, before
//! it writes the message. Of two attempts, the one whose row is written later sees the other's. So:
//!
//! 1. At most one attempt sees itself alone. It writes its message; the mark [`Mark::Written`] is part of that batch.
//! 2. An attempt that sees others, none of which has a mark, marks itself [`Mark::Yielded`]; if one has a mark, it marks
//!    itself [`Mark::Late`], and its id is never used.
//! 3. Both then wait until every attempt has a mark. When one is `Written`, that is the message. Otherwise none was alone,
//!    and the lowest of the yielded writes its message.
//!
//! All yielded ones know each other: had one not been there when another looked after its own mark, it would have been
//! written after that mark and be late. So they agree on the lowest. Who has written nothing yet and finds rows only waits.
//!
//! An attempt that got no mark within [`PATIENCE`] is taken for dead: it does not write after [`WRITE_LIMIT`]. Whoever waits
//! then writes the same message in its place, which may be done many times, but only up to [`TAKEN_OVER_SECONDS`]. Nor does
//! anybody, who entered it or took it over, write a message whose id is too old for inboxes to wait for it, which it is
//! sooner than its row where a process stood still before that was written. An attempt of [`STALE_SECONDS`] without a
//! message is buried, and the next starts anew with a new id. In between nobody does either: whoever took it over may still
//! be writing it, and it would be shown twice.

use std::{sync::Arc, time::Duration};

use scylla::DeserializeRow;
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    message::ClientMessageId,
    ports::StoreError,
    retention::CLIENT_MESSAGE_ID_SECONDS,
    time::Timestamp,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Shared,
    batch::Writes,
    chat::KnownChat,
    order::{Arrival, is_held_up},
    outbox, times,
    unanswered::PUBLISHED_AGAIN_SECONDS,
};

/// How long a client message id is remembered.
const SENT_SECONDS: i32 = times::ttl(CLIENT_MESSAGE_ID_SECONDS);
/// How long an attempt may take before others take it for dead. Longer than [`WRITE_LIMIT`] and a write.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long after its row an attempt that saw itself alone may still write, and one that takes another over after it was
/// decided.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(4);
/// Age up to which an attempt may be taken over, if its id is not too old. It is told by the store's nodes, as that is by
/// which the attempt gets stale.
const TAKEN_OVER_SECONDS: i32 = 20;
/// How long after the look at an attempt that is taken over its message may still be written: [`WRITE_LIMIT`], two seconds
/// for each of the look, the write and what the store's nodes do of it later, one because ages are whole seconds, and three
/// for the clocks of these nodes, which tell them.
const WRITTEN_WITHIN_SECONDS: i32 = 14;
/// Age of an attempt of which nothing came and nothing will.
const STALE_SECONDS: i32 = TAKEN_OVER_SECONDS + WRITTEN_WITHIN_SECONDS;
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// It saw others that had no mark.
    Yielded = 1,
    /// It saw others that had.
    Late = 2,
    /// Its message was written, or not: the write was not answered.
    Unknown = 3,
    /// Its message is written.
    Written = 4,
}

impl Mark {
    fn of(code: i8) -> Option<Self> {
        [Self::Yielded, Self::Late, Self::Unknown, Self::Written].into_iter().find(|mark| mark.code() == code)
    }

    fn code(self) -> i8 {
        (self as u8).cast_signed()
    }

    /// Later marks win, whatever the clocks say.
    fn write_time(self, id: MessageId) -> i64 {
        let rank = match self {
            Self::Yielded | Self::Late => 1,
            Self::Unknown => 2,
            Self::Written => 3,
        };
        times::write_time(id.0) + rank
    }
}

/// The write time that ends all that an attempt wrote.
fn burial_time(id: MessageId) -> i64 {
    times::write_time(id.0) + 4
}

#[derive(DeserializeRow)]
#[scylla(flavor = "enforce_order", skip_name_checks)]
struct AttemptRow {
    message_id: Uuid,
    chat_id: Option<Uuid>,
    mark: Option<i8>,
    ttl: Option<i32>,
}

/// An attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) message: MessageId,
    pub(super) chat: ChatId,
    mark: Option<Mark>,
    /// In seconds.
    age: i32,
}

impl Attempt {
    /// Whether nothing came of it and nothing will.
    fn is_stale(self) -> bool {
        self.age > STALE_SECONDS && self.mark != Some(Mark::Written)
    }

    /// Whether its repeats are published.
    pub(super) fn is_published_again(self) -> bool {
        i64::from(self.age) < PUBLISHED_AGAIN_SECONDS
    }

    /// Whether it may still be written by another, who is done before it is stale, and before inboxes wait for its id no more.
    fn may_be_taken_over(self, now: Timestamp) -> bool {
        self.age <= TAKEN_OVER_SECONDS && !is_held_up(self.message.into(), now)
    }
}

/// An attempt that may be taken over no more, and is not buried yet.
#[derive(Debug, thiserror::Error)]
#[error("an earlier attempt to send this message may still be under way")]
struct NeitherDeadNorAlive;

/// What an attempt finds when it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// Its message is the one.
    Alone,
    /// Which message is the one shows in [`Shared::outcome`].
    AmongOthers {
        /// The attempt, if it yielded to the others.
        yielded: Option<MessageId>,
    },
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its own message is the one.
    Write,
    /// This message was written.
    Repeat(Attempt),
    /// This message is the one, but nobody is there to write it.
    TakeOver(Attempt),
}

/// The lowest of the attempts whose message is written.
pub(super) fn written_first(attempts: &[Attempt]) -> Option<Attempt> {
    lowest(attempts, Some(Mark::Written))
}

fn lowest(attempts: &[Attempt], mark: Option<Mark>) -> Option<Attempt> {
    attempts.iter().filter(|attempt| attempt.mark == mark).min_by_key(|attempt| attempt.message).copied()
}

/// What follows from the attempts as they are; `None` when it is not known yet. `mine` is an attempt that yielded.
fn verdict(attempts: &[Attempt], mine: Option<MessageId>, out_of_patience: bool) -> Option<Verdict> {
    let lowest = |mark| lowest(attempts, mark);
    if let Some(written) = written_first(attempts) {
        return Some(Verdict::Repeat(written));
    }
    if let Some(unknown) = lowest(Some(Mark::Unknown)) {
        return Some(Verdict::TakeOver(unknown));
    }
    let (unmarked, yielded) = (lowest(None), lowest(Some(Mark::Yielded)));
    match (yielded, mine) {
        (Some(first), Some(mine)) if first.message == mine && (unmarked.is_none() || out_of_patience) => {
            Some(Verdict::Write)
        }
        _ if !out_of_patience => None,
        (Some(first), _) => Some(Verdict::TakeOver(first)),
        (None, _) => unmarked.or(lowest(Some(Mark::Late))).map(Verdict::TakeOver),
    }
}

impl Shared {
    /// The attempts under a client id, and those that are stale. Only of chats that still exist, as `alive` does: those
    /// of deleted chats leave the id free.
    pub(super) async fn attempts(
        &self,
        sender: UserId,
        client: &ClientMessageId,
        alive: ChatId,
    ) -> Result<(Vec<Attempt>, Vec<Attempt>), StoreError> {
        let rows: Vec<AttemptRow> = self.rows(&self.statements.attempts, (sender.0, client.as_str())).await?;
        let mut attempts = Vec::new();
        let mut chats = vec![(alive, true)];
        for row in rows {
            let Some(chat) = row.chat_id.map(ChatId) else { continue };
            let exists = if let Some((_, exists)) = chats.iter().find(|(known, _)| *known == chat) {
                *exists
            } else {
                let exists = self.known(chat).await?.chat.is_some();
                chats.push((chat, exists));
                exists
            };
            if exists {
                let mark = row.mark.and_then(Mark::of);
                let age = row.ttl.map_or(0, |left| SENT_SECONDS - left);
                attempts.push(Attempt { message: MessageId(row.message_id), chat, mark, age });
            }
        }
        Ok(attempts.into_iter().partition(|attempt| !attempt.is_stale()))
    }

    /// Enters an attempt; tells whether there are others, whose outcome has to be waited for.
    pub(super) async fn enter(
        &self,
        sender: UserId,
        client: &ClientMessageId,
        chat: ChatId,
        message: MessageId,
    ) -> Result<Entered, StoreError> {
        let started = Instant::now();
        let values = (sender.0, client.as_str(), message.0, chat.0, times::write_time(message.0), SENT_SECONDS);
        self.write(&self.statements.insert_attempt, values).await?;
        let (attempts, _) = self.attempts(sender, client, chat).await?;
        let others = || attempts.iter().filter(|attempt| attempt.message != message);
        if others().next().is_none() {
            return if started.elapsed() < WRITE_LIMIT {
                Ok(Entered::Alone)
            } else {
                Err(StoreError::unavailable("the client message id took too long to be entered"))
            };
        }
        let late = others().any(|other| other.mark.is_some());
        self.mark(sender, client, message, if late { Mark::Late } else { Mark::Yielded }).await?;
        Ok(Entered::AmongOthers { yielded: (!late).then_some(message) })
    }

    /// Waits for what comes of the attempts of others.
    pub(super) async fn outcome(
        &self,
        sender: UserId,
        client: &ClientMessageId,
        chat: ChatId,
        mine: Option<MessageId>,
        arrival: Arrival,
    ) -> Result<Verdict, StoreError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let (attempts, _) = self.attempts(sender, client, chat).await?;
            if let Some(verdict) = verdict(&attempts, mine, started.elapsed() > PATIENCE) {
                return match verdict {
                    Verdict::TakeOver(attempt) if !attempt.may_be_taken_over(arrival.now()) => {
                        Err(StoreError::unavailable(NeitherDeadNorAlive))
                    }
                    verdict => Ok(verdict),
                };
            }
            if attempts.is_empty() {
                return Err(StoreError::unavailable("the attempts to send this message came to nothing"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn mark(
        &self,
        sender: UserId,
        client: &ClientMessageId,
        message: MessageId,
        mark: Mark,
    ) -> Result<(), StoreError> {
        let values = (mark.write_time(message), SENT_SECONDS, mark.code(), sender.0, client.as_str(), message.0);
        self.write(&self.statements.mark_attempt, values).await
    }

    /// Lets a repeat know at once that the write was not answered. If this fails too it finds out by waiting.
    pub(super) fn mark_unknown(self: &Arc<Self>, sender: UserId, client: ClientMessageId, message: MessageId) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = shared.mark(sender, &client, message, Mark::Unknown).await {
                tracing::debug!(%error, "a send whose fate is unknown has no mark");
            }
        });
    }

    /// Marks an attempt as written.
    pub(super) fn add_written(
        &self,
        writes: &mut Writes,
        sender: UserId,
        client: &ClientMessageId,
        message: MessageId,
    ) {
        let mark = Mark::Written;
        let client = client.as_str().to_owned();
        let values = (mark.write_time(message), SENT_SECONDS, mark.code(), sender.0, client, message.0);
        writes.add(&self.statements.mark_attempt, values);
    }

    /// Removes whatever an attempt of which nothing came may have written or may yet write.
    pub(super) fn add_burial(
        &self,
        writes: &mut Writes,
        sender: UserId,
        client: &ClientMessageId,
        attempt: Attempt,
        chat: &KnownChat,
    ) {
        let Attempt { message, chat: chat_id, .. } = attempt;
        let at = burial_time(message);
        let statements = &self.statements;
        writes.add(&statements.bury_attempt, (at, sender.0, client.as_str().to_owned(), message.0));
        writes.add(&statements.bury_message, (at, chat_id.0, times::message_bucket(message), message.0));
        for member in chat.chat.distinct_members() {
            writes.add(&statements.bury_event, (at, member.0, times::inbox_bucket(message.into()), message.0));
        }
        let place = (outbox::shard_of(chat_id), times::minute(message.into()));
        writes.add(&statements.bury_outbox, (at, place.0, place.1, message.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u128, mark: Option<Mark>) -> Attempt {
        Attempt { message: MessageId(Uuid::from_u128(number)), chat: ChatId(Uuid::nil()), mark, age: 0 }
    }

    fn id(number: u128) -> MessageId {
        MessageId(Uuid::from_u128(number))
    }

    #[test]
    fn what_was_written_is_the_message() {
        let written = attempt(7, Some(Mark::Written));
        let attempts = [attempt(1, Some(Mark::Yielded)), attempt(2, None), written];
        assert_eq!(verdict(&attempts, Some(id(1)), false), Some(Verdict::Repeat(written)));
    }

    #[test]
    fn nobody_writes_while_one_may_have_seen_itself_alone() {
        let attempts = [attempt(1, Some(Mark::Yielded)), attempt(2, None)];
        assert_eq!(verdict(&attempts, Some(id(1)), false), None);
        assert_eq!(verdict(&attempts, Some(id(1)), true), Some(Verdict::Write));
    }

    #[test]
    fn the_lowest_of_those_that_yielded_writes() {
        let attempts = [attempt(1, Some(Mark::Late)), attempt(2, Some(Mark::Yielded)), attempt(3, Some(Mark::Yielded))];
        assert_eq!(verdict(&attempts, Some(id(2)), false), Some(Verdict::Write));
        assert_eq!(verdict(&attempts, Some(id(3)), false), None);
        assert_eq!(verdict(&attempts, None, false), None);
        assert_eq!(verdict(&attempts, Some(id(3)), true), Some(Verdict::TakeOver(attempts[1])));
    }

    #[test]
    fn a_dead_attempt_is_taken_over() {
        let dead = attempt(5, None);
        assert_eq!(verdict(&[dead], None, false), None);
        assert_eq!(verdict(&[dead], None, true), Some(Verdict::TakeOver(dead)));
        let unknown = attempt(6, Some(Mark::Unknown));
        assert_eq!(verdict(&[unknown], None, false), Some(Verdict::TakeOver(unknown)));
    }

    #[test]
    fn a_repeat_is_published_as_long_as_a_client_may_try() {
        let aged = |age| Attempt { age, ..attempt(1, Some(Mark::Written)) };
        assert_eq!([0, 3599, 3600].map(|age| aged(age).is_published_again()), [true, true, false]);
    }

    #[test]
    fn whoever_takes_an_attempt_over_is_done_before_it_is_buried() {
        let aged = |age, mark| Attempt { age, ..attempt(1, mark) };
        for mark in [None, Some(Mark::Unknown), Some(Mark::Yielded), Some(Mark::Late)] {
            let may_be_taken_over = |age| aged(age, mark).may_be_taken_over(Timestamp(0));
            assert!(may_be_taken_over(20) && !may_be_taken_over(21));
            for age in 0..100 {
                let attempt = aged(age, mark);
                assert!(!(may_be_taken_over(age) && aged(age + WRITTEN_WITHIN_SECONDS, mark).is_stale()), "{age}");
                assert_eq!(attempt.is_stale(), age > 34, "not one waits for ever");
            }
        }
        assert!(!aged(600_000, Some(Mark::Written)).is_stale());
    }

    /// The process that entered it stood still before it did: the row is new and the id is not.
    #[test]
    fn an_attempt_with_an_old_id_is_not_taken_over_and_gives_way() {
        for mark in [None, Some(Mark::Unknown), Some(Mark::Yielded), Some(Mark::Late)] {
            let entered = attempt(1, mark);
            let after = |seconds| entered.may_be_taken_over(entered.message.timestamp().plus_seconds(seconds));
            assert_eq!([0, 20, 21, 45].map(after), [true, true, false, false]);
            assert!(Attempt { age: STALE_SECONDS + 1, ..entered }.is_stale(), "the next has a new id");
        }
    }

    /// Every order of the steps of three attempts: enter, look, mark, look again.
    #[test]
    fn at_most_one_is_written_however_the_steps_fall() {
        #[derive(Clone)]
        struct Try {
            step: u8,
            late: bool,
            wrote: bool,
        }
        fn explore(rows: &[Attempt], tries: &[Try], seen: &mut std::collections::HashSet<String>, worlds: &mut usize) {
            let state = format!("{rows:?}{:?}", tries.iter().map(|t| (t.step, t.late, t.wrote)).collect::<Vec<_>>());
            if !seen.insert(state) {
                return;
            }
            let written: Vec<_> = tries.iter().filter(|one| one.wrote).collect();
            assert!(written.len() <= 1, "{rows:?}");
            let mut stuck = true;
            for place in 0..tries.len() {
                let (mut rows, mut tries) = (rows.to_vec(), tries.to_vec());
                // The ids are against the order of the tries, as with clocks that differ.
                let mine = id(10 - place as u128);
                let one = &mut tries[place];
                let row = rows.iter().position(|row| row.message == mine);
                match one.step {
                    0 if rows.is_empty() => one.step = 1,
                    1 => {
                        rows.push(Attempt { message: mine, ..attempt(0, None) });
                        one.step = 2;
                    }
                    2 => {
                        let others: Vec<_> = rows.iter().filter(|row| row.message != mine).collect();
                        one.late = others.iter().any(|row| row.mark.is_some());
                        one.step = if others.is_empty() { 5 } else { 3 };
                    }
                    3 => {
                        rows[row.unwrap()].mark = Some(if one.late { Mark::Late } else { Mark::Yielded });
                        one.step = 4;
                    }
                    4 => match verdict(&rows, (!one.late).then_some(mine), false) {
                        Some(Verdict::Write) => one.step = 5,
                        Some(_) => one.step = 6,
                        None => continue,
                    },
                    5 => {
                        rows[row.unwrap()].mark = Some(Mark::Written);
                        one.wrote = true;
                        one.step = 6;
                    }
                    _ => continue,
                }
                stuck = false;
                explore(&rows, &tries, seen, worlds);
            }
            if stuck {
                *worlds += 1;
                assert_eq!(written.len(), 1, "somebody waits for ever: {rows:?}");
            }
        }
        let tries = vec![Try { step: 0, late: false, wrote: false }; 3];
        let mut worlds = 0;
        explore(&[], &tries, &mut std::collections::HashSet::new(), &mut worlds);
        assert!(worlds > 1);
    }
}
