//! A subscription that lives on through reconnects, and that knows when it may have missed something.
//!
//! A broken connection shows by itself. One that is open but no longer hears anything (another server is primary now, a
//! network that swallows packets) shows because the subscription hears its own probes no more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use redis::{Msg, PushInfo, PushKind};
use sentinel_domain::{background::vital, time::Timestamp};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{PATIENCE, Redis, connection::Line};

/// How often a probe goes out, and how long none may come back.
const PROBED_EVERY: Duration = Duration::from_secs(2);
const DEAF_AFTER: Duration = Duration::from_secs(6);
/// Wait before connecting again; doubled up to the most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Messages that may wait here.
const WAITING: usize = 4096;
/// What a message begins with.
const PROBE: u8 = b'?';
const PAYLOAD: u8 = b'!';

/// Who hears what comes.
#[async_trait]
pub(super) trait Subscriber: Send {
    /// A message came. `false`: no more, please.
    async fn received(&mut self, payload: &[u8]) -> bool;
    /// Messages sent from then until now may not have come. `false`: no more, please.
    async fn interrupted(&mut self, since: Timestamp) -> bool;
}

/// Marks what is published as a message.
pub(super) fn framed(payload: impl IntoIterator<Item = u8>) -> Vec<u8> {
    std::iter::once(PAYLOAD).chain(payload).collect()
}

/// Why listening stopped.
enum Stopped {
    /// The subscriber has had enough.
    Done,
    /// The connection broke, or is deaf.
    Broken,
}

impl Redis {
    /// Starts a subscription. Returns once it hears, or after a failed attempt to make it.
    pub(super) async fn subscribe(&self, channel: String, subscriber: impl Subscriber + 'static) {
        let (tried, first_try) = oneshot::channel();
        tokio::spawn(vital("a subscription", keep(self.clone(), channel, subscriber, tried)));
        // An error means that the task was ended by the runtime.
        let _ = first_try.await;
    }

    /// A connection that hears a channel.
    async fn hear(&self, channel: &str) -> Option<Ears> {
        let (waiting, messages) = mpsc::channel(WAITING);
        let overflowed = Arc::new(AtomicBool::new(false));
        let overflow = overflowed.clone();
        let pushed = move |info: PushInfo| {
            if waiting.try_send(info).is_err() {
                overflow.store(true, Ordering::Relaxed);
            }
        };
        let opened = async {
            let mut line = self.shared.opener.open(Some(Box::new(pushed))).await?;
            match timeout(PATIENCE, line.subscribe(channel)).await {
                Ok(subscribed) => subscribed.map_err(|error| self.shared.opener.failed(error))?,
                Err(_) => return Err(self.shared.opener.silent()),
            }
            Ok(line)
        };
        match opened.await {
            Ok(line) => Some(Ears { _line: line, messages, overflowed }),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, channel, "can't subscribe");
                None
            }
        }
    }
}

/// A connection that hears.
struct Ears {
    _line: Line,
    messages: mpsc::Receiver<PushInfo>,
    overflowed: Arc<AtomicBool>,
}

async fn keep(redis: Redis, channel: String, mut subscriber: impl Subscriber, tried: oneshot::Sender<()>) {
    let mut tried = Some(tried);
    // When it last heard for sure; before that there is nothing to miss.
    let mut heard_at = Timestamp::now();
    let mut missed = false;
    let mut wait = FIRST_WAIT;
    loop {
        let ears = redis.hear(&channel).await;
        if let Some(tried) = tried.take() {
            // Whoever started it may have gone.
            let _ = tried.send(());
        }
        if let Some(ears) = ears {
            if std::mem::replace(&mut missed, false) {
                tracing::info!(channel, "subscribed again");
                if !subscriber.interrupted(heard_at).await {
                    return;
                }
            }
            heard_at = Timestamp::now();
            let began = Instant::now();
            if matches!(listen(&redis, &channel, ears, &mut subscriber, &mut heard_at).await, Stopped::Done) {
                return;
            }
            if began.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            tracing::warn!(channel, "a subscription broke");
        }
        missed = true;
        metrics::counter!("sentinel_redis_subscription_failures_total").increment(1);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn listen(
    redis: &Redis,
    channel: &str,
    mut ears: Ears,
    subscriber: &mut impl Subscriber,
    heard_at: &mut Timestamp,
) -> Stopped {
    let mut probes = interval(PROBED_EVERY);
    probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let push = tokio::select! {
            push = ears.messages.recv() => push,
            _ = probes.tick() => {
                if heard.elapsed() > DEAF_AFTER {
                    return Stopped::Broken;
                }
                let (redis, probe) = (redis.clone(), redis.publish(channel, &[PROBE]));
                // When it fails, its absence tells.
                tokio::spawn(async move { drop(redis.run(vec![probe]).await) });
                continue;
            }
        };
        let Some(push) = push else { return Stopped::Broken };
        if matches!(push.kind, PushKind::Disconnection | PushKind::SUnsubscribe | PushKind::Unsubscribe) {
            return Stopped::Broken;
        }
        let before = std::mem::replace(heard_at, Timestamp::now());
        heard = Instant::now();
        if ears.overflowed.swap(false, Ordering::Relaxed) && !subscriber.interrupted(before).await {
            return Stopped::Done;
        }
        let message = Msg::from_push_info(push);
        if let Some((&PAYLOAD, payload)) =
            message.as_ref().and_then(|message| message.get_payload_bytes().split_first())
            && !subscriber.received(payload).await
        {
            return Stopped::Done;
        }
    }
}
