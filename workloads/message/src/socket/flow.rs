//! How many bytes wait for a client to read them.
//!
//! The server's buffer is counted in packets, and packets can be large: without this, a client that does not read
//! could make the process keep tens of megabytes for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes that may wait.
const MOST: u64 = 4 * 1024 * 1024;

/// The bytes handed to one transport, and those that left.
#[derive(Debug, Default)]
pub(super) struct Flow {
    queued: AtomicU64,
    gone: AtomicU64,
}

impl Flow {
    /// Whether so much waits that nothing may be added.
    pub fn is_full(&self) -> bool {
        let gone = self.gone.load(Ordering::Relaxed);
        self.queued.load(Ordering::Relaxed).saturating_sub(gone) > MOST
    }

    pub fn add(&self, bytes: usize) {
        self.queued.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes left, with some that were not counted as they came: frame headers, pings. Never more than came.
    pub fn went(&self, bytes: usize) {
        let gone = self.gone.load(Ordering::Relaxed).saturating_add(bytes as u64);
        self.gone.store(gone.min(self.queued.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// All left: the server flushes when nothing waits.
    pub fn all_went(&self) {
        self.gone.store(self.queued.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_bytes_that_never_came_do_not_count() {
        let flow = Flow::default();
        let most = usize::try_from(MOST).unwrap();
        flow.went(1000);
        flow.add(most);
        assert!(!flow.is_full());
        flow.add(1);
        assert!(flow.is_full());
        flow.went(1);
        assert!(!flow.is_full());
        flow.add(most);
        flow.all_went();
        assert!(!flow.is_full());
    }
}
