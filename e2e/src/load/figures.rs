//! What was measured.

use std::{cell::RefCell, collections::BTreeMap, fmt, time::Duration};

use anyhow::{Result, bail};
use serde::Serialize;

use super::latency::Latencies;

/// Counts of a run, shared by its clients (all on one thread).
pub struct Figures(RefCell<Counts>);

struct Counts {
    acked: u64,
    acks: Latencies,
    deliveries: Latencies,
    out_of_order: u64,
    duplicates: u64,
    missing: u64,
    unacknowledged: u64,
    refused: BTreeMap<String, u64>,
}

impl Figures {
    /// Nothing yet.
    pub fn new() -> Result<Self> {
        Ok(Self(RefCell::new(Counts {
            acked: 0,
            acks: Latencies::new()?,
            deliveries: Latencies::new()?,
            out_of_order: 0,
            duplicates: 0,
            missing: 0,
            unacknowledged: 0,
            refused: BTreeMap::new(),
        })))
    }

    /// An acknowledgement; how long it took when it is within the measurement.
    pub fn acked(&self, took: Option<Duration>) {
        let mut counts = self.0.borrow_mut();
        counts.acked += 1;
        if let Some(took) = took {
            counts.acks.record(took);
        }
    }

    /// A message at its receiver.
    pub fn delivered(&self, took: Option<Duration>, late: bool, duplicate: bool) {
        let mut counts = self.0.borrow_mut();
        counts.out_of_order += u64::from(late);
        counts.duplicates += u64::from(duplicate);
        if let Some(took) = took {
            counts.deliveries.record(took);
        }
    }

    /// An error acknowledgement.
    pub fn refused(&self, code: &str) {
        *self.0.borrow_mut().refused.entry(code.to_owned()).or_default() += 1;
    }

    /// Acknowledged messages that their receiver never got.
    pub fn missing(&self, count: u64) {
        self.0.borrow_mut().missing += count;
    }

    /// Sends without any acknowledgement.
    pub fn unacknowledged(&self, count: u64) {
        self.0.borrow_mut().unacknowledged += count;
    }

    /// The figures of a run that is over.
    #[allow(clippy::cast_precision_loss)] // counts are far below 2^52
    pub fn report(&self, clients: usize, seconds: u64, cpu: Option<f64>, memory_kib: Option<u64>) -> Report {
        let counts = self.0.borrow();
        let measured = counts.acks.count();
        Report {
            clients,
            seconds,
            acked: counts.acked,
            acked_per_second: measured as f64 / seconds as f64,
            ack_p50_ms: counts.acks.p50_ms(),
            ack_p99_ms: counts.acks.p99_ms(),
            delivery_p50_ms: counts.deliveries.p50_ms(),
            delivery_p99_ms: counts.deliveries.p99_ms(),
            out_of_order: counts.out_of_order,
            duplicates: counts.duplicates,
            missing: counts.missing,
            unacknowledged: counts.unacknowledged,
            refused: counts.refused.clone(),
            cpu_ms_per_1000: cpu.filter(|_| measured > 0).map(|cpu| cpu * 1e6 / measured as f64),
            memory_kib,
            kib_per_connection: None,
        }
    }
}

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    clients: usize,
    seconds: u64,
    acked: u64,
    /// Acknowledged messages per second of the measurement.
    pub acked_per_second: f64,
    ack_p50_ms: f64,
    ack_p99_ms: f64,
    delivery_p50_ms: f64,
    delivery_p99_ms: f64,
    out_of_order: u64,
    duplicates: u64,
    missing: u64,
    unacknowledged: u64,
    refused: BTreeMap<String, u64>,
    /// Server CPU in milliseconds per 1,000 acknowledged messages.
    cpu_ms_per_1000: Option<f64>,
    memory_kib: Option<u64>,
    kib_per_connection: Option<f64>,
}

impl Report {
    /// The figures of connections that were only held.
    #[allow(clippy::cast_precision_loss)] // KiB are far below 2^52
    pub fn idle(connections: usize, seconds: u64, before_kib: u64, after_kib: u64) -> Self {
        Self {
            clients: connections,
            seconds,
            acked: 0,
            acked_per_second: 0.0,
            ack_p50_ms: 0.0,
            ack_p99_ms: 0.0,
            delivery_p50_ms: 0.0,
            delivery_p99_ms: 0.0,
            out_of_order: 0,
            duplicates: 0,
            missing: 0,
            unacknowledged: 0,
            refused: BTreeMap::new(),
            cpu_ms_per_1000: None,
            memory_kib: Some(after_kib),
            kib_per_connection: Some(after_kib.saturating_sub(before_kib) as f64 / connections as f64),
        }
    }

    /// Cells of a table: acknowledged per second, quantiles of acknowledgement and delivery, messages out of order.
    pub fn row(&self) -> String {
        format!(
            "{:.0} | {:.0} / {:.0} | {:.0} / {:.0} | {}",
            self.acked_per_second,
            self.ack_p50_ms,
            self.ack_p99_ms,
            self.delivery_p50_ms,
            self.delivery_p99_ms,
            self.out_of_order
        )
    }

    /// An error when a guarantee of the contract did not hold; slowness is none.
    pub fn verdict(&self) -> Result<()> {
        let broken = self.out_of_order + self.duplicates + self.missing + self.unacknowledged;
        if broken > 0 {
            bail!("a guarantee was broken {broken} times; see the counts above");
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "clients               {}", self.clients)?;
        if let Some(kib) = self.kib_per_connection {
            return writeln!(f, "KiB per connection    {kib:.1}");
        }
        writeln!(f, "acknowledged          {} in all, {:.0} per second", self.acked, self.acked_per_second)?;
        writeln!(f, "acknowledgement       p50 {:.2} ms, p99 {:.2} ms", self.ack_p50_ms, self.ack_p99_ms)?;
        writeln!(f, "delivery              p50 {:.2} ms, p99 {:.2} ms", self.delivery_p50_ms, self.delivery_p99_ms)?;
        writeln!(f, "out of order          {}", self.out_of_order)?;
        writeln!(f, "duplicates            {}", self.duplicates)?;
        writeln!(f, "missing               {}", self.missing)?;
        writeln!(f, "never acknowledged    {}", self.unacknowledged)?;
        writeln!(f, "refused               {:?}", self.refused)?;
        if let Some(cpu) = self.cpu_ms_per_1000 {
            writeln!(f, "server CPU            {cpu:.1} ms per 1,000 messages")?;
        }
        if let Some(kib) = self.memory_kib {
            writeln!(f, "server memory         {} MiB", kib / 1024)?;
        }
        Ok(())
    }
}
