//! The devices of this process: what the store was told of each, and what it has yet to be told.

use std::{
    collections::{HashMap, VecDeque},
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

impl Change {
    /// Which device it is about.
    pub fn device(self) -> Origin {
        match self {
            Self::Touch(_, device, _) | Self::Drop(_, device) => device,
        }
    }
}

/// A device whose lease goes on, and whether it is in use.
pub(super) type Lease = (UserId, Origin, bool);

#[derive(Debug)]
struct Device {
    user: UserId,
    /// The last sign of use; `None` when the client says that nobody is there.
    used: Option<Instant>,
    /// What the store was told last, and when.
    told: Option<(bool, Instant)>,
    /// When its lease was last taken or renewed; `None` when the store may have lost it.
    leased: Option<Instant>,
    /// Until when it counts although it went.
    gone_at: Option<Instant>,
    /// Whether there is something to tell.
    due: bool,
    /// Whether the store is being told something: what comes next waits, so that it does not overtake that.
    under_way: bool,
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
    /// Those that are due and not under way, in the order in which they became so.
    waiting: VecDeque<Origin>,
}

impl Devices {
    /// A device is there and in use.
    pub fn connected(&mut self, user: UserId, device: Origin, now: Instant) {
        let known =
            Device { user, used: Some(now), told: None, leased: None, gone_at: None, due: true, under_way: false };
        self.known.insert(device, known);
        self.waiting.push_back(device);
    }

    /// A device is in use; tells whether the store should hear of it.
    pub fn used(&mut self, device: Origin, now: Instant) -> bool {
        let Some(known) = self.known.get_mut(&device) else { return false };
        known.used = Some(now);
        let fresh = known.told.is_some_and(|(in_use, at)| in_use && now.duration_since(at) < TOLD_AGAIN_AFTER);
        !fresh && fall_due(&mut self.waiting, device, known)
    }

    /// A device is not in use; tells whether the store should hear of it.
    pub fn idle(&mut self, device: Origin) -> bool {
        let Some(known) = self.known.get_mut(&device) else { return false };
        known.used = None;
        known.told.is_none_or(|(in_use, _)| in_use) && fall_due(&mut self.waiting, device, known)
    }

    /// A device went.
    pub fn left(&mut self, device: Origin, now: Instant) {
        if let Some(known) = self.known.get_mut(&device) {
            known.gone_at.get_or_insert(now + GRACE);
        }
    }

    /// Looks for what came due by time, and for what the store could not be told.
    pub fn look(&mut self, now: Instant) {
        for (origin, device) in &mut self.known {
            let due = match device.gone_at {
                Some(gone_at) => gone_at <= now,
                None => device.told.is_none_or(|(in_use, _)| in_use != device.in_use(now)),
            };
            if due {
                fall_due(&mut self.waiting, *origin, device);
            }
        }
    }

    /// What the store has to be told now, of at most so many devices. It counts as told, and as under way until
    /// [`Devices::done`].
    pub fn take(&mut self, now: Instant, most: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < most
            && let Some(origin) = self.waiting.pop_front()
        {
            let Some(device) = self.known.get_mut(&origin) else { continue };
            device.due = false;
            match device.gone_at {
                Some(gone_at) if gone_at <= now => {
                    changes.push(Change::Drop(device.user, origin));
                    self.known.remove(&origin);
                }
                Some(_) => {}
                None => {
                    let in_use = device.in_use(now);
                    (device.told, device.leased, device.under_way) = (Some((in_use, now)), Some(now), true);
                    changes.push(Change::Touch(device.user, origin, in_use));
                }
            }
        }
        changes
    }

    /// The store may have lost all leases.
    pub fn owe_leases(&mut self) {
        for device in self.known.values_mut() {
            device.leased = None;
        }
    }

    /// The store may have lost the lease of a device.
    pub fn owe_lease(&mut self, device: Origin) {
        if let Some(known) = self.known.get_mut(&device) {
            known.leased = None;
        }
    }

    /// Up to so many devices whose leases were last taken or renewed so long ago, with what the store was told. They count
    /// as renewed, and as under way until [`Devices::done`].
    pub fn take_leases(&mut self, now: Instant, age: Duration, most: usize) -> Vec<Lease> {
        let old = |device: &Device| {
            let leased = device.leased.is_some_and(|leased| now.duration_since(leased) < age);
            device.gone_at.is_none() && !device.under_way && !leased
        };
        let lease = |(origin, device): (&Origin, &mut Device)| {
            let (in_use, _) = device.told.filter(|_| old(device))?;
            (device.leased, device.under_way) = (Some(now), true);
            Some((device.user, *origin, in_use))
        };
        self.known.iter_mut().filter_map(lease).take(most).collect()
    }

    /// The store heard of a device, or could not be told. Then it is told later; one that went is not: its lease ends.
    pub fn done(&mut self, device: Origin, told: bool) {
        let Some(known) = self.known.get_mut(&device) else { return };
        known.under_way = false;
        if !told {
            known.told = None;
        }
        if known.due {
            self.waiting.push_back(device);
        }
    }
}

/// There is something to tell of a device; tells whether there was nothing before.
fn fall_due(waiting: &mut VecDeque<Origin>, origin: Origin, device: &mut Device) -> bool {
    let is_new = !std::mem::replace(&mut device.due, true);
    if is_new && !device.under_way {
        waiting.push_back(origin);
    }
    is_new
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(1));
    const PHONE: Origin = Origin(1);
    const DESK: Origin = Origin(2);

    const AGE: Duration = Duration::from_secs(15);

    /// What is to be told now; the store hears it at once.
    fn taken(devices: &mut Devices, now: Instant) -> Vec<Change> {
        let changes = devices.take(now, 100);
        for change in &changes {
            devices.done(change.device(), true);
        }
        changes
    }

    /// The same after a look around.
    fn told(devices: &mut Devices, now: Instant) -> Vec<Change> {
        devices.look(now);
        taken(devices, now)
    }

    #[test]
    fn the_store_hears_of_changes_and_now_and_then_of_use() {
        let (mut devices, start) = (Devices::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        devices.connected(ANN, PHONE, at(0));
        assert_eq!(taken(&mut devices, at(0)), [Change::Touch(ANN, PHONE, true)]);
        assert!(!devices.used(PHONE, at(14)), "it was told so a moment ago");
        assert_eq!(told(&mut devices, at(14)), []);
        assert!(devices.used(PHONE, at(15)));
        assert_eq!(taken(&mut devices, at(15)), [Change::Touch(ANN, PHONE, true)]);
        assert!(devices.idle(PHONE));
        assert_eq!(taken(&mut devices, at(16)), [Change::Touch(ANN, PHONE, false)]);
        assert!(!devices.idle(PHONE));
        assert!(devices.used(PHONE, at(17)), "use after idleness is told at once");
        assert_eq!(taken(&mut devices, at(17)), [Change::Touch(ANN, PHONE, true)]);
        assert_eq!(devices.take_leases(at(31), AGE, 100), []);
        assert_eq!(devices.take_leases(at(32), AGE, 100), [(ANN, PHONE, true)]);
    }

    #[test]
    fn a_device_that_nobody_uses_is_away_after_a_while_though_it_stays_connected() {
        let (mut devices, start) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, start);
        taken(&mut devices, start);
        assert_eq!(told(&mut devices, start + Duration::from_secs(299)), []);
        let later = start + IN_USE_FOR;
        assert_eq!(told(&mut devices, later), [Change::Touch(ANN, PHONE, false)]);
        assert_eq!(told(&mut devices, later), []);
        assert_eq!(devices.take_leases(later + AGE, AGE, 100), [(ANN, PHONE, false)]);
    }

    #[test]
    fn a_device_that_went_counts_for_a_grace_period_and_is_dropped_once() {
        let (mut devices, start) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, start);
        taken(&mut devices, start);
        devices.left(PHONE, start);
        devices.left(PHONE, start + Duration::from_secs(1));
        assert_eq!(devices.take_leases(start + AGE, AGE, 100), []);
        assert_eq!(told(&mut devices, start + GRACE.saturating_sub(Duration::from_millis(1))), []);
        assert_eq!(told(&mut devices, start + GRACE), [Change::Drop(ANN, PHONE)]);
        assert_eq!(told(&mut devices, start + GRACE), []);
        assert!(!devices.used(PHONE, start + GRACE));
    }

    #[test]
    fn what_the_store_could_not_be_told_is_told_again() {
        let (mut devices, now) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, now);
        devices.take(now, 100);
        devices.done(PHONE, false);
        assert_eq!(devices.take_leases(now + AGE, AGE, 100), []);
        assert_eq!(told(&mut devices, now), [Change::Touch(ANN, PHONE, true)]);
    }

    #[test]
    fn what_the_store_is_told_of_a_device_does_not_overtake_what_it_was_told_before() {
        let (mut devices, now) = (Devices::default(), Instant::now());
        devices.connected(ANN, PHONE, now);
        devices.connected(ANN, DESK, now);
        assert_eq!(devices.take(now, 1), [Change::Touch(ANN, PHONE, true)], "in the order in which they came");
        assert!(devices.idle(PHONE));
        assert_eq!(devices.take_leases(now + AGE, AGE, 100), []);
        assert_eq!(devices.take(now, 100), [Change::Touch(ANN, DESK, true)], "nobody else waits for it");
        devices.done(PHONE, true);
        assert_eq!(devices.take(now, 100), [Change::Touch(ANN, PHONE, false)]);
        devices.done(PHONE, true);
        devices.done(DESK, true);
        assert_eq!(devices.take_leases(now + AGE, AGE, 1).len(), 1);
        let rest = devices.take_leases(now + AGE, AGE, 100);
        assert_eq!(rest.len(), 1);
        let (_, device, _) = rest[0];
        devices.left(device, now);
        devices.look(now + AGE);
        assert_eq!(devices.take(now + AGE, 100), [], "a renewal might bring it back");
        devices.done(device, true);
        assert_eq!(devices.take(now + AGE, 100), [Change::Drop(ANN, device)]);
    }
}
