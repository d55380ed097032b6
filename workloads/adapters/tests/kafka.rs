//! The log on a real broker: nothing is lost, whoever crashes, and the order of a partition is kept.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    message::Headers,
    producer::{FutureProducer, FutureRecord},
};
use sentinel_adapters::kafka::{KafkaConsumer, KafkaError, KafkaLog};
use sentinel_domain::{
    config::{Connection, KafkaConfig, SaslMechanism, TlsConfig},
    ids::{ChatId, EventId, UserId},
    outbox::{Change, PlatformEvent},
    ports::{EventHandler, EventLog, HandlerError},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_mins(1);

/// Topics of one test, removed after it.
struct Topics {
    config: KafkaConfig,
}

impl Topics {
    async fn make(partitions: u32) -> Self {
        let topics = Self { config: config(partitions) };
        KafkaLog::migrate(&topics.config).await.unwrap();
        topics
    }

    fn plain(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", self.config.connection.endpoints.join(","));
        if let Some(ca) = self.config.connection.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
            settings.set("security.protocol", "ssl").set("ssl.ca.location", ca.to_string_lossy());
        }
        settings
    }

    async fn remove(self) {
        let admin: AdminClient<DefaultClientContext> = self.plain().create().unwrap();
        let names = [self.config.topic.as_str(), self.config.dead_letters.as_str()];
        for result in admin.delete_topics(&names, &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
    }

    fn group(&self) -> String {
        format!("group-{}", self.config.topic)
    }

    fn consumer(&self, handler: &Arc<Handler>) -> (JoinHandle<()>, CancellationToken) {
        let stop = CancellationToken::new();
        let consumer = KafkaConsumer::open(&self.config, &self.group(), handler.clone()).unwrap();
        let task = tokio::spawn(consumer.run(stop.clone()));
        (task, stop)
    }
}

fn config(partitions: u32) -> KafkaConfig {
    let endpoint =
        std::env::var("SENTINEL_TEST_KAFKA").expect("set SENTINEL_TEST_KAFKA to host:port of a broker for tests");
    let ca = std::env::var_os("SENTINEL_TEST_KAFKA_CA").map(Into::into);
    let name = format!("test-{}", Uuid::new_v4().simple());
    KafkaConfig {
        connection: Connection {
            endpoints: vec![endpoint],
            credentials: None,
            tls: ca.map(|ca| TlsConfig { ca: Some(ca) }),
        },
        sasl_mechanism: SaslMechanism::default(),
        dead_letters: format!("{name}-dead"),
        topic: name,
        partitions,
        replication_factor: 1,
    }
}

/// Number `number` of a chat.
fn event(chat: u128, number: u128) -> PlatformEvent {
    PlatformEvent {
        event_id: EventId(Uuid::from_u128((chat << 64) | number)),
        chat_id: ChatId(Uuid::from_u128(chat)),
        members: [UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2))],
        change: Change::ChatDeleted,
    }
}

/// Remembers what it was given and fails as told.
#[derive(Default)]
struct Handler {
    handled: Mutex<Vec<PlatformEvent>>,
    down: AtomicBool,
    refused: AtomicUsize,
    stuck: AtomicBool,
    poison: Mutex<HashSet<EventId>>,
    pause: Duration,
}

impl Handler {
    fn slow(pause: Duration) -> Arc<Self> {
        Arc::new(Self { pause, ..Self::default() })
    }

    fn count(&self) -> usize {
        self.handled.lock().unwrap().len()
    }

    fn ids(&self) -> HashSet<EventId> {
        self.handled.lock().unwrap().iter().map(|event| event.event_id).collect()
    }

    /// Checks that each chat's events came in order, leaving repeats aside.
    fn assert_in_order(&self) {
        let mut newest: HashMap<ChatId, HashSet<EventId>> = HashMap::new();
        for event in self.handled.lock().unwrap().iter() {
            let seen = newest.entry(event.chat_id).or_default();
            let later = seen.iter().any(|id| *id > event.event_id);
            assert!(seen.contains(&event.event_id) || !later, "{event:?} came late");
            seen.insert(event.event_id);
        }
    }
}

