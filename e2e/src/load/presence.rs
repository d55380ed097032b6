//! Presence: how long a change of one user takes to those who watch.

mod changes;

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use self::changes::{Changes, Status};
use super::{
    accounts::Account,
    client,
    latency::Latencies,
    packet::{self, Packet},
    target::Target,
    wire::Socket,
};

/// How long it may take until everybody sees everybody online.
const GATHERING: Duration = Duration::from_mins(2);
/// How long after the last change it may still come.
const SETTLE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Seconds between two changes of one user at least: what follows at once may be shown as one.
const APART: f64 = 2.0;
/// Numbers of the events that ask for acknowledgements.
const SUBSCRIBE: u64 = 0;
const HEARTBEAT: u64 = 1;

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    users: usize,
    watched: usize,
    changes: u64,
    changes_per_second: f64,
    /// From the heartbeat that makes the change to the event at one who watches.
    presence_p50_ms: f64,
    presence_p99_ms: f64,
    /// Watchers who never saw a change.
    unseen: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "users                 {}, each watches {}", self.users, self.watched)?;
        writeln!(f, "changes               {}, {:.0} per second", self.changes, self.changes_per_second)?;
        writeln!(f, "change to observer    p50 {:.2} ms, p99 {:.2} ms", self.presence_p50_ms, self.presence_p99_ms)?;
        writeln!(f, "never seen            {}", self.unseen)
    }
}

impl Report {
    /// An error when somebody who watches was not told; slowness is none.
    pub fn verdict(&self) -> Result<()> {
        if self.unseen > 0 {
            bail!("{} times somebody who watches was not told of a change", self.unseen);
        }
        Ok(())
    }
}

/// What all observers share.
struct Board {
    changes: RefCell<Changes>,
    /// Changes of the measurement; what led up to it is not in it.
    seen: RefCell<Latencies>,
    /// Number of each user by id.
    numbers: HashMap<String, usize>,
}

/// Connects all accounts, each watching `watched` others, and lets one after the other go away, then come back, `rate`
/// changes a second for some seconds; must run in a `LocalSet`.
pub async fn measure(target: Target, accounts: &[Account], watched: usize, rate: f64, seconds: u64) -> Result<Report> {
    check(accounts.len(), watched, rate)?;
    let board = Rc::new(Board {
        changes: RefCell::new(Changes::new(accounts.len(), watched)),
        seen: RefCell::new(Latencies::new()?),
        numbers: accounts.iter().enumerate().map(|(number, account)| (account.user_id.clone(), number)).collect(),
    });
    let sockets = client::connect_all(target, accounts).await?;
    for user in 0..accounts.len() {
        board.changes.borrow_mut().begin(user, Status::Online, Instant::now());
    }
    let mut tasks = JoinSet::new();
    let mut orders = Vec::new();
    for (number, mut socket) in sockets.into_iter().enumerate() {
        let others: Vec<&str> =
            (1..=watched).map(|next| accounts[(number + next) % accounts.len()].user_id.as_str()).collect();
        let subscribe = json!(["presence_subscribe", { "user_ids": others }]);
        socket.queue(&[format!("42/chat,{SUBSCRIBE}{subscribe}").as_bytes()]);
        let (order, received) = unbounded_channel();
        orders.push(order);
        tasks.spawn_local(observe(socket, number, board.clone(), received));
    }
    until_seen(&board, &mut tasks, GATHERING).await?;
    let unseen = board.changes.borrow().unseen();
    if unseen > 0 {
        bail!("after {GATHERING:?} somebody is not yet seen online by {unseen} of those who watch");
    }
    *board.seen.borrow_mut() = Latencies::new()?;

    let changes = change(&board, &orders, &mut tasks, rate, seconds).await?;
    until_seen(&board, &mut tasks, SETTLE).await?;
    let (seen, unseen) = (board.seen.borrow(), board.changes.borrow().unseen());
    Ok(Report {
        users: accounts.len(),
        watched,
        changes,
        changes_per_second: rate,
        presence_p50_ms: seen.p50_ms(),
        presence_p99_ms: seen.p99_ms(),
        unseen,
    })
}

#[allow(clippy::cast_precision_loss)] // numbers of users are far below 2^52
fn check(users: usize, watched: usize, rate: f64) -> Result<()> {
    if watched == 0 || watched >= users {
        bail!("--presence must be between 1 and {}: users watch each other", users - 1);
    }
    let most = users as f64 / APART;
    if rate > most {
        bail!("--rate may be {most:.0} changes per second at most: {users} users change one after the other");
    }
    Ok(())
}

