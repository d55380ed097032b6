//! The Redis adapter against a real server: `SENTINEL_TEST_REDIS=host:port`, or several endpoints with
//! `SENTINEL_TEST_REDIS_MODE=Cluster` or `Sentinel` (its primary is called `mymaster`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "redis/presence.rs"]
mod presence;
mod presence_contract;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sentinel_adapters::redis::{Redis, RedisError};
use sentinel_domain::{
    config::{Connection, RedisConfig, RedisMode},
    event::LiveEvent,
    ids::{ChatId, EventId, SessionId, UserId},
    nodes::{Contents, Letter, NodeId},
    ports::{BusListener, NodeBus, Routes, Taken},
    time::Timestamp,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

/// The endpoints may have a password in front, as in `redis://:password@host:port`.
fn config() -> RedisConfig {
    let value = std::env::var("SENTINEL_TEST_REDIS").expect("SENTINEL_TEST_REDIS names a Redis server: host:port");
    let mode = match std::env::var("SENTINEL_TEST_REDIS_MODE").as_deref() {
        Ok("Cluster") => RedisMode::Cluster,
        Ok("Sentinel") => RedisMode::Sentinel,
        _ => RedisMode::Single,
    };
    let value = value.strip_prefix("redis://").unwrap_or(&value);
    let (password, endpoints) = value.rsplit_once('@').map_or((None, value), |(user, at)| (user.split(':').nth(1), at));
    let mut config = config_of(endpoints.split(',').map(str::to_owned).collect(), mode);
    config.connection.credentials = password.map(credentials);
    config
}

/// A folder with the password.
fn credentials(password: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("redis-credentials");
    std::fs::create_dir_all(&folder).unwrap();
    for (file, value) in [("username", "default"), ("password", password)] {
        // Tests run side by side: each writes the same.
        let written = folder.join(format!("{file}-{}", Uuid::new_v4().simple()));
        std::fs::write(&written, value).unwrap();
        std::fs::rename(written, folder.join(file)).unwrap();
    }
    folder
}

fn config_of(endpoints: Vec<String>, mode: RedisMode) -> RedisConfig {
    RedisConfig {
        connection: Connection { endpoints, credentials: None, tls: None },
        mode,
        primary: "mymaster".into(),
        prefix: format!("test-{}", Uuid::new_v4().simple()),
    }
}

async fn connect() -> Redis {
    Redis::connect(&config()).await.unwrap()
}

fn user() -> UserId {
    UserId(Uuid::new_v4())
}

fn letter(from: &NodeId, sequence: u64, events: usize) -> Letter {
    let event = |n: usize| LiveEvent::SessionEnded { session_id: SessionId(Uuid::from_u128(n as u128)) };
    Letter {
        from: from.clone(),
        sequence,
        numbered_since: Some(Timestamp(5)),
        clock: EventId(Uuid::from_u128(1)),
        contents: Contents::Events((0..events).map(event).collect()),
    }
}

#[derive(Debug, PartialEq)]
enum Heard {
    Letter(Letter),
    Interrupted(Timestamp),
}

struct Ear(UnboundedSender<Heard>);

#[async_trait]
impl BusListener for Ear {
    async fn received(&self, letter: Letter) -> bool {
        self.0.send(Heard::Letter(letter)).is_ok()
    }

    async fn interrupted(&self, since: Timestamp) -> bool {
        self.0.send(Heard::Interrupted(since)).is_ok()
    }
}

async fn listen(redis: &Redis, node: &NodeId) -> UnboundedReceiver<Heard> {
    let (ear, heard) = unbounded_channel();
    redis.listen(node, Box::new(Ear(ear))).await;
    heard
}

async fn next(heard: &mut UnboundedReceiver<Heard>) -> Heard {
    timeout(PATIENCE, heard.recv()).await.expect("something within the time").unwrap()
}

/// What does not bear any letter.
struct Fragile;

#[async_trait]
impl BusListener for Fragile {
    async fn received(&self, _: Letter) -> bool {
        panic!("it fails")
    }

    async fn interrupted(&self, _: Timestamp) -> bool {
        true
    }
}

/// Runs itself in a process of its own, as it ends its process: one that goes on would hear nothing and look healthy.
#[tokio::test]
async fn a_process_ends_with_a_subscription_that_panics() {
    const IN_CHILD: &str = "SENTINEL_TEST_SUBSCRIPTION_PANICS";
    let test = "a_process_ends_with_a_subscription_that_panics";
    if std::env::var_os(IN_CHILD).is_some() {
        let (redis, node) = (connect().await, NodeId::started("a"));
        redis.listen(&node, Box::new(Fragile)).await;
        redis.send(&[(node.clone(), letter(&node, 0, 1))]).await.unwrap();
        tokio::time::sleep(PATIENCE).await;
        return;
    }
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).args(["--exact", test]).env(IN_CHILD, "1").output().await.unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(!child.status.success() && said.contains("running 1 test"), "{child:?}");
    assert!(!said.contains("test result"), "the test went on to its end: {child:?}");
}

