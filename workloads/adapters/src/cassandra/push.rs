//! Devices that want pushes.
//!
//! Whose an address is, one row says, which the last registration writes. A device whose address says something else is
//! none: so one that lost its address is never pushed to, whatever became of its own row.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use scylla::DeserializeRow;
use sentinel_domain::{
    ids::{ChatId, MessageId, SessionId, UserId},
    ports::{DeviceReader, PushDevices, StoreError},
    push::{DEVICES, Device, DeviceId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{Cassandra, Shared, batch::Writes, times::write_time};

/// Users whose devices are looked up at the same time.
const AT_ONCE: usize = 16;
/// How long a device is kept that is not registered again, in seconds: 180 days.
const DEVICE_SECONDS: i32 = 180 * 24 * 3600;
/// How long it is remembered what was pushed, in seconds: 30 days.
const PUSHED_SECONDS: i32 = 30 * 24 * 3600;
const MICROS: i64 = 1000;

#[derive(DeserializeRow)]
struct Row {
    device_id: String,
    session_id: Option<Uuid>,
    registered_at: Option<i64>,
    address: Option<String>,
}

impl Row {
    /// `None`, and a warning, when it can't be read: one such row must not keep a user's other devices from pushes.
    fn device(self, user_id: UserId) -> Option<Device> {
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

#[async_trait]
impl DeviceReader for Cassandra {
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        let mut devices = Vec::new();
        for device in self.shared.push_devices(user).await? {
            let owner = self.shared.address_owner(&device.address.fingerprint()).await?;
            if owner.is_some_and(|(owner, name)| owner == user.0 && name == device.device_id.as_str()) {
                devices.push(device);
            }
        }
        Ok(devices)
    }
}

#[async_trait]
impl PushDevices for Cassandra {
    async fn register(&self, device: Device) -> Result<(), StoreError> {
        let shared = &self.shared;
        let print = device.address.fingerprint();
        let before: Option<(Uuid, String)> = shared.address_owner(&print).await?;
        let mut own = shared.push_devices(device.user_id).await?;
        let json = serde_json::to_string(&device.address).map_err(StoreError::unavailable)?;
        let (user, id, at) = (device.user_id.0, device.device_id.as_str().to_owned(), Timestamp::now().0 * MICROS);
        let mut writes = Writes::new();
        let values = (user, id.clone(), device.session_id.0, device.registered_at.0, json, at, DEVICE_SECONDS);
        writes.add(&shared.statements.insert_push_device, values);
        writes.add(&shared.statements.insert_push_address, (print.to_vec(), user, id.clone(), at, DEVICE_SECONDS));
        if let Some((owner, name)) = before
            && (owner, name.as_str()) != (user, id.as_str())
        {
            writes.add(&shared.statements.delete_push_device, (at, owner, name));
        }
        // The address that the device had is nobody's now.
        let replaced = own.iter().find(|other| other.device_id == device.device_id);
        if let Some(other) = replaced.filter(|other| other.address.fingerprint() != print) {
            writes.add(&shared.statements.delete_push_address, (at, other.address.fingerprint().to_vec()));
        }
        own.retain(|other| other.device_id != device.device_id);
        for other in own.iter().skip(DEVICES - 1) {
            shared.remove_device(&mut writes, other, at);
        }
        shared.put(&writes).await
    }

    async fn reachable(&self, users: &[UserId]) -> Result<HashSet<UserId>, StoreError> {
        let looks = users
            .iter()
            .copied()
            .map(|user| self.shared.push_devices(user).map_ok(move |devices| (user, !devices.is_empty())));
        let found: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().filter_map(|(user, has)| has.then_some(user)).collect())
    }

    async fn remove(&self, user: UserId, device: &DeviceId) -> Result<(), StoreError> {
        let found = self.devices(user).await?;
        if let Some(found) = found.iter().find(|found| found.device_id == *device) {
            return self.forget(found).await;
        }
        // A row whose address went to another.
        let values = (Timestamp::now().0 * MICROS, user.0, device.as_str().to_owned());
        self.shared.write(&self.shared.statements.delete_push_device, values).await
    }

    async fn forget(&self, device: &Device) -> Result<(), StoreError> {
        let now = self.devices(device.user_id).await?;
        let same = |found: &&Device| found.device_id == device.device_id && found.address == device.address;
        let Some(found) = now.iter().find(same) else { return Ok(()) };
        let mut writes = Writes::new();
        self.shared.remove_device(&mut writes, found, Timestamp::now().0 * MICROS);
        self.shared.put(&writes).await
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

impl Shared {
    /// A user's devices, also those that lost their address; the last registered first.
    async fn push_devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        let rows: Vec<Row> = self.rows(&self.statements.push_devices, (user.0,)).await?;
        let mut devices: Vec<Device> = rows.into_iter().filter_map(|row| row.device(user)).collect();
        devices.sort_by(|a, b| (b.registered_at, &b.device_id).cmp(&(a.registered_at, &a.device_id)));
        Ok(devices)
    }

    async fn address_owner(&self, print: &[u8; 32]) -> Result<Option<(Uuid, String)>, StoreError> {
        Ok(self.rows(&self.statements.push_address, (print.to_vec(),)).await?.pop())
    }

    fn remove_device(&self, writes: &mut Writes, device: &Device, at: i64) {
        let values = (at, device.user_id.0, device.device_id.as_str().to_owned());
        writes.add(&self.statements.delete_push_device, values);
        writes.add(&self.statements.delete_push_address, (at, device.address.fingerprint().to_vec()));
    }

    /// Forgets the devices of a user whose account is gone.
    pub(super) async fn forget_devices(&self, user: UserId) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        let at = Timestamp::now().0 * MICROS;
        for device in self.push_devices(user).await? {
            let owner = self.address_owner(&device.address.fingerprint()).await?;
            if owner.is_some_and(|(owner, _)| owner == user.0) {
                writes.add(&self.statements.delete_push_address, (at, device.address.fingerprint().to_vec()));
            }
        }
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
