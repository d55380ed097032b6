//! Presence: per user a sorted set of devices by the end of their leases, and the time of the last activity.
//!
//! A device that is connected has the member `c:<device>`, one that is in use also `a:<device>`.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Cmd, Script, Value, cmd};
use sentinel_domain::{
    event::Origin,
    ids::UserId,
    ports::{PresenceListener, PresenceStore, StoreError},
    presence::{Presence, PresenceStatus},
    time::Timestamp,
};

use super::{
    Redis, RedisError, port,
    subscriber::{Subscriber, framed},
};

const LEASE_SECONDS: u32 = 45;
const LEASE_MILLIS: i64 = LEASE_SECONDS as i64 * 1000;
/// Users of one round trip.
const USERS: usize = 1000;

/// Changes one device of a user and tells whether the aggregate changed. KEYS: devices. ARGV: device, what it is now
/// (`active`, `idle` or `gone`), lease in milliseconds.
static CHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function status()
  local most = 0
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
    local here = string.sub(member, 1, 1) == 'a' and 2 or 1
    if here > most then most = here end
  end
  return most
end
local before = status()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local till = string.format('%.0f', now + ARGV[3])
if ARGV[2] == 'gone' then
  redis.call('ZREM', KEYS[1], 'c:' .. ARGV[1], 'a:' .. ARGV[1])
else
  redis.call('ZADD', KEYS[1], till, 'c:' .. ARGV[1])
  if ARGV[2] == 'active' then
    redis.call('ZADD', KEYS[1], till, 'a:' .. ARGV[1])
  else
    redis.call('ZREM', KEYS[1], 'a:' .. ARGV[1])
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return before == status() and 0 or 1
",
    )
});

impl Redis {
    fn devices_key(&self, user: UserId) -> String {
        self.user_key("devices", user)
    }

    fn last_active_key(&self, user: UserId) -> String {
        self.user_key("last-active", user)
    }

    fn presence_channel(&self) -> String {
        self.key("presence")
    }

    fn store_last_active(&self, user: UserId, at: Timestamp) -> Cmd {
        let mut set = cmd("SET");
        set.arg(self.last_active_key(user)).arg(at.0);
        set
    }

    /// Changes a device, and tells watchers when that made a difference.
    async fn change(&self, user: UserId, device: Origin, now_is: &str, then: Vec<Cmd>) -> Result<(), RedisError> {
        let arguments = [device_name(device), now_is.to_owned(), LEASE_MILLIS.to_string()];
        let changed = self.run_script(&CHANGE, &[self.devices_key(user)], &arguments).await? != 0;
        let mut commands = then;
        if changed {
            let news = framed(user.as_bytes().iter().copied());
            commands.push(self.publish(&self.presence_channel(), &news));
        }
        if !commands.is_empty() {
            self.run(commands).await?;
        }
        Ok(())
    }

    async fn look_at(&self, users: &[UserId]) -> Result<Vec<Presence>, RedisError> {
        let mut found = Vec::with_capacity(users.len());
        for users in users.chunks(USERS) {
            let mut commands = Vec::with_capacity(users.len() * 2);
            for user in users {
                let mut devices = cmd("ZRANGEBYSCORE");
                devices.arg(self.devices_key(*user)).arg(format!("({}", self.server_now())).arg("+inf");
                let mut last_active = cmd("GET");
                last_active.arg(self.last_active_key(*user));
                commands.extend([devices, last_active]);
            }
            let answers = self.run(commands).await?;
            for (user, answers) in users.iter().zip(answers.chunks(2)) {
                let [devices, last_active] = answers else { continue };
                let last_active: Option<i64> = redis::from_redis_value_ref(last_active).unwrap_or_default();
                found.push(Presence {
                    user_id: *user,
                    status: status(devices),
                    last_active: last_active.map(Timestamp),
                });
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl PresenceStore for Redis {
    fn lease_seconds(&self) -> u32 {
        LEASE_SECONDS
    }

    async fn touch(&self, user: UserId, device: Origin, active: bool, now: Timestamp) -> Result<(), StoreError> {
        if active {
            port(self.change(user, device, "active", vec![self.store_last_active(user, now)])).await
        } else {
            port(self.change(user, device, "idle", Vec::new())).await
        }
    }

    async fn renew(&self, devices: &[(UserId, Origin, bool)]) -> Result<(), StoreError> {
        for devices in devices.chunks(USERS) {
            let mut commands = Vec::with_capacity(devices.len() * 2);
            let until = self.server_now().saturating_add(LEASE_MILLIS);
            for (user, device, active) in devices {
                let (key, device) = (self.devices_key(*user), device_name(*device));
                let mut add = cmd("ZADD");
                add.arg(&key).arg(until).arg(format!("c:{device}"));
                if *active {
                    add.arg(until).arg(format!("a:{device}"));
                }
                let mut expire = cmd("PEXPIRE");
                expire.arg(&key).arg(LEASE_MILLIS);
                commands.extend([add, expire]);
            }
            port(self.run(commands)).await?;
        }
        Ok(())
    }

    async fn drop(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        port(self.change(user, device, "gone", Vec::new())).await
    }

    async fn set_last_active(&self, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        port(self.run(vec![self.store_last_active(user, at)])).await.map(drop)
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, StoreError> {
        port(self.look_at(users)).await
    }

    async fn forget(&self, user: UserId) -> Result<(), StoreError> {
        let mut delete = cmd("DEL");
        delete.arg(self.devices_key(user)).arg(self.last_active_key(user));
        let news = self.publish(&self.presence_channel(), &framed(user.as_bytes().iter().copied()));
        port(self.run(vec![delete, news])).await.map(drop)
    }

    async fn watch(&self, listener: Box<dyn PresenceListener>) {
        self.subscribe(self.presence_channel(), Changes { listener }).await;
    }
}

/// Reads what changed.
struct Changes {
    listener: Box<dyn PresenceListener>,
}

#[async_trait]
impl Subscriber for Changes {
    async fn received(&mut self, payload: &[u8]) -> bool {
        match payload.try_into() {
            Ok(user) => self.listener.changed(UserId::from_bytes(user)),
            Err(_) => self.listener.interrupted(),
        }
    }

    async fn interrupted(&mut self, _: Timestamp) -> bool {
        self.listener.interrupted()
    }
}

fn device_name(device: Origin) -> String {
    format!("{:016x}", device.0)
}

fn status(devices: &Value) -> PresenceStatus {
    let members: Vec<String> = redis::from_redis_value_ref(devices).unwrap_or_default();
    let status = |member: &String| {
        if member.starts_with("a:") { PresenceStatus::Online } else { PresenceStatus::Away }
    };
    members.iter().map(status).max().unwrap_or_default()
}
