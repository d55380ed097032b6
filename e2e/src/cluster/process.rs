//! Background processes that outlive the command that started them: parts of the cluster, forwarders.
//!
//! Each has a record in the state folder with its id and start time, so that an id the kernel gave to a stranger
//! meanwhile is never mistaken for ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::State;
use crate::host::hash::Key;
use crate::host::{folders, log};

/// A process to run in the background.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name: the record and the log are called so.
    pub name: String,
    /// What will be its command line once it runs.
    pub argv: Vec<String>,
    /// Hash of its configuration; a process with another one is started anew.
    pub config: String,
    /// The namespace to enter first.
    pub network: Option<PathBuf>,
    /// Environment beside what it inherits.
    pub env: Vec<(String, String)>,
}

/// A background process as recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The process id.
    pub pid: i32,
    /// Clock ticks from boot to its start.
    start: u64,
    key: String,
}

impl Record {
    /// Whether this very process still runs.
    pub fn alive(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    /// Its resident memory in MiB.
    pub fn resident_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
    }
}

/// Starts a process unless it runs already, as it should; tells whether it did.
pub fn ensure(state: &State, spec: &Spec) -> Result<bool> {
    let mut key = Key::default().with("argv", spec.argv.join("\0")).with("config", &spec.config);
    for (name, value) in &spec.env {
        key = key.with(name, value);
    }
    let key = key.short();
    if let Some(record) = read(state, &spec.name).filter(Record::alive) {
        if record.key == key {
            return Ok(false);
        }
        stop(&record);
    } else if let Some(pid) = running_as(&spec.argv) {
        // A run that was killed between the start and the record leaves a process behind: it is started anew, since
        // nobody knows its configuration.
        kill(pid);
    }
    let start = spawn(state, spec)?;
    let text = serde_json::to_vec(&Record { pid: start.0, start: start.1, key }).context("cannot write a record")?;
    folders::write_whole(&record_path(state, &spec.name), text)?;
    Ok(true)
}

/// All records by name.
pub fn records(state: &State) -> BTreeMap<String, Record> {
    let entries = std::fs::read_dir(state.path("run")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().strip_suffix(".json")?.to_owned();
            Some((name.clone(), read(state, &name)?))
        })
        .collect()
}

/// A line for each recorded process: whether it runs, its memory, its port on 127.0.0.1.
pub fn described(state: &State) -> Vec<String> {
    let line = |(name, record): (String, Record)| {
        let health = match record.resident_mib() {
            Some(memory) if record.alive() => format!("running  pid {:<8} {memory:>5} MiB", record.pid),
            _ => "NOT RUNNING (a repeated `up` starts it)".to_owned(),
        };
        let port = state.port(&name).map(|port| format!("  127.0.0.1:{port}")).unwrap_or_default();
        format!("{name:<24} {health}{port}")
    };
    records(state).into_iter().map(line).collect()
}

/// The record of one process.
pub fn read(state: &State, name: &str) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(record_path(state, name)).ok()?).ok()
}

/// Ends a recorded process and waits until it is gone; a stranger with its id is left alone.
pub fn stop(record: &Record) {
    if record.alive() {
        // The launcher made it the leader of a group: what it started itself goes with it.
        if let Some(group) = Pid::from_raw(record.pid) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        kill(record.pid);
    }
}

/// As [`stop`], and with it all that it started, also what has left its group.
pub fn stop_tree(record: &Record) {
    let started: Vec<(i32, Option<u64>)> =
        descendants(record.pid).into_iter().map(|pid| (pid, start_time(pid))).collect();
    stop(record);
    started
        .into_iter()
        .filter(|(pid, start)| start.is_some() && start_time(*pid) == *start)
        .for_each(|(pid, _)| kill(pid));
}

