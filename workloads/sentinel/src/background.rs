//! A process' work in the background, and its end.

use std::time::Duration;

use sentinel_domain::background::vital;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The work in the background of one process. What still runs when this is dropped is broken off.
#[derive(Default)]
pub struct Background {
    stop: CancellationToken,
    work: JoinSet<()>,
}

impl Background {
    /// Tells work when the process stops.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs something until the process stops; it is dropped then.
    pub fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop();
        self.until_done(name, async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Runs something that heeds [`Self::stop`], until it is done by itself.
    pub fn until_done(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(vital(name, work));
    }

    /// Stops all work, and waits for as long as `farewell` until it has ended.
    pub async fn end(&mut self, farewell: Duration) {
        self.stop.cancel();
        let ended = async { while self.work.join_next().await.is_some() {} };
        if tokio::time::timeout(farewell, ended).await.is_err() {
            tracing::warn!("some work in the background did not end in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use tokio::time::{sleep, timeout};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(10);
    const LONG: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn work_that_must_be_done_is_done_before_the_end_and_the_rest_is_left() {
        let mut background = Background::default();
        background.spawn("what never ends", pending());
        let (stop, done) = (background.stop(), Arc::new(AtomicBool::new(false)));
        let tidies_up = {
            let done = done.clone();
            async move {
                stop.cancelled().await;
                sleep(SHORT).await;
                done.store(true, Ordering::Relaxed);
            }
        };
        background.until_done("what tidies up", tidies_up);
        sleep(SHORT).await;
        assert!(!done.load(Ordering::Relaxed), "nothing ends before it is told to");
        timeout(PATIENCE, background.end(LONG)).await.unwrap();
        assert!(done.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn work_that_does_not_end_holds_up_the_end_for_the_farewell_only() {
        let mut background = Background::default();
        background.until_done("what heeds nothing", pending());
        timeout(PATIENCE, background.end(SHORT)).await.unwrap();
    }
}
