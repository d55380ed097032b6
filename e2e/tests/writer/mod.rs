//! A stock client that writes without pause, run as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::account::Account;

/// Milliseconds between two messages of a writer; slower than the default rate limit. `SENTINEL_WRITE_EVERY_MS` sets others,
/// where clients and all stores share a machine.
fn interval() -> u64 {
    std::env::var("SENTINEL_WRITE_EVERY_MS")
        .map_or(30, |given| given.parse().expect("SENTINEL_WRITE_EVERY_MS is a number"))
}

/// How long a writer may need to end.
const ENDING: Duration = Duration::from_mins(2);

/// A path among the stock clients.
fn clients(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(path)
}

/// Makes the stock clients ready to start.
pub fn install() {
    let status = std::process::Command::new(clients("install.sh")).status().expect("install.sh starts");
    assert!(status.success(), "installing the stock clients: {status}");
}

/// What a writer said.
#[derive(Default)]
pub struct Log {
    /// Its name, which its client message ids begin with.
    pub name: String,
    /// Client message id and message id of what was acknowledged, in order.
    pub acked: Vec<(String, String)>,
    /// Message ids that were delivered live.
    pub received: Vec<String>,
    /// Transport at each connection.
    pub connected: Vec<String>,
    /// Transport that each connection began with.
    pub opened: Vec<String>,
    /// How often it upgraded to WebSocket.
    pub upgraded: usize,
    /// Client message id and code of each send that was refused, in order.
    pub refused: Vec<(String, String)>,
    /// Sends that were answered too late or not at all.
    pub unanswered: usize,
    /// Whether it got everything acknowledged.
    pub complete: bool,
    /// Anything else, for the one who reads a failure.
    pub other: Vec<String>,
}

/// How a stock client connects.
#[allow(dead_code)] // each test file uses a part of this
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As stock clients do by default: polling, then an upgrade to WebSocket.
    PollingFirst,
    /// Long polling alone.
    PollingOnly,
    /// WebSocket alone.
    WebSocketOnly,
}

impl Transport {
    fn names(self) -> Option<&'static [&'static str]> {
        match self {
            Self::PollingFirst => None,
            Self::PollingOnly => Some(&["polling"]),
            Self::WebSocketOnly => Some(&["websocket"]),
        }
    }
}

/// How long a writer waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the answer to one send, before it sends the same again.
    pub answer: Duration,
    /// For a message to be acknowledged, before it gives up.
    pub message: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(3), message: Duration::from_secs(90) }
    }
}

/// A running writer.
pub struct Writer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: Log,
}

impl Writer {
    /// socket.io-client.
    pub async fn javascript(account: &Account, chat: &str, transport: Transport, patience: Patience) -> Self {
        let mut command = Command::new("node");
        command.arg(clients("js/writer.mjs"));
        Self::start(command, "js", account, chat, patience, json!({"transports": transport.names()})).await
    }

    /// socket.io-client that writes nothing: another device of an account.
    pub async fn listener(account: &Account, chat: &str, transport: Transport) -> Self {
        let mut command = Command::new("node");
        command.arg(clients("js/writer.mjs"));
        let options = json!({"transports": transport.names(), "listen_only": true});
        Self::start(command, "listener", account, chat, Patience::default(), options).await
    }

    /// python-socketio.
    pub async fn python(account: &Account, chat: &str, transport: Transport, patience: Patience) -> Self {
        let folder = clients("python");
        let mut command = Command::new(folder.join(".venv/bin/python"));
        command.arg(folder.join("writer.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        Self::start(command, "python", account, chat, patience, json!({"transports": transport.names()})).await
    }

    async fn start(
        mut command: Command,
        name: &str,
        account: &Account,
        chat: &str,
        patience: Patience,
        options: Value,
    ) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("the {name} writer does not start: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        let mut order = json!({
            "url": account.url, "token": account.token, "chat_id": chat, "name": name, "interval_ms": interval(),
            "ack_timeout_ms": patience.answer.as_millis(), "give_up_ms": patience.message.as_millis(),
        });
        if let (Some(order), Value::Object(options)) = (order.as_object_mut(), options) {
            order.extend(options.into_iter().filter(|(_, value)| !value.is_null()));
        }
        stdin.write_all(format!("{order}\n").as_bytes()).await.expect("the writer reads its order");
        let log = Log { name: name.to_owned(), ..Log::default() };
        Self { child, stdin, lines: BufReader::new(stdout).lines(), log }
    }

