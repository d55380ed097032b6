//! How many messages per second the `SQLite` store appends: `cargo run --release --example append_rate -- <senders> <chats>`.

use std::{sync::Arc, time::Instant};

use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    clock::HybridClock,
    event::Nobody,
    ids::UserId,
    keyring::Keyring,
    message::{ClientMessageId, Draft},
    ports::{AccountStore, ChatStore, StoreError},
    time::Timestamp,
};
use sentinel_testing::{account, draft};
use uuid::Uuid;

const MESSAGES: usize = 200_000;
const TEXT: &str = "a message of the usual length, which is some fifty characters";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let senders: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let chats: usize = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(measure(senders, chats))
}

async fn measure(senders: usize, chats: usize) -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("append-rate-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let keyring = Arc::new(Keyring::new([("kek-0001".to_owned(), [7; 32])].into())?);
    let store = Sqlite::open(&folder.join("db"), keyring, Arc::new(HybridClock::new()), Arc::new(Nobody))?;
    let mut pairs = Vec::new();
    for number in 0..chats {
        let (low, high) = (user(&store, number * 2).await?, user(&store, number * 2 + 1).await?);
        let (chat, _) = store.start_chat(low, high, Timestamp::now()).await?;
        pairs.push((chat.id, low));
    }
    let pairs = Arc::new(pairs);
    let began = Instant::now();
    let tasks: Vec<_> = (0..senders)
        .map(|sender| {
            let (store, pairs) = (store.clone(), Arc::clone(&pairs));
            tokio::spawn(async move {
                for number in 0..MESSAGES / senders {
                    let (chat_id, sender_id) = pairs[(number * senders + sender * 7919) % pairs.len()];
                    let client_message_id = ClientMessageId::parse(Uuid::new_v4().to_string()).ok();
                    let draft = Draft { client_message_id, ..draft(chat_id, sender_id, TEXT) };
                    store.append(draft, None, Timestamp::now()).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(MESSAGES / senders * senders)?);
    println!(
        "{:.0} messages/s, {:.1} µs each, {senders} senders, {chats} chats",
        count / seconds,
        seconds * 1e6 / count
    );
    store.close();
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn user(store: &Sqlite, number: usize) -> Result<UserId, StoreError> {
    Ok(store.create_account(account(&format!("user{number}"))).await?.id)
}
