//! The task that shows changes to those who watch.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use futures::{StreamExt, stream};
use sentinel_domain::{ids::UserId, presence::Presence};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep, timeout_at},
};

use super::{LOOKUPS_AT_ONCE, Presences, failure_detector::BEAT, subscriptions::Shown};
use crate::{dispatcher, socket::Session, views::PresenceView};

/// How long changes are gathered: what flickers is looked at once.
const GATHERED_FOR: Duration = Duration::from_millis(100);
/// How long it takes until every process has told the store anew of its devices, or has heard whose count no more.
const SETTLED_AFTER: Duration = BEAT.saturating_mul(2);
/// Users that are looked at in one go.
const BATCH: usize = 1000;
/// Users of these who are shown at once: none waits for what is asked about another's watchers.
const SHOWN_AT_ONCE: usize = 8;

/// Why to look at users.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// The aggregate of this one may be another.
    Changed(UserId),
    /// Somebody whom this one concerns may see more or less of it now.
    BlockChanged(UserId),
    /// Changes may have gone unheard, and the store may have lost devices.
    Interrupted,
    /// A process is gone with its devices, or is back.
    NodesChanged,
}

/// Who is to be looked at.
#[derive(Default)]
struct Gathered {
    /// Users, and whether their watchers' blocks are to be looked at even if the aggregate is as it was shown.
    users: HashMap<UserId, bool>,
    all: bool,
    /// Whether all are to be looked at once everything has settled.
    all_later: bool,
}

impl Gathered {
    fn add(&mut self, news: News) {
        match news {
            News::Changed(user) => drop(self.users.entry(user).or_default()),
            News::BlockChanged(user) => drop(self.users.insert(user, true)),
            News::Interrupted => self.all_later = true,
            News::NodesChanged => (self.all, self.all_later) = (true, true),
        }
    }
}

/// Runs until the presences are gone. The end of a lease is no news, so all who are watched are looked at twice in the
/// time of a lease.
pub(super) async fn run(presences: Weak<Presences>, mut news: UnboundedReceiver<News>) {
    let mut look_around = Instant::now();
    loop {
        let mut gathered = Gathered::default();
        match timeout_at(look_around, news.recv()).await {
            Ok(None) => return,
            Ok(Some(first)) => {
                gathered.add(first);
                sleep(GATHERED_FOR).await;
                while let Ok(more) = news.try_recv() {
                    gathered.add(more);
                }
            }
            Err(_) => gathered.all = true,
        }
        let Some(presences) = presences.upgrade() else { return };
        if gathered.all {
            let lease = Duration::from_secs(presences.store.lease_seconds().into());
            look_around = Instant::now() + lease / 2;
            for user in presences.subscriptions().watched_users() {
                gathered.users.entry(user).or_default();
            }
        }
        if gathered.all_later {
            look_around = Instant::now() + SETTLED_AFTER;
        }
        let users: Vec<UserId> = gathered.users.keys().copied().collect();
        for users in users.chunks(BATCH) {
            match presences.store.presence(users).await {
                Ok(found) => {
                    let shown = stream::iter(found).for_each_concurrent(SHOWN_AT_ONCE, |presence| {
                        let blocks_too = gathered.users.get(&presence.user_id).is_some_and(|too| *too);
                        show(&presences, presence, blocks_too)
                    });
                    shown.await;
                }
                // They are looked at again before long.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "changes of presence come late");
                }
            }
        }
    }
}

/// Shows a user to those to whom that is new.
async fn show(presences: &Presences, presence: Presence, blocks_too: bool) {
    let mut watchers = presences.subscriptions().watchers_of(presence.user_id);
    watchers.retain(|(_, _, shown)| blocks_too || *shown != Shown::Status(presence.status));
    let who: HashSet<UserId> = watchers.iter().map(|(_, session, _)| session.user_id).collect();
    let seen: HashMap<UserId, Presence> = stream::iter(who)
        .map(|watcher| async move { (watcher, presences.as_seen_by(watcher, presence).await) })
        .buffer_unordered(LOOKUPS_AT_ONCE)
        .collect()
        .await;
    for (socket, session, _) in watchers {
        let Some(seen) = seen.get(&session.user_id) else { continue };
        if presences.subscriptions().show(socket, presence.user_id, seen.status) {
            emit(presences, &session, seen);
        }
    }
}

fn emit(presences: &Presences, session: &Arc<Session>, presence: &Presence) {
    if let Some((hub, payload)) = presences.hub.upgrade().zip(dispatcher::raw(&PresenceView::from(*presence))) {
        session.emit(&hub, "presence", &payload);
        metrics::counter!("sentinel_presence_shown_total").increment(1);
    }
}
