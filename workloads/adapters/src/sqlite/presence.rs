//! Presence of the embedded profile: one process has all devices, so they are kept in memory; when a user was last
//! active outlives the process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use sentinel_domain::{
    event::Origin,
    ids::UserId,
    nodes::NodeId,
    ports::{PresenceListener, PresenceStore, RollCall, StoreError},
    presence::{DeviceLease, Presence, aggregate},
    time::Timestamp,
};

use super::{
    Sqlite,
    rows::execute,
    statements::{DELETE_LAST_ACTIVE, LAST_ACTIVE, SET_LAST_ACTIVE},
};

const LEASE_SECONDS: u32 = 45;
/// A last activity is written to disk when the one there is this much older, and when the last device goes.
const WRITTEN_EVERY_MILLIS: i64 = 60_000;

/// The presence of users whose devices are all connected to this process.
pub struct LocalPresence {
    sqlite: Sqlite,
    lease_seconds: u32,
    users: Mutex<HashMap<UserId, Here>>,
    listeners: Mutex<Vec<Box<dyn PresenceListener>>>,
}

/// A user with devices.
#[derive(Default)]
struct Here {
    devices: HashMap<Origin, DeviceLease>,
    last_active: Option<Timestamp>,
    /// What of that is on disk, as far as this process knows.
    written: Option<Timestamp>,
}

impl Here {
    /// A device is connected, and in use until its lease ends if it was at `used`.
    fn connect(&mut self, device: Origin, lease: DeviceLease, used: Option<Timestamp>) {
        self.devices.insert(device, lease);
        self.last_active = self.last_active.max(used);
    }

    fn unwritten(&self) -> Option<Timestamp> {
        self.last_active.filter(|_| self.last_active > self.written)
    }

    /// The last activity, if it is time to write it.
    fn to_write(&self) -> Option<Timestamp> {
        let due = |at: &Timestamp| self.written.is_none_or(|written| at.0 - written.0 >= WRITTEN_EVERY_MILLIS);
        self.unwritten().filter(due)
    }
}

impl LocalPresence {
    /// Presence beside a database, with nobody connected.
    pub fn new(sqlite: Sqlite) -> Self {
        Self::with_lease(sqlite, LEASE_SECONDS)
    }

    fn with_lease(sqlite: Sqlite, lease_seconds: u32) -> Self {
        Self { sqlite, lease_seconds, users: Mutex::default(), listeners: Mutex::default() }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Here>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self, active: bool, now: Timestamp) -> DeviceLease {
        let until = now.plus_seconds(self.lease_seconds.into());
        DeviceLease { connected_until: until, active_until: active.then_some(until) }
    }

    /// Changes a user's devices, tells of it if that made a difference, and writes a last activity that is due.
    async fn change(&self, user: UserId, edit: impl FnOnce(&mut Here)) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let (changed, to_write) = {
            let mut users = self.users();
            let here = users.entry(user).or_default();
            let before = aggregate(here.devices.values(), now);
            edit(here);
            here.devices.retain(|_, lease| lease.connected_until > now);
            let gone = here.devices.is_empty();
            let to_write = if gone { here.unwritten() } else { here.to_write() };
            here.written = to_write.or(here.written);
            let changed = before != aggregate(here.devices.values(), now);
            if gone && to_write.is_none() {
                users.remove(&user);
            }
            (changed, to_write)
        };
        if changed {
            self.tell(user);
        }
        let Some(at) = to_write else { return Ok(()) };
        self.write(user, at).await?;
        // What others ask for is on disk now.
        let mut users = self.users();
        if users.get(&user).is_some_and(|here| here.devices.is_empty() && here.unwritten().is_none()) {
            users.remove(&user);
        }
        Ok(())
    }

    async fn write(&self, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.sqlite.write(move |batch| Ok(execute(batch.db, SET_LAST_ACTIVE, params![user.as_bytes(), at.0])?)).await?;
        Ok(())
    }

    fn tell(&self, user: UserId) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.changed(user));
    }
}

#[async_trait]
impl PresenceStore for LocalPresence {
    fn lease_seconds(&self) -> u32 {
        self.lease_seconds
    }

    async fn touch(&self, user: UserId, device: Origin, active: bool, now: Timestamp) -> Result<(), StoreError> {
        let lease = self.lease(active, Timestamp::now());
        self.change(user, |here| here.connect(device, lease, active.then_some(now))).await
    }

    async fn heartbeat(&self, user: UserId, device: Origin, now: Timestamp) -> Result<(), StoreError> {
        let lease = self.lease(true, Timestamp::now());
        self.change(user, |here| {
            here.connect(device, lease, Some(now));
            // No later call of this device will have it written, so it is due whatever is there.
            here.written = None;
        })
        .await
    }

