//! No event is lost, whenever a consumer or its process ends.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use proptest::prelude::*;
use rusqlite::Connection;
use sentinel_domain::{
    ids::UserId,
    message::Chat,
    outbox::Change,
    ports::{AccountStore, ChatStore, HandlerError},
    watermark::Progress as Watermark,
};
use sentinel_testing::draft;
use tokio::{sync::Notify, task::JoinHandle};

use super::*;
use crate::sqlite::tests::{account, open};

const PATIENCE: Duration = Duration::from_mins(1);

/// Keeps what it was given; fails as it is told.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<PlatformEvent>>,
    away: AtomicUsize,
    refused: Mutex<BTreeSet<EventId>>,
}

#[async_trait]
impl EventHandler for Recorder {
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError> {
        if self.away.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(HandlerError::Unavailable("away".into()));
        }
        if events.iter().any(|event| self.refused.lock().unwrap().contains(&event.event_id)) {
            return Err(HandlerError::Rejected("no".into()));
        }
        self.seen.lock().unwrap().extend(events.iter().cloned());
        Ok(())
    }
}

impl Recorder {
    fn seen(&self) -> Vec<PlatformEvent> {
        self.seen.lock().unwrap().clone()
    }

    fn messages(&self) -> Vec<MessageId> {
        let written = |event: &PlatformEvent| match event.change {
            Change::Written { message_id, .. } => Some(message_id),
            _ => None,
        };
        self.seen().iter().filter_map(written).collect()
    }

    async fn has(&self, what: impl Fn(&[PlatformEvent]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !what(&self.seen()) {
            assert!(Instant::now() < deadline, "{:?}", self.seen());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn has_messages(&self, messages: &[MessageId]) {
        let all = |seen: &[PlatformEvent]| {
            let seen: BTreeSet<EventId> = seen.iter().map(|event| event.event_id).collect();
            messages.iter().all(|message| seen.contains(&EventId(message.0)))
        };
        self.has(all).await;
    }
}

struct World {
    folder: tempfile::TempDir,
    sqlite: Sqlite,
    ann: UserId,
    bob: UserId,
    chats: Vec<Chat>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&path(&folder));
        let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
        let mut chats = Vec::new();
        for (a, b) in [(ann, bob), (ann, ann), (bob, bob)] {
            chats.push(sqlite.start_chat(a, b, Timestamp::now()).await.unwrap().0);
        }
        Self { folder, sqlite, ann, bob, chats }
    }

    async fn send(&self, number: usize) -> MessageId {
        let chat = &self.chats[number % 3];
        let draft = draft(chat.id, chat.members[0], &number.to_string());
        self.sqlite.append(draft, None, Timestamp::now()).await.unwrap().message.id
    }

    async fn send_many(&self, count: usize) -> Vec<MessageId> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(self.send(number).await);
        }
        ids
    }

    /// Starts a consumer.
    async fn run(&self, begin: Begin, handler: &Arc<Recorder>) -> (CancellationToken, JoinHandle<()>) {
        let consumer = self.sqlite.consumer("test", None, begin, 3).await.unwrap();
        let stop = CancellationToken::new();
        (stop.clone(), tokio::spawn(consumer.run(handler.clone(), stop)))
    }

    /// What a start after a crash or a stop finds.
    fn reopen(&mut self) {
        self.sqlite.close();
        self.sqlite = open(&path(&self.folder));
    }

    /// So many events, as the writer hands them on.
    fn hand_on(&self, count: usize) {
        let event = PlatformEvent {
            event_id: EventId::from_bytes([0; 16]),
            chat_id: self.chats[0].id,
            members: self.chats[0].members,
            change: Change::ChatDeleted,
        };
        self.sqlite.shared.feed.committed(&vec![event; count]);
    }

    fn count(&self, table: &str) -> u32 {
        let db = Connection::open(path(&self.folder)).unwrap();
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

fn path(folder: &tempfile::TempDir) -> std::path::PathBuf {
    Path::join(folder.path(), "db")
}

/// What happened to a chat, as numbers that sort.
fn changes_of(events: &[PlatformEvent], chat: ChatId) -> Vec<&Change> {
    events.iter().filter(|event| event.chat_id == chat).map(|event| &event.change).collect()
}

#[tokio::test]
async fn everything_that_happens_comes_while_running_and_after_a_start() {
    let mut world = World::new().await;
    let (sqlite, ann, bob) = (world.sqlite.clone(), world.ann, world.bob);
    let chat = world.chats[0].clone();
    let (live, late) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let (stop, running) = world.run(Begin::Now, &live).await;
    // Registers, and is gone before anything happens.
    drop(world.sqlite.consumer("late", None, Begin::Everything, 1).await.unwrap());

    let now = Timestamp::now();
    let sender = chat.members[0];
    let (reader, message) = (chat.peer_of(sender), world.send(0).await);
    sqlite.edit(sender, chat.id, message, "edited".into(), now).await.unwrap();
    sqlite.advance(reader, chat.id, Watermark::Delivered, message, now).await.unwrap();
    sqlite.advance(reader, chat.id, Watermark::Read, message, now).await.unwrap();
    sqlite.delete(sender, chat.id, message, now).await.unwrap();
    let note = world.chats.iter().find(|chat| chat.members == [bob, bob]).unwrap().id;
    world.send(2).await;
    let kept = world.send(1).await;
    let sender_id = sender;
    let expected = [
        Change::Written { message_id: message, sender_id },
        Change::Edited { message_id: message, sender_id },
        Change::Read { message_id: message, user_id: reader, before: None },
        Change::Deleted { message_id: message, sender_id },
    ];
    live.has(|seen| changes_of(seen, chat.id).len() == 4).await;
    assert_eq!(changes_of(&live.seen(), chat.id), expected.iter().collect::<Vec<_>>());
    assert!(
        live.seen().iter().all(|event| event.event_id.0.get_version_num() == 7 && event.members[0] <= event.members[1])
    );
    sqlite.delete_account(bob).await.unwrap();
    live.has(|seen| changes_of(seen, note).contains(&&Change::ChatDeleted)).await;
    assert_eq!(changes_of(&live.seen(), chat.id).last(), Some(&&Change::ChatDeleted));
    stop.cancel();
    running.await.unwrap();

    world.reopen();
    let consumer = world.sqlite.consumer("late", None, Begin::Everything, 1).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(late.clone(), stop.clone()));
    late.has(|seen| seen.iter().filter(|event| event.change == Change::ChatDeleted).count() == 2).await;
    assert_eq!(late.messages(), [kept], "of what is gone only that it went");
    assert_eq!(late.seen().iter().find(|event| event.event_id == kept.into()).unwrap().members, [ann, ann]);
    stop.cancel();
    running.await.unwrap();
    world.sqlite.close();
    assert_eq!(world.count("outbox"), 0, "everybody has it");
}

