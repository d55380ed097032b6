//! Whether the chat answers through its gateway: Ready pods come a moment before the Service sends traffic to them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::{Kubectl, Service};

const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Waits until the API description can be read at 127.0.0.1. After a restart of the machine that may take as long as the
/// chat's start: its pods are still said to be ready for a while before they are started again.
pub fn wait(gateway: &Service, kubectl: &Kubectl, port: u16, patience: Duration) -> Result<()> {
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
        if since.elapsed() > patience {
            bail!("{url} does not answer ({last}): look at the gateway's log with `{}`", look(gateway, kubectl));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn look(gateway: &Service, kubectl: &Kubectl) -> String {
    // Its workload has the same name.
    let Service { namespace, name, .. } = gateway;
    format!("kubectl --kubeconfig {} -n {namespace} logs deploy/{name}", kubectl.kubeconfig().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_to_look_at_is_that_of_this_chat() {
        let gateway = Service { namespace: "team".to_owned(), name: "demo-gateway".to_owned(), port: 80 };
        let command = look(&gateway, &Kubectl::new("/state/kubeconfig"));
        assert_eq!(command, "kubectl --kubeconfig /state/kubeconfig -n team logs deploy/demo-gateway");
    }
}
