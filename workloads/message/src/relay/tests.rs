//! The relay between doubles of the outbox and the log that fail, stall and crash.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sentinel_domain::{
    clock::{self, HybridClock},
    ids::{ChatId, EventId, UserId},
    outbox::{Change, PlatformEvent},
    ports::{EventLog, Outbox, OutboxPage, StoreError},
    time::Timestamp,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Pace, Relay};

const SHARDS: u16 = 8;
const START: i64 = 30_000_000 * 60_000 + 30_000;

/// The shipped paces, some fifty times as fast.
const FAST: Pace = Pace {
    lease: Duration::from_secs(1),
    renewal: Duration::from_millis(250),
    margin: Duration::from_millis(100),
    busy: Duration::from_millis(4),
    idle: Duration::from_millis(20),
    retry: Duration::from_millis(4),
    longest_retry: Duration::from_millis(50),
    taking: Duration::from_millis(10),
    looking: Duration::from_millis(50),
};

/// An outbox, a log and a clock in memory.
#[derive(Default)]
struct World {
    minutes: Mutex<BTreeMap<(u16, i64), BTreeMap<EventId, PlatformEvent>>>,
    /// Those of them that can't be read.
    unreadable: Mutex<HashSet<EventId>>,
    first: Mutex<HashMap<u16, i64>>,
    leases: Mutex<HashMap<u16, (Uuid, Instant)>>,
    log: Mutex<Vec<PlatformEvent>>,
    log_down: AtomicBool,
    flaky: AtomicBool,
    calls: AtomicU32,
    later: AtomicI64,
    clock: Arc<HybridClock>,
    /// How long the answer to whoever asks for a lease that another has takes, in milliseconds.
    refusing: AtomicU64,
    /// Nobody answers who asks for a lease.
    leases_away: AtomicBool,
}

impl World {
    fn new() -> Arc<Self> {
        let world = Self::default();
        // Otherwise each test begins with a week of empty minutes.
        world.first.lock().unwrap().extend((0..SHARDS).map(|shard| (shard, START / 60_000 - 2)));
        Arc::new(world)
    }

    fn start(self: &Arc<Self>) -> (JoinHandle<()>, CancellationToken) {
        self.start_at(FAST)
    }

    fn start_at(self: &Arc<Self>, pace: Pace) -> (JoinHandle<()>, CancellationToken) {
        let (stop, clock) = (CancellationToken::new(), Arc::clone(self));
        let now = Arc::new(move || Timestamp(START + clock.later.load(Ordering::SeqCst)));
        let relay = Relay { outbox: self.clone(), log: self.clone(), clock: self.clock.clone(), pace, now };
        let token = stop.clone();
        (tokio::spawn(async move { relay.run(token).await }), stop)
    }

    /// Writes an event of a chat, `offset` milliseconds after the start.
    fn write(&self, chat: u16, offset: i64) -> EventId {
        let instant = clock::Instant { millis: (START + offset).unsigned_abs(), counter: 0 };
        let user = UserId(Uuid::nil());
        let event = PlatformEvent {
            event_id: EventId(instant.id(u64::from(chat) + 1)),
            chat_id: ChatId(Uuid::from_u128(chat.into())),
            members: [user, user],
            change: Change::ChatDeleted,
        };
        let id = event.event_id;
        let place = (chat % SHARDS, (START + offset).div_euclid(60_000));
        self.minutes.lock().unwrap().entry(place).or_default().insert(id, event);
        id
    }

    fn log(&self) -> Vec<PlatformEvent> {
        self.log.lock().unwrap().clone()
    }

    fn logged(&self) -> HashSet<EventId> {
        self.log().iter().map(|event| event.event_id).collect()
    }

    fn holders(&self) -> HashMap<Uuid, usize> {
        let mut holders = HashMap::new();
        for (holder, until) in self.leases.lock().unwrap().values() {
            *holders.entry(*holder).or_default() += usize::from(*until > Instant::now());
        }
        holders
    }

    /// Each chat's events came in their order, repeats aside.
    fn assert_in_order(&self) {
        let mut seen: HashMap<ChatId, Vec<EventId>> = HashMap::new();
        for event in self.log() {
            let chat = seen.entry(event.chat_id).or_default();
            if !chat.contains(&event.event_id) {
                assert!(chat.last().is_none_or(|last| *last < event.event_id), "{event:?}");
                chat.push(event.event_id);
            }
        }
    }

    /// Every third call fails while the store is flaky.
    fn answer(&self) -> Result<(), StoreError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.flaky.load(Ordering::SeqCst) && call.is_multiple_of(3) {
            return Err(StoreError::unavailable("flaky"));
        }
        Ok(())
    }
}

#[async_trait]
impl Outbox for World {
    fn shards(&self) -> u16 {
        SHARDS
    }

