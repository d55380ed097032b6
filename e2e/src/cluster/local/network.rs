//! The network namespace in which the whole cluster lives.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::config::{DNS_ADDRESS, NODE_ADDRESS};
use crate::cluster::State;
use crate::host::command;

/// The file that stands for the namespace.
pub fn path(state: &State) -> PathBuf {
    Path::new("/run/netns").join(state.global_name())
}

/// Makes the namespace with the node's and the DNS server's address; tells whether it had to.
pub fn ensure(state: &State) -> Result<bool> {
    let name = state.global_name();
    let fresh = !path(state).exists();
    if fresh {
        command::output(Command::new("ip").args(["netns", "add", &name]))?;
    }
    let inside = |arguments: &[&str]| command::output(Command::new("ip").args(["-n", &name]).args(arguments));
    inside(&["link", "set", "lo", "up"])?;
    // An empty bridge, since not every kernel has dummy devices.
    if inside(&["link", "show", "node0"]).is_err() {
        inside(&["link", "add", "node0", "type", "bridge"]).context("the kernel lacks bridges (module bridge)")?;
    }
    inside(&["addr", "replace", &format!("{NODE_ADDRESS}/24"), "dev", "node0"])?;
    inside(&["addr", "replace", &format!("{DNS_ADDRESS}/32"), "dev", "node0"])?;
    inside(&["link", "set", "node0", "up"])?;
    inside(&["route", "replace", "default", "dev", "node0"])?;
    let setting = |text: &str| {
        command::output(
            Command::new("nsenter").arg(format!("--net={}", path(state).display())).args(["sysctl", "-qw", text]),
        )
    };
    setting("net.ipv4.ip_forward=1")?;
    // Absent without the br_netfilter module; then bridged traffic between pods on one node skips Service rules only.
    let _ = setting("net.bridge.bridge-nf-call-iptables=1");
    Ok(fresh)
}

/// Deletes the namespace; one that is not there is fine.
pub fn delete(state: &State) -> Result<()> {
    if path(state).exists() {
        command::output(Command::new("ip").args(["netns", "del", &state.global_name()]))?;
    }
    Ok(())
}
