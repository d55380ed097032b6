//! Lists of a chat's and an inbox's partitions. Each entry is written with the first row that a process writes to a
//! partition; what was written is remembered, so that later rows cost nothing.

use std::sync::{Mutex, PoisonError};

use hashlink::LruCache;
use uuid::Uuid;

/// Entries that are remembered; about 64 bytes each.
const REMEMBERED: usize = 65_536;

/// A chat or user, and the number of the partition.
pub(super) type Partition = (Uuid, i32);

/// Partitions that are known to be in their lists.
pub(super) struct Listed(Mutex<LruCache<Partition, ()>>);

impl Listed {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }

    pub(super) fn has(&self, partition: Partition) -> bool {
        self.lock().get(&partition).is_some()
    }

    pub(super) fn add(&self, partitions: &[Partition]) {
        if partitions.is_empty() {
            return;
        }
        let mut listed = self.lock();
        for partition in partitions {
            listed.insert(*partition, ());
        }
    }

    pub(super) fn forget(&self, partitions: &[Partition]) {
        let mut listed = self.lock();
        for partition in partitions {
            listed.remove(partition);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<Partition, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
