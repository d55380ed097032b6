//! Presence: per user a sorted set of devices by the end of their leases, and the time of the last activity.
//!
//! A device that is connected has the member `c:<device>@<node>`, one that is in use also `a:<device>@<node>`. Devices
//! of a node that is among the gone ones do not count, whatever their leases say.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use async_trait::async_trait;
use redis::{Cmd, Script, cmd};
use sentinel_domain::{
    event::Origin,
    ids::UserId,
    nodes::NodeId,
    ports::{PresenceListener, PresenceStore, RollCall, StoreError},
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
/// How long a node that beats no more is known: longer than anybody takes to notice.
const SILENT_MILLIS: i64 = 600_000;
/// How long the devices of a gone node are left out: longer than their leases.
const GONE_MILLIS: i64 = 2 * LEASE_MILLIS;
/// How long it is known when a user was last active. A server that runs out of memory removes what expires and was not used for
/// long: leases must not be all that it may remove.
const LAST_ACTIVE_SECONDS: i64 = 90 * 24 * 3600;

/// Changes one device of a user and tells whether the aggregate changed. KEYS: devices. ARGV: device, what it is now
/// (`active`, `idle` or `gone`), lease in milliseconds, then the nodes that are gone.
static CHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local gone = {}
for at = 4, #ARGV do gone[ARGV[at]] = true end
local function status()
  local most = 0
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
    local here = string.sub(member, 1, 1) == 'a' and 2 or 1
    if here > most and not gone[string.match(member, '@(.*)$')] then most = here end
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

/// Presence in Redis, for the devices of one process.
pub struct RedisPresence {
    redis: Redis,
    node: NodeId,
    /// The nodes that are gone, by the last beat.
    gone: Mutex<Vec<NodeId>>,
}

impl RedisPresence {
    /// The presence of all processes; devices that are told of here are those of `node`.
    pub fn new(redis: Redis, node: NodeId) -> Self {
        Self { redis, node, gone: Mutex::default() }
    }

    fn devices_key(&self, user: UserId) -> String {
        self.redis.user_key("devices", user)
    }

    fn last_active_key(&self, user: UserId) -> String {
        self.redis.user_key("last-active", user)
    }

    fn nodes_key(&self) -> String {
        self.redis.key("presence-nodes")
    }

    fn gone_key(&self) -> String {
        self.redis.key("presence-gone")
    }

    fn channel(&self) -> String {
        self.redis.key("presence")
    }

    fn device_name(&self, device: Origin) -> String {
        format!("{}{}", device_prefix(device), self.node)
    }

    /// Changes a device, and tells watchers when that made a difference.
    async fn change(&self, user: UserId, device: String, now_is: &str, then: Vec<Cmd>) -> Result<(), RedisError> {
        let mut arguments = vec![device, now_is.to_owned(), LEASE_MILLIS.to_string()];
        arguments.extend(
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|node| node.as_str().to_owned()),
        );
        let changed = self.redis.run_script(&CHANGE, &[self.devices_key(user)], &arguments).await? != 0;
        let mut commands = then;
        if changed {
            let news = framed(user.as_bytes().iter().copied());
            commands.push(self.redis.publish(&self.channel(), &news));
        }
        if !commands.is_empty() {
            self.redis.run(commands).await?;
        }
        Ok(())
    }

    async fn devices_of(&self, user: UserId) -> Result<Vec<String>, RedisError> {
        let answers = self.redis.run(vec![all_of(&self.devices_key(user))]).await?;
        answers.first().map_or_else(|| Ok(Vec::new()), |devices| self.redis.read(devices))
    }

    async fn look_at(&self, users: &[UserId]) -> Result<Vec<Presence>, RedisError> {
        let mut found = Vec::with_capacity(users.len());
        for users in users.chunks(USERS) {
            let mut commands = Vec::with_capacity(users.len() * 2 + 1);
            commands.push(all_of(&self.gone_key()));
            for user in users {
                let mut devices = cmd("ZRANGEBYSCORE");
                devices.arg(self.devices_key(*user)).arg(format!("({}", self.redis.server_now())).arg("+inf");
                let mut last_active = cmd("GET");
                last_active.arg(self.last_active_key(*user));
                commands.extend([devices, last_active]);
            }
            let answers = self.redis.run(commands).await?;
            let Some((gone, answers)) = answers.split_first() else { continue };
            let gone: HashSet<String> = self.redis.read(gone)?;
            for (user, answers) in users.iter().zip(answers.chunks(2)) {
                let [devices, last_active] = answers else { continue };
                let devices: Vec<String> = self.redis.read(devices)?;
                let last_active: Option<i64> = self.redis.read(last_active)?;
                found.push(Presence {
                    user_id: *user,
                    status: status(&devices, &gone),
                    last_active: last_active.map(Timestamp),
                });
            }
        }
        Ok(found)
    }

    async fn call_the_roll(&self) -> Result<RollCall, RedisError> {
        let now = self.redis.server_now();
        let (nodes, gone) = (self.nodes_key(), self.gone_key());
        let mut beat = cmd("ZADD");
        beat.arg(&nodes).arg(now).arg(self.node.as_str());
        let mut back = cmd("ZREM");
        back.arg(&gone).arg(self.node.as_str());
        let mut beats = cmd("ZRANGE");
        beats.arg(&nodes).arg(0).arg(-1).arg("WITHSCORES");
        let commands =
            vec![beat, back, until(&nodes, now.saturating_sub(SILENT_MILLIS)), until(&gone, now), beats, all_of(&gone)];
        let answers = self.redis.run(commands).await?;
        let [added, _, _, _, beats, gone] = answers.as_slice() else { return Ok(RollCall::default()) };
        let added: i64 = self.redis.read(added)?;
        let beats: Vec<(String, f64)> = self.redis.read(beats)?;
        let gone: Vec<String> = self.redis.read(gone)?;
        let gone: Vec<NodeId> = gone.into_iter().map(NodeId::from_text).collect();
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&gone);
        // A number that differs after each beat is all that is asked for.
        #[allow(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are far below 2^52")]
        let beats = beats.into_iter().map(|(node, at)| (NodeId::from_text(node), at as i64));
        Ok(RollCall { beats: beats.filter(|(node, _)| *node != self.node).collect(), gone, was_known: added == 0 })
    }
}

