//! Redis: who is where, who is present, and when somebody was last active. Nothing durable: all that is kept of a user
//! expires, and messages may get lost.
//!
//! Every call ends within about a second, and within some more where it has to connect first, whether or not Redis answers.
//! While it is away, calls fail fast, and the next one after a moment tries to connect again.

mod bus;
mod connection;
mod inspect;
mod presence;
mod routes;
mod subscriber;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use redis::{Cmd, FromRedisValue, Script, Value};
use sentinel_domain::{
    config::{RedisConfig, RedisMode},
    ids::UserId,
    ports::StoreError,
    time::Timestamp,
};
use tokio::{sync::Mutex, time::timeout};

use self::connection::{Line, Opener};

pub use self::{connection::RedisError, presence::RedisPresence};

/// Longest time of a call.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon after a failed attempt a call tries to connect again.
const RETRIED_AFTER: Duration = Duration::from_millis(500);
/// How long [`Redis::connect`] waits for Redis to answer.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// How far clocks may be apart before somebody is told. Inboxes and the outbox bear three times as much.
const CLOCKS_APART: Duration = Duration::from_secs(20);
/// Commands that a cluster's connection has under way at once.
const AT_ONCE: usize = 256;
/// Refusals that another server may not give: this one is not the primary any more, not ready, or does not know who asks.
const OF_THIS_SERVER: [&str; 6] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "NOAUTH"];

/// A Redis server, the primary that sentinels know, or a cluster. Clones share one connection.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    opener: Opener,
    prefix: String,
    state: Mutex<State>,
    /// Milliseconds by which the server's clock is ahead of this one.
    ahead: AtomicI64,
}

#[derive(Default)]
struct State {
    line: Option<Line>,
    /// Counts connections, so that an error of an old one does not end its successor.
    generation: u64,
    failed_at: Option<Instant>,
}

impl Redis {
    /// Reads the configuration. Nothing is connected: the first call does that, and every call after a failure.
    pub fn new(config: &RedisConfig) -> Result<Self, RedisError> {
        Ok(Self {
            shared: Arc::new(Shared {
                opener: Opener::new(config)?,
                prefix: config.prefix.clone(),
                state: Mutex::default(),
                ahead: AtomicI64::new(0),
            }),
        })
    }

