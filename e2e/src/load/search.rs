//! Search: how long a question takes over many messages, and how long a new message takes to be found.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use super::{accounts::Account, target::Target};

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
const LONGEST_MICROS: u64 = 600_000_000;

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
    let clients = Clients { http: reqwest::Client::builder().no_proxy().build()?, target, run: run_word() };
    eprintln!("writing {messages} messages");
    let of = |n: u64| &accounts[usize::try_from(n).unwrap_or(0) % accounts.len()];
    stream::iter(0..messages)
        .map(|n| clients.send(of(n), clients.text(n)))
        .buffer_unordered(SENDING)
        .try_collect::<()>()
        .await?;
    let written = Instant::now();
    for back in 0..messages.min(accounts.len() as u64) {
        clients.wait_for(of(messages - 1 - back), messages - 1 - back, written).await?;
    }
    let behind = written.elapsed();

    let (mut common, mut rare, mut searchable) = (histogram()?, histogram()?, histogram()?);
    for n in 0..QUESTIONS {
        let asked = Instant::now();
        clients.search(of(n), &format!("{} {}", word(n % 20), word(n % 7))).await?;
        common.saturating_record(micros(asked.elapsed()));
        let number = n * (messages / QUESTIONS).max(1) % messages;
        let asked = Instant::now();
        let hits = clients.search(of(number), &format!("\"{}\"", clients.mark(number))).await?;
        rare.saturating_record(micros(asked.elapsed()));
        if hits != 1 {
            bail!("message {number} is found {hits} times");
        }
    }
    for n in messages..messages + FOLLOWED {
        clients.send(of(n), clients.text(n)).await?;
        let sent = Instant::now();
        clients.wait_for(of(n), n, sent).await?;
        searchable.saturating_record(micros(sent.elapsed()));
    }
    Ok(Report {
        messages,
        chats: accounts.len() / 2,
        behind_seconds: behind.as_secs_f64(),
        common_p50_ms: millis(&common, 0.5),
        common_p99_ms: millis(&common, 0.99),
        rare_p50_ms: millis(&rare, 0.5),
        rare_p99_ms: millis(&rare, 0.99),
        searchable_p50_ms: millis(&searchable, 0.5),
        searchable_p99_ms: millis(&searchable, 0.99),
    })
}

struct Clients {
    http: reqwest::Client,
    target: Target,
    /// Makes marks of this run unique.
    run: String,
}

impl Clients {
    /// A word that only this message has.
    fn mark(&self, number: u64) -> String {
        format!("{}{number}", self.run)
    }

    /// Words of which few are frequent and many are rare, and the message's mark.
    fn text(&self, number: u64) -> String {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut text = String::new();
        for _ in 0..WORDS_OF_A_MESSAGE {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = state >> 33;
            text.push_str(&word(
                (random % VOCABULARY).min((random >> 12) % VOCABULARY) % (1 + (random >> 7) % VOCABULARY),
            ));
            text.push(' ');
        }
        text + &self.mark(number)
    }

    async fn send(&self, from: &Account, text: String) -> Result<()> {
        let url = self.target.url(&format!("/users/chat/{}/messages", from.chat_id));
        let request = self.http.post(url).bearer_auth(&from.token).json(&json!({ "message": text }));
        request.send().await?.error_for_status().context("sending")?;
        Ok(())
    }

    /// How many messages of the first page match.
    async fn search(&self, who: &Account, q: &str) -> Result<usize> {
        // Words of this generator have nothing else to escape.
        let q = q.replace(' ', "%20").replace('"', "%22");
        let request = self.http.get(self.target.url(&format!("/search/messages?q={q}"))).bearer_auth(&who.token);
        let page: Value = request.send().await?.error_for_status().context("searching")?.json().await?;
        page["hits"].as_array().map(Vec::len).context("the answer has no hits")
    }

    async fn wait_for(&self, who: &Account, number: u64, since: Instant) -> Result<()> {
        while self.search(who, &format!("\"{}\"", self.mark(number))).await? == 0 {
            if since.elapsed() > PATIENCE {
                bail!("message {number} is not found after {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

/// Some letters that no word has.
fn run_word() -> String {
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

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(LONGEST_MICROS)
}

#[allow(clippy::cast_precision_loss)] // microseconds are far below 2^52
fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}