    async fn renew(&self, devices: &[(UserId, Origin, bool)]) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut users = self.users();
        for (user, device, active) in devices {
            users.entry(*user).or_default().devices.insert(*device, self.lease(*active, now));
        }
        // Nobody tells that a device is gone that was never more than a request now and then.
        users.retain(|_, here| {
            here.devices.retain(|_, lease| lease.connected_until > now);
            !here.devices.is_empty() || here.unwritten().is_some()
        });
        Ok(())
    }

    async fn drop(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        self.change(user, |here| {
            here.devices.remove(&device);
        })
        .await
    }

    async fn forget_device(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        PresenceStore::drop(self, user, device).await
    }

    async fn beat(&self) -> Result<Option<RollCall>, StoreError> {
        Ok(None)
    }

    async fn mark_gone(&self, _: &[NodeId]) -> Result<(), StoreError> {
        // There are none but this process.
        Ok(())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, StoreError> {
        let now = Timestamp::now();
        let mut found: Vec<Presence> = {
            let here = self.users();
            let presence = |&user_id: &UserId| match here.get(&user_id) {
                Some(here) => {
                    let status = aggregate(here.devices.values(), now);
                    Presence { user_id, status, last_active: here.last_active }
                }
                None => Presence { user_id, status: aggregate([], now), last_active: None },
            };
            users.iter().map(presence).collect()
        };
        if found.iter().all(|presence| presence.last_active.is_some()) {
            return Ok(found);
        }
        self.sqlite
            .read(move |db| {
                let mut select = db.prepare_cached(LAST_ACTIVE)?;
                for presence in found.iter_mut().filter(|presence| presence.last_active.is_none()) {
                    let at = select.query_row([presence.user_id.as_bytes()], |row| row.get(0)).optional()?;
                    presence.last_active = at.map(Timestamp);
                }
                Ok(found)
            })
            .await
    }

    async fn forget(&self, user: UserId) -> Result<(), StoreError> {
        let was_here = self.users().remove(&user).is_some();
        self.sqlite.write(move |batch| Ok(execute(batch.db, DELETE_LAST_ACTIVE, [user.as_bytes()])?)).await?;
        if was_here {
            self.tell(user);
        }
        Ok(())
    }

    async fn watch(&self, listener: Box<dyn PresenceListener>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sentinel_domain::{ports::AccountStore, presence::PresenceStatus};

    use super::*;
    use crate::sqlite::tests::{account, open};

    async fn of(presence: &LocalPresence, user: UserId) -> (PresenceStatus, Option<i64>) {
        let found = presence.presence(&[user]).await.unwrap()[0];
        (found.status, found.last_active.map(|at| at.0))
    }

    #[tokio::test]
    async fn what_outlives_the_process_does_not_go_back_and_goes_with_the_account() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&folder.path().join("db"));
        let ann = account(&sqlite, "ann").await;
        let started = || LocalPresence::new(sqlite.clone());
        let presence = started();
        presence.touch(ann, Origin(1), true, Timestamp(3_000)).await.unwrap();
        presence.drop(ann, Origin(1)).await.unwrap();
        assert!(presence.users().is_empty(), "who is not here takes no memory");
        assert_eq!(of(&started(), ann).await, (PresenceStatus::Offline, Some(3_000)));
        started().heartbeat(ann, Origin(1), Timestamp(2_000)).await.unwrap();
        assert_eq!(of(&started(), ann).await.1, Some(3_000), "it does not go back");
        sqlite.delete_account(ann).await.unwrap();
        started().heartbeat(ann, Origin(1), Timestamp(4_000)).await.unwrap();
        assert_eq!(of(&started(), ann).await.1, None, "nothing is kept of a deleted account");
    }

    #[tokio::test]
    async fn a_device_that_is_not_renewed_goes_offline() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&folder.path().join("db"));
        let ann = account(&sqlite, "ann").await;
        let presence = LocalPresence::with_lease(sqlite, 1);
        presence.touch(ann, Origin(1), true, Timestamp(1_000)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        presence.renew(&[(ann, Origin(1), false)]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(of(&presence, ann).await.0, PresenceStatus::Away);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(of(&presence, ann).await, (PresenceStatus::Offline, Some(1_000)));
        presence.heartbeat(ann, Origin(2), Timestamp(2_000)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        presence.renew(&[]).await.unwrap();
        assert!(presence.users().is_empty(), "who is not here takes no memory");
        assert_eq!(of(&presence, ann).await, (PresenceStatus::Offline, Some(2_000)));
    }
}