#[async_trait]
impl PresenceStore for RedisPresence {
    fn lease_seconds(&self) -> u32 {
        LEASE_SECONDS
    }

    async fn touch(&self, user: UserId, device: Origin, active: bool, now: Timestamp) -> Result<(), StoreError> {
        if active {
            self.heartbeat(user, device, now).await
        } else {
            port(self.change(user, self.device_name(device), "idle", Vec::new())).await
        }
    }

    async fn heartbeat(&self, user: UserId, device: Origin, now: Timestamp) -> Result<(), StoreError> {
        let last_active = note_active(&self.last_active_key(user), now);
        port(self.change(user, self.device_name(device), "active", vec![last_active])).await
    }

    async fn renew(&self, devices: &[(UserId, Origin, bool)]) -> Result<(), StoreError> {
        for devices in devices.chunks(USERS) {
            let mut commands = Vec::with_capacity(devices.len() * 2);
            let until = self.redis.server_now().saturating_add(LEASE_MILLIS);
            for (user, device, active) in devices {
                let (key, device) = (self.devices_key(*user), self.device_name(*device));
                let mut add = cmd("ZADD");
                add.arg(&key).arg(until).arg(format!("c:{device}"));
                if *active {
                    add.arg(until).arg(format!("a:{device}"));
                }
                let mut expire = cmd("PEXPIRE");
                expire.arg(&key).arg(LEASE_MILLIS);
                commands.extend([add, expire]);
            }
            port(self.redis.run(commands)).await?;
        }
        Ok(())
    }

