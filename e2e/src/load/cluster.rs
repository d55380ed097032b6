//! Figures of a chat on a cluster: how long it takes to become ready and to get a further replica of its message service,
//! and what its clients see through the gateway.

mod resource;

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::{
    accounts,
    client::Pace,
    consumers, figures, process,
    target::Target,
    throughput::{self, Settings},
};
use crate::{
    cluster::{Kubectl, Provider, Service},
    up::answers,
};

/// Messages that each client has in flight when clients do all they can.
const WINDOW: usize = 4;
/// Bytes of text in a message.
const BYTES: usize = 100;
const WARMUP: Duration = Duration::from_secs(5);
/// How long the chat may take until it is as it was asked to be.
const PATIENCE: Duration = Duration::from_mins(8);
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// After this long all gateways know which pods there are.
const SETTLED: Duration = Duration::from_secs(10);

/// What is measured of a chat on a cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArgs {
    /// The chat's namespace.
    #[arg(long, short, default_value = "chat")]
    namespace: String,
    /// The chat's name.
    #[arg(long, default_value = "chat")]
    chat: String,
    /// Connected clients, in pairs that write to each other.
    #[arg(long, default_value_t = 40)]
    clients: usize,
    /// Seconds of each measurement of throughput.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Messages that are followed into search and to notifications.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
}

