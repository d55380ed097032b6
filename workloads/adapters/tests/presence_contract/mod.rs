//! What every store of presence must do: one suite for all adapters.

use std::time::Duration;

use sentinel_domain::{
    event::Origin,
    ids::UserId,
    ports::{PresenceListener, PresenceStore},
    presence::PresenceStatus,
    time::Timestamp,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

struct Watcher(UnboundedSender<UserId>);

impl PresenceListener for Watcher {
    fn changed(&self, user: UserId) -> bool {
        self.0.send(user).is_ok()
    }

    fn interrupted(&self) -> bool {
        true
    }
}

/// The users whose aggregates change.
pub async fn watch(presence: &dyn PresenceStore) -> UnboundedReceiver<UserId> {
    let (told, changes) = unbounded_channel();
    presence.watch(Box::new(Watcher(told))).await;
    changes
}

/// The next of them.
pub async fn next(changes: &mut UnboundedReceiver<UserId>) -> UserId {
    timeout(PATIENCE, changes.recv()).await.expect("a change within the time").unwrap()
}

async fn of(presence: &dyn PresenceStore, user: UserId) -> (PresenceStatus, Option<i64>) {
    let found = presence.presence(&[user]).await.unwrap()[0];
    (found.status, found.last_active.map(|at| at.0))
}

pub async fn a_user_is_as_present_as_the_most_present_device_and_only_changes_are_told(
    presence: &dyn PresenceStore,
    ann: UserId,
) {
    let mut changes = watch(presence).await;
    let (phone, desk) = (Origin(1), Origin(u64::MAX));
    assert_eq!(of(presence, ann).await, (PresenceStatus::Offline, None));
    presence.touch(ann, phone, false, Timestamp(1_000)).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Away, None));
    presence.touch(ann, desk, true, Timestamp(2_000)).await.unwrap();
    presence.touch(ann, desk, true, Timestamp(3_000)).await.unwrap();
    presence.drop(ann, phone).await.unwrap();
    presence.renew(&[(ann, desk, true)]).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Online, Some(3_000)));
    presence.touch(ann, desk, false, Timestamp(4_000)).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Away, Some(3_000)));
    presence.drop(ann, desk).await.unwrap();
    presence.drop(ann, desk).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Offline, Some(3_000)));
    // Away, online, away, offline.
    for _ in 0..4 {
        assert_eq!(next(&mut changes).await, ann);
    }
    assert!(changes.is_empty());
}

/// `restarted` is what a process that starts anew sees.
pub async fn a_heartbeat_makes_a_user_online_and_outlives_the_process(
    presence: &dyn PresenceStore,
    restarted: &dyn PresenceStore,
    [ann, bob]: [UserId; 2],
) {
    let mut changes = watch(presence).await;
    let session = Origin(7);
    for at in [1_000, 1_500] {
        presence.heartbeat(ann, session, Timestamp(at)).await.unwrap();
        assert_eq!(of(presence, ann).await, (PresenceStatus::Online, Some(at)));
        assert_eq!(of(restarted, ann).await.1, Some(at), "it is not only in the memory of the process");
    }
    let both = presence.presence(&[bob, ann]).await.unwrap();
    assert_eq!((both[0].user_id, both[0].last_active), (bob, None));
    assert_eq!((both[1].user_id, both[1].last_active), (ann, Some(Timestamp(1_500))));
    presence.forget_device(ann, Origin(8)).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Online, Some(1_500)));
    presence.forget_device(ann, session).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Offline, Some(1_500)));
    presence.heartbeat(ann, session, Timestamp(1_600)).await.unwrap();
    presence.forget(ann).await.unwrap();
    assert_eq!(of(presence, ann).await, (PresenceStatus::Offline, None));
    // Online, offline, online; then what was forgotten.
    for _ in 0..4 {
        assert_eq!(next(&mut changes).await, ann);
    }
    assert!(changes.is_empty());
}
