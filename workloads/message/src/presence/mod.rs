//! Presence of the users whose sockets are here, and of those whom these sockets watch.
//!
//! A socket of `/chat` is a device. What it does goes into [`Devices`], and one task tells the store: no event waits for
//! that. A socket may watch some users; another task looks at those whose aggregate changed and tells their watchers
//! what is new to them. What is known of a user costs nobody but the watchers of that user. A third task notices when
//! another process ends with all its devices.

mod beats;
mod devices;
mod failure_detector;
mod keeper;
mod pushes;
mod subscriptions;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Instant,
};

use axum::http::StatusCode;
use futures::{StreamExt, stream};
use sentinel_domain::{
    background::vital,
    ids::UserId,
    ports::{PresenceListener, PresenceStore},
    presence::{Presence, PresenceStatus},
};
use sentinel_http::{
    problem::{Code, Problem},
    rate::{Action, RateLimits},
};
use tokio::sync::{
    Notify,
    mpsc::{self, UnboundedSender},
};

use self::{devices::Devices, pushes::News, subscriptions::Subscriptions};
use crate::{
    accounts::Accounts,
    hub::Hub,
    socket::{Namespace, Session},
};

/// Users that one socket may watch.
const WATCHED_USERS: usize = 200;
/// Blocks that are looked up at once.
const LOOKUPS_AT_ONCE: usize = 16;

/// Devices here, and who watches whom.
pub(crate) struct Presences {
    store: Arc<dyn PresenceStore>,
    accounts: Arc<Accounts>,
    limits: Arc<RateLimits>,
    hub: Weak<Hub>,
    devices: Arc<Mutex<Devices>>,
    to_tell: Arc<Notify>,
    subscriptions: Mutex<Subscriptions<Arc<Session>>>,
    news: UnboundedSender<News>,
}

impl Presences {
    /// Starts the tasks, which end when this is gone, and tells the hub.
    pub fn start(
        store: Arc<dyn PresenceStore>,
        accounts: Arc<Accounts>,
        limits: Arc<RateLimits>,
        hub: &Arc<Hub>,
    ) -> Arc<Self> {
        let (news, to_show) = mpsc::unbounded_channel();
        let presences = Arc::new(Self {
            store,
            accounts,
            limits,
            hub: Arc::downgrade(hub),
            devices: Arc::default(),
            to_tell: Arc::default(),
            subscriptions: Mutex::default(),
            news,
        });
        hub.tell_presences(&presences);
        let (devices, store) = (Arc::downgrade(&presences.devices), presences.store.clone());
        tokio::spawn(vital("presence kept", keeper::run(devices, store, presences.to_tell.clone())));
        tokio::spawn(vital("presence shown", pushes::run(Arc::downgrade(&presences), to_show)));
        tokio::spawn(vital("heartbeats of presence", beats::run(Arc::downgrade(&presences))));
        let (store, listener) = (presences.store.clone(), Listener(Arc::downgrade(&presences)));
        tokio::spawn(async move { store.watch(Box::new(listener)).await });
        presences
    }

    fn devices(&self) -> MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions<Arc<Session>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket is there, and somebody is at it.
    pub fn connected(&self, session: &Session) {
        self.devices().connected(session.user_id, session.origin, Instant::now());
        if session.has_ended() {
            // It went while it came.
            self.devices().left(session.origin, Instant::now());
        }
        self.to_tell.notify_one();
    }

    /// Somebody did something on a socket.
    pub fn used(&self, session: &Session) {
        if self.devices().used(session.origin, Instant::now()) {
            self.to_tell.notify_one();
        }
    }

    /// Nobody is at a socket that stays connected.
    pub fn idle(&self, session: &Session) {
        if self.devices().idle(session.origin) {
            self.to_tell.notify_one();
        }
    }

    /// A socket is gone.
    pub fn left(&self, session: &Session) {
        if session.namespace() == Namespace::Chat {
            self.devices().left(session.origin, Instant::now());
            self.subscriptions().leave(session.origin);
        }
    }

    /// The presence of these users now; from now on the socket hears of changes. Users that do not exist, and those
    /// between whom and the caller there is a block, look as if they had never been there.
    pub async fn subscribe(&self, session: &Arc<Session>, users: Vec<UserId>) -> Result<Vec<Presence>, Problem> {
        let users = distinct(users);
        let added = self.subscriptions().add(session.origin, session, &users, WATCHED_USERS).ok_or_else(|| {
            let detail =
                format!("a socket can watch at most {WATCHED_USERS} users: unsubscribe from those that are not shown");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::TooManySubscriptions, detail)
        })?;
        let found = match self.look_up(session.user_id, &users).await {
            Ok(found) => found,
            Err(problem) => {
                self.subscriptions().remove(session.origin, &added);
                return Err(problem);
            }
        };
        let seen: Vec<Presence> = stream::iter(found)
            .map(|presence| self.as_seen_by(session.user_id, presence))
            .buffered(LOOKUPS_AT_ONCE)
            .collect()
            .await;
        let mut subscriptions = self.subscriptions();
        for presence in &seen {
            if subscriptions.begin(session.origin, presence.user_id, presence.status) {
                // It changed while it was read, or a block did: then the aggregate is what is shown, and still to be hidden.
                self.tell(News::BlockChanged(presence.user_id));
            }
        }
        if session.has_ended() {
            subscriptions.leave(session.origin);
        }
        drop(subscriptions);
        Ok(seen)
    }

    /// Each of them counts, also those who are watched already: reading them is what costs.
    async fn look_up(&self, watcher: UserId, users: &[UserId]) -> Result<Vec<Presence>, Problem> {
        if let Some(count) = u32::try_from(users.len()).ok().filter(|count| *count > 0) {
            self.limits.check_costly(Action::Presence, &watcher.to_string(), count)?;
        }
        Ok(self.store.presence(users).await?)
    }

    /// The socket hears no more of these users.
    pub fn unsubscribe(&self, session: &Session, users: &[UserId]) {
        self.subscriptions().remove(session.origin, users);
    }

    /// A user blocked another, or took that back.
    pub fn block_changed(&self, between: [UserId; 2]) {
        for user in between {
            if self.subscriptions().is_watched(user) {
                self.tell(News::BlockChanged(user));
            }
        }
    }

    async fn as_seen_by(&self, watcher: UserId, presence: Presence) -> Presence {
        let user_id = presence.user_id;
        if watcher != user_id && self.accounts.blocked_between(watcher, user_id).await {
            return Presence { user_id, status: PresenceStatus::Offline, last_active: None };
        }
        presence
    }

    fn tell(&self, news: News) {
        // The task is there as long as this is.
        let _ = self.news.send(news);
    }
}

/// Hears of changes of the aggregates of all users, and passes on those of users who are watched here.
struct Listener(Weak<Presences>);

impl PresenceListener for Listener {
    fn changed(&self, user: UserId) -> bool {
        let Some(presences) = self.0.upgrade() else { return false };
        if presences.subscriptions().is_watched(user) {
            presences.tell(News::Changed(user));
        }
        true
    }

    fn interrupted(&self) -> bool {
        let Some(presences) = self.0.upgrade() else { return false };
        presences.tell(News::Interrupted);
        true
    }
}

/// Where the hub finds presence, if there is any.
pub(crate) type Slot = OnceLock<Weak<Presences>>;

/// Each once, in their order.
fn distinct(mut users: Vec<UserId>) -> Vec<UserId> {
    let mut seen = std::collections::HashSet::with_capacity(users.len());
    users.retain(|user| seen.insert(*user));
    users
}
