//! Consumers of what happens: how long a message takes from its acknowledgement into search, and to the notification of
//! its recipient.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use super::{
    accounts::Account,
    api::Api,
    client,
    latency::Latencies,
    packet::{self, Packet},
    search::{mark, run_word},
    target::Target,
    wire::Socket,
};

/// Pairs that take turns.
const PAIRS: usize = 4;
/// How often is searched: often enough for the figure, too seldom to be a load of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// After this long without a message reaching a consumer something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);
/// A socket that has just joined may not be known yet to all processes: a first message is tried so often.
const FIRST_TRIES: u64 = 5;
const FIRST_PATIENCE: Duration = Duration::from_secs(15);

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    messages: u64,
    searchable_p50_ms: f64,
    searchable_p99_ms: f64,
    notified_p50_ms: f64,
    notified_p99_ms: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "messages followed     {}", self.messages)?;
        writeln!(
            f,
            "ack to searchable     p50 {:.0} ms, p99 {:.0} ms",
            self.searchable_p50_ms, self.searchable_p99_ms
        )?;
        writeln!(f, "ack to notification   p50 {:.0} ms, p99 {:.0} ms", self.notified_p50_ms, self.notified_p99_ms)
    }
}

impl Report {
    /// The figures as a line of a report.
    pub fn in_a_sentence(&self) -> String {
        format!(
            "From the acknowledgement to being found p50 {:.0} ms, p99 {:.0} ms; to the notification at an open socket \
             p50 {:.0} ms, p99 {:.0} ms ({} messages)",
            self.searchable_p50_ms, self.searchable_p99_ms, self.notified_p50_ms, self.notified_p99_ms, self.messages
        )
    }
}

/// Sends messages one after the other and follows each to both consumers; must run in a `LocalSet`.
pub async fn measure(target: Target, accounts: &[Account], messages: u64) -> Result<Report> {
    let (api, run) = (Api::new(target)?, run_word());
    let pairs: Vec<&[Account]> = accounts.chunks_exact(2).take(PAIRS).collect();
    let mut listeners = JoinSet::new();
    let (tell, mut told) = unbounded_channel();
    for pair in &pairs {
        let socket = client::listen(target, &pair[1].token).await?;
        listeners.spawn_local(listen(socket, tell.clone()));
    }
    drop(tell);
    let mut ears = Ears { told: &mut told, heard: HashMap::new() };
    for (pair, number) in pairs.iter().zip(0..) {
        first(&api, &pair[0], &format!("{run}first{number}"), &mut ears).await?;
    }

    let (mut searchable, mut notified) = (Latencies::new()?, Latencies::new()?);
    for (number, pair) in (0..messages).zip(pairs.iter().cycle()) {
        let word = mark(&run, number);
        let id = api.send(&pair[0], &format!("message {word}")).await?;
        let acked = Instant::now();
        let found = async {
            api.found(&pair[1], &format!("\"{word}\""), acked, LOOK_AGAIN, PATIENCE).await?;
            anyhow::Ok(acked.elapsed())
        };
        let (found, heard) = tokio::join!(found, ears.hear(&id, PATIENCE));
        searchable.record(found?);
        let heard = heard?.with_context(|| format!("nobody was notified of message {number} after {PATIENCE:?}"))?;
        notified.record(heard.saturating_duration_since(acked));
    }
    Ok(Report {
        messages,
        searchable_p50_ms: searchable.p50_ms(),
        searchable_p99_ms: searchable.p99_ms(),
        notified_p50_ms: notified.p50_ms(),
        notified_p99_ms: notified.p99_ms(),
    })
}

/// Sends until the recipient hears of it.
async fn first(api: &Api, from: &Account, word: &str, ears: &mut Ears<'_>) -> Result<()> {
    for attempt in 0..FIRST_TRIES {
        let id = api.send(from, &format!("hello {word} {attempt}")).await?;
        if ears.hear(&id, FIRST_PATIENCE).await?.is_some() {
            return Ok(());
        }
    }
    bail!("a recipient hears of no message: look at the log of the notification service")
}

/// Of which message a recipient was told, and when; or why it can't be told any more.
type Told = Result<(String, Instant)>;

/// What recipients were told: messages, and when.
struct Ears<'a> {
    told: &'a mut UnboundedReceiver<Told>,
    heard: HashMap<String, Instant>,
}

impl Ears<'_> {
    /// When the recipient of a message was told of it; `None` after `patience`.
    async fn hear(&mut self, message: &str, patience: Duration) -> Result<Option<Instant>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(at) = self.heard.remove(message) {
                return Ok(Some(at));
            }
            match tokio::time::timeout_at(deadline.into(), self.told.recv()).await {
                Ok(Some(told)) => {
                    let (id, at) = told.context("listening for notifications")?;
                    self.heard.insert(id, at);
                }
                Ok(None) => bail!("nobody listens for notifications any more"),
                Err(_) => return Ok(None),
            }
        }
    }
}

/// Reads a socket of `/notifications` until the measurement is over.
async fn listen(socket: Socket, tell: UnboundedSender<Told>) {
    if let Err(error) = pass_on(socket, &tell).await {
        // Nobody asks when the measurement is over.
        let _ = tell.send(Err(error));
    }
}

/// Passes on which messages a socket tells of.
async fn pass_on(mut socket: Socket, tell: &UnboundedSender<Told>) -> Result<()> {
    loop {
        socket.flush().await?;
        socket.fill().await?;
        let now = Instant::now();
        while let Some(range) = socket.next_text()? {
            let frame = socket.bytes(range);
            if packet::read(frame) == Packet::Ping {
                socket.queue(&[b"3"]);
            } else if let Some(id) = notified(frame)
                && tell.send(Ok((id, now))).is_err()
            {
                return Ok(());
            }
        }
    }
}

/// The message that a frame notifies of.
fn notified(frame: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Notification {
        message_id: Option<String>,
    }
    let payload = frame.strip_prefix(b"42/notifications,[\"notification\",")?.strip_suffix(b"]")?;
    serde_json::from_slice::<Notification>(payload).ok()?.message_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_notifications_of_messages_count() {
        let of = br#"42/notifications,["notification",{"kind":"new_message","message_id":"m1","body":"[x]"}]"#;
        assert_eq!(notified(of).as_deref(), Some("m1"));
        for other in [
            &br#"42/notifications,["notification",{"kind":"welcome","message_id":null}]"#[..],
            br#"42/notifications,["notification",{"kind":"welcome"}]"#,
            br#"42/notifications,["new_message",{"header":"New message","body":"message_id"}]"#,
            b"2",
        ] {
            assert_eq!(notified(other), None);
        }
    }

    #[tokio::test]
    async fn what_was_heard_before_it_was_asked_for_counts() {
        let (tell, mut told) = unbounded_channel();
        let now = Instant::now();
        for id in ["a", "b"] {
            tell.send(Ok((id.to_owned(), now))).unwrap();
        }
        let mut ears = Ears { told: &mut told, heard: HashMap::new() };
        assert_eq!(ears.hear("b", PATIENCE).await.unwrap(), Some(now));
        assert_eq!(ears.hear("a", PATIENCE).await.unwrap(), Some(now));
        assert_eq!(ears.hear("a", Duration::from_millis(1)).await.unwrap(), None);
        drop(tell);
        ears.hear("c", PATIENCE).await.unwrap_err();
    }
}
