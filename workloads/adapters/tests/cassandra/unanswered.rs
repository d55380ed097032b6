//! Writes that are carried out and not answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sentinel_adapters::cassandra::Cassandra;
use sentinel_domain::{
    clock::HybridClock,
    config::CassandraConfig,
    event::{LiveEvent, Origin},
    ports::{ChatStore, StoreError},
    watermark::Progress,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

use crate::{
    World,
    contract::{NOW, draft, draft_with_id},
    keyring, keyspace,
};

/// A frame of the protocol begins with so many bytes; one says what it is, the last four how long the rest is.
const HEADER: usize = 9;
const KIND: usize = 4;
const BATCH: u8 = 0x0d;

/// A way to the store that can keep answers back from the next batch on.
struct Way {
    address: String,
    silent: watch::Sender<bool>,
    at_the_next_batch: Arc<AtomicBool>,
}

impl Way {
    async fn to(store: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (silent, _) = watch::channel(false);
        let way = Self { address, silent, at_the_next_batch: Arc::default() };
        let (silent, at_the_next_batch) = (way.silent.clone(), way.at_the_next_batch.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_store, to_store) = TcpStream::connect(&store).await.unwrap().into_split();
                tokio::spawn(questions(from_client, to_store, silent.clone(), at_the_next_batch.clone()));
                tokio::spawn(answers(from_store, to_client, silent.subscribe()));
            }
        });
        way
    }

    /// A way of its own, and a process that reaches the store by it.
    async fn of_process(world: &World) -> (Self, Cassandra) {
        let run = keyspace::of_this_run().await;
        let way = Self::to(run.config().connection.endpoints[0].clone()).await;
        let mut config = CassandraConfig { connection: run.config().connection.clone(), ..run.config().clone() };
        config.connection.endpoints = vec![way.address.clone()];
        let (clock, sqlite) = (Arc::new(HybridClock::new()), Arc::new(world.sqlite.clone()));
        let connected = Cassandra::connect(&config, keyring(&["kek-0001"]), clock, world.fanout.clone(), sqlite);
        (way, connected.await.unwrap())
    }

    fn keep_back_the_next_batch(&self) {
        self.at_the_next_batch.store(true, Ordering::SeqCst);
    }

    fn speak(&self) {
        self.silent.send_replace(false);
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    silent: watch::Sender<bool>,
    at_the_next_batch: Arc<AtomicBool>,
) {
    let mut header = [0; HEADER];
    while from.read_exact(&mut header).await.is_ok() {
        if header[KIND] == BATCH && at_the_next_batch.swap(false, Ordering::SeqCst) {
            silent.send_replace(true);
        }
        let [.., a, b, c, d] = header;
        let mut rest = (&mut from).take(u32::from_be_bytes([a, b, c, d]).into());
        if to.write_all(&header).await.is_err() || copy(&mut rest, &mut to).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if silent.wait_for(|silent| !silent).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_connected_hears_of_what_was_written_and_not_answered() {
    let world = World::fresh();
    let (ann, bob, chat) = world.node().await.stores.pair().await;
    let (way, cassandra) = Way::of_process(&world).await;
    let heard = async || {
        let began = Instant::now();
        loop {
            if let Some(event) = world.fanout.take().into_iter().next() {
                return event;
            }
            assert!(began.elapsed() < Duration::from_secs(15), "nobody hears of it");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let known = cassandra.append(draft(chat.id, ann, "known"), None, NOW).await.unwrap().message.id;
    world.fanout.take();

    way.keep_back_the_next_batch();
    let failed = cassandra.append(draft_with_id(chat.id, ann, "hello", "1"), None, NOW).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    assert!(world.fanout.take().is_empty(), "it is not known yet");
    way.speak();
    let event = heard().await;
    let LiveEvent::Message { message, .. } = event else { panic!("{event:?}") };
    assert_eq!((message.text.as_str(), message.sender_id), ("hello", ann));
    let repeat = cassandra.append(draft_with_id(chat.id, ann, "hello", "1"), None, NOW).await.unwrap();
    assert!(repeat.duplicate && repeat.message == message);
    world.fanout.take();

    way.keep_back_the_next_batch();
    assert!(cassandra.edit(ann, chat.id, known, "changed".into(), NOW).await.is_err());
    way.speak();
    let event = heard().await;
    assert!(matches!(&event, LiveEvent::Edited { message, .. } if message.text == "changed"), "{event:?}");

    way.keep_back_the_next_batch();
    assert!(cassandra.advance(bob, chat.id, Progress::Read, message.id, NOW).await.is_err());
    way.speak();
    let event = heard().await;
    let LiveEvent::Receipt { chat: told, user_id, .. } = event else { panic!("{event:?}") };
    assert_eq!((user_id, told.watermarks_of(bob).read_up_to), (bob, Some(message.id)));

    way.keep_back_the_next_batch();
    assert!(cassandra.delete(ann, chat.id, known, NOW).await.is_err());
    way.speak();
    let event = heard().await;
    assert!(matches!(event, LiveEvent::Deleted { message_id, .. } if message_id == known), "{event:?}");
}

/// A process ends before it saw what came of its write; one that follows as many as it can does no more than that either.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_connected_hears_of_what_is_repeated_though_nobody_followed_it() {
    let world = World::fresh();
    let node = world.node().await;
    let (ann, _, chat) = node.stores.pair().await;
    let known = node.stores.send(chat.id, ann, "known").await.id;
    world.fanout.take();

    let (way, ending) = Way::of_process(&world).await;
    way.keep_back_the_next_batch();
    let failed = ending.append(draft_with_id(chat.id, ann, "hello", "1"), None, NOW).await;
    ending.close();
    assert!(failed.is_err() && world.fanout.take().is_empty());
    let repeat = node.cassandra.append(draft_with_id(chat.id, ann, "hello", "1"), Some(Origin(7)), NOW).await.unwrap();
    assert!(repeat.duplicate);
    let live = world.fanout.take();
    let [LiveEvent::Message { message, origin: Some(Origin(7)), .. }] = &live[..] else { panic!("{live:?}") };
    assert_eq!((message, message.text.as_str()), (&repeat.message, "hello"));

    let (way, ending) = Way::of_process(&world).await;
    way.keep_back_the_next_batch();
    let failed = ending.delete(ann, chat.id, known, NOW).await;
    ending.close();
    assert!(failed.is_err() && world.fanout.take().is_empty());
    node.cassandra.delete(ann, chat.id, known, NOW).await.unwrap();
    let live = world.fanout.take();
    assert!(matches!(live[..], [LiveEvent::Deleted { message_id, .. }] if message_id == known), "{live:?}");
}
