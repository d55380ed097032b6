//! What the server's process uses, from `/proc`.

use std::fs;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Clock ticks per second in `/proc/<pid>/stat`; the same on every Linux that Sentinel runs on.
const TICKS: f64 = 100.0;
/// Files that the generator needs besides its sockets.
const OTHER_FILES: u64 = 64;

/// A process to look at.
#[derive(Clone, Copy, Debug)]
pub struct Server(u32);

impl Server {
    /// The process with this id.
    pub fn of(pid: u32) -> Self {
        Self(pid)
    }

    /// CPU time used so far, user and system, in seconds.
    pub fn cpu_seconds(self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The name in parentheses may hold spaces; fields are counted after it.
        let (_, fields) = stat.rsplit_once(')').context("malformed /proc stat")?;
        let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("malformed /proc stat")?;
        Ok((user + system) / TICKS)
    }

    /// Resident memory in KiB.
    pub fn resident_kib(self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc status")?;
        line.trim().trim_end_matches(" kB").parse().context("malformed VmRSS")
    }

    fn read(self, file: &str) -> Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0))
            .with_context(|| format!("the server's process {} can't be read", self.0))
    }
}

/// Lets this process open a socket for each client.
pub fn raise_open_files(clients: usize) -> Result<()> {
    let needed = clients as u64 + OTHER_FILES;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if now.maximum.is_some_and(|maximum| maximum < needed) {
        bail!("{needed} open files are needed and {:?} allowed: raise `ulimit -n`", now.maximum);
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: now.maximum }).context("raising open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_can_be_read() {
        let me = Server::of(rustix::process::getpid().as_raw_nonzero().get().cast_unsigned());
        assert!(me.resident_kib().unwrap() > 100);
        assert!(me.cpu_seconds().unwrap() >= 0.0);
    }
}
