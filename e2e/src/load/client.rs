//! One client: it sends at its pace, times each acknowledgement, and checks what its peer sent.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{
    accounts::Account,
    figures::Figures,
    packet::{self, Packet},
    target::Target,
    wire::Socket,
};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// Clients that may connect at the same time.
const CONNECTING: usize = 32;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long after the last send acknowledgements and deliveries may still come.
const SETTLE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// When messages are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The next one when one is acknowledged, this many in flight.
    Closed {
        /// In flight at once.
        window: usize,
    },
    /// At fixed times, however the server keeps up; latency counts from that time.
    Open {
        /// Of all clients together.
        messages_per_second: f64,
    },
}

/// What all clients of a run have in common.
pub struct Plan {
    /// Times in client message ids count from here.
    pub epoch: Instant,
    /// When clients begin to send.
    pub start: Instant,
    /// What is sent from here on is measured,
    pub measure_from: Instant,
    /// up to here.
    pub measure_until: Instant,
    /// How fast.
    pub pace: Pace,
    /// How many clients there are.
    pub clients: usize,
    /// What messages say.
    pub text: String,
    /// Makes client message ids of this run unique.
    pub run: String,
}

/// What the two clients of a pair know of each other.
#[derive(Default)]
pub struct Pair {
    /// Messages of each side that were acknowledged.
    acked: [Cell<u64>; 2],
    /// Whether each side has all its acknowledgements.
    finished: [Cell<bool>; 2],
    /// Why a side gave up.
    failed: RefCell<Option<String>>,
}

/// Connects to `/chat`, authenticates and waits for `ready`.
pub async fn connect(target: Target, token: &str) -> Result<Socket> {
    join(target, "chat", token, "42/chat,[\"ready\"").await
}

/// Connects to `/notifications` and authenticates.
pub async fn listen(target: Target, token: &str) -> Result<Socket> {
    join(target, "notifications", token, "40/notifications,").await
}

/// Joins a namespace and waits for the frame that begins with `joined`.
async fn join(target: Target, namespace: &str, token: &str, joined: &str) -> Result<Socket> {
    let joining = async {
        let mut socket = Socket::open(target, PATH).await?;
        let open = socket.receive().await?;
        if !open.starts_with('0') {
            bail!("expected the Engine.IO handshake, got {open}");
        }
        socket.queue(&[format!("40/{namespace},{{\"token\":\"{token}\"}}").as_bytes()]);
        socket.flush().await?;
        loop {
            let frame = socket.receive().await?;
            if frame.starts_with(joined) {
                return Ok(socket);
            }
            // The first one comes at once; who does not answer it is cut off 20 seconds later.
            if packet::read(frame.as_bytes()) == Packet::Ping {
                socket.queue(&[b"3"]);
                socket.flush().await?;
            }
            if frame.starts_with("44") {
                bail!("the connection was refused: {frame}");
            }
        }
    };
    tokio::time::timeout(CONNECT_TIMEOUT, joining).await.with_context(|| format!("not in /{namespace} in time"))?
}

/// Connects a client for each account, some at a time, in their order.
pub async fn connect_all(target: Target, accounts: &[Account]) -> Result<Vec<Socket>> {
    stream::iter(accounts.iter().map(|account| connect(target, &account.token)))
        .buffered(CONNECTING)
        .try_collect()
        .await
        .context("connecting the clients")
}

struct Client {
    socket: Socket,
    plan: Rc<Plan>,
    figures: Rc<Figures>,
    pair: Rc<Pair>,
    side: usize,
    /// What stands before and after the event's number, and after the client message id.
    before: Vec<u8>,
    sent: u64,
    /// Event number and time of what is not acknowledged; acknowledgements come in order, mostly.
    in_flight: VecDeque<(u64, Instant)>,
    received: Received,
}

/// What came from the peer.
#[derive(Default)]
struct Received {
    seen: Vec<u64>,
    count: u64,
    last_sequence: Option<u64>,
    last_id: Vec<u8>,
}

