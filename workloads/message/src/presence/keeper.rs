//! The task that tells the store of the devices here and renews their leases.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use sentinel_domain::{ports::PresenceStore, time::Timestamp};
use tokio::sync::Notify;

use super::{Presences, devices::Change};

/// How often is looked for what came due by time.
const TICK: Duration = Duration::from_secs(1);
/// Changes that are on their way to the store at once.
const AT_ONCE: usize = 32;

/// Runs until the presences are gone.
pub(super) async fn run(presences: Weak<Presences>, to_tell: Arc<Notify>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut renewed = Instant::now();
    loop {
        let by_time = tokio::select! {
            () = to_tell.notified() => false,
            _ = ticks.tick() => true,
        };
        let Some(presences) = presences.upgrade() else { return };
        let now = Instant::now();
        let changes = {
            let mut devices = presences.devices();
            if by_time {
                devices.look(now);
            }
            devices.take(now)
        };
        stream::iter(changes).for_each_concurrent(AT_ONCE, |change| tell(&presences, change)).await;
        let lease = Duration::from_secs(presences.store.lease_seconds().into());
        if now.duration_since(renewed) >= lease / 3 {
            // After a failure the next round comes early enough.
            renewed = now;
            let devices = presences.devices().renewed();
            if !devices.is_empty()
                && let Err(error) = presences.store.renew(&devices).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "leases of devices are not renewed");
            }
        }
    }
}

async fn tell(presences: &Presences, change: Change) {
    let (device, told) = match change {
        Change::Touch(user, device, in_use) => {
            (device, presences.store.touch(user, device, in_use, Timestamp::now()).await)
        }
        Change::Drop(user, device) => (device, PresenceStore::drop(presences.store.as_ref(), user, device).await),
    };
    if let Err(error) = told {
        tracing::debug!(error = &error as &dyn std::error::Error, "presence is told later");
        presences.devices().untold(device);
    }
}
