//! The task that tells the store of the devices here and renews their leases.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use sentinel_domain::{
    ports::{PresenceStore, StoreError},
    time::Timestamp,
};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    devices::{Change, Devices, Lease},
    failure_detector::BEAT,
};

/// How often is looked for what came due by time.
const TICK: Duration = Duration::from_secs(1);
/// Calls of the store that are under way at once.
const AT_ONCE: usize = 32;
/// Leases that one call renews; there is one such call at a time.
const LEASES: usize = 1000;
/// How long a call may take: it keeps others from theirs.
const LIMIT: Duration = Duration::from_secs(3);

/// What the store is told.
enum Call {
    Change(Change),
    Renew(Vec<Lease>),
}

/// Why to look for what there is to tell.
enum Wake {
    Due,
    Tick,
    /// What the store was told, and whether it heard that.
    Done(Call, bool),
}

/// Runs until the devices are gone. No call waits for another, unless both are of one device.
pub(super) async fn run(devices: Weak<Mutex<Devices>>, store: Arc<dyn PresenceStore>, to_tell: Arc<Notify>) {
    let renewed_every = Duration::from_secs(store.lease_seconds().into()) / 3;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = FuturesUnordered::new();
    let mut renewing = false;
    let mut failed: Option<Instant> = None;
    loop {
        let wake = tokio::select! {
            () = to_tell.notified() => Wake::Due,
            _ = ticks.tick() => Wake::Tick,
            Some((call, heard)) = calls.next() => Wake::Done(call, heard),
        };
        let Some(devices) = devices.upgrade() else { return };
        let mut devices = devices.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let renews = match wake {
            Wake::Due => false,
            Wake::Tick => {
                devices.look(now);
                !renewing && failed.is_none_or(|at| now.duration_since(at) >= BEAT)
            }
            Wake::Done(Call::Change(change), heard) => {
                devices.done(change.device(), heard);
                false
            }
            Wake::Done(Call::Renew(leases), heard) => {
                renewing = false;
                failed = (!heard).then_some(now);
                for (_, device, _) in leases {
                    devices.done(device, true);
                    if !heard {
                        devices.owe_lease(device);
                    }
                }
                heard
            }
        };
        let changes = devices.take(now, AT_ONCE.saturating_sub(calls.len()));
        calls.extend(changes.into_iter().map(|change| call(store.clone(), Call::Change(change))));
        if renews {
            let leases = devices.take_leases(now, renewed_every, LEASES);
            renewing = !leases.is_empty();
            if renewing {
                calls.push(call(store.clone(), Call::Renew(leases)));
            }
        }
    }
}

/// Tells the store; gives what it was, and whether the store heard it.
async fn call(store: Arc<dyn PresenceStore>, call: Call) -> (Call, bool) {
    let told = timeout(LIMIT, async {
        match &call {
            Call::Change(Change::Touch(user, device, in_use)) => {
                store.touch(*user, *device, *in_use, Timestamp::now()).await
            }
            Call::Change(Change::Drop(user, device)) => PresenceStore::drop(store.as_ref(), *user, *device).await,
            Call::Renew(leases) => store.renew(leases).await,
        }
    });
    let told = told.await.unwrap_or_else(|late| Err(StoreError::unavailable(late)));
    if let Err(error) = &told {
        let error = error as &dyn std::error::Error;
        match call {
            Call::Change(_) => tracing::debug!(error, "presence is told later"),
            Call::Renew(_) => tracing::warn!(error, "leases of devices are not renewed"),
        }
    }
    (call, told.is_ok())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use sentinel_domain::{
        event::Origin,
        ids::UserId,
        nodes::NodeId,
        ports::{PresenceListener, RollCall},
        presence::Presence,
    };
    use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
    use uuid::Uuid;

    use super::*;

    const SLOW: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));

    /// Never done with what it is told of one user.
    struct Stuck {
        told: UnboundedSender<(UserId, Origin)>,
    }

    #[async_trait]
    impl PresenceStore for Stuck {
        fn lease_seconds(&self) -> u32 {
            45
        }
        async fn touch(&self, user: UserId, device: Origin, _: bool, _: Timestamp) -> Result<(), StoreError> {
            self.told.send((user, device)).unwrap();
            if user == SLOW {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
        async fn heartbeat(&self, _: UserId, _: Origin, _: Timestamp) -> Result<(), StoreError> {
            unreachable!("nobody asks over HTTP")
        }
        async fn renew(&self, _: &[Lease]) -> Result<(), StoreError> {
            Ok(())
        }
        async fn drop(&self, _: UserId, _: Origin) -> Result<(), StoreError> {
            Ok(())
        }
        async fn forget_device(&self, _: UserId, _: Origin) -> Result<(), StoreError> {
            unreachable!("nobody asks over HTTP")
        }
        async fn beat(&self) -> Result<Option<RollCall>, StoreError> {
            Ok(None)
        }
        async fn mark_gone(&self, _: &[NodeId]) -> Result<(), StoreError> {
            Ok(())
        }
        async fn presence(&self, _: &[UserId]) -> Result<Vec<Presence>, StoreError> {
            Ok(Vec::new())
        }
        async fn forget(&self, _: UserId) -> Result<(), StoreError> {
            Ok(())
        }
        async fn watch(&self, _: Box<dyn PresenceListener>) {}
    }

    async fn next(told: &mut UnboundedReceiver<(UserId, Origin)>) -> (UserId, Origin) {
        told.recv().await.unwrap()
    }

    #[tokio::test]
    async fn others_do_not_wait_for_a_slow_call_and_it_is_made_again() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let (devices, to_tell) = (Arc::new(Mutex::new(Devices::default())), Arc::new(Notify::new()));
        let keeper = tokio::spawn(run(Arc::downgrade(&devices), Arc::new(Stuck { told }), to_tell.clone()));
        let connect = |user, device| {
            devices.lock().unwrap().connected(user, device, Instant::now());
            to_tell.notify_one();
        };
        connect(SLOW, Origin(1));
        assert_eq!(next(&mut heard).await, (SLOW, Origin(1)));
        let began = Instant::now();
        for device in 2..100 {
            connect(BOB, Origin(device));
            assert_eq!(next(&mut heard).await, (BOB, Origin(device)));
        }
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        assert_eq!(next(&mut heard).await, (SLOW, Origin(1)));
        assert!(began.elapsed() < LIMIT * 3, "{:?}", began.elapsed());
        drop(devices);
        keeper.await.unwrap();
    }
}