impl Received {
    /// Notes a message; tells whether it came out of order, and whether it was there already.
    fn note(&mut self, sequence: u64, message_id: &[u8]) -> (bool, bool) {
        let (word, bit) = (usize::try_from(sequence / 64).unwrap_or(usize::MAX), 1 << (sequence % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let duplicate = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        self.count += u64::from(!duplicate);
        let late = self.last_sequence.is_some_and(|last| sequence <= last) || message_id <= self.last_id.as_slice();
        if !late {
            self.last_sequence = Some(sequence);
            self.last_id.clear();
            self.last_id.extend_from_slice(message_id);
        }
        (late && !duplicate, duplicate)
    }
}

/// Runs one client to its end.
pub async fn drive(
    socket: Socket,
    account: Account,
    number: usize,
    side: usize,
    plan: Rc<Plan>,
    figures: Rc<Figures>,
    pair: Rc<Pair>,
) -> Result<()> {
    let before = format!(
        "[\"send_message\",{{\"chat_id\":\"{}\",\"message\":\"{}\",\"client_message_id\":\"{}.",
        account.chat_id, plan.text, plan.run
    );
    let mut client = Client {
        socket,
        plan: plan.clone(),
        figures,
        pair: pair.clone(),
        side,
        before: before.into_bytes(),
        sent: 0,
        in_flight: VecDeque::new(),
        received: Received::default(),
    };
    let end = plan.measure_until + SETTLE;
    let outcome = match tokio::time::timeout_at(end.into(), client.run(number)).await {
        Ok(outcome) => outcome,
        Err(_) => Ok(()),
    };
    pair.finished[side].set(true);
    if let Err(error) = &outcome {
        pair.failed.borrow_mut().get_or_insert_with(|| format!("{error:#}"));
    }
    client.figures.unacknowledged(client.in_flight.len() as u64);
    client.figures.missing(pair.acked[1 - side].get().saturating_sub(client.received.count));
    outcome
}

impl Client {
    async fn run(&mut self, number: usize) -> Result<()> {
        let mut due = self.first_due(number);
        let mut begun = false;
        loop {
            let now = Instant::now();
            if let Pace::Closed { window } = self.plan.pace
                && !begun
                && now >= self.plan.start
            {
                begun = true;
                (0..window).for_each(|_| self.send(now));
            }
            if let Some((at, period)) = due
                && now >= at
            {
                self.send(at);
                let next = at + period;
                due = (next < self.plan.measure_until).then_some((next, period));
                continue;
            }
            self.socket.flush().await?;
            if now >= self.plan.measure_until && self.is_settled() {
                return Ok(());
            }
            let wake = match (due, begun) {
                (Some((at, _)), _) => at,
                (None, false) if now < self.plan.start => self.plan.start,
                _ => now + if now < self.plan.measure_until { Duration::from_secs(1) } else { LOOK_AGAIN },
            };
            tokio::select! {
                biased;
                filled = self.socket.fill() => {
                    filled?;
                    self.take_all()?;
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Time and distance of sends at a fixed rate; clients begin one after the other so that sends spread evenly.
    #[allow(clippy::cast_precision_loss)] // numbers of clients are far below 2^52
    fn first_due(&self, number: usize) -> Option<(Instant, Duration)> {
        let Pace::Open { messages_per_second } = self.plan.pace else { return None };
        let period = Duration::from_secs_f64(self.plan.clients as f64 / messages_per_second);
        Some((self.plan.start + period.mul_f64(number as f64 / self.plan.clients as f64), period))
    }

    /// Whether nothing more can be expected: all acknowledged, and all that the peer got acknowledged is here.
    fn is_settled(&self) -> bool {
        if !self.in_flight.is_empty() {
            return false;
        }
        self.pair.finished[self.side].set(true);
        let peer = 1 - self.side;
        self.pair.finished[peer].get() && self.received.count >= self.pair.acked[peer].get()
    }

    fn send(&mut self, at: Instant) {
        let number = self.sent;
        self.sent += 1;
        let micros = at.saturating_duration_since(self.plan.epoch).as_micros();
        let head = format!("42/chat,{number}");
        let tail = format!("{number}.{micros}\"}}]");
        self.socket.queue(&[head.as_bytes(), &self.before, tail.as_bytes()]);
        self.in_flight.push_back((number, at));
    }

    fn take_all(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut again = 0;
        while let Some(range) = self.socket.next_text()? {
            match packet::read(self.socket.bytes(range)) {
                Packet::Ping => self.socket.queue(&[b"3"]),
                Packet::Ack(number, outcome) => {
                    let Some(at) = self.in_flight.iter().position(|(sent, _)| *sent == number) else {
                        bail!("an acknowledgement of event {number}, which waits for none");
                    };
                    let Some((_, sent_at)) = self.in_flight.remove(at) else { continue };
                    match outcome {
                        Ok(()) => {
                            let acked = &self.pair.acked[self.side];
                            acked.set(acked.get() + 1);
                            let measured = now >= self.plan.measure_from && now < self.plan.measure_until;
                            self.figures.acked(measured.then(|| now.saturating_duration_since(sent_at)));
                        }
                        Err(code) => self.figures.refused(code),
                    }
                    again += usize::from(matches!(self.plan.pace, Pace::Closed { .. }));
                }
                Packet::Message { message_id, client_message_id } => {
                    if let Some((sequence, micros)) = stamp(client_message_id, &self.plan.run) {
                        let (late, duplicate) = self.received.note(sequence, message_id);
                        let sent_at = self.plan.epoch + Duration::from_micros(micros);
                        let measured = now >= self.plan.measure_from && now < self.plan.measure_until;
                        let took = measured.then(|| now.saturating_duration_since(sent_at));
                        self.figures.delivered(took, late, duplicate);
                    }
                }
                Packet::Other => {}
            }
        }
        if now < self.plan.measure_until {
            (0..again).for_each(|_| self.send(now));
        }
        Ok(())
    }
}

/// Sequence and time in a client message id of this run.
fn stamp(id: &str, run: &str) -> Option<(u64, u64)> {
    let (sequence, micros) = id.strip_prefix(run)?.strip_prefix('.')?.split_once('.')?;
    Some((sequence.parse().ok()?, micros.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_and_repeated_messages_are_told_apart() {
        let mut received = Received::default();
        assert_eq!(received.note(0, b"a"), (false, false));
        assert_eq!(received.note(2, b"c"), (false, false));
        assert_eq!(received.note(1, b"b"), (true, false));
        assert_eq!(received.note(1, b"b"), (false, true));
        assert_eq!(received.note(3, b"c"), (true, false), "an id that does not rise is out of order");
        assert_eq!(received.note(70, b"d"), (false, false));
        assert_eq!(received.count, 5);
    }

    #[test]
    fn a_stamp_of_another_run_is_no_stamp() {
        assert_eq!(stamp("run.7.1234", "run"), Some((7, 1234)));
        assert_eq!(stamp("other.7.1234", "run"), None);
        assert_eq!(stamp("run.7", "run"), None);
    }
}
