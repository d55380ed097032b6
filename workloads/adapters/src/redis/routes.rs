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

    /// Tells which leases are new.
    async fn take_leases(&self, node: &NodeId, users: &[UserId]) -> Result<Taken, RedisError> {
        let routes = users.iter().map(|user| self.route_key(*user));
        let keys: Vec<String> = iter::once(self.key("nodes")).chain(routes).collect();
        let mut added = Vec::with_capacity(keys.len());
        for keys in keys.chunks(USERS) {
            let mut commands = vec![cmd("TIME")];
            commands.extend(keys.iter().flat_map(|key| self.take_lease(key, node)));
            let answers = self.run(commands).await?;
            let Some((time, leases)) = answers.split_first() else { continue };
            // It sets the clock for the next time.
            self.learn_time(time)?;
            for lease in leases.iter().step_by(LEASE_COMMANDS) {
                // `ZADD` tells whether it added a member; otherwise it set the score of one.
                added.push(self.read::<i64>(lease)? == 1);
            }
        }
        let mut added = added.into_iter();
        let node = added.next().unwrap_or(false);
        let users = users.iter().zip(added).filter(|(_, added)| *added).map(|(user, _)| *user).collect();
        Ok(Taken { node, users })
    }

    async fn all_nodes(&self) -> Result<Vec<NodeId>, RedisError> {
        let answers = self.run(vec![self.holders(&self.key("nodes"))]).await?;
        answers.first().map_or_else(|| Ok(Vec::new()), |answer| self.nodes_in(answer))
    }

    fn nodes_in(&self, answer: &Value) -> Result<Vec<NodeId>, RedisError> {
        let names: Vec<String> = self.read(answer)?;
        Ok(names.into_iter().map(NodeId::from_text).collect())
    }

    async fn look_up(&self, users: &[UserId]) -> Result<Vec<Vec<NodeId>>, RedisError> {
        let mut found = Vec::with_capacity(users.len());
        for users in users.chunks(USERS) {
            let commands = users.iter().map(|user| self.holders(&self.route_key(*user))).collect();
            for answer in self.run(commands).await? {
                found.push(self.nodes_in(&answer)?);
            }
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
        port(self.take_leases(node, users)).await
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
        port(self.all_nodes()).await
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::config::{Connection, RedisConfig, RedisMode};

    use super::*;

    #[test]
    fn an_answer_that_is_not_understood_is_not_taken_for_nobody() {
        let connection = Connection { endpoints: vec!["127.0.0.1:1".into()], credentials: None, tls: None };
        let config = RedisConfig { connection, mode: RedisMode::Single, primary: String::new(), prefix: "test".into() };
        let redis = Redis::new(&config).unwrap();
        assert!(redis.nodes_in(&Value::Array(Vec::new())).unwrap().is_empty());
        let named = Value::Array(vec![Value::BulkString(b"a.1".to_vec())]);
        assert_eq!(redis.nodes_in(&named).unwrap(), [NodeId::from_text("a.1".into())]);
        for other in [Value::Okay, Value::Int(1), Value::Array(vec![Value::Int(1), Value::Array(Vec::new())])] {
            let error = redis.nodes_in(&other).unwrap_err();
            assert!(matches!(error, RedisError::Failed { .. }), "{other:?}: {error}");
        }
        // A user who never was there is nobody in particular.
        assert_eq!(redis.read::<Option<i64>>(&Value::Nil).unwrap(), None);
        redis.read::<Option<i64>>(&Value::SimpleString("soon".into())).unwrap_err();
        redis.learn_time(&Value::Nil).unwrap_err();
    }
}
