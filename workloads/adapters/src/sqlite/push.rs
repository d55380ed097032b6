//! Devices that want pushes.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    ids::{ChatId, MessageId, SessionId, UserId},
    ports::{DeviceReader, PushDevices, StoreError},
    push::{DEVICES, Device, DeviceId},
    time::Timestamp,
};

use super::{
    Sqlite,
    accounts::require_account,
    failure::Failure,
    rows::execute,
    statements::{
        CLEAR_PUSHED, DELETE_PUSH_ADDRESS, DELETE_PUSH_DEVICE, FORGET_PUSH_DEVICE, INSERT_PUSH_DEVICE, PUSH_DEVICES,
        PUSHED, SET_PUSHED,
    },
};

#[async_trait]
impl DeviceReader for Sqlite {
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.read(move |db| Ok(devices(db, user)?)).await
    }
}

#[async_trait]
impl PushDevices for Sqlite {
    async fn register(&self, device: Device) -> Result<(), StoreError> {
        let print = device.address.fingerprint();
        let json = serde_json::to_string(&device.address).map_err(StoreError::unavailable)?;
        self.write(move |batch| {
            require_account(batch, device.user_id)?;
            let Device { user_id, device_id, session_id, registered_at, .. } = &device;
            execute(batch.db, DELETE_PUSH_ADDRESS, [print])?;
            let values =
                params![user_id.as_bytes(), device_id.as_str(), session_id.as_bytes(), registered_at.0, print, json];
            execute(batch.db, INSERT_PUSH_DEVICE, values)?;
            let own = devices(batch.db, *user_id)?;
            for other in own.iter().filter(|other| other.device_id != *device_id).skip(DEVICES - 1) {
                execute(batch.db, DELETE_PUSH_DEVICE, params![user_id.as_bytes(), other.device_id.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    async fn reachable(&self, users: &[UserId]) -> Result<HashSet<UserId>, StoreError> {
        let users = users.to_vec();
        self.read(move |db| {
            let mut select = db.prepare_cached(PUSH_DEVICES)?;
            let mut reachable = HashSet::new();
            for user in users {
                if select.exists([user.as_bytes()])? {
                    reachable.insert(user);
                }
            }
            Ok(reachable)
        })
        .await
    }

    async fn remove(&self, user: UserId, device: &DeviceId) -> Result<(), StoreError> {
        let device = device.clone();
        self.write(move |batch| {
            execute(batch.db, DELETE_PUSH_DEVICE, params![user.as_bytes(), device.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn forget(&self, device: &Device) -> Result<(), StoreError> {
        let device = device.clone();
        self.write(move |batch| {
            let print = device.address.fingerprint();
            let values = params![device.user_id.as_bytes(), device.device_id.as_str(), print];
            execute(batch.db, FORGET_PUSH_DEVICE, values)?;
            Ok(())
        })
        .await
    }

    async fn pushed_up_to(&self, user: UserId, chat: ChatId) -> Result<Option<MessageId>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(PUSHED)?;
            let found = select.query_row([user.as_bytes(), chat.as_bytes()], |row| row.get(0)).optional()?;
            Ok(found.map(MessageId::from_bytes))
        })
        .await
    }

    async fn set_pushed(&self, user: UserId, chat: ChatId, message: MessageId) -> Result<(), StoreError> {
        self.write(move |batch| -> Result<(), Failure> {
            execute(batch.db, SET_PUSHED, params![user.as_bytes(), chat.as_bytes(), message.as_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn clear_pushed(&self, user: UserId, chat: ChatId, up_to: MessageId) -> Result<(), StoreError> {
        self.write(move |batch| -> Result<(), Failure> {
            execute(batch.db, CLEAR_PUSHED, params![user.as_bytes(), chat.as_bytes(), up_to.as_bytes()])?;
            Ok(())
        })
        .await
    }
}

fn devices(db: &Connection, user: UserId) -> rusqlite::Result<Vec<Device>> {
    let mut select = db.prepare_cached(PUSH_DEVICES)?;
    let rows = select.query_map([user.as_bytes()], |row| device(row, user))?;
    let mut found: Vec<Device> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    found.sort_by(|a, b| (b.registered_at, &b.device_id).cmp(&(a.registered_at, &a.device_id)));
    Ok(found)
}

/// A row of `device_id, session_id, registered_at, address`. `None`, and a warning, when it can't be read: one such row
/// must not keep a user's other devices from pushes.
fn device(row: &Row<'_>, user_id: UserId) -> rusqlite::Result<Option<Device>> {
    let (name, address) = (row.get_ref(0)?.as_str()?, row.get_ref(3)?.as_str()?);
    let (Ok(device_id), Ok(address)) = (DeviceId::parse(name), serde_json::from_str(address)) else {
        // Not what the row says: an address is a secret.
        tracing::warn!(user = %user_id, device = name, "a push device can't be read; it is passed over");
        return Ok(None);
    };
    Ok(Some(Device {
        user_id,
        device_id,
        session_id: SessionId::from_bytes(row.get(1)?),
        registered_at: Timestamp(row.get(2)?),
        address,
    }))
}
