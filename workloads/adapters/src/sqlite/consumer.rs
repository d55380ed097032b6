//! A consumer of platform events: what Kafka's consumer groups are in profile Distributed.
//!
//! Its progress is a row of the database, written now and then, so after a crash some events come once more. It reads
//! the tables from where it was ([`super::scan`]), then what the writer hands on in memory ([`super::feed`]).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use rusqlite::{OptionalExtension, Row, params};
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId},
    outbox::PlatformEvent,
    ports::{EventHandler, StoreError},
    time::Timestamp,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Sqlite,
    feed::{Live, News},
    inbox,
    rows::{self, execute},
    scan::{self, Scan},
    statements::{CONSUMER, INSERT_DEAD_LETTER, PRUNE_OUTBOX, SET_CONSUMER},
};
use crate::handling::{self, Pause, told};

/// Events that are handled together at most.
const BATCH: usize = 256;
/// How often progress is written at most.
const SAVED_EVERY: Duration = Duration::from_secs(1);
/// How often it is told how many events wait.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How long a consumer rests after work that took as long as one, while many callers write.
const RESTS: u32 = 9;
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Where a consumer begins that the database does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With everything that there is.
    Everything,
    /// With what happens from now on.
    Now,
}

/// How far a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// All events up to this one are handled.
    position: EventId,
    /// What is being read from the tables.
    scan: Option<Scan>,
}

/// A consumer of the events of a database.
pub struct Consumer {
    sqlite: Sqlite,
    name: &'static str,
    target: Uuid,
    /// Parts of the events that are handled at the same time; those of a chat are in one.
    parts: usize,
    /// Before the second try of what is away.
    pause: Pause,
    live: Arc<Live>,
    progress: Progress,
    saved: Progress,
    saved_at: Instant,
}

impl Sqlite {
    /// Makes a consumer, or finds it where it was. It gets every event that is written after this returns. `target` names
    /// what it writes to, if that may be lost: when it is another one than before, the consumer begins anew. Up to `parts` pieces of work
    /// run at the same time.
    pub async fn consumer(
        &self,
        name: &'static str,
        target: Option<Uuid>,
        begin: Begin,
        parts: usize,
    ) -> Result<Consumer, StoreError> {
        let target = target.unwrap_or_default();
        let live = self.shared.feed.subscribe();
        let read = self.read(move |db| {
            let known = db.prepare_cached(CONSUMER)?.query_row([name], known).optional()?;
            Ok((known, inbox::head(db)?))
        });
        let (known, head) = read.await?;
        let position = match begin {
            Begin::Everything => EventId::from_bytes([0; 16]),
            Begin::Now => head,
        };
        let known = known.filter(|(of, _)| *of == target).map(|(_, progress)| progress);
        let progress = known.unwrap_or(Progress { position, scan: None });
        let mut consumer = Consumer {
            sqlite: self.clone(),
            name,
            target,
            parts: parts.max(1),
            pause: Pause::GROWING,
            live,
            progress,
            saved: progress,
            saved_at: Instant::now(),
        };
        if known.is_none() {
            consumer.save().await?;
        }
        Ok(consumer)
    }
}

/// A row of `target, position, scan_to, scan_chat, scan_message`.
fn known(row: &Row<'_>) -> rusqlite::Result<(Uuid, Progress)> {
    let (to, chat, message) = (rows::event_id(row, 2)?, row.get::<_, Option<[u8; 16]>>(3)?, rows::message_id(row, 4)?);
    let scan = to.zip(chat).zip(message).map(|((to, chat), at)| Scan { to, at: (ChatId::from_bytes(chat), at) });
    Ok((Uuid::from_bytes(row.get(0)?), Progress { position: EventId::from_bytes(row.get(1)?), scan }))
}

impl Consumer {
    /// Gives all events to `handler` until `stop`; what is under way then is left, and comes again. What is only away is
    /// waited for, however long. An event that can never be handled is kept in the table `dead_letters`, and the rest goes
    /// on.
    pub async fn run(mut self, handler: Arc<dyn EventHandler>, stop: CancellationToken) {
        handling::count_from_zero(self.name);
        // Beside the work, which may wait for as long as an outage takes.
        let tell = tell_waiting(self.name, Arc::clone(&self.live));
        {
            let work = async {
                loop {
                    self.catch_up(handler.as_ref()).await;
                    self.follow(handler.as_ref()).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
                () = tell => {}
            }
        }
        if let Err(error) = self.save().await {
            self.warn(&error, "progress was not noted; some events come once more");
        }
    }

    /// Reads from the tables what happened up to now.
    async fn catch_up(&mut self, handler: &dyn EventHandler) {
        loop {
            let after = self.progress.position;
            let scan = match self.progress.scan {
                Some(scan) => scan,
                None => match self.read(inbox::head).await {
                    head if head <= after => return,
                    head => Scan::up_to(head),
                },
            };
            self.progress.scan = Some(scan);
            let began = Instant::now();
            let page = self.read(move |db| scan::page(db, after, scan, BATCH)).await;
            self.handle(handler, &page.events).await;
            if let Some(at) = page.next {
                self.progress.scan = Some(Scan { at, ..scan });
            } else {
                self.catch_up_outbox(handler, scan.to).await;
                self.progress = Progress { position: scan.to, scan: None };
            }
            self.save_if_due().await;
            self.rest(began).await;
        }
    }

    async fn catch_up_outbox(&mut self, handler: &dyn EventHandler, to: EventId) {
        let mut after = self.progress.position;
        loop {
            let found = self.read(move |db| scan::outbox(db, after, to, BATCH)).await;
            let Some((last, _)) = found.last() else { return };
            after = *last;
            let unreadable = found.iter().filter(|(_, event)| event.is_none()).count();
            if unreadable > 0 {
                tracing::error!(
                    unreadable,
                    consumer = self.name,
                    "rows of the outbox are no events; they are left out"
                );
            }
            let events: Vec<PlatformEvent> = found.into_iter().filter_map(|(_, event)| event).collect();
            self.handle(handler, &events).await;
        }
    }

    /// Handles what comes in, until something was missed.
    async fn follow(&mut self, handler: &dyn EventHandler) {
        loop {
            let News::Events(mut events) = self.live.take(BATCH) else { return };
            // What was committed before the last catch-up began came with that.
            events.retain(|event| event.event_id > self.progress.position);
            if let Some(last) = events.last() {
                let (began, last) = (Instant::now(), last.event_id);
                self.handle(handler, &events).await;
                self.progress.position = last;
                self.save_if_due().await;
                self.rest(began).await;
            } else if self.live.len() == 0 {
                let _ = tokio::time::timeout(SAVED_EVERY, self.live.news()).await;
                self.save_if_due().await;
            }
        }
    }

    /// Leaves the machine to those who wait for an answer.
    async fn rest(&self, began: Instant) {
        if self.sqlite.is_busy() {
            tokio::time::sleep((began.elapsed() * RESTS).min(LONGEST_REST)).await;
        }
    }

    /// Reads until it works.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&rusqlite::Connection) -> Result<T, super::Failure> + Clone + Send + 'static,
    ) -> T {
        let mut pause = self.pause;
        loop {
            match self.sqlite.read(read.clone()).await {
                Ok(value) => return value,
                Err(error) => self.warn(&error, "events can't be read now"),
            }
            pause.wait().await;
        }
    }