#[tokio::test]
async fn users_are_found_on_the_nodes_that_hold_them() {
    let redis = connect().await;
    let (a, b) = (NodeId::started("a"), NodeId::started("b"));
    let (ann, bob, nobody) = (user(), user(), user());
    redis.join(&a, &[ann, bob]).await.unwrap();
    redis.join(&b, &[bob]).await.unwrap();
    assert_eq!(redis.join(&b, &[bob]).await.unwrap(), Taken::default(), "both leases were there");
    let mut found = redis.nodes_of(&[ann, nobody, bob]).await.unwrap();
    for nodes in &mut found {
        nodes.sort();
    }
    assert_eq!(found, [vec![a.clone()], vec![], vec![a.clone(), b.clone()]]);
    let mut nodes = redis.nodes().await.unwrap();
    nodes.sort();
    assert_eq!(nodes, [a.clone(), b.clone()]);
    redis.leave(&a, &[bob, nobody]).await.unwrap();
    assert_eq!(redis.nodes_of(&[bob, ann]).await.unwrap(), [vec![b], vec![a]]);
}

#[tokio::test]
async fn many_users_are_looked_up_at_once() {
    let redis = connect().await;
    let node = NodeId::started("a");
    let users: Vec<UserId> = (0..5_000).map(|_| user()).collect();
    let began = Instant::now();
    redis.join(&node, &users).await.unwrap();
    let joined = began.elapsed();
    let began = Instant::now();
    let found = redis.nodes_of(&users).await.unwrap();
    println!("5,000 users: leases {joined:?}, look-up {:?}", began.elapsed());
    assert!(found.iter().all(|nodes| *nodes == [node.clone()]));
    redis.leave(&node, &users).await.unwrap();
    assert!(redis.nodes_of(&users).await.unwrap().iter().all(Vec::is_empty));
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_ends() {
    let redis = connect().await;
    let (gone, here, ann) = (NodeId::started("gone"), NodeId::started("here"), user());
    redis.join(&gone, &[ann]).await.unwrap();
    let lease = Duration::from_secs(u64::from(Routes::lease_seconds(&redis)));
    let began = Instant::now();
    while began.elapsed() < lease + Duration::from_secs(1) {
        redis.join(&here, &[ann]).await.unwrap();
        tokio::time::sleep(lease / 10).await;
    }
    assert_eq!(redis.nodes_of(&[ann]).await.unwrap(), [vec![here.clone()]]);
    assert_eq!(redis.nodes().await.unwrap(), [here]);
}

/// As when Redis needed the memory, or was emptied, and answers all the same.
#[tokio::test]
async fn leases_that_are_not_there_any_more_are_told_when_they_are_renewed() {
    let redis = connect().await;
    let (node, users) = (NodeId::started("a"), (0..1_500).map(|_| user()).collect::<Vec<_>>());
    let join = async || redis.join(&node, &users).await.unwrap();
    assert_eq!(join().await, Taken { node: true, users: users.clone() });
    assert_eq!(join().await, Taken::default());
    redis.leave(&node, &[users[0], users[1_200]]).await.unwrap();
    assert_eq!(join().await, Taken { node: false, users: vec![users[0], users[1_200]] });
    assert_eq!(redis.join(&NodeId::started("b"), &users[..1]).await.unwrap().users, users[..1], "each has its own");
    assert_eq!(join().await, Taken::default());
}

#[tokio::test]
async fn letters_arrive_in_order_at_the_node_they_are_for() {
    let redis = connect().await;
    let (a, b, c) = (NodeId::started("a"), NodeId::started("b"), NodeId::started("c"));
    let (mut at_b, mut at_c) = (listen(&redis, &b).await, listen(&redis, &c).await);
    let began = Instant::now();
    for round in 0..100 {
        let letters: Vec<_> = (0..10).map(|n| (b.clone(), letter(&a, round * 10 + n, 3))).collect();
        redis.send(&letters).await.unwrap();
    }
    redis.send(&[(c.clone(), letter(&a, 0, 0)), (NodeId::started("nobody"), letter(&a, 0, 0))]).await.unwrap();
    for sequence in 0..1000 {
        assert_eq!(next(&mut at_b).await, Heard::Letter(letter(&a, sequence, 3)));
    }
    println!("1,000 letters in 100 rounds: {:?}", began.elapsed());
    assert_eq!(next(&mut at_c).await, Heard::Letter(letter(&a, 0, 0)));
    assert!(at_c.is_empty());
}

#[tokio::test]
async fn a_message_is_the_same_at_the_other_end() {
    let redis = connect().await;
    let (a, b) = (NodeId::started("a"), NodeId::started("b"));
    let mut at_b = listen(&redis, &b).await;
    let (ann, bob) = (user(), user());
    let typing = LiveEvent::Typing { chat_id: ChatId::of_pair(ann, bob), user_id: ann, peer: bob, typing: true };
    let sent = Letter { contents: Contents::Events(vec![typing]), ..letter(&a, 7, 0) };
    redis.send(&[(b, sent.clone())]).await.unwrap();
    assert_eq!(next(&mut at_b).await, Heard::Letter(sent));
}

/// A way to the server that can be cut, or swallow everything.
struct Way {
    address: SocketAddr,
    target: String,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Way {
    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut way = Self { address, target, open: Arc::default(), accepting: None };
        way.accept(listener);
        way
    }

    fn accept(&mut self, listener: TcpListener) {
        let (target, open) = (self.target.clone(), self.open.clone());
        self.accepting = Some(tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                let line = tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
                open.lock().unwrap().push(line);
            }
        }));
    }

    fn cut(&mut self) {
        self.accepting.take().unwrap().abort();
        self.open.lock().unwrap().drain(..).for_each(|line| line.abort());
    }

    async fn restore(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.accept(listener);
    }
}

