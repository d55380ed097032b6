//! The order of one process: calls get their ids in the order in which they came, and sockets hear of what they did in
//! the order of the ids, although the writes overlap.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use sentinel_domain::{
    clock::HybridClock,
    event::{Fanout, LiveEvent},
    ids::{ChatId, EventId, MessageId},
    place::SETTLING_SECONDS,
    ports::StoreError,
    time::Timestamp,
};
use tokio::sync::MutexGuard;

/// Chats share this many queues.
const QUEUES: usize = 1024;
/// How old an event may be when its write begins. Half of [`SETTLING_SECONDS`] is for clocks that differ; of the other half this
/// leaves ten seconds for the write itself, also where the store's nodes finish one that its coordinator left.
const WRITTEN_WITHIN_SECONDS: i64 = SETTLING_SECONDS / 3;

/// A write that was held up for so long that clients may have synced from later places: they would never get its event.
#[derive(Debug, thiserror::Error)]
#[error("it took too long until this could be written")]
struct HeldUp;

/// Whether it is too late to begin to write an event.
pub(super) fn is_held_up(event: EventId, now: Timestamp) -> bool {
    now > event.timestamp().plus_seconds(WRITTEN_WITHIN_SECONDS)
}

/// Whether a write was refused for that reason: nothing was sent to the store.
pub(super) fn was_held_up(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(source) if source.is::<HeldUp>())
}

/// When a call came: by the caller's clock, and by the steady one of this process, which tells how long ago that is.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) at: Timestamp,
    since: Instant,
}

impl Arrival {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { at, since: Instant::now() }
    }

    /// What the caller's clock says by now.
    pub(super) fn now(self) -> Timestamp {
        let passed = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.at.0.saturating_add(passed))
    }
}

/// Who may take an id next: a queue for each chat (some share one), in the order in which callers came.
pub(super) struct Turns(Vec<tokio::sync::Mutex<()>>);

impl Turns {
    pub(super) fn new() -> Self {
        Self((0..QUEUES).map(|_| tokio::sync::Mutex::new(())).collect())
    }

    /// Waits for the turn of a caller; its place is taken when this is first polled.
    pub(super) async fn wait(&self, chat: ChatId) -> MutexGuard<'_, ()> {
        let [a, b, ..] = *chat.as_bytes();
        self.0[usize::from(u16::from_be_bytes([a, b])) % QUEUES].lock().await
    }
}

/// Gives out ids, and publishes what became of them: of one chat in the order of the ids.
pub(super) struct Order {
    clock: Arc<HybridClock>,
    fanout: Arc<dyn Fanout>,
    chats: Mutex<HashMap<ChatId, Line>>,
}

/// What is under way in a chat.
#[derive(Default)]
struct Line {
    /// Places that are not published: `None` while the write is on its way.
    places: BTreeMap<EventId, Option<LiveEvent>>,
    /// Messages of whose deletion was told since the line was empty: what is still under way may have been written before
    /// that, and comes too late to be told.
    deleted: HashSet<MessageId>,
}

impl Line {
    /// Takes out what is to be told now, in its order.
    fn ready(&mut self) -> Vec<LiveEvent> {
        let mut ready = Vec::new();
        while let Some(first) = self.places.first_entry()
            && first.get().is_some()
        {
            let Some(event) = first.remove() else { continue };
            match &event {
                LiveEvent::Deleted { message_id, .. } => drop(self.deleted.insert(*message_id)),
                LiveEvent::Message { message, .. } | LiveEvent::Edited { message, .. }
                    if self.deleted.contains(&message.id) =>
                {
                    continue;
                }
                _ => {}
            }
            ready.push(event);
        }
        ready
    }
}

impl Order {
    pub(super) fn new(clock: Arc<HybridClock>, fanout: Arc<dyn Fanout>) -> Self {
        Self { clock, fanout, chats: Mutex::default() }
    }

    pub(super) fn clock(&self) -> &HybridClock {
        &self.clock
    }

    /// The next id, and a place in the chat's line. A place that is dropped is given up.
    pub(super) fn take(self: &Arc<Self>, chat: ChatId, arrival: Arrival) -> Place {
        let mut chats = self.lock();
        let id = self.clock.event_id(arrival.at);
        chats.entry(chat).or_default().places.insert(id, None);
        Place { order: Arc::clone(self), chat, id, arrival }
    }

    /// A place behind all that are under way in a chat, for what is written already.
    pub(super) fn behind_all(self: &Arc<Self>, chat: ChatId) -> Place {
        self.take(chat, Arrival::new(Timestamp(0)))
    }

    /// Publishes what was not known to have happened when its turn was.
    pub(super) fn publish_late(&self, event: LiveEvent) {
        self.fanout.publish(vec![event]);
    }

