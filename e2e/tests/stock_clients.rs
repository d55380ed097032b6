//! The contract tests of the stock clients, through the gateway of the deployed chat.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod deployed;

use std::process::Command;

use deployed::{Deployed, repository};

#[tokio::test]
async fn the_stock_clients_find_the_contract_kept() {
    Deployed::ready().await;
    // The runners write to this test's own output, past the capture, so that a failure can be read.
    let status = Command::new(repository("e2e/clients/run.sh"))
        .env("SENTINEL_URL", Deployed::url())
        .status()
        .expect("e2e/clients/run.sh starts");
    assert!(status.success(), "the stock clients' tests failed; their output is above");
}
