//! Two stock clients write to `sentinel standalone` while the process is killed under them. A pod's force-deletion
//! still lets the process hear SIGTERM; SIGKILL does not. No cluster is needed.
//! Search and notifications, which follow the messages, agree with history in the end too.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use oracle::Conversation;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const KILLS: usize = 5;
const BETWEEN_KILLS: usize = 25;
const PATIENCE: Duration = Duration::from_mins(1);

/// The binary that was built beside this test.
fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let binary = this.parent().and_then(Path::parent).expect("target/<profile>/deps").join("sentinel");
    assert!(binary.exists(), "{} is missing: run `cargo build -p sentinel` first", binary.display());
    binary
}

/// Starts the server, again and again for a while if it ends at once: whatever opens a connection may get this port for a
/// moment while no server has it.
async fn start(address: &str, data: &Path) -> Child {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(server) = try_start(address, data).await {
            return server;
        }
        assert!(Instant::now() < deadline, "the server ended at start");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Starts the server and waits until it says where it is; nothing if it ends before.
async fn try_start(address: &str, data: &Path) -> Option<Child> {
    let mut child = Command::new(binary())
        .args(["standalone", "--limits", "tests", "--listen", address, "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("the server is ready in time");
    let line = ready.expect("its output")?;
    assert!(line.contains(address), "{line}");
    Some(child)
}

#[tokio::test]
async fn every_acknowledged_message_survives_sigkill_exactly_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // The same port after each start, as clients that reconnect expect.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").to_string();
    let mut server = start(&address, folder.path()).await;
    let mut conversation = Conversation::begin(&format!("http://{address}")).await;
    for _ in 0..KILLS {
        conversation.acknowledged(BETWEEN_KILLS, PATIENCE).await;
        server.kill().await.expect("the server can be killed");
        server = start(&address, folder.path()).await;
    }
    conversation.acknowledged(BETWEEN_KILLS, PATIENCE).await;
    conversation.check_with_consumers(KILLS, PATIENCE).await;
}