    async fn drop(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        port(self.change(user, self.device_name(device), "gone", Vec::new())).await
    }

    async fn forget_device(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        let prefix = format!("c:{}", device_prefix(device));
        for member in port(self.devices_of(user)).await? {
            if member.starts_with(&prefix) {
                port(self.change(user, member["c:".len()..].to_owned(), "gone", Vec::new())).await?;
            }
        }
        Ok(())
    }

    async fn beat(&self) -> Result<Option<RollCall>, StoreError> {
        port(self.call_the_roll()).await.map(Some)
    }

    async fn mark_gone(&self, nodes: &[NodeId]) -> Result<(), StoreError> {
        let (mut forget, mut mark) = (cmd("ZREM"), cmd("ZADD"));
        forget.arg(self.nodes_key());
        mark.arg(self.gone_key());
        let until = self.redis.server_now().saturating_add(GONE_MILLIS);
        for node in nodes {
            forget.arg(node.as_str());
            mark.arg(until).arg(node.as_str());
        }
        let commands = if nodes.is_empty() { Vec::new() } else { vec![mark, forget] };
        port(self.redis.run(commands)).await?;
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(nodes);
        Ok(())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, StoreError> {
        port(self.look_at(users)).await
    }

    async fn forget(&self, user: UserId) -> Result<(), StoreError> {
        let mut delete = cmd("DEL");
        delete.arg(self.devices_key(user)).arg(self.last_active_key(user));
        let news = self.redis.publish(&self.channel(), &framed(user.as_bytes().iter().copied()));
        port(self.redis.run(vec![delete, news])).await.map(drop)
    }

    async fn watch(&self, listener: Box<dyn PresenceListener>) {
        self.redis.subscribe(self.channel(), Changes { listener }).await;
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

/// The command that removes what a sorted set has up to a score.
fn until(key: &str, score: i64) -> Cmd {
    let mut remove = cmd("ZREMRANGEBYSCORE");
    remove.arg(key).arg("-inf").arg(score);
    remove
}

/// The command that notes when a user was last active.
fn note_active(key: &str, at: Timestamp) -> Cmd {
    let mut note = cmd("SET");
    note.arg(key).arg(at.0).arg("EX").arg(LAST_ACTIVE_SECONDS);
    note
}

/// The command for all members of a sorted set.
fn all_of(key: &str) -> Cmd {
    let mut all = cmd("ZRANGE");
    all.arg(key).arg(0).arg(-1);
    all
}

/// What a device's name begins with, whichever node it is of.
fn device_prefix(device: Origin) -> String {
    format!("{:016x}@", device.0)
}

/// The most present of the devices whose nodes are there. Members without a node are those of an older version.
fn status(members: &[String], gone: &HashSet<String>) -> PresenceStatus {
    let counts = |member: &&String| member.split_once('@').is_none_or(|(_, node)| !gone.contains(node));
    let status = |member: &String| {
        if member.starts_with("a:") { PresenceStatus::Online } else { PresenceStatus::Away }
    };
    members.iter().filter(counts).map(status).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_a_node_that_is_gone_do_not_count() {
        let members = ["c:1@one.1", "a:1@one.1", "c:2@two.2"].map(str::to_owned);
        let gone = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect();
        assert_eq!(status(&members, &gone(&[])), PresenceStatus::Online);
        assert_eq!(status(&members, &gone(&["one.1"])), PresenceStatus::Away);
        assert_eq!(status(&members, &gone(&["one.1", "two.2"])), PresenceStatus::Offline);
        assert_eq!(status(&["a:3".to_owned()], &gone(&["one.1"])), PresenceStatus::Online);
    }

    #[test]
    fn the_last_activity_is_not_kept_for_ever() {
        let note = note_active("last-active", Timestamp(1_000)).get_packed_command();
        let note = String::from_utf8(note).unwrap();
        assert!(note.ends_with("$4\r\n1000\r\n$2\r\nEX\r\n$7\r\n7776000\r\n"), "{note}");
    }
}
