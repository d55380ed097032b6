//! Finds in inboxes what sockets here were not shown: after a gap, and after the bus was away.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::{StreamExt, stream};
use sentinel_domain::{
    clock::Instant,
    event::InboxBody,
    ids::{EventId, UserId},
    place::{InboxPlace, SETTLING_SECONDS},
    time::Timestamp,
};
use sentinel_http::problem::Problem;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::{Key, Missed, MissedEvent};
use crate::{live, service::MessageService, socket::Ending, sync};

/// How far before a loss events are looked for: writes take their time, and clocks differ.
const MARGIN_SECONDS: i64 = SETTLING_SECONDS + 5;
/// Losses that are noticed within this time are looked into together.
const GATHERED: Duration = Duration::from_millis(200);
/// How long to wait when the store is away too.
const RETRIED_AFTER: Duration = Duration::from_secs(2);
/// Inboxes that are read at once.
const AT_ONCE: usize = 16;
const PAGE: usize = 100;
/// Pages of one inbox. Whoever missed more is cut off, and syncs.
const PAGES: usize = 10;

/// Starts the task that repairs; send it the time of a loss. It stops when the service is gone.
pub(super) fn start(service: &Arc<MessageService>) -> UnboundedSender<Timestamp> {
    let (losses, noticed) = mpsc::unbounded_channel();
    tokio::spawn(run(Arc::downgrade(service), noticed));
    losses
}

async fn run(service: Weak<MessageService>, mut noticed: UnboundedReceiver<Timestamp>) {
    while let Some(mut since) = noticed.recv().await {
        loop {
            tokio::time::sleep(GATHERED).await;
            while let Ok(other) = noticed.try_recv() {
                since = since.min(other);
            }
            let Some(service) = service.upgrade() else { return };
            metrics::counter!("inbox_repairs_total").increment(1);
            if repair(&service, since).await {
                break;
            }
            drop(service);
            tokio::time::sleep(RETRIED_AFTER).await;
        }
    }
}

/// Looks into the inboxes of all users here; tells whether all could be read.
async fn repair(service: &Arc<MessageService>, since: Timestamp) -> bool {
    let users = service.hub.users();
    let failed: Vec<Problem> = stream::iter(users)
        .map(|user| repair_one(service, user, since))
        .buffer_unordered(AT_ONCE)
        .filter_map(|done| std::future::ready(done.err()))
        .collect()
        .await;
    if let Some(problem) = failed.first() {
        tracing::warn!(users = failed.len(), code = problem.code(), "inboxes could not be read; they are tried again");
    }
    failed.is_empty()
}

async fn repair_one(service: &Arc<MessageService>, user: UserId, since: Timestamp) -> Result<(), Problem> {
    let mut place = place_before(since);
    let mut chats = HashMap::new();
    for _ in 0..PAGES {
        let inbox = service.chats.inbox(user, Some(place), PAGE).await?;
        let mut events = Vec::with_capacity(inbox.events.len());
        for event in &inbox.events {
            let Some(described) = sync::describe(service, user, &mut chats, event).await? else { continue };
            let mut shown = vec![(described.event, described.data)];
            shown.extend(seed_receipt(user, &event.body));
            events.push(MissedEvent { key: Key::of_inbox(&event.body), id: event.id, shown });
        }
        if !events.is_empty() {
            service.hub.show_missed(Missed { user, events });
        }
        if !inbox.more {
            return Ok(());
        }
        place = inbox.next;
    }
    for session in service.hub.sockets_of(user) {
        session.end(&service.hub, Ending::SlowConsumer);
    }
    Ok(())
}

/// What clients of the seed get along with a peer's receipt.
fn seed_receipt(user: UserId, body: &InboxBody) -> Option<(&'static str, Box<serde_json::value::RawValue>)> {
    match body {
        InboxBody::Receipt { chat_id, user_id, watermarks } if *user_id != user => {
            Some(("message_received", live::received(*chat_id, *user_id, watermarks.delivered_up_to)?))
        }
        _ => None,
    }
}

/// A place before whatever may have been lost since then.
fn place_before(since: Timestamp) -> InboxPlace {
    let millis = since.plus_seconds(-MARGIN_SECONDS).0.max(0);
    EventId(Instant { millis: millis.cast_unsigned(), counter: 0 }.id(0)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_looked_for_from_before_the_loss() {
        let place = place_before(Timestamp(1_000_000));
        assert_eq!(place.up_to().timestamp(), Timestamp(1_000_000 - MARGIN_SECONDS * 1000));
        assert_eq!(place_before(Timestamp(3)).up_to().timestamp(), Timestamp(0));
    }
}
