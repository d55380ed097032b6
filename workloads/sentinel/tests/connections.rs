//! More connections than the process may have files for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod process;

use std::{net::TcpListener, process::Stdio, time::Duration};

use process::{PATIENCE, ready, terminate};
use serde_json::json;
use tokio::{
    net::TcpStream,
    process::Command,
    time::{sleep, timeout},
};

const OPEN_FILES: usize = 256;

#[tokio::test]
async fn whoever_takes_all_connections_stops_neither_those_that_are_there_nor_the_stores() {
    let folder = tempfile::tempdir().unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().to_string();
    let mut server = Command::new("sh")
        .args(["-c", &format!("ulimit -n {OPEN_FILES}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_sentinel")])
        .args(["standalone", "--listen", "127.0.0.1:0", "--drain", "0", "--admin-listen", &admin, "--data"])
        .arg(folder.path())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ready = ready(&mut server).await;
    let address = ready.split("http://").nth(1).unwrap().split(' ').next().unwrap();
    let client = reqwest::Client::new();
    let keys = || client.get(format!("http://{address}/.well-known/jwks.json")).send();
    keys().await.unwrap().text().await.unwrap();

    let mut silent = Vec::new();
    for _ in 0..OPEN_FILES + 100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let account = json!({ "username": "ann", "password": "correct horse", "email": "ann@example.com" });
    let registered = client.post(format!("http://{address}/register")).json(&account).send().await.unwrap();
    assert_eq!(registered.status(), 201);
    let probe = reqwest::get(format!("http://{admin}/readyz")).await.unwrap();
    assert_eq!(probe.status(), 200);
    let metrics = reqwest::get(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
    let refused = metrics.lines().find_map(|line| line.strip_prefix("sentinel_connections_refused_total ")).unwrap();
    assert!((100..=OPEN_FILES + 100).contains(&refused.parse().unwrap()), "{refused}");

    drop(silent);
    let somebody_new = async {
        while reqwest::get(format!("http://{address}/.well-known/jwks.json")).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, somebody_new).await.expect("room comes back");

    terminate(&server);
    let ended = timeout(PATIENCE, server.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && log.matches("closed new connections").count() == 1, "{log}");
}
