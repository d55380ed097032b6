//! Devices that want pushes.
//!
//! Whose an address is, one row says, which the last registration writes. A device whose address says something else is
//! none: so one that lost its address is never pushed to, whatever became of its own row.
//!
//! Processes change devices right after one another, and their clocks differ. So each write is later than what it replaces,
//! and what is removed leaves an empty row for a while, whose write time can be seen: that of a deletion could not.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::DeserializeRow;
use sentinel_domain::{
    ids::{ChatId, MessageId, SessionId, UserId},
    ports::{DeviceReader, PushDevices, StoreError},
    push::{DEVICES, Device, DeviceId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Cassandra, Shared,
    batch::Writes,
    times::{ending_time, next_write_time, write_time},
};

/// Users whose devices are looked up at the same time.
const AT_ONCE: usize = 16;
/// How long a device is kept that is not registered again, in seconds: 180 days.
const DEVICE_SECONDS: i32 = 180 * 24 * 3600;
/// How long it is seen that something was removed, in seconds: an hour, by which no clock is off.
const REMOVED_SECONDS: i32 = 3600;
/// Most rows of a user that are read: devices, and what was removed within the hour. Limits keep it far below that.
const ROWS: i32 = 2_000;
/// How long it is remembered what was pushed, in seconds: 30 days.
const PUSHED_SECONDS: i32 = 30 * 24 * 3600;
/// No user, no session.
const NOBODY: Uuid = Uuid::nil();

#[derive(DeserializeRow)]
struct Row {
    device_id: String,
    session_id: Option<Uuid>,
    registered_at: Option<i64>,
    /// Empty when the device was removed.
    address: Option<String>,
    written: Option<i64>,
}

impl Row {
    /// `None`, and a warning, when it can't be read: one such row must not keep a user's other devices from pushes.
    fn device(&self, user_id: UserId) -> Option<Device> {
        if self.address.as_deref() == Some("") {
            return None;
        }
        let device = self.read(user_id);
        if device.is_none() {
            // Not what the row says: an address is a secret.
            tracing::warn!(user = %user_id, device = self.device_id, "a push device can't be read; it is passed over");
        }
        device
    }

    fn read(&self, user_id: UserId) -> Option<Device> {
        Some(Device {
            user_id,
            device_id: DeviceId::parse(&self.device_id).ok()?,
            session_id: SessionId(self.session_id?),
            address: serde_json::from_str(self.address.as_deref()?).ok()?,
            registered_at: Timestamp(self.registered_at?),
        })
    }
}

/// Whose an address is, or was.
#[derive(DeserializeRow)]
struct Owner {
    user_id: Option<Uuid>,
    device_id: Option<String>,
    written: Option<i64>,
}

impl Owner {
    fn is(&self, user: UserId, device: &str) -> bool {
        self.user_id == Some(user.0) && self.device_id.as_deref() == Some(device)
    }
}

#[async_trait]
impl DeviceReader for Cassandra {
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        let looks = devices_of(user, &self.shared.push_rows(user).await?).into_iter().map(|device| async move {
            let owner = self.shared.address_owner(&device).await?;
            Ok::<_, StoreError>(owner.is_some_and(|owner| owner.is(user, device.device_id.as_str())).then_some(device))
        });
        stream::iter(looks).buffered(AT_ONCE).try_filter_map(|device| async move { Ok(device) }).try_collect().await
    }
}

#[async_trait]
impl PushDevices for Cassandra {
    async fn register(&self, device: Device) -> Result<(), StoreError> {
        let shared = &self.shared;
        let owner = shared.address_owner(&device).await?;
        let rows = shared.push_rows(device.user_id).await?;
        let json = serde_json::to_string(&device.address).map_err(StoreError::unavailable)?;
        let before =
            rows.iter().map(|row| row.written).chain(owner.as_ref().map(|owner| owner.written)).flatten().max();
        let at = next_write_time(Timestamp::now(), before);
        let (user, id) = (device.user_id, device.device_id.as_str());
        let mut writes = Writes::new();
        let values = (user.0, id.to_owned(), device.session_id.0, device.registered_at.0, json, at, DEVICE_SECONDS);
        writes.add(&shared.statements.insert_push_device, values);
        shared.set_owner(&mut writes, &device, (user.0, id), at, DEVICE_SECONDS);
        if let Some(Owner { user_id: Some(owner), device_id: Some(name), .. }) = owner
            && owner != NOBODY
            && (owner, name.as_str()) != (user.0, id)
        {
            shared.remove_row(&mut writes, UserId(owner), &name, at);
        }
        let mut own = devices_of(user, &rows);
        // The address that the device had is nobody's now.
        let replaced = own.iter().find(|other| other.device_id == device.device_id);
        if let Some(other) = replaced.filter(|other| other.address != device.address) {
            shared.set_owner(&mut writes, other, (NOBODY, ""), at, REMOVED_SECONDS);
        }
        own.retain(|other| other.device_id != device.device_id);
        for other in own.iter().skip(DEVICES - 1) {
            shared.remove_row(&mut writes, user, other.device_id.as_str(), at);
            shared.set_owner(&mut writes, other, (NOBODY, ""), at, REMOVED_SECONDS);
        }
        shared.put(&writes).await
    }