#[async_trait]
impl EventHandler for Handler {
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError> {
        if self.down.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(HandlerError::Unavailable("down".into()));
        }
        if self.poison.lock().unwrap().iter().any(|id| events.iter().any(|event| event.event_id == *id)) {
            return Err(HandlerError::Rejected("poison".into()));
        }
        self.handled.lock().unwrap().extend(events.iter().cloned());
        tokio::time::sleep(self.pause).await;
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ended((task, stop): (JoinHandle<()>, CancellationToken)) {
    stop.cancel();
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_in_order_and_once_when_nobody_crashes() {
    let topics = Topics::make(4).await;
    KafkaLog::migrate(&topics.config).await.unwrap();
    let log = KafkaLog::connect(&topics.config).await.unwrap();
    log.check().await.unwrap();
    let events: Vec<_> = (0..2000).map(|number| event(1 + number % 10, number)).collect();
    for some in events.chunks(200) {
        log.append(some).await.unwrap();
    }
    let handler = Handler::slow(Duration::ZERO);
    let consumer = topics.consumer(&handler);
    until("all are handled", || handler.ids().len() == events.len()).await;
    let began = Instant::now();
    log.append(&[event(3, 5000)]).await.unwrap();
    until("a single event is handled", || handler.count() == events.len() + 1).await;
    println!("append to handler: {:?}", began.elapsed());
    handler.assert_in_order();
    ended(consumer).await;
    let later = Handler::slow(Duration::ZERO);
    let consumer = topics.consumer(&later);
    log.append(&[event(3, 5001)]).await.unwrap();
    until("the next member goes on where the first left", || later.count() == 1).await;
    assert_eq!(later.ids(), [event(3, 5001).event_id].into());
    ended(consumer).await;
    topics.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_gives_the_events_again() {
    let topics = Topics::make(1).await;
    let log = KafkaLog::connect(&topics.config).await.unwrap();
    let crashing = Handler::slow(Duration::ZERO);
    crashing.stuck.store(true, Ordering::SeqCst);
    let (task, _) = topics.consumer(&crashing);
    log.append(&[event(1, 1), event(1, 2), event(1, 3)]).await.unwrap();
    until("the first has the events", || crashing.count() > 0).await;
    // Nothing is finished or committed any more.
    task.abort();
    let next = Handler::slow(Duration::ZERO);
    let consumer = topics.consumer(&next);
    until("the next has all of them", || next.ids().len() == 3).await;
    next.assert_in_order();
    ended(consumer).await;
    topics.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_handler_is_waited_for() {
    let topics = Topics::make(2).await;
    let log = KafkaLog::connect(&topics.config).await.unwrap();
    let handler = Handler::slow(Duration::ZERO);
    handler.down.store(true, Ordering::SeqCst);
    let metrics = sentinel_metrics::install(sentinel_metrics::PLATFORM).unwrap();
    let begin = format!("sentinel_events_oldest_seconds{{group=\"{}\"}} ", topics.group());
    let oldest = || metrics.render().lines().find_map(|line| line.strip_prefix(&begin)?.parse::<f64>().ok());
    let consumer = topics.consumer(&handler);
    // More than is fetched before a partition pauses.
    let events: Vec<_> = (0..5000).map(|number| event(1 + number % 7, number)).collect();
    for some in events.chunks(500) {
        log.append(some).await.unwrap();
    }
    until("it is tried again and again", || handler.refused.load(Ordering::SeqCst) > 6).await;
    assert_eq!(handler.count(), 0);
    until("the age of what waits is told", || oldest().is_some_and(|age| age > 0.0)).await;
    handler.down.store(false, Ordering::SeqCst);
    until("all are handled", || handler.ids().len() == events.len()).await;
    handler.assert_in_order();
    assert_eq!(handler.count(), events.len(), "an outage repeats nothing");
    until("nothing waits any more", || oldest().is_some_and(|age| age <= 0.0)).await;
    ended(consumer).await;
    topics.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_handled_is_kept_aside_with_the_reason() {
    let topics = Topics::make(1).await;
    let log = KafkaLog::connect(&topics.config).await.unwrap();
    let handler = Handler::slow(Duration::ZERO);
    handler.poison.lock().unwrap().insert(event(1, 2).event_id);
    log.append(&[event(1, 1), event(1, 2), event(1, 3)]).await.unwrap();
    let producer: FutureProducer = topics.plain().create().unwrap();
    producer
        .send(FutureRecord::to(&topics.config.topic).key("k").payload("no event"), Duration::from_secs(10))
        .await
        .unwrap();
    log.append(&[event(1, 4)]).await.unwrap();
    let consumer = topics.consumer(&handler);
    until("the others are handled", || handler.ids().len() == 3).await;
    assert!(!handler.ids().contains(&event(1, 2).event_id));

    let reader: StreamConsumer = topics
        .plain()
        .set("group.id", format!("reader-{}", topics.config.topic))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    reader.subscribe(&[&topics.config.dead_letters]).unwrap();
    let mut dead = Vec::new();
    while dead.len() < 2 {
        let message = tokio::time::timeout(PATIENCE, reader.recv()).await.unwrap();
        // The topic may be younger than what the reader knows of the brokers.
        let Ok(message) = message else { continue };
        let headers: HashMap<_, _> = message
            .headers()
            .unwrap()
            .iter()
            .map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap()))
            .collect();
        dead.push((message.payload().unwrap().to_vec(), headers));
    }
    let (rejected, why) = &dead[0];
    assert_eq!(serde_json::from_slice::<PlatformEvent>(rejected).unwrap(), event(1, 2));
    assert_eq!((why["error"].as_str(), why["offset"].as_str()), ("poison", "1"));
    assert_eq!((&why["topic"], &why["group"]), (&topics.config.topic, &topics.group()));
    let (garbage, why) = &dead[1];
    assert_eq!(garbage, b"no event");
    assert!(why["error"].contains("not an event"), "{why:?}");
    ended(consumer).await;
    topics.remove().await;
}

/// The settings that are the topic of dead letters' own, as soon as they say so many days.
async fn settings_of_dead_letters(topics: &Topics, days: u64) -> HashMap<String, String> {
    let admin: AdminClient<DefaultClientContext> = topics.plain().create().unwrap();
    let dead = ResourceSpecifier::Topic(&topics.config.dead_letters);
    let until = Instant::now() + PATIENCE;
    loop {
        let described = admin.describe_configs([&dead], &AdminOptions::new()).await.unwrap().remove(0);
        // What was changed may be newer than what the broker that is asked knows of.
        if let Ok(found) = described {
            let own = found.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let own: HashMap<_, _> = own.filter_map(|entry| Some((entry.name, entry.value?))).collect();
            if own.get("retention.ms") == Some(&(days * 24 * 3600 * 1000).to_string()) {
                return own;
            }
        }
        assert!(Instant::now() < until, "the topic is not kept for {days} days");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_aside_is_kept_for_thirty_days() {
    let topics = Topics::make(1).await;
    let own = settings_of_dead_letters(&topics, 30).await;
    assert_eq!(own["cleanup.policy"], "delete");
    topics.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_there_is_kept_for_thirty_days_from_then_on_and_keeps_what_others_set() {
    let topics = Topics { config: config(1) };
    let admin: AdminClient<DefaultClientContext> = topics.plain().create().unwrap();
    let old = NewTopic::new(&topics.config.dead_letters, 1, TopicReplication::Fixed(1))
        .set("retention.ms", "86400000")
        .set("max.message.bytes", "2000000");
    admin.create_topics([&old], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    settings_of_dead_letters(&topics, 1).await;
    for _ in 0..2 {
        KafkaLog::migrate(&topics.config).await.unwrap();
        let own = settings_of_dead_letters(&topics, 30).await;
        assert_eq!((own["max.message.bytes"].as_str(), own["cleanup.policy"].as_str()), ("2000000", "delete"));
    }
    topics.remove().await;
}

/// The brokers make the one and refuse the other, whichever comes first.
#[tokio::test(flavor = "multi_thread")]
async fn topics_of_which_one_is_refused_are_all_there_after_a_repeat() {
    let admin: AdminClient<DefaultClientContext> = Topics { config: config(1) }.plain().create().unwrap();
    for events_refused in [false, true] {
        let good = config(1);
        let mut bad = good.clone();
        let too_long = "x".repeat(250);
        if events_refused {
            bad.topic.clone_from(&too_long);
            // Of an earlier run: its settings are brought to what they should be nevertheless.
            let old = NewTopic::new(&good.dead_letters, 1, TopicReplication::Fixed(1)).set("retention.ms", "86400000");
            admin.create_topics([&old], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        } else {
            bad.dead_letters.clone_from(&too_long);
        }
        for _ in 0..2 {
            let refused = KafkaLog::migrate(&bad).await.unwrap_err();
            let told = refused.to_string();
            assert!(matches!(refused, KafkaError::Refused { .. }), "{refused:?}");
            assert!(told.contains(&too_long) && told.contains("sentinel migrate"), "{told}");
            assert!(!told.contains(&good.topic), "that one is there: {told}");
        }
        let topics = Topics { config: good };
        if events_refused {
            settings_of_dead_letters(&topics, 30).await;
        }
        KafkaLog::migrate(&topics.config).await.unwrap();
        settings_of_dead_letters(&topics, 30).await;
        KafkaLog::connect(&topics.config).await.unwrap();
        topics.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_members_without_loss() {
    let topics = Topics::make(6).await;
    let log = KafkaLog::connect(&topics.config).await.unwrap();
    let total = 3000;
    let writer = tokio::spawn({
        let log = log.clone();
        async move {
            for begin in (0..total).step_by(20) {
                let some: Vec<_> = (begin..begin + 20).map(|number| event(1 + number % 24, number)).collect();
                log.append(&some).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let (first, second) = (Handler::slow(Duration::from_millis(5)), Handler::slow(Duration::from_millis(5)));
    let one = topics.consumer(&first);
    until("the first works alone", || first.count() > 50).await;
    let two = topics.consumer(&second);
    until("the second got partitions", || second.count() > 50).await;
    ended(one).await;
    let alone = first.count();
    writer.await.unwrap();
    let all = || first.ids().union(&second.ids()).count();
    until("each event is handled", || all() == usize::try_from(total).unwrap()).await;
    assert_eq!(first.count(), alone, "who left does nothing more");
    first.assert_in_order();
    second.assert_in_order();
    println!("{} + {} handled for {total} events", first.count(), second.count());
    ended(two).await;
    topics.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_brokers_and_what_to_do() {
    let mut config = config(1);
    let missing = KafkaLog::connect(&config).await.err().unwrap();
    assert!(matches!(missing, KafkaError::NoTopic { .. }), "{missing:?}");
    assert!(missing.to_string().contains("sentinel migrate"), "{missing}");
    config.replication_factor = 99;
    let refused = KafkaLog::migrate(&config).await.err().unwrap();
    assert!(matches!(refused, KafkaError::Refused { .. }), "{refused:?}");
    // Nobody listens there.
    config.connection.endpoints = vec!["127.0.0.1:1".into()];
    let began = Instant::now();
    let error = KafkaLog::connect(&config).await.err().unwrap();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(15));
    let began = Instant::now();
    let error = KafkaLog::open(&config).unwrap().append(&[event(1, 1)]).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("127.0.0.1:1"), "{source}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
