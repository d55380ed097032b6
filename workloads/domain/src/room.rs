//! Whether a store has room for more: noted by whoever writes, told by whoever is asked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether the volume of a store takes more. Clones tell of the same store.
#[derive(Clone, Debug, Default)]
pub struct Room(Arc<AtomicBool>);

impl Room {
    /// A write was refused because the volume is full; tells whether that is news.
    pub fn ran_out(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// A write of some size went through; tells whether that is news.
    pub fn is_back(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let room = Room::default();
        let told = room.clone();
        assert!(!room.is_back() && !told.is_full());
        assert!(room.ran_out() && !room.ran_out() && told.is_full());
        assert!(room.is_back() && !room.is_back() && !told.is_full());
    }
}
