//! The devices of this process: what the store was told of each, and what it has yet to be told.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use sentinel_domain::{event::Origin, ids::UserId};

/// How long a device that went still counts, so that others do not hear of a client that comes back at once.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How long a device counts as in use after the last sign of that.
const IN_USE_FOR: Duration = Duration::from_mins(5);
/// How often at most the store is told that a device is still in use.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// What the store has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A device is connected, and in use or not.
    Touch(UserId, Origin, bool),
    /// A device is gone.
    Drop(UserId, Origin),
}

#[derive(Debug)]
struct Device {
    user: UserId,
    /// The last sign of use; `None` when the client says that nobody is there.
    used: Option<Instant>,
    /// What the store was told last, and when.
    told: Option<(bool, Instant)>,
    /// Until when it counts although it went.
    gone_at: Option<Instant>,
}

impl Device {
    fn in_use(&self, now: Instant) -> bool {
        self.used.is_some_and(|used| now.duration_since(used) < IN_USE_FOR)
    }
}

/// The devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: HashMap<Origin, Device>,
    due: HashSet<Origin>,
}

impl Devices {
    /// A device is there and in use.
    pub fn connected(&mut self, user: UserId, device: Origin, now: Instant) {
        self.known.insert(device, Device { user, used: Some(now), told: None, gone_at: None });
        self.due.insert(device);
    }

    /// A device is in use; tells whether the store should hear of it.
    pub fn used(&mut self, device: Origin, now: Instant) -> bool {
        let Some(known) = self.known.get_mut(&device) else { return false };
        known.used = Some(now);
        let fresh = known.told.is_some_and(|(in_use, at)| in_use && now.duration_since(at) < TOLD_AGAIN_AFTER);
        !fresh && self.due.insert(device)
    }

    /// A device is not in use; tells whether the store should hear of it.
    pub fn idle(&mut self, device: Origin) -> bool {
        let Some(known) = self.known.get_mut(&device) else { return false };
        known.used = None;
        known.told.is_none_or(|(in_use, _)| in_use) && self.due.insert(device)
    }

    /// A device went.
    pub fn left(&mut self, device: Origin, now: Instant) {
        if let Some(known) = self.known.get_mut(&device) {
            known.gone_at.get_or_insert(now + GRACE);
        }
    }

    /// Looks for what came due by time, and for what the store could not be told.
    pub fn look(&mut self, now: Instant) {
        for (origin, device) in &self.known {
            let due = match device.gone_at {
                Some(gone_at) => gone_at <= now,
                None => device.told.is_none_or(|(in_use, _)| in_use != device.in_use(now)),
            };
            if due {
                self.due.insert(*origin);
            }
        }
    }

    /// What the store has to be told now. It counts as told.
    pub fn take(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.due.len());
        for origin in std::mem::take(&mut self.due) {
            let Some(device) = self.known.get_mut(&origin) else { continue };
            match device.gone_at {
                Some(gone_at) if gone_at <= now => {
                    changes.push(Change::Drop(device.user, origin));
                    self.known.remove(&origin);
                }
                Some(_) => {}
                None => {
                    let in_use = device.in_use(now);
                    device.told = Some((in_use, now));
                    changes.push(Change::Touch(device.user, origin, in_use));
                }
            }
        }
        changes
    }

    /// The store could not be told of a device. One that went is not told again: its lease ends.
    pub fn untold(&mut self, device: Origin) {
        if let Some(known) = self.known.get_mut(&device) {
            known.told = None;
        }
    }

    /// The devices whose leases go on, with what the store was told.
    pub fn renewed(&self) -> Vec<(UserId, Origin, bool)> {
        let device = |(origin, device): (&Origin, &Device)| {
            let (in_use, _) = device.told.filter(|_| device.gone_at.is_none())?;
            Some((device.user, *origin, in_use))
        };
        self.known.iter().filter_map(device).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(1));
    const PHONE: Origin = Origin(1);

    /// What there is to tell after a look around.
    fn told(devices: &mut Devices, now: Instant) -> Vec<Change> {
        devices.look(now);
        devices.take(now)
    }

    #[test]
    fn the_store_hears_of_changes_and_now_and_then_of_use() {
        let (mut devices, start) = (Devices::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        devices.connected(ANN, PHONE, at(0));
        assert_eq!(devices.take(at(0)), [Change::Touch(ANN, PHONE, true)]);
        assert!(!devices.used(PHONE, at(14)), "it was told so a moment ago");
        assert_eq!(told(&mut devices, at(14)), []);
        assert!(devices.used(PHONE, at(15)));
        assert_eq!(devices.take(at(15)), [Change::Touch(ANN, PHONE, true)]);
        assert!(devices.idle(PHONE));
        assert_eq!(devices.take(at(16)), [Change::Touch(ANN, PHONE, false)]);
        assert!(!devices.idle(PHONE));
        assert!(devices.used(PHONE, at(17)), "use after idleness is told at once");
        assert_eq!(devices.take(at(17)), [Change::Touch(ANN, PHONE, true)]);
        assert_eq!(devices.renewed(), [(ANN, PHONE, true)]);
    }

    #[test]
    fn a_device_that_nobody_uses_is_away_after_a_while_though_it_stays_connected() {
        let (mut devices, start) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, start);
        devices.take(start);
        assert_eq!(told(&mut devices, start + Duration::from_secs(299)), []);
        let later = start + IN_USE_FOR;
        assert_eq!(told(&mut devices, later), [Change::Touch(ANN, PHONE, false)]);
        assert_eq!(told(&mut devices, later), []);
        assert_eq!(devices.renewed(), [(ANN, PHONE, false)]);
    }

    #[test]
    fn a_device_that_went_counts_for_a_grace_period_and_is_dropped_once() {
        let (mut devices, start) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, start);
        devices.take(start);
        devices.left(PHONE, start);
        devices.left(PHONE, start + Duration::from_secs(1));
        assert_eq!(told(&mut devices, start + GRACE.saturating_sub(Duration::from_millis(1))), []);
        assert_eq!(devices.renewed(), []);
        assert_eq!(told(&mut devices, start + GRACE), [Change::Drop(ANN, PHONE)]);
        assert_eq!(told(&mut devices, start + GRACE), []);
        assert!(!devices.used(PHONE, start + GRACE));
    }

    #[test]
    fn what_the_store_could_not_be_told_is_told_again() {
        let (mut devices, now) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, now);
        devices.take(now);
        devices.untold(PHONE);
        assert_eq!(devices.renewed(), []);
        assert_eq!(told(&mut devices, now), [Change::Touch(ANN, PHONE, true)]);
    }
}
