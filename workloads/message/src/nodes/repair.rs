//! Finds in inboxes what sockets here were not shown: after a gap, and after the bus was away.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use axum::http::StatusCode;
use futures::{StreamExt, stream};
use sentinel_domain::{
    background::vital,
    clock::Instant,
    event::InboxBody,
    ids::{EventId, UserId},
    place::{InboxPlace, SETTLING_SECONDS},
    time::Timestamp,
};
use sentinel_http::problem::Problem;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::timeout,
};

use super::{Key, Missed, MissedBody, MissedEvent};
use crate::{
    service::MessageService,
    socket::{Ending, Namespace, Session},
    sync,
};

/// How far before a loss events are looked for: writes take their time, and clocks differ.
const MARGIN_SECONDS: i64 = SETTLING_SECONDS + 5;
/// Losses that are noticed within this time are looked into together.
const GATHERED: Duration = Duration::from_millis(200);
/// How long to wait, at first, before inboxes are tried again that could not be read.
const RETRIED_AFTER: Duration = Duration::from_secs(2);
/// The same at most: it doubles from try to try.
const RETRIED_AT_LATEST: Duration = Duration::from_mins(1);
/// Inboxes that are read at once.
const AT_ONCE: usize = 16;
const PAGE: usize = 100;
/// Pages of one inbox. Whoever missed more is cut off, and syncs.
const PAGES: usize = 10;

/// Starts the task that repairs; send it the time of a loss. It stops when the service is gone.
pub(super) fn start(service: &Arc<MessageService>) -> UnboundedSender<Timestamp> {
    let (losses, noticed) = mpsc::unbounded_channel();
    tokio::spawn(vital("events that other nodes lost", run(Arc::downgrade(service), noticed)));
    losses
}

async fn run(service: Weak<MessageService>, mut noticed: UnboundedReceiver<Timestamp>) {
    let mut repairs = Repairs::default();
    loop {
        let mut since = match repairs.retried_after() {
            None => match noticed.recv().await {
                None => return,
                since => since,
            },
            Some(pause) => match timeout(pause, noticed.recv()).await {
                Ok(None) => return,
                Ok(since) => since,
                Err(_) => None,
            },
        };
        tokio::time::sleep(GATHERED).await;
        while let Ok(other) = noticed.try_recv() {
            since = Some(since.map_or(other, |since| since.min(other)));
        }
        let Some(service) = service.upgrade() else { return };
        repairs.round(&service, since).await;
    }
}

/// Which inboxes are still to be looked into, and how far others were.
#[derive(Default)]
struct Repairs {
    /// Users with what may have been lost since then.
    owed: HashMap<UserId, Timestamp>,
    looked: HashMap<UserId, Looked>,
    /// Rounds in a row after which some were left.
    failures: u32,
}

/// Sockets here have everything that was in an inbox between the two.
#[derive(Clone)]
struct Looked {
    since: EventId,
    next: InboxPlace,
}

impl Repairs {
    /// When to try again what could not be read, if there is such.
    fn retried_after(&self) -> Option<Duration> {
        let doubled = RETRIED_AFTER.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        (!self.owed.is_empty()).then_some(doubled.min(RETRIED_AT_LATEST))
    }

    /// Looks into the inboxes of all users here, if something may have been lost, and into those that could not be read.
    async fn round(&mut self, service: &Arc<MessageService>, since: Option<Timestamp>) {
        metrics::counter!("sentinel_inbox_repairs_total").increment(1);
        let here: HashSet<UserId> = service.hub.users().into_iter().collect();
        self.owed.retain(|user, _| here.contains(user));
        self.looked.retain(|user, _| here.contains(user));
        if let Some(since) = since {
            for user in here {
                let owed = self.owed.entry(user).or_insert(since);
                *owed = since.min(*owed);
            }
        }
        let outcomes: Vec<Outcome> = stream::iter(std::mem::take(&mut self.owed))
            .map(|(user, since)| repair(service, user, since, self.looked.get(&user).cloned()))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut code = "";
        for Outcome { user, since, looked } in outcomes {
            match looked {
                Ok(Some(looked)) => drop(self.looked.insert(user, looked)),
                Ok(None) => drop(self.looked.remove(&user)),
                Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    code = problem.code();
                    self.owed.insert(user, since);
                }
                // The client gets the same answer when it syncs: reading it over and over helps nobody.
                Err(problem) => tracing::error!(%user, code = problem.code(), "an inbox can't be read"),
            }
        }
        if self.owed.is_empty() {
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
            tracing::warn!(users = self.owed.len(), code, "inboxes could not be read; they are tried again");
        }
    }
}

/// What came of a look into an inbox.
struct Outcome {
    user: UserId,
    since: Timestamp,
    looked: Result<Option<Looked>, Problem>,
}

