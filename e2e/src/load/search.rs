//! Search: how long a question takes over many messages, and how long a new message takes to be found.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::{accounts::Account, api::Api, latency::Latencies, target::Target};

/// Messages that are sent at the same time.
const SENDING: usize = 64;
/// Questions of each kind.
const QUESTIONS: u64 = 500;
/// Messages whose way into the index is timed.
const FOLLOWED: u64 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// After this long without a message becoming findable something is wrong.
const PATIENCE: Duration = Duration::from_mins(10);
const WORDS_OF_A_MESSAGE: u64 = 9;
const VOCABULARY: u64 = 4_000;

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    messages: u64,
    chats: usize,
    /// From the last acknowledgement until all were found, in seconds.
    behind_seconds: f64,
    common_p50_ms: f64,
    common_p99_ms: f64,
    rare_p50_ms: f64,
    rare_p99_ms: f64,
    searchable_p50_ms: f64,
    searchable_p99_ms: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "messages              {} in {} chats", self.messages, self.chats)?;
        writeln!(f, "index behind the last {:.1} s", self.behind_seconds)?;
        writeln!(f, "two common words      p50 {:.2} ms, p99 {:.2} ms", self.common_p50_ms, self.common_p99_ms)?;
        writeln!(f, "one message           p50 {:.2} ms, p99 {:.2} ms", self.rare_p50_ms, self.rare_p99_ms)?;
        writeln!(f, "ack to searchable     p50 {:.1} ms, p99 {:.1} ms", self.searchable_p50_ms, self.searchable_p99_ms)
    }
}

/// Writes messages as these accounts, then searches.
pub async fn measure(target: Target, accounts: &[Account], messages: u64) -> Result<Report> {
    let (api, run) = (Api::new(target)?, run_word());
    eprintln!("writing {messages} messages");
    let of = |n: u64| &accounts[usize::try_from(n).unwrap_or(0) % accounts.len()];
    let quoted = |n: u64| format!("\"{}\"", mark(&run, n));
    stream::iter(0..messages)
        .map(|n| {
            let (api, from, text) = (&api, of(n), text(&run, n));
            async move { api.send(from, &text).await.map(drop) }
        })
        .buffer_unordered(SENDING)
        .try_collect::<()>()
        .await?;
    let written = Instant::now();
    for back in 0..messages.min(accounts.len() as u64) {
        let number = messages - 1 - back;
        api.found(of(number), &quoted(number), written, LOOK_AGAIN, PATIENCE).await?;
    }
    let behind = written.elapsed();

    let (mut common, mut rare, mut searchable) = (Latencies::new()?, Latencies::new()?, Latencies::new()?);
    for n in 0..QUESTIONS {
        let asked = Instant::now();
        api.hits(of(n), &format!("{} {}", word(n % 20), word(n % 7))).await?;
        common.record(asked.elapsed());
        let number = n * (messages / QUESTIONS).max(1) % messages;
        let asked = Instant::now();
        let hits = api.hits(of(number), &quoted(number)).await?;
        rare.record(asked.elapsed());
        if hits != 1 {
            bail!("message {number} is found {hits} times");
        }
    }
    for n in messages..messages + FOLLOWED {
        api.send(of(n), &text(&run, n)).await?;
        let sent = Instant::now();
        api.found(of(n), &quoted(n), sent, LOOK_AGAIN, PATIENCE).await?;
        searchable.record(sent.elapsed());
    }
    Ok(Report {
        messages,
        chats: accounts.len() / 2,
        behind_seconds: behind.as_secs_f64(),
        common_p50_ms: common.p50_ms(),
        common_p99_ms: common.p99_ms(),
        rare_p50_ms: rare.p50_ms(),
        rare_p99_ms: rare.p99_ms(),
        searchable_p50_ms: searchable.p50_ms(),
        searchable_p99_ms: searchable.p99_ms(),
    })
}

/// A word that only this message of this run has.
pub fn mark(run: &str, number: u64) -> String {
    format!("{run}{number}")
}

/// Words of which few are frequent and many are rare, and the message's mark.
fn text(run: &str, number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    for _ in 0..WORDS_OF_A_MESSAGE {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = state >> 33;
        text.push_str(&word((random % VOCABULARY).min((random >> 12) % VOCABULARY) % (1 + (random >> 7) % VOCABULARY)));
        text.push(' ');
    }
    text + &mark(run, number)
}

/// Letters that no word has, another each time: makes the marks of a run unique.
pub fn run_word() -> String {
    format!("run{}x", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

/// The n-th word of a made-up language.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "za", "fe", "gi", "ho", "du", "wa"];
    let mut rest = number + 17;
    let mut word = String::new();
    while rest > 0 {
        word.push_str(SYLLABLES[usize::try_from(rest % 16).unwrap_or(0)]);
        rest /= 16;
    }
    word
}
