//! The one thread that writes. It gathers the commands that wait, runs them in one transaction, and answers when
//! that is durable: one flush to disk serves many callers.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use sentinel_domain::{clock::HybridClock, event::Fanout, ports::StoreError, time::Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::chat_keys::KeyCache;

use super::{
    batch::Batch,
    chat_cache::ChatCache,
    checkpointer::Checkpointer,
    failure::{Failure, Interrupted},
    feed::Feed,
    retention::Retention,
    room::Volume,
    sent::Sent,
};

/// Commands of one transaction at most: bounds how long the first of them waits.
const BATCH: usize = 512;
/// How long the first command of a batch waits for others while many callers write. A flush to disk costs more than
/// this wait; the more commands share it, the more go through.
const COMPANY: Duration = Duration::from_millis(3);
/// Commands in the last batch that tell of many callers: one alone must not wait.
const MANY: usize = 4;
/// Commands in the last batch from which on those who can wait should.
const BUSY: usize = 32;

/// A command of one caller.
type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Done + Send>;

/// A command that ran; its answer waits for the commit.
struct Done {
    answer: Box<dyn FnOnce(bool) + Send>,
    /// Whether its batch must be undone.
    broken: bool,
    /// Whether that is for want of room.
    full: bool,
}

enum Command {
    Run(Job),
    Stop,
}

/// The sending end; cheap to clone.
#[derive(Clone)]
pub(super) struct Queue(mpsc::UnboundedSender<Command>);

impl Queue {
    /// Hands a command to the writer; the receiver gets its result when it is durable.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |batch| {
            let outcome = command(batch);
            Done {
                broken: matches!(outcome, Err(Failure::Broken(_))),
                full: outcome.as_ref().err().is_some_and(Failure::is_full),
                // A caller that went away does not matter: what it asked for is done.
                answer: Box::new(move |committed| {
                    let _ = answer.send(match outcome {
                        // The command's own failure says more than that its batch was undone.
                        Err(failure @ Failure::Broken(_)) => Err(failure.into()),
                        _ if !committed => Err(StoreError::unavailable(Interrupted::RolledBack)),
                        outcome => outcome.map_err(StoreError::from),
                    });
                }),
            }
        });
        // When the writer has stopped the job is dropped, and with it the sender of the answer.
        let _ = self.0.send(Command::Run(job));
        result
    }

    /// Lets the writer end after what was submitted before.
    pub(super) fn stop(&self) {
        let _ = self.0.send(Command::Stop);
    }
}

/// What the writer works with.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) keys: Arc<KeyCache>,
    pub(super) clock: Arc<HybridClock>,
    pub(super) fanout: Arc<dyn Fanout>,
    pub(super) feed: Arc<Feed>,
    pub(super) retention: Retention,
    /// Whether many callers write.
    pub(super) busy: Arc<AtomicBool>,
    /// Where the database is.
    pub(super) volume: Volume,
    pub(super) checkpointer: Checkpointer,
}

/// Starts the writer's thread.
pub(super) fn start(writer: Writer, sent: Sent) -> std::io::Result<(Queue, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name("sqlite-writer".into()).spawn(move || {
        Thread {
            writer,
            chats: ChatCache::new(),
            sent,
            receiver,
            waiting: VecDeque::with_capacity(BATCH),
            last: 0,
            open: true,
        }
        .run();
    })?;
    Ok((Queue(sender), thread))
}

struct Thread {
    writer: Writer,
    chats: ChatCache,
    sent: Sent,
    receiver: mpsc::UnboundedReceiver<Command>,
    waiting: VecDeque<Job>,
    /// Commands in the last batch.
    last: usize,
    open: bool,
}

impl Thread {
    fn run(mut self) {
        while self.gather() {
            self.carry_out();
            self.writer.volume.look(&self.writer.db);
            while self.open && self.receiver.is_empty() && self.waiting.is_empty() && self.tidy_up() {}
        }
        if let Err(error) = self.writer.retention.end(&self.writer.db) {
            tracing::warn!(%error, "what got too old within the hour is not noted");
        }
        let _paused = self.writer.checkpointer.pause();
        // Leaves one file without a log to be replayed; what is in the log is durable if this fails.
        if let Err(error) = super::checkpoint(&self.writer.db) {
            tracing::warn!(%error, "the write-ahead log was left for the next start");
        }
    }