async fn repair(service: &Arc<MessageService>, user: UserId, since: Timestamp, looked: Option<Looked>) -> Outcome {
    Outcome { user, since, looked: repair_one(service, user, since, looked).await }
}

/// Shows the sockets of a user what they lack; gives how far that goes, unless nobody is there any more.
async fn repair_one(
    service: &Arc<MessageService>,
    user: UserId,
    since: Timestamp,
    looked: Option<Looked>,
) -> Result<Option<Looked>, Problem> {
    let mut sockets = service.hub.sockets_of(user);
    sockets.retain(|session| session.namespace() == Namespace::Chat);
    if sockets.is_empty() {
        return Ok(None);
    }
    let since = before(since);
    let looked = looked.filter(|looked| looked.since <= since);
    let mut place = begin(since, told(&sockets), looked.as_ref());
    let since = looked.filter(|looked| looked.next.up_to() >= since).map_or(since, |looked| looked.since);
    let mut chats = HashMap::new();
    for _ in 0..PAGES {
        let inbox = service.inboxes.inbox(user, Some(place), PAGE).await?;
        let mut events = Vec::with_capacity(inbox.events.len());
        for event in &inbox.events {
            let body = if let InboxBody::Receipt { chat_id, user_id, watermarks } = event.body {
                MissedBody::Receipt(chat_id, user_id, watermarks)
            } else {
                let Some(described) = sync::describe(service, user, &mut chats, event).await? else { continue };
                MissedBody::Other { key: Key::of_inbox(&event.body), event: described.event, payload: described.data }
            };
            events.push(MissedEvent { id: event.id, body });
        }
        if !events.is_empty() {
            service.hub.show_missed(Missed { user, events });
        }
        place = inbox.next;
        if !inbox.more {
            return Ok(Some(Looked { since, next: place }));
        }
    }
    for session in service.hub.sockets_of(user) {
        session.end(&service.hub, Ending::SlowConsumer);
    }
    Ok(None)
}

/// From where on clients have to be shown what they lack: the first of the places from which they were told to sync;
/// `None` when one was told none.
fn told(sockets: &[Arc<Session>]) -> Option<&InboxPlace> {
    let places: Option<Vec<&InboxPlace>> = sockets.iter().map(|session| session.syncs_from()).collect();
    places?.into_iter().min_by_key(|place| place.up_to())
}

/// Where to begin: at the loss, or later when the clients were told later where to sync from, or when this was looked into
/// before.
fn begin(since: EventId, told: Option<&InboxPlace>, looked: Option<&Looked>) -> InboxPlace {
    let later = told.into_iter().chain(looked.map(|looked| &looked.next)).filter(|place| place.up_to() > since);
    later.max_by_key(|place| place.up_to()).cloned().unwrap_or_else(|| since.into())
}

/// An id before whatever may have been lost since then.
fn before(since: Timestamp) -> EventId {
    let millis = since.plus_seconds(-MARGIN_SECONDS).0.max(0);
    EventId(Instant { millis: millis.cast_unsigned(), counter: 0 }.id(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seconds: u64) -> InboxPlace {
        EventId(Instant { millis: seconds * 1000, counter: 0 }.id(0)).into()
    }

    #[test]
    fn events_are_looked_for_from_before_the_loss() {
        assert_eq!(before(Timestamp(1_000_000)).timestamp(), Timestamp(1_000_000 - MARGIN_SECONDS * 1000));
        assert_eq!(before(Timestamp(3)).timestamp(), Timestamp(0));
    }

    #[test]
    fn nothing_is_looked_for_again_and_nothing_that_no_client_lacks() {
        let since = place(100).up_to();
        let looked = |to| Looked { since, next: place(to) };
        assert_eq!(begin(since, None, None), place(100));
        // While the bus is away, the same loss is looked into every some seconds.
        assert_eq!(begin(since, None, Some(&looked(250))), place(250));
        // The clients came after it.
        assert_eq!(begin(since, Some(&place(300)), Some(&looked(250))), place(300));
        assert_eq!(begin(since, Some(&place(200)), Some(&looked(250))), place(250));
        // A loss after all that.
        assert_eq!(begin(place(400).up_to(), Some(&place(300)), Some(&looked(250))), place(400));
    }

    #[test]
    fn what_can_not_be_read_is_tried_again_more_and_more_seldom() {
        let mut repairs = Repairs::default();
        assert_eq!(repairs.retried_after(), None);
        repairs.owed.insert(UserId(uuid::Uuid::nil()), Timestamp(0));
        let pauses: Vec<u64> = (1..=7)
            .map(|failures| {
                repairs.failures = failures;
                repairs.retried_after().unwrap().as_secs()
            })
            .collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
    }
}
