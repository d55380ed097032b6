//! Consuming the log in a group.
//!
//! The loop only polls: work runs in tasks beside it, so a consumer that waits for another store is still a live member
//! of its group and no partition moves because of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, Statistics, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::{KafkaError as DriverError, KafkaResult},
    message::BorrowedMessage,
};
use sentinel_domain::{config::KafkaConfig, ports::EventHandler, time::Timestamp};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    KafkaError,
    client::{Complaints, settings},
    dead_letters::{DeadLetters, Letter},
    membership::{Membership, Standing},
    partitions::{Assignment, Partitions},
    producer::KafkaLog,
    work::Work,
};
use crate::{handling, outage::Outage};

/// After this long without a sign a member's partitions go to others.
const SESSION: &str = "12000";
/// How often the group hears of a member.
const HEARTBEAT: &str = "3000";
/// How often the driver says how it stands, in milliseconds.
const REPORT: &str = "5000";
/// After an error, so that a broker that is away is not asked all the time.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the driver is asked in any case, as what it puts into its queue does not always wake who waits for it; and how
/// often the age of the oldest event is told.
const LOOK: Duration = Duration::from_secs(1);
/// How long work that is under way may still take when the consumer stops, and its farewell to the group after that.
const FAREWELL: Duration = Duration::from_secs(5);

/// Gives the events of the log to a handler, sharing the partitions with all other consumers of its group.
pub struct KafkaConsumer {
    settings: ClientConfig,
    topic: String,
    group: String,
    work: Work,
    first: Member,
}

impl KafkaConsumer {
    /// A consumer that is a member of `group` from now on. It waits for no broker: an error is about the configuration.
    pub fn open(config: &KafkaConfig, group: &str, handler: Arc<dyn EventHandler>) -> Result<Self, KafkaError> {
        let mut settings = settings(config)?;
        settings
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION)
            .set("heartbeat.interval.ms", HEARTBEAT)
            .set("fetch.wait.max.ms", "200")
            .set("queued.max.messages.kbytes", "16384")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("statistics.interval.ms", REPORT);
        let dead_letters = DeadLetters {
            log: KafkaLog::open(config)?,
            to: config.dead_letters.clone(),
            from: config.topic.clone(),
            group: group.to_owned(),
        };
        let work = Work { handler, dead_letters };
        handling::count_from_zero(group);
        let first = Member::join(&settings, &config.topic, group, &work)?;
        Ok(Self { settings, topic: config.topic.clone(), group: group.to_owned(), work, first })
    }

    /// Consumes until `stop`. Outages are waited for. Dropping the future ends it too, as a crash would.
    pub async fn run(self, stop: CancellationToken) {
        let Self { settings, topic, group, work, first } = self;
        let mut joined = Ok(first);
        loop {
            match joined {
                Ok(mut member) => {
                    let ended = member.run(&stop).await;
                    member.leave().await;
                    if let Err(error) = ended {
                        tracing::error!(%error, group, "the kafka consumer is replaced");
                    }
                }
                // It was possible once: what it needs, such as memory or a file, may be there again.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, group, "the kafka consumer can't be replaced now");
                }
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            joined = Member::join(&settings, &topic, &group, &work);
        }
    }
}

/// One member of the group, with what it is doing.
struct Member {
    consumer: StreamConsumer<Context>,
    revoked: mpsc::UnboundedReceiver<i32>,
    given_up: CancellationToken,
    partitions: Partitions,
    running: JoinSet<(Assignment, i64)>,
    aborts: HashMap<i32, AbortHandle>,
    topic: String,
    work: Work,
}

impl Member {
    fn join(settings: &ClientConfig, topic: &str, group: &str, work: &Work) -> Result<Self, KafkaError> {
        let (sender, revoked) = mpsc::unbounded_channel();
        let given_up = CancellationToken::new();
        let context = Context {
            complaints: Complaints::default(),
            revoked: sender,
            membership: Mutex::default(),
            given_up: given_up.clone(),
            group: group.to_owned(),
        };
        let consumer: StreamConsumer<Context> =
            StreamConsumer::from_config_and_context(settings, context).map_err(KafkaError::Configuration)?;
        consumer.subscribe(&[topic]).map_err(KafkaError::Configuration)?;
        Ok(Self {
            consumer,
            revoked,
            given_up,
            partitions: Partitions::default(),
            running: JoinSet::new(),
            aborts: HashMap::new(),
            topic: topic.to_owned(),
            work: work.clone(),
        })
    }

