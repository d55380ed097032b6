//! The network namespace in which the whole cluster lives.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::statfs;

use super::config::{DNS_ADDRESS, NODE_ADDRESS};
use crate::cluster::State;
use crate::host::{command, folders};

/// `f_type` of the file system that namespaces are files of.
const NSFS: i64 = 0x6e73_6673;

/// The file that stands for the namespace.
pub fn path(state: &State) -> PathBuf {
    Path::new("/run/netns").join(state.global_name())
}

/// Makes the namespace with the node's and the DNS server's address; tells whether it had to.
pub fn ensure(state: &State) -> Result<bool> {
    let name = state.global_name();
    let fresh = !stands(&path(state));
    if fresh {
        // The file outlives a restart of the machine where `/run` is on a disk.
        folders::remove_if_there(&path(state))?;
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
    if stands(&path(state)) {
        command::output(Command::new("ip").args(["netns", "del", &state.global_name()]))?;
    }
    folders::remove_if_there(&path(state))
}

/// Whether a namespace is mounted on this file.
fn stands(path: &Path) -> bool {
    statfs(path).is_ok_and(|system| system.f_type == NSFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_its_namespace_does_not_stand_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("sentinel-dev");
        std::fs::write(&left, "").unwrap();
        assert!(!stands(&left));
        folders::remove_if_there(&left).unwrap();
        assert!(!left.exists());
        folders::remove_if_there(&left).unwrap();
        assert!(!stands(&left), "there is nothing");
        assert!(stands(Path::new("/proc/self/ns/net")));
    }
}
