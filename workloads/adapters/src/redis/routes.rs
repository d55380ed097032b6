//! Which nodes hold sockets of which users: per user a sorted set of nodes by the end of their leases.

use std::iter;

use async_trait::async_trait;
use redis::{Cmd, Value, cmd};
use sentinel_domain::{
    ids::UserId,
    nodes::NodeId,
    ports::{Routes, StoreError, Taken},
};

use super::{Redis, RedisError, port};

const LEASE_SECONDS: u32 = 30;
const LEASE_MILLIS: i64 = LEASE_SECONDS as i64 * 1000;
/// Users of one round trip.
const USERS: usize = 1000;
/// Commands of one lease; the answer to the first tells whether it is new.
const LEASE_COMMANDS: usize = 3;

impl Redis {
    fn route_key(&self, user: UserId) -> String {
        self.user_key("route", user)
    }

    fn take_lease(&self, key: &str, node: &NodeId) -> [Cmd; LEASE_COMMANDS] {
        let now = self.server_now();
        let mut add = cmd("ZADD");
        add.arg(key).arg(now.saturating_add(LEASE_MILLIS)).arg(node.as_str());
        let mut sweep = cmd("ZREMRANGEBYSCORE");
        sweep.arg(key).arg("-inf").arg(now);
        let mut expire = cmd("PEXPIRE");
        expire.arg(key).arg(LEASE_MILLIS);
        [add, sweep, expire]
    }

    fn holders(&self, key: &str) -> Cmd {
        let mut holders = cmd("ZRANGEBYSCORE");
        holders.arg(key).arg(format!("({}", self.server_now())).arg("+inf");
        holders
    }

    async fn look_up(&self, users: &[UserId]) -> Result<Vec<Vec<NodeId>>, RedisError> {
        let mut found = Vec::with_capacity(users.len());
        for users in users.chunks(USERS) {
            let commands = users.iter().map(|user| self.holders(&self.route_key(*user))).collect();
            found.extend(self.run(commands).await?.iter().map(nodes_in));
        }
        Ok(found)
    }
}

#[async_trait]
impl Routes for Redis {
    fn lease_seconds(&self) -> u32 {
        LEASE_SECONDS
    }

    async fn join(&self, node: &NodeId, users: &[UserId]) -> Result<Taken, StoreError> {
        let routes = users.iter().map(|user| self.route_key(*user));
        let keys: Vec<String> = iter::once(self.key("nodes")).chain(routes).collect();
        let mut added = Vec::with_capacity(keys.len());
        for keys in keys.chunks(USERS) {
            let mut commands = vec![cmd("TIME")];
            commands.extend(keys.iter().flat_map(|key| self.take_lease(key, node)));
            let answers = port(self.run(commands)).await?;
            let Some((time, leases)) = answers.split_first() else { continue };
            // It sets the clock for the next time.
            self.learn_time(time);
            added.extend(leases.chunks(LEASE_COMMANDS).map(|lease| lease.first().is_some_and(was_added)));
        }
        let mut added = added.into_iter();
        let node = added.next().unwrap_or(false);
        let users = users.iter().zip(added).filter(|(_, added)| *added).map(|(user, _)| *user).collect();
        Ok(Taken { node, users })
    }

    async fn leave(&self, node: &NodeId, users: &[UserId]) -> Result<(), StoreError> {
        for users in users.chunks(USERS) {
            let commands = users
                .iter()
                .map(|user| {
                    let mut remove = cmd("ZREM");
                    remove.arg(self.route_key(*user)).arg(node.as_str());
                    remove
                })
                .collect();
            port(self.run(commands)).await?;
        }
        Ok(())
    }

    async fn nodes_of(&self, users: &[UserId]) -> Result<Vec<Vec<NodeId>>, StoreError> {
        port(self.look_up(users)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeId>, StoreError> {
        let answers = port(self.run(vec![self.holders(&self.key("nodes"))])).await?;
        Ok(answers.iter().flat_map(nodes_in).collect())
    }
}

/// Whether `ZADD` added a member; otherwise it set the score of one.
fn was_added(answer: &Value) -> bool {
    *answer == Value::Int(1)
}

fn nodes_in(answer: &Value) -> Vec<NodeId> {
    let names: Vec<String> = redis::from_redis_value_ref(answer).unwrap_or_default();
    names.into_iter().map(NodeId::from_text).collect()
}