/// Lets users change at fixed times, whether or not the changes before were seen; latency counts from these times.
async fn change(
    board: &Board,
    orders: &[UnboundedSender<Status>],
    tasks: &mut JoinSet<Result<()>>,
    rate: f64,
    seconds: u64,
) -> Result<u64> {
    let start = Instant::now();
    let period = Duration::from_secs_f64(1.0 / rate);
    let (mut changes, mut at) = (0, start);
    while at < start + Duration::from_secs(seconds) {
        wait_until(tasks, at).await?;
        let (round, user) = (changes / orders.len(), changes % orders.len());
        let status = if round.is_multiple_of(2) { Status::Away } else { Status::Online };
        board.changes.borrow_mut().begin(user, status, at);
        orders[user].send(status).ok().context("a client ended by itself")?;
        changes += 1;
        at += period;
    }
    Ok(changes as u64)
}

/// Waits until all changes are seen, or for so long.
async fn until_seen(board: &Board, tasks: &mut JoinSet<Result<()>>, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while board.changes.borrow().awaited() > 0 && Instant::now() < deadline {
        wait_until(tasks, Instant::now() + LOOK_AGAIN).await?;
    }
    Ok(())
}

/// Waits; the end of a client before that is an error.
async fn wait_until(tasks: &mut JoinSet<Result<()>>, at: Instant) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep_until(at.into()) => Ok(()),
        Some(ended) = tasks.join_next() => {
            ended.context("a client panicked")??;
            bail!("a client ended by itself");
        }
    }
}

/// One client: sends the heartbeats that it is told to, and notes what it sees of others.
async fn observe(
    mut socket: Socket,
    number: usize,
    board: Rc<Board>,
    mut orders: UnboundedReceiver<Status>,
) -> Result<()> {
    loop {
        socket.flush().await?;
        tokio::select! {
            order = orders.recv() => {
                let Some(status) = order else { return Ok(()) };
                let heartbeat = json!(["heartbeat", { "active": status == Status::Online }]);
                socket.queue(&[format!("42/chat,{HEARTBEAT}{heartbeat}").as_bytes()]);
            }
            filled = socket.fill() => {
                filled?;
                let now = Instant::now();
                while let Some(range) = socket.next_text()? {
                    let frame = socket.bytes(range);
                    match packet::read(frame) {
                        Packet::Ping => socket.queue(&[b"3"]),
                        Packet::Ack(_, Err(code)) => bail!("presence was refused: {code}"),
                        _ => seen(frame).into_iter().for_each(|presence| board.note(number, &presence, now)),
                    }
                }
            }
        }
    }
}

impl Board {
    fn note(&self, observer: usize, presence: &Presence, now: Instant) {
        // Further states than those that users are brought into are not waited for.
        let Some((&user, status)) = self.numbers.get(&presence.user_id).zip(Status::named(&presence.status)) else {
            return;
        };
        if let Some(took) = self.changes.borrow_mut().seen(user, status, observer, now) {
            self.seen.borrow_mut().record(took);
        }
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Presence {
    user_id: String,
    status: String,
}

/// What a frame tells of users: the answer to a subscription, or a change.
fn seen(frame: &[u8]) -> Vec<Presence> {
    #[derive(Deserialize)]
    struct Subscribed {
        presence: Vec<Presence>,
    }
    if let Some(payload) = frame.strip_prefix(b"42/chat,[\"presence\",") {
        let payload = payload.strip_suffix(b"]").unwrap_or(payload);
        return serde_json::from_slice(payload).into_iter().collect();
    }
    let Some(payload) = frame.strip_prefix(format!("43/chat,{SUBSCRIBE}").as_bytes()) else { return Vec::new() };
    match serde_json::from_slice::<[Subscribed; 1]>(payload) {
        Ok([subscribed]) => subscribed.presence,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_changes_tell_of_users() {
        let presence =
            |user_id: &str, status: &str| Presence { user_id: user_id.to_owned(), status: status.to_owned() };
        let changed = br#"42/chat,["presence",{"user_id":"a","status":"away","last_active":null}]"#;
        assert_eq!(seen(changed), [presence("a", "away")]);
        let answer = br#"43/chat,0[{"status":"ok","presence":[{"user_id":"a","status":"online","last_active":"x"},
            {"user_id":"b","status":"offline","last_active":null}]}]"#;
        assert_eq!(seen(answer), [presence("a", "online"), presence("b", "offline")]);
        for other in [&br#"43/chat,1[{"status":"ok"}]"#[..], br#"42/chat,["receipt",{"user_id":"a"}]"#, b"2"] {
            assert_eq!(seen(other), [], "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn users_must_be_enough_for_what_is_asked() {
        check(1000, 50, 20.0).unwrap();
        for (users, watched, rate) in [(50, 50, 1.0), (50, 0, 1.0), (20, 5, 20.0)] {
            check(users, watched, rate).unwrap_err();
        }
    }
}
