//! One HTTP request, to see whether a store answers.

use std::time::Duration;

use anyhow::{Context, Result};

const PATIENCE: Duration = Duration::from_secs(5);

/// Status and body of a page.
pub fn get(url: &str) -> Result<(u16, String)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        // The stores are on this machine, whatever proxy is set.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().context("cannot make a client")?;
        let answer = client.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    })
}
