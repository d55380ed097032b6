//! A server as a process of its own: what it says when it is ready, and its end.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    time::timeout,
};

pub const PATIENCE: Duration = Duration::from_mins(1);

/// The line with which a server says where it is.
#[allow(dead_code)] // not every test file needs it
pub async fn ready(server: &mut Child) -> String {
    let mut told = BufReader::new(server.stdout.take().unwrap()).lines();
    timeout(PATIENCE, told.next_line()).await.unwrap().unwrap().expect("the server ended at start")
}

/// Tells a server to stop.
#[allow(dead_code)] // not every test file needs it
pub fn terminate(server: &Child) {
    kill_process(Pid::from_raw(server.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
}