/// Measures the chat and prints a report. What can't be measured is told in its place; then, and when a guarantee was
/// broken, the report ends with an error.
pub fn run(provider: &dyn Provider, args: &ClusterArgs) -> Result<()> {
    if args.clients == 0 || !args.clients.is_multiple_of(2) {
        bail!("--clients must be an even number: clients write to each other in pairs");
    }
    let chat = Chat { kubectl: provider.kubectl(), namespace: &args.namespace, name: &args.chat };
    let ready = resource::became_ready(&chat.get()?)?;
    note("raising limits: all clients share one address");
    chat.patch(&raised_limits())?;
    chat.wait("ready with raised limits", |chat, _| resource::is_ready(chat))?;
    let service = Service { namespace: args.namespace.clone(), name: format!("{}-gateway", args.chat), port: 80 };
    let port = {
        let _lock = provider.state().lock()?;
        provider.forward(&service, 8080)?
    };

    answers::wait(&service, &chat.kubectl, port, PATIENCE)?;
    let target = Target::parse(&format!("http://127.0.0.1:{port}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clients = runtime.block_on(LocalSet::new().run_until(as_clients(target, args)));
    let replica = further_replica(&chat);
    let report = Report { args: args.clone(), ready, clients, replica };
    print!("{report}");
    report.verdict()
}

/// The report goes to standard output; this does not.
fn note(what: &str) {
    eprintln!("· {what}");
}

/// As in the end-to-end tests.
fn raised_limits() -> Value {
    let limits = json!({ "loginsPerMinute": 10_000, "requestsPerSecond": 100_000, "messagesPerSecond": 100_000 });
    json!({ "spec": { "limits": limits } })
}

/// What clients see: throughput at full load and at half of it, and the ways into the consumers.
struct Clients {
    full: Result<figures::Report>,
    half: Result<figures::Report>,
    consumers: Result<consumers::Report>,
}

async fn as_clients(target: Target, args: &ClusterArgs) -> Result<Clients> {
    process::raise_open_files(args.clients)?;
    let accounts = match accounts::prepare(target, args.clients, None).await {
        Ok(accounts) => accounts,
        // The gateway may still have had a pod in mind that was replaced for the new limits.
        Err(error) => {
            note(&format!("once more, since this failed: {error:#}"));
            tokio::time::sleep(SETTLED).await;
            accounts::prepare(target, args.clients, None).await?
        }
    };
    // First, while nothing of the load below is still being worked off.
    note("following messages into search and notifications");
    let consumers = consumers::measure(target, &accounts, args.messages).await;
    note("throughput, all that clients can");
    let load = |pace| Settings { pace, warmup: WARMUP, seconds: args.seconds, bytes: BYTES };
    let full = throughput::measure(target, &accounts, load(Pace::Closed { window: WINDOW }), None).await;
    let half = match &full {
        Ok(full) if full.acked_per_second > 0.0 => {
            note("throughput, half of that");
            let pace = Pace::Open { messages_per_second: full.acked_per_second / 2.0 };
            throughput::measure(target, &accounts, load(pace), None).await
        }
        _ => Err(anyhow::anyhow!("there is no full load to halve")),
    };
    Ok(Clients { full, half, consumers })
}

/// How long changes of the message service's replicas took.
struct Replica {
    before: u64,
    added: Duration,
    taken: Duration,
}

/// Adds a replica of the message service, and takes it away.
fn further_replica(chat: &Chat<'_>) -> Result<Replica> {
    chat.wait("ready before a replica is added", |chat, _| resource::is_ready(chat))?;
    let before = resource::message_replicas(&chat.get()?)?;
    note("a further replica of the message service");
    let added = chat.scale(before + 1)?;
    let taken = chat.scale(before)?;
    Ok(Replica { before, added, taken })
}

/// A `SentinelChat` on the cluster.
struct Chat<'a> {
    kubectl: Kubectl,
    namespace: &'a str,
    name: &'a str,
}

impl Chat<'_> {
    fn get(&self) -> Result<Value> {
        self.kubectl.json(&["-n", self.namespace, "get", "sentinelchats", self.name])
    }

    /// The pods of its message service.
    fn message_pods(&self) -> Result<Value> {
        let selector = format!("app.kubernetes.io/instance={},app.kubernetes.io/component=message", self.name);
        self.kubectl.json(&["-n", self.namespace, "get", "pods", "-l", &selector])
    }

    fn patch(&self, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        let arguments = ["-n", self.namespace, "patch", "sentinelchats", self.name, "--type=merge", "-p", &patch];
        self.kubectl.run(&arguments).map(drop)
    }

    /// Changes the message service's replicas; how long it takes until their pods and the status say so.
    fn scale(&self, replicas: u64) -> Result<Duration> {
        let began = Instant::now();
        self.patch(&json!({ "spec": { "services": { "message": { "replicas": replicas } } } }))?;
        self.wait(&format!("{replicas} replicas of the message service"), |chat, pods| {
            resource::has_message_replicas(chat, pods, replicas)
        })?;
        Ok(began.elapsed())
    }

    /// Looks at the resource and its message pods until it is so; the error tells what was lacking at last.
    fn wait(&self, what: &str, is_so: impl Fn(&Value, &Value) -> Result<(), String>) -> Result<()> {
        let began = Instant::now();
        loop {
            // The API server may be slow to answer on a machine that is under load.
            let found = self.get().and_then(|chat| Ok((chat, self.message_pods()?)));
            let so = found.map_err(|error| format!("{error:#}")).and_then(|(chat, pods)| is_so(&chat, &pods));
            let Err(lacking) = so else { return Ok(()) };
            if began.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} there is not yet: {what}: {lacking}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

struct Report {
    args: ClusterArgs,
    ready: Option<Duration>,
    clients: Result<Clients>,
    replica: Result<Replica>,
}

impl Report {
    /// An error when a guarantee of the contract did not hold, or something could not be measured; slowness is none.
    fn verdict(self) -> Result<()> {
        let Clients { full, half, consumers } = self.clients?;
        full.context("throughput")?.verdict()?;
        half.context("throughput, half of it")?.verdict()?;
        consumers.context("following messages")?;
        self.replica.context("adding a replica").map(drop)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ready {
            Some(took) => writeln!(f, "From apply to Ready: {} s", took.as_secs())?,
            None => writeln!(f, "From apply to Ready: not measured, since the chat was changed after it was made")?,
        }
        match &self.clients {
            Ok(clients) => clients.write(f, &self.args)?,
            Err(error) => writeln!(f, "Clients: not measured: {error:#}")?,
        }
        match &self.replica {
            Ok(Replica { before, added, taken }) => writeln!(
                f,
                "Message service: from {before} to {} replicas in {:.1} s, and back in {:.1} s",
                before + 1,
                added.as_secs_f64(),
                taken.as_secs_f64()
            ),
            Err(error) => writeln!(f, "Message service, a further replica: not measured: {error:#}"),
        }
    }
}

impl Clients {
    fn write(&self, f: &mut fmt::Formatter<'_>, args: &ClusterArgs) -> fmt::Result {
        match &self.consumers {
            Ok(consumers) => writeln!(f, "{}", consumers.in_a_sentence())?,
            Err(error) => writeln!(f, "From the acknowledgement to search and notification: not measured: {error:#}")?,
        }
        let ClusterArgs { clients, seconds, .. } = args;
        writeln!(f, "Through the gateway, {seconds} s each:\n")?;
        writeln!(f, "| load | acknowledged/s | acknowledgement p50 / p99 ms | delivery p50 / p99 ms | out of order |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for (load, report) in [("all they can", &self.full), ("half of that", &self.half)] {
            match report {
                Ok(report) => writeln!(f, "| {clients} clients, {load} | {} |", report.row())?,
                Err(error) => writeln!(f, "| {clients} clients, {load} | not measured: {error:#} | | | |")?,
            }
        }
        for report in [&self.full, &self.half].into_iter().flatten().filter(|report| report.verdict().is_err()) {
            writeln!(f, "\nA guarantee was broken:\n{report}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_measured_is_told_in_its_place_and_at_the_end() {
        let args = ClusterArgs {
            namespace: "chat".to_owned(),
            chat: "chat".to_owned(),
            clients: 40,
            seconds: 20,
            messages: 50,
        };
        let full = figures::Figures::new().unwrap();
        (0..60).for_each(|_| full.acked(Some(Duration::from_millis(30))));
        let clients = Clients {
            full: Ok(full.report(40, 20, None, None)),
            half: Err(anyhow::anyhow!("the server closed the connection")),
            consumers: Err(anyhow::anyhow!("search is away")),
        };
        let replica = Replica { before: 3, added: Duration::from_millis(8_240), taken: Duration::from_secs(31) };
        let report = Report { args, ready: Some(Duration::from_secs(97)), clients: Ok(clients), replica: Ok(replica) };
        let text = report.to_string();
        for line in [
            "From apply to Ready: 97 s",
            "From the acknowledgement to search and notification: not measured: search is away",
            "| 40 clients, all they can | 3 | 30 / 30 | 0 / 0 | 0 |",
            "| 40 clients, half of that | not measured: the server closed the connection | | | |",
            "Message service: from 3 to 4 replicas in 8.2 s, and back in 31.0 s",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
        }
        assert_eq!(report.verdict().unwrap_err().to_string(), "throughput, half of it");
    }

    #[test]
    fn a_broken_guarantee_is_shown_and_is_an_error() {
        let figures = figures::Figures::new().unwrap();
        figures.missing(2);
        let broken = figures.report(40, 20, None, None);
        let fine = figures::Figures::new().unwrap().report(40, 20, None, None);
        let consumers = Err(anyhow::anyhow!("not asked for"));
        let clients = Clients { full: Ok(broken), half: Ok(fine), consumers };
        let args = ClusterArgs {
            namespace: "chat".to_owned(),
            chat: "chat".to_owned(),
            clients: 40,
            seconds: 20,
            messages: 50,
        };
        let replica = Err(anyhow::anyhow!("not asked for"));
        let report = Report { args, ready: None, clients: Ok(clients), replica };
        let text = report.to_string();
        assert!(text.contains("A guarantee was broken") && text.contains("missing               2"), "{text}");
        assert!(report.verdict().unwrap_err().to_string().contains("broken 2 times"));
    }
}