    async fn reachable(&self, users: &[UserId]) -> Result<HashSet<UserId>, StoreError> {
        let shared = &self.shared;
        let looks = users.iter().copied().map(|user| async move {
            match shared.push_rows(user).await {
                Ok(rows) => Ok((user, !devices_of(user, &rows).is_empty())),
                // Nobody else has to do without: who asks for the devices of this user alone is told.
                Err(StoreError::Unreadable(_)) => Ok((user, true)),
                Err(error) => Err(error),
            }
        });
        let found: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().filter_map(|(user, has)| has.then_some(user)).collect())
    }

    async fn remove(&self, user: UserId, device: &DeviceId) -> Result<(), StoreError> {
        let rows = self.shared.push_rows(user).await?;
        self.shared.remove_device(user, device.as_str(), &rows).await
    }

    async fn forget(&self, device: &Device) -> Result<(), StoreError> {
        let rows = self.shared.push_rows(device.user_id).await?;
        let now = devices_of(device.user_id, &rows);
        if !now.iter().any(|found| found.device_id == device.device_id && found.address == device.address) {
            return Ok(());
        }
        self.shared.remove_device(device.user_id, device.device_id.as_str(), &rows).await
    }

    async fn pushed_up_to(&self, user: UserId, chat: ChatId) -> Result<Option<MessageId>, StoreError> {
        let shared = &self.shared;
        let found: Vec<(Option<Uuid>,)> = shared.rows(&shared.statements.pushed, (user.0, chat.0)).await?;
        Ok(found.first().and_then(|(id,)| *id).map(MessageId))
    }

    async fn set_pushed(&self, user: UserId, chat: ChatId, message: MessageId) -> Result<(), StoreError> {
        // Its write time rises with the id, so it never goes back.
        let values = (write_time(message.0), PUSHED_SECONDS, message.0, user.0, chat.0);
        self.shared.write(&self.shared.statements.set_pushed, values).await
    }

    async fn clear_pushed(&self, user: UserId, chat: ChatId, up_to: MessageId) -> Result<(), StoreError> {
        // What is pushed of later messages is written at a later time, and stays.
        let values = (write_time(up_to.0), user.0, chat.0);
        self.shared.write(&self.shared.statements.clear_pushed, values).await
    }
}

/// The devices that these rows tell of, also those that lost their address; the last registered first.
fn devices_of(user: UserId, rows: &[Row]) -> Vec<Device> {
    let mut devices: Vec<Device> = rows.iter().filter_map(|row| row.device(user)).collect();
    devices.sort_by(|a, b| (b.registered_at, &b.device_id).cmp(&(a.registered_at, &a.device_id)));
    devices
}

impl Shared {
    async fn push_rows(&self, user: UserId) -> Result<Vec<Row>, StoreError> {
        self.rows_of_user(&self.statements.push_devices, (user.0, ROWS)).await
    }

    /// Whose the address of a device is.
    async fn address_owner(&self, device: &Device) -> Result<Option<Owner>, StoreError> {
        let print = device.address.fingerprint().to_vec();
        Ok(self.rows(&self.statements.push_address, (print,)).await?.pop())
    }

    fn set_owner(&self, writes: &mut Writes, device: &Device, (user, name): (Uuid, &str), at: i64, seconds: i32) {
        let print = device.address.fingerprint().to_vec();
        writes.add(&self.statements.insert_push_address, (print, user, name.to_owned(), at, seconds));
    }

    fn remove_row(&self, writes: &mut Writes, user: UserId, device: &str, at: i64) {
        let values = (user.0, device.to_owned(), NOBODY, 0_i64, String::new(), at, REMOVED_SECONDS);
        writes.add(&self.statements.insert_push_device, values);
    }

    /// Removes a device. Where there is no row nothing is written: names could be made up without end, and each would leave a
    /// row for an hour.
    async fn remove_device(&self, user: UserId, name: &str, rows: &[Row]) -> Result<(), StoreError> {
        let Some(row) = rows.iter().find(|row| row.device_id == name) else { return Ok(()) };
        let device = row.device(user);
        let mut before = row.written;
        let mut owned = None;
        if let Some(device) = &device
            && let Some(owner) = self.address_owner(device).await?
            && owner.is(user, name)
        {
            before = before.max(owner.written);
            owned = Some(device);
        }
        let at = next_write_time(Timestamp::now(), before);
        let mut writes = Writes::new();
        self.remove_row(&mut writes, user, name, at);
        if let Some(device) = owned {
            self.set_owner(&mut writes, device, (NOBODY, ""), at, REMOVED_SECONDS);
        }
        self.put(&writes).await
    }

    /// Forgets the devices of a user whose account is gone.
    pub(super) async fn forget_devices(&self, user: UserId) -> Result<(), StoreError> {
        let rows = match self.push_rows(user).await {
            // What can't be read can be deleted. Addresses stay with nobody until somebody registers them, or they end.
            Err(StoreError::Unreadable(_)) => Vec::new(),
            rows => rows?,
        };
        for device in devices_of(user, &rows) {
            self.remove_device(user, device.device_id.as_str(), &rows).await?;
        }
        let mut writes = Writes::new();
        let at = ending_time(Timestamp::now());
        writes.add(&self.statements.delete_push_devices, (at, user.0));
        writes.add(&self.statements.delete_pushed, (at, user.0));
        self.put(&writes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_another_version_is_passed_over() {
        let row = |id: &str, address: Option<&str>| Row {
            device_id: id.into(),
            session_id: Some(Uuid::from_u128(1)),
            registered_at: Some(5),
            address: address.map(str::to_owned),
            written: None,
        };
        let user = UserId(Uuid::from_u128(2));
        assert!(row("phone", Some(r#"{"platform":"fcm","token":"t"}"#)).device(user).is_some());
        for unreadable in [
            row("phone", Some(r#"{"platform":"pigeon","token":"t"}"#)),
            row("phone", Some("")),
            row("phone", None),
            row("a b", Some(r#"{"platform":"fcm","token":"t"}"#)),
        ] {
            assert_eq!(unreadable.device(user), None);
        }
    }
}