    /// Waits for a command, then takes what else is there. `false`: there will be nothing more.
    fn gather(&mut self) -> bool {
        if self.waiting.is_empty() && self.open {
            if self.receiver.is_empty() {
                self.writer.busy.store(false, Ordering::Relaxed);
            }
            let first = self.receiver.blocking_recv();
            self.take(first);
            if self.open && self.last >= MANY && self.receiver.len() < BATCH {
                std::thread::sleep(COMPANY);
            }
        }
        while self.open && self.waiting.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(command) => self.take(Some(command)),
                Err(_) => break,
            }
        }
        self.last = self.waiting.len();
        self.writer.busy.store(self.last >= BUSY, Ordering::Relaxed);
        !self.waiting.is_empty()
    }

    fn take(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Run(job)) => self.waiting.push_back(job),
            Some(Command::Stop) | None => self.open = false,
        }
    }

    fn carry_out(&mut self) {
        let began = Instant::now();
        let horizon = self.writer.retention.horizon(Timestamp::now());
        let Writer { db, keys, clock, fanout, feed, volume, checkpointer, .. } = &mut self.writer;
        if let Err(error) = run(db, "BEGIN IMMEDIATE") {
            tracing::error!(%error, "the database can't be written");
            volume.refused(&error.into());
            self.waiting.clear();
            return;
        }
        let mut batch = Batch::new(db, keys, &mut self.chats, &mut self.sent, clock, horizon);
        let mut answers = Vec::with_capacity(self.waiting.len());
        let mut sound = true;
        // After a failure the rest stays in the queue and gets a transaction of its own.
        while let Some(job) = self.waiting.pop_front() {
            // A panic drops the answer's sender, which tells the caller.
            let done = catch_unwind(AssertUnwindSafe(|| job(&mut batch))).ok();
            sound = done.as_ref().is_some_and(|done| !done.broken);
            if done.as_ref().is_some_and(|done| done.full) {
                volume.ran_out();
            }
            answers.extend(done.map(|done| done.answer));
            if !sound {
                break;
            }
        }
        let committed = sound
            && batch
                .finish()
                .and_then(|()| Ok(run(db, "COMMIT")?))
                .inspect_err(|failure| {
                    tracing::error!(?failure, "a batch can't be committed");
                    volume.refused(failure);
                })
                .is_ok();
        let Batch { events, changes, destroyed, .. } = batch;
        if committed {
            checkpointer.committed();
            self.sent.committed();
            for chat in &destroyed {
                keys.forget(*chat);
            }
            feed.committed(&changes);
            if !events.is_empty() {
                // Before the answers: whoever has an acknowledgement knows that the event is on its way.
                let publish = || fanout.publish(events);
                if catch_unwind(AssertUnwindSafe(publish)).is_err() {
                    tracing::error!("the fan-out panicked; its events are in the inboxes");
                }
            }
            if !destroyed.is_empty() {
                self.writer.retention.shred_log();
            }
        } else {
            // SQLite rolls back by itself on some errors; then this has nothing to do.
            let _ = run(db, "ROLLBACK");
            self.chats.clear();
            self.sent.rolled_back();
        }
        metrics::histogram!("sentinel_sqlite_batch_commands").record(u32::try_from(answers.len()).unwrap_or(u32::MAX));
        metrics::histogram!("sentinel_sqlite_batch_seconds").record(began.elapsed().as_secs_f64());
        for answer in answers {
            answer(committed);
        }
    }

    /// Does one bounded piece of what can wait; `false` when nothing is left.
    fn tidy_up(&mut self) -> bool {
        let Writer { db, retention, checkpointer, .. } = &mut self.writer;
        catch_unwind(AssertUnwindSafe(|| retention.step(db, checkpointer))).unwrap_or(Ok(false)).unwrap_or_else(
            |error| {
                tracing::warn!(%error, "old rows were not removed; that is tried again in some minutes");
                false
            },
        )
    }
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}