    /// Handles events: those of a chat in order.
    async fn handle(&self, handler: &dyn EventHandler, events: &[PlatformEvent]) {
        let mut parts: BTreeMap<usize, Vec<PlatformEvent>> = BTreeMap::new();
        for event in events {
            // The ids of chats are hashes.
            let part = usize::from(event.chat_id.as_bytes()[0]) % self.parts;
            parts.entry(part).or_default().push(event.clone());
        }
        join_all(parts.values().map(|part| self.handle_part(handler, part))).await;
    }

    async fn handle_part(&self, handler: &dyn EventHandler, events: &[PlatformEvent]) {
        match (self.attempt(handler, events).await, events) {
            (Ok(()), _) => return,
            (Err(why), [event]) => return self.bury(event, &why).await,
            (Err(_), _) => {}
        }
        // One of them is the culprit; the others deserve their own try, which may be their second.
        for event in events {
            if let Err(why) = self.attempt(handler, std::slice::from_ref(event)).await {
                self.bury(event, &why).await;
            }
        }
    }

    async fn attempt(&self, handler: &dyn EventHandler, events: &[PlatformEvent]) -> Result<(), String> {
        handling::handle(handler, events, self.name, self.pause).await
    }

    /// Keeps an event that can't be handled. When the database is what is away, this waits for it.
    async fn bury(&self, event: &PlatformEvent, why: &str) {
        let (name, id) = (self.name, event.event_id);
        tracing::error!(event = %id, why, consumer = name, "an event goes to the dead letters");
        handling::count(name, "dead", 1);
        let Ok(json) = serde_json::to_string(event) else { return };
        let mut pause = self.pause;
        loop {
            let (json, why) = (json.clone(), why.to_owned());
            let written = self.sqlite.write(move |batch| {
                let values = params![name, id.as_bytes(), json, why, Timestamp::now().0];
                Ok(execute(batch.db, INSERT_DEAD_LETTER, values)?)
            });
            match written.await {
                Ok(_) => return,
                Err(error) => self.warn(&error, "the dead letter waits"),
            }
            pause.wait().await;
        }
    }

    async fn save_if_due(&mut self) {
        if self.progress == self.saved || self.saved_at.elapsed() < SAVED_EVERY {
            return;
        }
        if let Err(error) = self.save().await {
            self.warn(&error, "progress was not noted");
        }
    }

    async fn save(&mut self) -> Result<(), StoreError> {
        let (name, target, progress) = (self.name, self.target, self.progress);
        self.sqlite
            .write(move |batch| {
                let Progress { position, scan } = progress;
                let (to, at) = (scan.map(|scan| scan.to), scan.map(|scan| scan.at));
                let (to, chat) = (to.as_ref().map(EventId::as_bytes), at.as_ref().map(|(chat, _)| chat.as_bytes()));
                let message = at.as_ref().map(|(_, message)| MessageId::as_bytes(message));
                let values = params![name, target.as_bytes(), position.as_bytes(), to, chat, message];
                execute(batch.db, SET_CONSUMER, values)?;
                Ok(execute(batch.db, PRUNE_OUTBOX, [])?)
            })
            .await?;
        (self.saved, self.saved_at) = (progress, Instant::now());
        Ok(())
    }

    fn warn(&self, error: &dyn std::error::Error, what: &str) {
        tracing::warn!(error = told(error), consumer = self.name, "{what}");
    }
}

async fn tell_waiting(name: &'static str, live: Arc<Live>) {
    let mut ticks = tokio::time::interval(TOLD_EVERY);
    loop {
        ticks.tick().await;
        let waiting = u32::try_from(live.len()).unwrap_or(u32::MAX);
        metrics::gauge!("sentinel_events_waiting", "group" => name).set(waiting);
    }
}

#[cfg(test)]
mod tests;
