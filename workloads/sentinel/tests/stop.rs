//! How the process ends when it is told to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod process;

use std::{fs::File, net::TcpListener, process::Stdio};

use process::{PATIENCE, ready, terminate};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

/// Scrapers keep their connection. Stores that it kept open would keep their leases and lose what they were about to send.
#[tokio::test]
async fn the_stores_are_closed_although_a_scraper_keeps_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().to_string();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["standalone", "--listen", "127.0.0.1:0", "--drain", "0", "--admin-listen", &admin, "--data"])
        .arg(folder.path())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    assert!(ready(&mut server).await.contains("ready"));

    let scraper = reqwest::Client::new();
    let metrics = scraper.get(format!("http://{admin}/metrics")).send().await.unwrap();
    assert_eq!(metrics.status(), 200);
    // Once it is read, the connection waits for the next scrape.
    metrics.text().await.unwrap();
    terminate(&server);
    let ended = timeout(PATIENCE, server.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && log.contains("the stores are closed"), "{log}");
    drop(scraper);
}

/// A container's first process that does not listen for the signal yet would go on, and be killed without having drained.
#[tokio::test]
async fn a_server_that_waits_for_another_ends_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let another = File::create(folder.path().join("sentinel.lock")).unwrap();
    another.lock().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["standalone", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    while let Some(line) = timeout(PATIENCE, log.next_line()).await.unwrap().unwrap() {
        if line.contains("waiting for another server") {
            break;
        }
    }
    terminate(&server);
    let ended = timeout(PATIENCE, server.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0), "{ended}");
}