    fn settle(&self, chat: ChatId, id: EventId, event: Option<LiveEvent>) {
        let mut chats = self.lock();
        let Some(line) = chats.get_mut(&chat) else { return };
        match event {
            Some(event) => drop(line.places.insert(id, Some(event))),
            None => drop(line.places.remove(&id)),
        }
        let ready = line.ready();
        if line.places.is_empty() {
            chats.remove(&chat);
        }
        // Still locked, so that nobody overtakes; publishing returns at once.
        if !ready.is_empty() {
            self.fanout.publish(ready);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChatId, Line>> {
        self.chats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id whose event may still be published.
pub(super) struct Place {
    order: Arc<Order>,
    chat: ChatId,
    id: EventId,
    arrival: Arrival,
}

impl Place {
    pub(super) fn id(&self) -> EventId {
        self.id
    }

    pub(super) fn message_id(&self) -> MessageId {
        MessageId(self.id.0)
    }

    /// Refuses an event that would be written too late: this place's, or one from before whose write is repeated here. The
    /// process may have stood still since its call came.
    pub(super) fn check_in_time(&self, event: EventId) -> Result<(), StoreError> {
        if is_held_up(event, self.arrival.now()) { Err(StoreError::unavailable(HeldUp)) } else { Ok(()) }
    }

    /// Publishes the event as soon as all before it are.
    pub(super) fn publish(self, event: LiveEvent) {
        self.order.settle(self.chat, self.id, Some(event));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // After `publish` this finds nothing, or an event that waits for its turn and must stay.
        let waiting =
            self.order.lock().get(&self.chat).and_then(|line| line.places.get(&self.id)).is_some_and(Option::is_none);
        if waiting {
            self.order.settle(self.chat, self.id, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sentinel_domain::{
        ids::{SessionId, UserId},
        message::{Chat, Message, MessageKind},
    };
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<u128>>);

    impl Fanout for Recorder {
        fn publish(&self, events: Vec<LiveEvent>) {
            self.0.lock().unwrap().extend(events.iter().map(|event| match event {
                LiveEvent::SessionEnded { session_id } => session_id.0.as_u128(),
                other => panic!("{other:?}"),
            }));
        }
    }

    fn event(number: u128) -> LiveEvent {
        LiveEvent::SessionEnded { session_id: SessionId(Uuid::from_u128(number)) }
    }

    #[test]
    fn events_of_a_chat_are_published_in_the_order_of_their_ids() {
        let fanout = Arc::new(Recorder::default());
        let order = Arc::new(Order::new(Arc::new(HybridClock::new()), fanout.clone()));
        let chat = ChatId(Uuid::from_u128(1));
        let [first, second, third, fourth] = [0; 4].map(|_| order.take(chat, Arrival::new(Timestamp(1000))));
        let other = order.take(ChatId(Uuid::from_u128(2)), Arrival::new(Timestamp(1000)));
        third.publish(event(3));
        other.publish(event(9));
        second.publish(event(2));
        assert_eq!(*fanout.0.lock().unwrap(), [9], "another chat does not wait");
        order.behind_all(chat).publish(event(5));
        drop(first);
        fourth.publish(event(4));
        assert_eq!(*fanout.0.lock().unwrap(), [9, 2, 3, 4, 5], "nobody waits for what was given up");
        assert!(order.lock().is_empty());
    }

    #[test]
    fn what_was_held_up_too_long_is_not_written() {
        let at = Timestamp(1_750_000_000_000);
        let clock = Arc::new(HybridClock::new());
        let order = Arc::new(Order::new(clock.clone(), Arc::new(Recorder::default())));
        let in_time = |seconds| {
            let since = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            let place = order.take(ChatId(Uuid::from_u128(1)), Arrival { at, since });
            place.check_in_time(place.id()).is_ok()
        };
        assert_eq!([0, 19, 21, 60].map(in_time), [true, true, false, false]);
        // Of a clock that is ahead, readers wait for longer.
        clock.observe(clock.tick(at.plus_seconds(5)));
        assert_eq!([24, 26].map(in_time), [true, false]);
    }

    #[test]
    fn what_is_repeated_at_a_new_place_is_as_old_as_it_was() {
        let at = Timestamp(1_750_000_000_000);
        let order = Arc::new(Order::new(Arc::new(HybridClock::new()), Arc::new(Recorder::default())));
        let place = order.take(ChatId(Uuid::from_u128(1)), Arrival::new(at));
        let from_before = |seconds: i64| place.check_in_time(HybridClock::new().event_id(at.plus_seconds(-seconds)));
        assert_eq!([0, 19, 21, 45].map(|seconds| from_before(seconds).is_ok()), [true, true, false, false]);
        assert!(was_held_up(&from_before(45).unwrap_err()));
        assert!(!was_held_up(&StoreError::unavailable("the store is away")) && !was_held_up(&StoreError::Blocked));
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<LiveEvent>>);

    impl Fanout for Told {
        fn publish(&self, events: Vec<LiveEvent>) {
            self.0.lock().unwrap().extend(events);
        }
    }

    #[test]
    fn nobody_hears_of_a_text_after_its_message_was_deleted() {
        let (ann, at) = (UserId(Uuid::from_u128(7)), Timestamp(1000));
        let chat = Chat {
            id: ChatId::of_pair(ann, ann),
            members: [ann, ann],
            created_at: at,
            watermarks: <[_; 2]>::default(),
            shown: <[_; 2]>::default(),
        };
        let edited = |message: MessageId| LiveEvent::Edited {
            chat: chat.clone(),
            message: Message {
                id: message,
                chat_id: chat.id,
                sender_id: ann,
                kind: MessageKind::Text,
                text: "late".into(),
                attachments: vec![],
                reply_to: None,
                client_message_id: None,
                edited_at: Some(at),
                deleted: false,
            },
        };
        let deleted = |message_id| LiveEvent::Deleted { chat: chat.clone(), message_id };
        let fanout = Arc::new(Told::default());
        let order = Arc::new(Order::new(Arc::new(HybridClock::new()), fanout.clone()));
        let [gone, other] = [1, 2].map(|number| MessageId(Uuid::from_u128(number)));
        let [before, deletion, waits, late, of_other] = [0; 5].map(|_| order.take(chat.id, Arrival::new(at)));
        // What is written before the deletion waits for it, or ends after it.
        waits.publish(edited(gone));
        before.publish(edited(gone));
        deletion.publish(deleted(gone));
        late.publish(edited(gone));
        of_other.publish(edited(other));
        assert_eq!(*fanout.0.lock().unwrap(), [edited(gone), deleted(gone), edited(other)]);
        assert!(order.lock().is_empty());
    }
}
