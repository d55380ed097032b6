//! How fast it is. Printed, never asserted: `cargo test --test sqlite_search -- --ignored --nocapture figures`, or
//! `--test search` for the engines.

use std::time::{Duration, Instant};

use sentinel_domain::ports::SearchQuery;

use super::{Engine, NOW, message, pair};

const MESSAGES: u64 = 100_000;
const PAIRS: usize = 100;
const SEARCHES: usize = 500;
const WORDS: [&str; 12] = [
    "tomorrow", "meeting", "coffee", "train", "late", "please", "deploy", "ticket", "lunch", "office", "weekend",
    "call",
];

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!("{what}: p50 {:?}, p99 {:?}", percentile(&times, 50), percentile(&times, 99));
}

pub async fn figures(engine: Engine) {
    let pairs: Vec<_> = (0..PAIRS).map(|_| pair()).collect();
    let begun = Instant::now();
    for chunk in (0..MESSAGES).collect::<Vec<_>>().chunks(1_000) {
        let document = |n: &u64| {
            let at = usize::try_from(*n).unwrap();
            let pick = |step: usize| WORDS[(at * step + at / 7) % WORDS.len()];
            let text = format!("{} {} number{n} {}", pick(1), pick(5), pick(7));
            pairs[at % PAIRS].says(&engine.keys, message(NOW + n), &text)
        };
        engine.index.put(chunk.iter().map(document).collect()).await.unwrap();
    }
    let took = begun.elapsed();
    println!("{MESSAGES} messages indexed in {took:?}");
    engine.refresh().await;

    let (mut common, mut rare, mut paged) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..SEARCHES {
        let us = &pairs[n % PAIRS];
        let query = SearchQuery { limit: 21, ..engine.query(us.ann, &format!("{} mee", WORDS[n % WORDS.len()])) };
        let begun = Instant::now();
        let page = engine.index.query(&query).await.unwrap();
        common.push(begun.elapsed());
        if let Some(last) = page.hits.last() {
            let begun = Instant::now();
            engine.index.query(&SearchQuery { before: Some(last.message_id), ..query }).await.unwrap();
            paged.push(begun.elapsed());
        }
        let query = engine.query(us.bob, &format!("\"number{}\"", n * PAIRS + n % PAIRS));
        let begun = Instant::now();
        assert_eq!(engine.ids(&query).await.len(), 1);
        rare.push(begun.elapsed());
    }
    report("common words, first page", common);
    report("common words, second page", paged);
    report("one message", rare);

    let mut searchable = Vec::new();
    for (n, us) in pairs.iter().enumerate().take(40) {
        let id = message(NOW + MESSAGES + n as u64);
        engine.index.put(vec![us.says(&engine.keys, id, &format!("fresh{n}"))]).await.unwrap();
        let begun = Instant::now();
        let query = engine.query(us.ann, &format!("fresh{n}"));
        while engine.ids(&query).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        searchable.push(begun.elapsed());
    }
    report("from put to found", searchable);

    let long = (0..2_500).fold(String::new(), |text, n| format!("{text}{} ", n * 7_919));
    let begun = Instant::now();
    let terms = engine.keys.terms(&long).len();
    println!("{terms} terms of {} bytes in {:?}", long.len(), begun.elapsed());
}