    /// Waits until `more` messages have been acknowledged from now on.
    pub async fn acknowledged(&mut self, more: usize, patience: Duration) {
        self.catch_up().await;
        let wanted = self.log.acked.len() + more;
        self.reads_until(patience, "acknowledgements", |log| log.acked.len() >= wanted).await;
    }

    /// Waits until `more` sends in a row have been refused from now on, all with `code`: each of them is answered, and
    /// none is acknowledged.
    #[allow(dead_code)] // each test file uses a part of this
    pub async fn refused(&mut self, code: &str, more: usize, patience: Duration) {
        self.catch_up().await;
        // What was under way when the trouble began may end in any way.
        let first = self.log.refused.len() + 1;
        self.reads_until(patience, "refusals", |log| log.refused.len() >= first).await;
        let (acked, unanswered) = (self.log.acked.len(), self.log.unanswered);
        self.reads_until(patience, "refusals", |log| log.refused.len() >= first + more).await;
        let Log { name, refused, .. } = &self.log;
        assert_eq!(self.log.acked.len(), acked, "{name}: acknowledged, and refused before and after");
        assert_eq!(self.log.unanswered, unanswered, "{name}: a send got no answer");
        let others: Vec<_> = refused[first - 1..].iter().filter(|(_, told)| told != code).collect();
        assert!(others.is_empty(), "{name}: refused otherwise than with {code}: {others:?}");
    }

    /// Reads what the writer said meanwhile, which waits in its pipe.
    async fn catch_up(&mut self) {
        while let Ok(line) = timeout(Duration::from_millis(5), self.lines.next_line()).await {
            note(&mut self.log, &line.expect("the writer's output").expect("the writer goes on"));
        }
    }

    async fn reads_until(&mut self, patience: Duration, what: &str, is_enough: impl Fn(&Log) -> bool) {
        let reading = async {
            while !is_enough(&self.log) {
                let line = self.lines.next_line().await.expect("the writer's output").expect("the writer goes on");
                note(&mut self.log, &line);
            }
        };
        let in_time = timeout(patience, reading).await.is_ok();
        let Log { name, acked, refused, unanswered, other, .. } = &self.log;
        let last = refused.last();
        assert!(
            in_time,
            "{name}: not enough {what} within {patience:?}; {} acknowledged, {} refused (last {last:?}), {unanswered} \
             unanswered; {other:?}",
            acked.len(),
            refused.len()
        );
    }

    /// Lets it finish its message and end; returns all it said.
    pub async fn stop(mut self) -> Log {
        drop(self.stdin);
        let ending = async {
            while let Some(line) = self.lines.next_line().await.expect("the writer's output") {
                note(&mut self.log, &line);
            }
            self.child.wait().await.expect("the writer can be waited for")
        };
        let status = timeout(ENDING, ending).await.expect("the writer ends in time");
        assert!(status.success(), "{}: {status}; {:?}", self.log.name, self.log.other);
        self.log
    }
}

fn note(log: &mut Log, line: &str) {
    let said: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", log.name));
    let text = |of: &Value, field: &str| of[field].as_str().expect("a text").to_owned();
    if let Some(acked) = said.get("acked") {
        log.acked.push((text(acked, "client_message_id"), text(acked, "message_id")));
    } else if let Some(received) = said.get("received") {
        log.received.push(text(received, "message_id"));
    } else if let Some(code) = said.get("refused") {
        log.refused.push((text(&said, "client_message_id"), code.as_str().unwrap_or_default().to_owned()));
    } else if said.get("unanswered").is_some() {
        log.unanswered += 1;
    } else if let Some(transport) = said.get("connected") {
        log.connected.push(transport.as_str().unwrap_or_default().to_owned());
    } else if let Some(transport) = said.get("opened") {
        log.opened.push(transport.as_str().unwrap_or_default().to_owned());
    } else if said.get("upgraded").is_some() {
        log.upgraded += 1;
    } else if let Some(done) = said.get("done") {
        log.complete = done["complete"] == true;
    } else {
        log.other.push(line.to_owned());
    }
}
