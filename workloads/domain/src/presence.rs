//! Presence: how present a user is, seen over all devices.

use serde::{Deserialize, Serialize};

use crate::{ids::UserId, time::Timestamp};

/// How present a user is; more present sorts later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// No device is connected.
    #[default]
    Offline,
    /// A device is connected, none is in use.
    Away,
    /// A device is in use.
    Online,
}

/// What others may know of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    pub user_id: UserId,
    /// The most present of the devices.
    pub status: PresenceStatus,
    /// When a device was last in use; `None` when that is not known, because none ever was or it is long ago.
    pub last_active: Option<Timestamp>,
}

/// The lease of one device: until when it counts as connected, and until when as in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLease {
    /// Connected until then.
    pub connected_until: Timestamp,
    /// In use until then; `None` when it is not.
    pub active_until: Option<Timestamp>,
}

impl DeviceLease {
    /// How present the device is.
    pub fn status(&self, now: Timestamp) -> PresenceStatus {
        if self.connected_until <= now {
            PresenceStatus::Offline
        } else if self.active_until.is_some_and(|until| until > now) {
            PresenceStatus::Online
        } else {
            PresenceStatus::Away
        }
    }
}

/// The most present of some devices.
pub fn aggregate<'a>(devices: impl IntoIterator<Item = &'a DeviceLease>, now: Timestamp) -> PresenceStatus {
    devices.into_iter().map(|device| device.status(now)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_devices_are_as_present_as_the_most_present_until_its_lease_ends() {
        let phone = DeviceLease { connected_until: Timestamp(100), active_until: Some(Timestamp(50)) };
        let desk = DeviceLease { connected_until: Timestamp(70), active_until: None };
        let at = |now| aggregate([&phone, &desk], Timestamp(now));
        assert_eq!(at(0), PresenceStatus::Online);
        assert_eq!(at(50), PresenceStatus::Away);
        assert_eq!(at(99), PresenceStatus::Away);
        assert_eq!(at(100), PresenceStatus::Offline);
        assert_eq!(aggregate([], Timestamp(0)), PresenceStatus::Offline);
    }
}
