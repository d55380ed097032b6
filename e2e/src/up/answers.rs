//! Whether the chat answers through its gateway: Ready pods come a moment before the Service sends traffic to them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// After a restart of the machine its pods are still said to be ready for a while before they are started again.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Waits until the API description can be read at 127.0.0.1.
pub fn wait(port: u16) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let url = format!("http://127.0.0.1:{port}/openapi.json");
    let since = Instant::now();
    loop {
        let last = match runtime.block_on(reqwest::get(&url)) {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        if since.elapsed() > PATIENCE {
            bail!(
                "{url} does not answer ({last}): look at the gateway's log with `kubectl -n chat logs deploy/chat-gateway`"
            );
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