/// Asks a recorded process to end; tells whether it did within `patience`.
pub fn ask_to_end(record: &Record, signal: Signal, patience: Duration) -> bool {
    if let Some(pid) = Pid::from_raw(record.pid).filter(|_| record.alive()) {
        // Gone already is what we want.
        let _ = kill_process(pid, signal);
    }
    let deadline = Instant::now() + patience;
    while record.alive() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Kills a process and waits (at most five seconds) until it is gone.
pub fn kill(pid: i32) {
    let Some(id) = Pid::from_raw(pid) else { return };
    let began = start_time(pid);
    // Gone already is what we want.
    let _ = kill_process(id, Signal::KILL);
    for _ in 0..250 {
        if start_time(pid).is_none() || start_time(pid) != began {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ids of all processes for which `chosen` holds; it gets the folder in `/proc`.
pub fn ids_where(chosen: impl Fn(&Path) -> bool) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own && chosen(Path::new(&format!("/proc/{pid}"))))
        .collect()
}

/// This program, also when a build has replaced its file since it was started.
pub const OURSELVES: &str = "/proc/self/exe";

fn spawn(state: &State, spec: &Spec) -> Result<(i32, u64)> {
    let path = state.log(&spec.name);
    let output = log::open(&path)?;
    let errors = output.try_clone().with_context(|| format!("cannot write {}", path.display()))?;
    let mut launcher = Command::new(OURSELVES);
    launcher.arg("internal-launch");
    if let Some(network) = &spec.network {
        launcher.arg("--network").arg(network);
    }
    launcher.arg("--").args(&spec.argv).envs(spec.env.iter().map(|(name, value)| (name, value)));
    launcher.current_dir("/").stdin(Stdio::null()).stdout(output).stderr(errors);
    let child = launcher.spawn().with_context(|| format!("cannot start {}", spec.name))?;
    let pid = i32::try_from(child.id()).context("process id out of range")?;
    let start = start_time(pid).with_context(|| format!("{} ended at once\n{}", spec.name, log::quoted(&path)))?;
    Ok((pid, start))
}

/// Start time of a process in clock ticks since boot; nothing for one that is gone or only waits to be collected.
fn start_time(pid: i32) -> Option<u64> {
    parse_start_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_start_time(stat: &str) -> Option<u64> {
    // The name, in brackets, may itself hold brackets and spaces.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let status = fields.next()?;
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    // The first thread may have ended before others, which keep files and ports open until they have, too.
    if (status == "Z" || status == "X") && threads <= 1 {
        return None;
    }
    fields.nth(1)?.parse().ok()
}

/// Ids of all processes that a process started, directly or not.
fn descendants(pid: i32) -> Vec<i32> {
    let parent = |folder: &Path| parse_parent(&std::fs::read_to_string(folder.join("stat")).ok()?);
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let of = found[next];
        found.extend(ids_where(|folder| parent(folder) == Some(of)));
        next += 1;
    }
    found.split_off(1)
}

fn parse_parent(stat: &str) -> Option<i32> {
    stat.get(stat.rfind(')')? + 2..)?.split(' ').nth(1)?.parse().ok()
}

fn running_as(argv: &[String]) -> Option<i32> {
    let mut line = argv.join("\0").into_bytes();
    line.push(0);
    ids_where(|folder| std::fs::read(folder.join("cmdline")).is_ok_and(|found| found == line)).first().copied()
}

fn record_path(state: &State, name: &str) -> PathBuf {
    state.folder().join("run").join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_read_past_odd_names() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 1";
        assert_eq!(parse_start_time(stat), Some(777));
        let ended = stat.replace(") S ", ") Z ");
        assert_eq!(parse_start_time(&ended), None);
        assert_eq!(parse_start_time(&ended.replace(" 0 1 0 777", " 0 9 0 777")), Some(777), "eight threads go on");
        assert_eq!(parse_start_time("nonsense"), None);
        assert_eq!(parse_parent(stat), Some(1));
    }

    #[test]
    fn a_process_with_another_start_time_is_a_stranger() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let start = start_time(pid).unwrap();
        let mine = Record { pid, start, key: String::new() };
        assert!(mine.alive());
        assert!(mine.resident_mib().unwrap() > 0);
        let stranger = Record { start: start + 1, ..mine };
        assert!(!stranger.alive());
    }
}