    async fn lease(&self, shard: u16, holder: Uuid, seconds: u16) -> Result<bool, StoreError> {
        self.answer()?;
        if self.leases_away.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let taken = |leases: &HashMap<u16, (Uuid, Instant)>| {
            leases.get(&shard).is_some_and(|(other, until)| *other != holder && *until > Instant::now())
        };
        if taken(&self.leases.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(self.refusing.load(Ordering::SeqCst))).await;
            return Ok(false);
        }
        let mut leases = self.leases.lock().unwrap();
        if taken(&leases) {
            return Ok(false);
        }
        leases.insert(shard, (holder, Instant::now() + Duration::from_secs(seconds.into())));
        Ok(true)
    }

    async fn release(&self, shard: u16, holder: Uuid) -> Result<(), StoreError> {
        let mut leases = self.leases.lock().unwrap();
        if leases.get(&shard).is_some_and(|(other, _)| *other == holder) {
            leases.remove(&shard);
        }
        Ok(())
    }

    async fn first_minute(&self, shard: u16) -> Result<Option<i64>, StoreError> {
        self.answer()?;
        Ok(self.first.lock().unwrap().get(&shard).copied())
    }

    async fn events(
        &self,
        shard: u16,
        minute: i64,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<OutboxPage, StoreError> {
        self.answer()?;
        let minutes = self.minutes.lock().unwrap();
        let Some(events) = minutes.get(&(shard, minute)) else { return Ok(OutboxPage::default()) };
        let later = events.values().filter(|event| after.is_none_or(|after| event.event_id > after));
        let mut events: Vec<PlatformEvent> = later.take(limit).cloned().collect();
        let next = events.last().filter(|_| events.len() == limit).map(|event| event.event_id);
        let unreadable = self.unreadable.lock().unwrap();
        events.retain(|event| !unreadable.contains(&event.event_id));
        Ok(OutboxPage { events, next })
    }

    async fn drop_minute(&self, shard: u16, minute: i64) -> Result<(), StoreError> {
        self.answer()?;
        self.minutes.lock().unwrap().remove(&(shard, minute));
        self.first.lock().unwrap().insert(shard, minute + 1);
        Ok(())
    }
}