    /// Until `stop`, until it is given up, or until an error after which this member can't go on.
    async fn run(&mut self, stop: &CancellationToken) -> Result<(), DriverError> {
        // The driver reports one about every second.
        let mut outage = Outage::default();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.given_up.cancelled() => return Ok(()),
                // The next round asks.
                _ = looks.tick() => self.tell_oldest(),
                Some(partition) = self.revoked.recv() => self.revoke(partition),
                // Work does not panic: handlers' panics are caught. What has no result was aborted.
                Some(done) = self.running.join_next() => {
                    if let Ok((assignment, next)) = done {
                        self.done(assignment, next);
                    }
                }
                message = self.consumer.recv() => match message.map(|message| letter(&message)) {
                    Ok(letter) => self.take(letter),
                    Err(error @ DriverError::MessageConsumptionFatal(_)) => return Err(error),
                    Err(error) => {
                        if outage.fails(Instant::now()) {
                            tracing::warn!(%error, topic = self.topic, "kafka can't be read now");
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn take(&mut self, letter: Letter) {
        // What was revoked before this record came must be forgotten before it is kept.
        while let Ok(partition) = self.revoked.try_recv() {
            self.revoke(partition);
        }
        let partition = letter.partition;
        if self.partitions.push(letter) {
            self.tell(partition, "pause", Consumer::pause);
        }
        self.start(partition);
    }

    fn start(&mut self, partition: i32) {
        let Some((assignment, letters)) = self.partitions.next(partition) else { return };
        let Some(next) = letters.last().map(|letter| letter.offset + 1) else { return };
        let work = self.work.clone();
        let abort = self.running.spawn(async move {
            work.handle(&letters).await;
            (assignment, next)
        });
        self.aborts.insert(partition, abort);
    }

    fn done(&mut self, assignment: Assignment, next: i64) {
        if !self.partitions.done(assignment) {
            return;
        }
        self.commit(assignment.partition, next, CommitMode::Async);
        if self.partitions.resumes(assignment.partition) {
            self.tell(assignment.partition, "resume", Consumer::resume);
        }
        self.start(assignment.partition);
    }

    /// Another member gets the partition and begins with what was not committed.
    fn revoke(&mut self, partition: i32) {
        if self.partitions.revoke(partition) {
            self.tell(partition, "resume", Consumer::resume);
        }
        if let Some(abort) = self.aborts.remove(&partition) {
            abort.abort();
        }
    }

    fn tell_oldest(&self) {
        let age = self.partitions.oldest().map_or(0, |at| Timestamp::now().0.saturating_sub(at.0));
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        oldest(&self.work.dead_letters.group).set(age.as_secs_f64());
    }

    fn commit(&self, partition: i32, next: i64, mode: CommitMode) {
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&self.topic, partition, Offset::Offset(next));
        if let Err(error) = added.and_then(|()| self.consumer.commit(&list, mode)) {
            // Then the events come once more, to this member or the next.
            tracing::warn!(%error, partition, "progress was not noted");
        }
    }

    fn tell(
        &self,
        partition: i32,
        what: &str,
        tell: impl FnOnce(&StreamConsumer<Context>, &TopicPartitionList) -> KafkaResult<()>,
    ) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        if let Err(error) = tell(&self.consumer, &list) {
            tracing::warn!(%error, partition, what, "kafka refuses");
        }
    }

    /// Finishes what is under way, if it does not take long, and leaves the group, so that others need not find out.
    async fn leave(mut self) {
        let finish = async {
            while let Some(done) = self.running.join_next().await {
                let Ok((assignment, next)) = done else { continue };
                if self.partitions.done(assignment) {
                    self.commit(assignment.partition, next, CommitMode::Async);
                }
            }
        };
        if tokio::time::timeout(FAREWELL, finish).await.is_err() {
            self.running.abort_all();
        }
        // What it had is others' now, or its own again when it comes back.
        oldest(&self.work.dead_letters.group).set(0.0);
        let consumer = self.consumer;
        let (closed, wait) = oneshot::channel();
        // Closing sends what was committed and blocks until the group knows: on a thread that the process does not wait
        // for, as a member that the group has lost may never hear.
        std::thread::spawn(move || {
            drop(consumer);
            // Nobody waits any more when it took long.
            let _ = closed.send(());
        });
        if tokio::time::timeout(FAREWELL, wait).await.is_err() {
            tracing::warn!(group = self.work.dead_letters.group, "the group does not answer a member that leaves it");
        }
    }
}

/// Age of the oldest event that this member of the group has read and not handled.
fn oldest(group: &str) -> metrics::Gauge {
    metrics::gauge!("sentinel_events_oldest_seconds", "group" => group.to_owned())
}

fn letter(message: &BorrowedMessage<'_>) -> Letter {
    Letter {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().unwrap_or_default().to_vec(),
        payload: message.payload().unwrap_or_default().to_vec(),
    }
}

/// What the driver tells this consumer.
struct Context {
    complaints: Complaints,
    revoked: mpsc::UnboundedSender<i32>,
    membership: Mutex<Membership>,
    given_up: CancellationToken,
    group: String,
}

impl ClientContext for Context {
    fn error(&self, error: DriverError, reason: &str) {
        self.complaints.note(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.judge(&statistics);
    }
}

impl Context {
    fn judge(&self, statistics: &Statistics) {
        let mut membership = self.membership.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(out) = membership.lost(Standing::of(statistics), Instant::now()) else { return };
        if !self.given_up.is_cancelled() {
            let state = statistics.cgrp.as_ref().map(|group| format!("{}, {}", group.state, group.join_state));
            let seconds = out.as_secs();
            tracing::error!(
                seconds,
                state,
                group = self.group,
                "left out by the group; the kafka consumer is replaced"
            );
            self.given_up.cancel();
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            for element in list.elements() {
                // Nobody listens any more when the consumer is being closed.
                let _ = self.revoked.send(element.partition());
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(%error, group = self.group, "progress was not noted; events come once more");
        }
    }
}