#[tokio::test]
async fn an_outage_fails_fast_is_reported_and_heals() {
    let real = config();
    if real.mode != RedisMode::Single {
        return;
    }
    let mut way = Way::to(real.connection.endpoints[0].clone()).await;
    let config = RedisConfig {
        connection: Connection { endpoints: vec![way.address.to_string()], ..real.connection.clone() },
        ..real.clone()
    };
    let (away, direct) = (Redis::connect(&config).await.unwrap(), Redis::connect(&real).await.unwrap());
    let (a, b) = (NodeId::started("a"), NodeId::started("b"));
    let mut at_b = listen(&away, &b).await;
    direct.send(&[(b.clone(), letter(&a, 0, 1))]).await.unwrap();
    assert_eq!(next(&mut at_b).await, Heard::Letter(letter(&a, 0, 1)));

    let before = Timestamp::now();
    way.cut();
    direct.send(&[(b.clone(), letter(&a, 1, 1))]).await.unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        away.nodes_of(&[user()]).await.unwrap_err();
    }
    let failing = began.elapsed();
    assert!(failing < Duration::from_secs(3), "20 calls took {failing:?}");
    away.check().await.unwrap_err();
    way.restore().await;
    let Heard::Interrupted(since) = next(&mut at_b).await else { panic!("the outage is reported") };
    assert!((before.0 - 3_000..=before.0 + 1_000).contains(&since.0), "{since} is not around {before}");
    direct.send(&[(b.clone(), letter(&a, 2, 1))]).await.unwrap();
    assert_eq!(next(&mut at_b).await, Heard::Letter(letter(&a, 2, 1)));
    timeout(PATIENCE, async {
        while away.check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("calls work again");
}

#[tokio::test]
async fn a_subscription_that_became_deaf_is_made_anew() {
    let real = config();
    if real.mode != RedisMode::Single {
        return;
    }
    // Lines that are open but carry nothing any more: as after a failover behind a network fault.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let deaf = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (target, swallows) = (real.connection.endpoints[0].clone(), deaf.clone());
    let way = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let (target, swallows) = (target.clone(), swallows.clone());
            held.push(tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await.unwrap();
                let carried = copy_bidirectional(&mut client, &mut server);
                let turned = async {
                    while !swallows.load(std::sync::atomic::Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::select! { _ = carried => return, () = turned => {} }
                tokio::time::sleep(Duration::from_secs(30)).await;
            }));
        }
    });
    let config = RedisConfig {
        connection: Connection { endpoints: vec![address.to_string()], ..real.connection.clone() },
        ..real.clone()
    };
    let (through, direct) = (Redis::connect(&config).await.unwrap(), Redis::connect(&real).await.unwrap());
    let (a, b) = (NodeId::started("a"), NodeId::started("b"));
    let mut at_b = listen(&through, &b).await;
    deaf.store(true, std::sync::atomic::Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    direct.send(&[(b.clone(), letter(&a, 0, 1))]).await.unwrap();
    deaf.store(false, std::sync::atomic::Ordering::Relaxed);
    let heard = timeout(Duration::from_secs(15), at_b.recv()).await.expect("a report within the time").unwrap();
    assert!(matches!(heard, Heard::Interrupted(_)), "{heard:?}");
    direct.send(&[(b, letter(&a, 1, 1))]).await.unwrap();
    assert_eq!(next(&mut at_b).await, Heard::Letter(letter(&a, 1, 1)));
    way.abort();
}

#[tokio::test]
async fn what_is_configured_wrongly_is_named() {
    let nowhere = config_of(vec!["127.0.0.1:1".into()], RedisMode::Single);
    let redis = Redis::new(&nowhere).unwrap();
    let error = redis.check().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("127.0.0.1:1"), "{source}");
    let wrong = config_of(vec!["redis".into()], RedisMode::Single);
    assert!(matches!(Redis::connect(&wrong).await, Err(RedisError::Endpoint(endpoint)) if endpoint == "redis"));
    assert!(matches!(Redis::new(&config_of(vec![], RedisMode::Cluster)), Err(RedisError::NoEndpoints)));
}
