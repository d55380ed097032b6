//! Work in the background on messages that are too old. Nobody sees them any more: reads leave them out, so nothing waits for
//! this.

use std::{sync::Arc, time::Duration};

use sentinel_adapters::cassandra::{Cassandra, Dropped};
use sentinel_domain::{ports::SearchIndex, retention::Horizon};
use tokio::time::{Interval, MissedTickBehavior};

/// How often the search index forgets.
const FORGOTTEN_EVERY: Duration = Duration::from_hours(1);
/// How often it is looked whether it is time to drop something.
const LOOKED_EVERY: Duration = Duration::from_mins(10);

/// Has the search index forget what is too old, again and again; any number of processes may. Ends when it is dropped.
pub async fn forget(index: Arc<dyn SearchIndex>, horizon: impl Fn() -> Horizon) {
    let mut ticks = every(FORGOTTEN_EVERY);
    loop {
        ticks.tick().await;
        let horizon = horizon();
        if horizon == Horizon::NONE {
            continue;
        }
        match index.forget_up_to(horizon.id()).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "the search index has forgotten what is too old"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the search index forgets what is too old later");
            }
        }
    }
}

/// Drops messages and files that are too old, again and again: of all processes that do this, one every six hours. Ends when
/// it is dropped.
pub async fn drop_messages(cassandra: Cassandra) {
    let mut ticks = every(LOOKED_EVERY);
    loop {
        ticks.tick().await;
        match cassandra.drop_expired().await {
            Ok(None) => {}
            Ok(Some(Dropped { partitions, files })) => tracing::info!(partitions, files, "what is too old was dropped"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what is too old is dropped later");
            }
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