    /// [`Redis::new`], and waits until Redis answers; gives up after 15 s.
    pub async fn connect(config: &RedisConfig) -> Result<Self, RedisError> {
        let redis = Self::new(config)?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match redis.ping().await {
                Ok(()) => return Ok(redis),
                Err(error) if Instant::now() >= deadline || error.is_final() => return Err(error),
                Err(_) => tokio::time::sleep(RETRIED_AFTER).await,
            }
        }
    }

    /// A quick question, for readiness.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.ping().await.map_err(StoreError::unavailable)
    }

    async fn ping(&self) -> Result<(), RedisError> {
        let answers = self.run(vec![redis::cmd("TIME")]).await?;
        if let Some(time) = answers.first() {
            self.learn_time(time)?;
        }
        Ok(())
    }

    fn is_cluster(&self) -> bool {
        self.shared.opener.mode() == RedisMode::Cluster
    }

    /// The key of what is kept of a user. The braces keep all keys of a user together in a cluster.
    fn user_key(&self, kind: &str, user: UserId) -> String {
        format!("{}:{kind}:{{{user}}}", self.shared.prefix)
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.shared.prefix)
    }

    /// The command that publishes on a channel: in a cluster only to the shard that has it.
    fn publish(&self, channel: &str, payload: &[u8]) -> Cmd {
        let mut publish = redis::cmd(if self.is_cluster() { "SPUBLISH" } else { "PUBLISH" });
        publish.arg(channel).arg(payload);
        publish
    }

    /// The server's time, by the last look at its clock.
    fn server_now(&self) -> i64 {
        Timestamp::now().0.saturating_add(self.shared.ahead.load(Ordering::Relaxed))
    }

    /// Takes note of the answer to `TIME`.
    fn learn_time(&self, answer: &Value) -> Result<(), RedisError> {
        let (seconds, micros): (i64, i64) = self.read(answer)?;
        let server = seconds.saturating_mul(1000).saturating_add(micros / 1000);
        let ahead = server.saturating_sub(Timestamp::now().0);
        let before = self.shared.ahead.swap(ahead, Ordering::Relaxed);
        let apart = Duration::from_millis(ahead.unsigned_abs());
        // Ids of this machine are as far from others'. Which of the two clocks is wrong can't be told from here.
        metrics::gauge!("sentinel_redis_clock_apart_seconds").set(apart.as_secs_f64());
        if apart > CLOCKS_APART && Duration::from_millis(before.unsigned_abs()) <= CLOCKS_APART {
            tracing::error!(
                ahead_millis = ahead,
                "the clock of redis is ahead of this machine's, or behind: see that all machines synchronize their clocks"
            );
        }
        Ok(())
    }

    /// What one answer says. One of another kind is a failure: taken for nothing, it would look as if nobody were there.
    fn read<T: FromRedisValue>(&self, answer: &Value) -> Result<T, RedisError> {
        redis::from_redis_value_ref(answer).map_err(|error| self.shared.opener.failed(error.into()))
    }

    /// Runs commands in one go, in order for each key; their answers.
    async fn run(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, RedisError> {
        self.with_line(async |line| match line {
            Line::Single(connection) => {
                let mut pipeline = redis::Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command);
                }
                pipeline.query_async(connection).await
            }
            // A cluster's pipeline goes to one node, so each command goes by itself.
            Line::Cluster(connection) => {
                stream::iter(commands)
                    .map(|command| {
                        let mut connection = connection.clone();
                        async move { command.query_async::<Value>(&mut connection).await }
                    })
                    .buffered(AT_ONCE)
                    .try_collect()
                    .await
            }
        })
        .await
    }

    /// Runs a script on the keys of one user.
    async fn run_script(&self, script: &Script, keys: &[String], arguments: &[String]) -> Result<i64, RedisError> {
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for argument in arguments {
            call.arg(argument);
        }
        self.with_line(async |line| match line {
            Line::Single(connection) => call.invoke_async(connection).await,
            Line::Cluster(connection) => call.invoke_async(connection).await,
        })
        .await
    }

    async fn with_line<T>(&self, work: impl AsyncFnOnce(&mut Line) -> redis::RedisResult<T>) -> Result<T, RedisError> {
        let (generation, mut line) = self.line().await?;
        let done = timeout(PATIENCE, work(&mut line)).await;
        let (error, by_line) = match done {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                let by_line = failed_by_line(&error);
                (self.shared.opener.failed(error), by_line)
            }
            Err(_) => (self.shared.opener.silent(), true),
        };
        metrics::counter!("sentinel_redis_failures_total").increment(1);
        if by_line {
            // A new connection asks the sentinels who is primary now, and is not one that hangs.
            let mut state = self.shared.state.lock().await;
            if state.generation == generation {
                state.line = None;
            }
        }
        Err(error)
    }

    /// The connection, opened if need be. Whoever comes while another opens it waits for that.
    async fn line(&self) -> Result<(u64, Line), RedisError> {
        let mut state = self.shared.state.lock().await;
        if let Some(line) = &state.line {
            return Ok((state.generation, line.clone()));
        }
        if state.failed_at.is_some_and(|at| at.elapsed() < RETRIED_AFTER) {
            return Err(self.shared.opener.away());
        }
        match self.shared.opener.open(None).await {
            Ok(line) => {
                state.generation += 1;
                state.line = Some(line.clone());
                state.failed_at = None;
                Ok((state.generation, line))
            }
            Err(error) => {
                state.failed_at = Some(Instant::now());
                metrics::counter!("sentinel_redis_failures_total").increment(1);
                Err(error)
            }
        }
    }
}

/// Whether another connection may do better. One that brings a refusal, such as for want of memory, works: others' calls are
/// under way on it.
fn failed_by_line(error: &redis::RedisError) -> bool {
    let refusals = error.clone().into_server_errors();
    refusals.is_none_or(|all| all.iter().any(|(_, refusal)| OF_THIS_SERVER.contains(&refusal.code())))
}

/// Runs what a port asks for, with the port's error.
async fn port<T>(call: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
    call.await.map_err(StoreError::unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_leaves_the_connection_to_the_others_unless_another_server_may_do_better() {
        let refusal = |answer: &str| {
            let answer = format!("-{answer}\r\n");
            redis::parse_redis_value(answer.as_bytes()).and_then(Value::extract_error).unwrap_err()
        };
        for answer in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "NOPERM this user has no permissions to run the 'zadd' command",
            "ERR unknown command",
        ] {
            assert!(!failed_by_line(&refusal(answer)), "{answer}");
        }
        for answer in [
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN The cluster is down",
            "NOREPLICAS Not enough good replicas to write.",
            "NOAUTH Authentication required.",
        ] {
            assert!(failed_by_line(&refusal(answer)), "{answer}");
        }
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(failed_by_line(&broken.into()));
        let hung = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert!(failed_by_line(&hung.into()));
    }
}