#[tokio::test]
async fn a_consumer_begins_where_it_is_told_and_goes_on_where_it_was() {
    let mut world = World::new().await;
    let old = world.send_many(700).await;
    let (all, new) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let (stop, running) = world.run(Begin::Everything, &all).await;
    let consumer = world.sqlite.consumer("new", None, Begin::Now, 1).await.unwrap();
    let other = tokio::spawn(consumer.run(new.clone(), stop.clone()));
    let fresh = world.send(0).await;
    all.has_messages(&old).await;
    all.has_messages(&[fresh]).await;
    new.has_messages(&[fresh]).await;
    assert_eq!(all.messages().len(), 701, "nothing comes twice without need");
    stop.cancel();
    running.await.unwrap();
    other.await.unwrap();
    let missed = world.send_many(3).await;
    world.reopen();
    let (stop, running) = world.run(Begin::Now, &all).await;
    all.has_messages(&missed).await;
    assert_eq!(all.messages().len(), 704);
    stop.cancel();
    running.await.unwrap();

    // What it wrote to was lost.
    let again = Arc::new(Recorder::default());
    let consumer = world.sqlite.consumer("test", Some(Uuid::new_v4()), Begin::Everything, 1).await.unwrap();
    let (stop, token) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(consumer.run(again.clone(), stop.clone()));
    again.has_messages(&old).await;
    drop(token);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn who_was_too_slow_reads_what_was_missed() {
    let world = World::new().await;
    let handler = Arc::new(Recorder::default());
    let consumer = world.sqlite.consumer("test", None, Begin::Now, 1).await.unwrap();
    let sent = world.send_many(10).await;
    world.hand_on(70_000);
    assert!(consumer.live.len() < 70_000, "they are too many to wait");
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(handler.clone(), stop.clone()));
    handler.has_messages(&sent).await;
    let last = world.send(1).await;
    handler.has_messages(&[last]).await;
    assert_eq!(handler.seen().len(), 11);
    stop.cancel();
    running.await.unwrap();
}

/// Is at its first events for ever.
struct Stuck(Notify);

