//! The process does what it is told while it is not ready yet.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// A container's first process that does not listen for the signal would go on, and be killed without having drained.
#[test]
fn a_server_that_waits_for_another_ends_in_good_order_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let another = File::create(folder.path().join("sentinel.lock")).unwrap();
    another.lock().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["standalone", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("waiting for another server")));
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let ended = server.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{ended}: {:?}", lines.map(Result::unwrap).collect::<Vec<_>>());
}
