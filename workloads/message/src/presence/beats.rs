//! The task that lets other processes know that this one lives, and that finds out which of them do not.

use std::{collections::HashSet, sync::Weak, time::Instant};

use sentinel_domain::{
    nodes::NodeId,
    ports::{RollCall, StoreError},
    time::Timestamp,
};
use tokio::time::MissedTickBehavior;

use super::{
    Presences,
    failure_detector::{BEAT, FailureDetector, NOTICED_AFTER},
    pushes::News,
};

/// Runs until the presences are gone; ends at once when no other process can have devices.
pub(super) async fn run(presences: Weak<Presences>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = Beats::default();
    loop {
        ticks.tick().await;
        let Some(presences) = presences.upgrade() else { return };
        match presences.store.beat().await {
            Ok(None) => return,
            Ok(Some(roll)) => {
                if let Err(error) = beats.heard(&presences, roll).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "presence of lost processes comes late");
                }
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "others do not hear of this process");
                beats.detector.interrupted();
                beats.owes_leases = true;
            }
        }
    }
}

#[derive(Default)]
struct Beats {
    detector: FailureDetector,
    gone: HashSet<NodeId>,
    /// The store may have lost the leases of the devices here.
    owes_leases: bool,
}

impl Beats {
    async fn heard(&mut self, presences: &Presences, roll: RollCall) -> Result<(), StoreError> {
        if !roll.was_known || self.owes_leases {
            presences.devices().owe_leases();
            self.owes_leases = false;
        }
        let lost = self.detector.hear(&roll, Instant::now());
        if !lost.is_empty() {
            tracing::info!(?lost, "processes are gone with their devices");
            presences.store.mark_gone(&lost).await?;
        }
        let gone: HashSet<NodeId> = roll.gone.into_iter().chain(lost).collect();
        if gone != self.gone {
            if !gone.is_subset(&self.gone)
                && let Some(hub) = presences.hub.upgrade()
            {
                // What they acknowledged and did not send yet, nobody else will send.
                let seconds = i64::try_from(NOTICED_AFTER.as_secs()).unwrap_or(i64::MAX);
                hub.look_into_inboxes(Timestamp::now().plus_seconds(-seconds));
            }
            self.gone = gone;
            presences.tell(News::NodesChanged);
        }
        Ok(())
    }
}
