//! Closing all sockets before the process stops.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Ending;
use crate::service::MessageService;

/// How often some sockets are closed.
const STEP: Duration = Duration::from_millis(50);
/// Time after the window for sockets that joined while it ran.
const REST: Duration = Duration::from_secs(2);

impl MessageService {
    /// Refuses new sockets and closes all there are, spread evenly over `window` so that clients do not all come back
    /// at once. Their transports break, which makes stock clients reconnect; a namespace disconnect would not.
    pub async fn drain(self: &Arc<Self>, window: Duration) {
        self.connections.stop_accepting();
        let start = Instant::now();
        let mut open = self.hub.all();
        let total = open.len();
        let steps = u32::try_from((window.as_millis() / STEP.as_millis()).max(1)).unwrap_or(u32::MAX);
        for step in 1..=steps {
            // What must be left after this step, rounded so that the last one leaves nothing.
            let left = total * ((steps - step) as usize) / (steps as usize);
            for session in open.drain(left.min(open.len())..) {
                session.end(&self.hub, Ending::Drained);
            }
            if open.is_empty() {
                break;
            }
            sleep_until(start + STEP * step).await;
        }
        let deadline = Instant::now() + REST;
        loop {
            for session in self.hub.all() {
                session.end(&self.hub, Ending::Drained);
            }
            self.connections.cut_all();
            if self.connections.is_empty() || Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    }
}