#[async_trait]
impl EventLog for World {
    async fn append(&self, events: &[PlatformEvent]) -> Result<(), StoreError> {
        let mut log = self.log.lock().unwrap();
        if self.log_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the log is away"));
        }
        if let Err(error) = self.answer() {
            // It may have been written in part all the same.
            log.extend_from_slice(&events[..events.len() / 2]);
            return Err(error);
        }
        log.extend_from_slice(events);
        Ok(())
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn stopped((task, stop): (JoinHandle<()>, CancellationToken)) {
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_go_to_the_log_in_order_and_once() {
    let world = World::new();
    let relay = world.start();
    let mut written = HashSet::new();
    for offset in 0..500 {
        written.insert(world.write(u16::try_from(offset % 40).unwrap(), offset));
        if offset % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    until("all are in the log", || world.logged() == written).await;
    stopped(relay).await;
    assert_eq!(world.log().len(), written.len(), "nobody crashed, so nothing came twice");
    world.assert_in_order();
    assert!(world.holders().is_empty(), "leases are given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_of_a_minute_is_relayed() {
    let world = World::new();
    let written: HashSet<_> = (0..1300).map(|offset| world.write(8, offset)).collect();
    let relay = world.start();
    until("all are in the log", || world.logged() == written).await;
    stopped(relay).await;
    world.assert_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_holds_up_nothing_behind_it() {
    let world = World::new();
    // One of the first page, and all of the second.
    let is_unreadable = |offset: i64| offset == 10 || (500..1000).contains(&offset);
    let (mut readable, mut unreadable) = (HashSet::new(), HashSet::new());
    for offset in 0..1300 {
        let id = world.write(8, offset);
        if is_unreadable(offset) {
            unreadable.insert(id)
        } else {
            readable.insert(id)
        };
    }
    world.unreadable.lock().unwrap().extend(unreadable);
    let relay = world.start();
    until("all that can be read are in the log", || world.logged() == readable).await;
    stopped(relay).await;
    world.assert_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_log_loses_nothing() {
    let world = World::new();
    world.log_down.store(true, Ordering::SeqCst);
    let relay = world.start();
    let written: HashSet<_> = (0..200).map(|offset| world.write(u16::try_from(offset % 20).unwrap(), offset)).collect();
    // Long enough that all of it is due to be dropped.
    world.later.store(30 * 60_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.log().is_empty());
    assert!(!world.minutes.lock().unwrap().is_empty(), "nothing is dropped that the log has not");
    world.log_down.store(false, Ordering::SeqCst);
    until("all are in the log", || world.logged() == written).await;
    until("the outbox is empty", || world.minutes.lock().unwrap().is_empty()).await;
    stopped(relay).await;
    world.assert_in_order();
}

/// The store can't be relied on to read what has ended: it is tombstones, and may be too many.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_more_than_a_week_loses_what_has_ended_and_nothing_else() {
    let world = World::new();
    world.write(0, 0);
    let kept = world.write(0, 6 * 60_000);
    world.later.store((7 * 24 * 60 + 5) * 60_000, Ordering::SeqCst);
    let relay = world.start();
    until("what is kept is in the log", || world.logged().contains(&kept)).await;
    stopped(relay).await;
    assert_eq!(world.logged(), HashSet::from([kept]));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_events_are_found() {
    let world = World::new();
    let relay = world.start();
    world.write(0, 0);
    until("the first is in the log", || world.logged().len() == 1).await;
    // Half a second and one minute late.
    let slightly = world.write(0, -500);
    until("the slightly late one is in the log", || world.logged().contains(&slightly)).await;
    let late = world.write(0, -45_000);
    world.later.store(31_000, Ordering::SeqCst);
    until("the late one is in the log", || world.logged().contains(&late)).await;
    stopped(relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_minutes_are_dropped_whole_and_the_next_replica_goes_on_after_them() {
    let world = World::new();
    let relay = world.start();
    let old = world.write(0, 0);
    until("it is in the log", || world.logged().contains(&old)).await;
    world.later.store(9 * 60_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!world.minutes.lock().unwrap().is_empty(), "it may still get late events");
    world.later.store(11 * 60_000, Ordering::SeqCst);
    until("it is dropped", || world.minutes.lock().unwrap().is_empty()).await;
    stopped(relay).await;
    let first = world.first.lock().unwrap()[&0];
    assert!(first > START / 60_000, "{first}");
    let before = world.log().len();
    let relay = world.start();
    let new = world.write(0, 11 * 60_000);
    until("the new one is in the log", || world.logged().contains(&new)).await;
    stopped(relay).await;
    assert_eq!(world.log().len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_moves_the_shards_and_loses_nothing() {
    let world = World::new();
    let (crashing, _) = world.start();
    let mut written = HashSet::new();
    for offset in 0..100 {
        written.insert(world.write(u16::try_from(offset % 24).unwrap(), offset));
    }
    until("some are in the log", || world.logged().len() > 10).await;
    crashing.abort();
    for offset in 100..200 {
        written.insert(world.write(u16::try_from(offset % 24).unwrap(), offset));
    }
    let relay = world.start();
    until("all are in the log", || world.logged() == written).await;
    stopped(relay).await;
    world.assert_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_fail_now_and_then_only_delay() {
    let world = World::new();
    world.flaky.store(true, Ordering::SeqCst);
    let relay = world.start();
    let mut written = HashSet::new();
    for offset in 0..300 {
        written.insert(world.write(u16::try_from(offset % 30).unwrap(), offset));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until("all are in the log", || world.logged() == written).await;
    stopped(relay).await;
    world.assert_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_slow_to_refuse_makes_nobody_lose_what_is_held() {
    let world = World::new();
    // Others have all shards but one, and asking for each takes nearly as long as between two renewals.
    let (other, long) = (Uuid::new_v4(), Instant::now() + Duration::from_mins(1));
    world.leases.lock().unwrap().extend((1..SHARDS).map(|shard| (shard, (other, long))));
    let pace = Pace { lease: Duration::from_secs(4), renewal: Duration::from_secs(1), ..FAST };
    let relay = world.start_at(pace);
    until("the shard is held", || world.holders().values().any(|held| *held == 1)).await;
    world.refusing.store(900, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(7);
    while Instant::now() < deadline {
        assert!(world.holders().values().any(|held| *held == 1), "the lease ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stopped(relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relays_without_a_lease_and_work_goes_on_when_it_is_back() {
    let world = World::new();
    let relay = world.start();
    let first = world.write(0, 0);
    until("it is in the log", || world.logged().contains(&first)).await;
    until("all shards are held", || world.holders().values().sum::<usize>() == usize::from(SHARDS)).await;
    world.leases_away.store(true, Ordering::SeqCst);
    until("the leases have ended", || world.holders().values().sum::<usize>() == 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = world.write(0, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!world.logged().contains(&second), "another may have the shard by now");
    world.leases_away.store(false, Ordering::SeqCst);
    until("the second is in the log", || world.logged().contains(&second)).await;
    stopped(relay).await;
}

/// The clock of whoever wrote it is ahead, and this process has heard of that.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_ahead_of_the_time_is_relayed_at_once() {
    let world = World::new();
    let relay = world.start();
    let ahead = world.write(0, 5 * 60_000);
    world.clock.observe(ahead.0);
    until("it is in the log", || world.logged().contains(&ahead)).await;
    stopped(relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_share() {
    let world = World::new();
    let relays = [world.start(), world.start()];
    until("all shards are held", || world.holders().values().sum::<usize>() == usize::from(SHARDS)).await;
    let held: Vec<_> = world.holders().into_values().collect();
    assert!(held.len() == 2 && held.iter().all(|held| *held >= 2), "{held:?}");
    let [one, other] = relays;
    stopped(one).await;
    until("the other has all", || world.holders().len() == 1 && world.holders().values().sum::<usize>() == 8).await;
    stopped(other).await;
}