#[async_trait]
impl EventHandler for Stuck {
    async fn handle(&self, _: &[PlatformEvent]) -> Result<(), HandlerError> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[test]
fn what_waits_is_told_while_a_handler_is_stuck() {
    let work = async {
        let (world, handler) = (World::new().await, Arc::new(Stuck(Notify::new())));
        let consumer = world.sqlite.consumer("test", None, Begin::Now, 1).await.unwrap();
        let running = tokio::spawn(consumer.run(handler.clone(), CancellationToken::new()));
        world.send(0).await;
        handler.0.notified().await;
        world.hand_on(300);
        tokio::time::sleep(TOLD_EVERY * 2).await;
        running.abort();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scraped = sentinel_metrics::scrape(sentinel_metrics::PLATFORM, || runtime.block_on(work)).unwrap();
    let told = |line: &str| line.strip_prefix("sentinel_events_waiting{group=\"test\"} ")?.parse::<u32>().ok();
    // The first waits here too if the consumer has it from the tables.
    assert!(scraped.lines().find_map(told).is_some_and(|waiting| (300..=301).contains(&waiting)), "{scraped}");
}

#[tokio::test]
async fn an_outage_is_waited_for_and_what_can_not_be_handled_is_put_aside() {
    let world = World::new().await;
    let handler = Arc::new(Recorder::default());
    let consumer = world.sqlite.consumer("test", None, Begin::Now, 1).await.unwrap();
    let consumer = Consumer { pause: Pause::SHORT, ..consumer };
    let sent = world.send_many(6).await;
    // However often it is tried, all together or one by one.
    handler.away.store(100, Ordering::Relaxed);
    handler.refused.lock().unwrap().insert(sent[2].into());
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(handler.clone(), stop.clone()));
    let good: Vec<MessageId> = sent.iter().copied().filter(|id| *id != sent[2]).collect();
    handler.has_messages(&good).await;
    let deadline = Instant::now() + PATIENCE;
    while world.count("dead_letters") == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.count("dead_letters"), 1, "nothing else is given up");
    let db = Connection::open(path(&world.folder)).unwrap();
    let (consumer, why, event): (String, String, String) = db
        .query_row("SELECT consumer, why, event FROM dead_letters", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!((consumer.as_str(), why.as_str()), ("test", "no"));
    assert_eq!(serde_json::from_str::<PlatformEvent>(&event).unwrap().event_id, sent[2].into());
}

/// What happens to a process.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    /// The consumer is gone at whatever it does, without a word.
    Crash,
    /// The consumer stops in order.
    Stop,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..40usize).prop_map(Step::Send),
        1 => Just(Step::Crash),
        1 => Just(Step::Stop),
        2 => (0..30u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_whenever_the_consumer_ends(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let handler = Arc::new(Recorder::default());
            let mut sent = Vec::new();
            let (mut stop, mut running) = world.run(Begin::Everything, &handler).await;
            for step in steps {
                match step {
                    Step::Send(count) => sent.extend(world.send_many(count).await),
                    Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                    Step::Crash | Step::Stop => {
                        if matches!(step, Step::Crash) { running.abort() } else { stop.cancel() }
                        let _ = running.await;
                        world.reopen();
                        (stop, running) = world.run(Begin::Everything, &handler).await;
                    }
                }
            }
            handler.has_messages(&sent).await;
            stop.cancel();
            running.await.unwrap();
        });
    }
}

#[tokio::test]
async fn what_is_damaged_holds_up_nothing_else() {
    let mut world = World::new().await;
    let chat = world.chats[0].clone();
    // Registers, so that the outbox keeps what happens.
    drop(world.sqlite.consumer("test", None, Begin::Everything, 1).await.unwrap());
    let edited = world.send(0).await;
    world.sqlite.edit(chat.members[0], chat.id, edited, "edited".into(), Timestamp::now()).await.unwrap();
    let others = [world.send(1).await, world.send(2).await];
    world.sqlite.delete(world.chats[1].members[0], world.chats[1].id, others[0], Timestamp::now()).await.unwrap();
    world.sqlite.close();
    let db = Connection::open(path(&world.folder)).unwrap();
    let first = "UPDATE outbox SET event = CAST(x'c3' AS TEXT) WHERE event_id = (SELECT min(event_id) FROM outbox)";
    assert_eq!(db.execute(first, []).unwrap(), 1);
    let receipt = "UPDATE chats SET low_receipt = x'00' WHERE id = ?1";
    assert_eq!(db.execute(receipt, [chat.id.as_bytes()]).unwrap(), 1);
    drop(db);
    world.reopen();
    let handler = Arc::new(Recorder::default());
    let (stop, running) = world.run(Begin::Everything, &handler).await;
    handler.has_messages(&others).await;
    handler.has(|seen| seen.iter().any(|event| matches!(event.change, Change::Deleted { .. }))).await;
    assert_eq!(changes_of(&handler.seen(), chat.id), Vec::<&Change>::new());
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_page_of_damaged_chats_holds_up_nothing_else() {
    let mut world = World::new().await;
    drop(world.sqlite.consumer("test", None, Begin::Everything, 1).await.unwrap());
    let sent = world.send_many(6).await;
    world.sqlite.close();
    let db = Connection::open(path(&world.folder)).unwrap();
    // More than one page of them, before, between and after the others.
    let copies = "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1499)
        INSERT INTO chats (id, low, high, created_at, kek, key)
        SELECT CAST(substr(id, 1, 13) || CAST(printf('%03x', n) AS BLOB) AS BLOB), x'00', high, created_at, kek, key
        FROM numbers CROSS JOIN chats";
    assert_eq!(db.execute(copies, []).unwrap(), 4500);
    let first = "INSERT INTO chats (id, low, high, created_at, kek, key)
        SELECT DISTINCT x'00', x'00', high, created_at, kek, key FROM chats LIMIT 1";
    assert_eq!(db.execute(first, []).unwrap(), 1);
    drop(db);
    world.reopen();
    let handler = Arc::new(Recorder::default());
    let (stop, running) = world.run(Begin::Everything, &handler).await;
    handler.has_messages(&sent).await;
    stop.cancel();
    running.await.unwrap();
}
