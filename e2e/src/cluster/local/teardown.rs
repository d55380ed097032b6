//! Takes a local cluster down so that no process, mount, namespace, control group or file of it is left.
//!
//! The order matters: a part that lives could restart what was ended, and a mount that stays would let the removal of
//! the state folder reach into somebody's data. The folder goes last, so that an interrupted `down` can be repeated.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::mount::{UnmountFlags, unmount};

use super::{cgroup, network};
use crate::cluster::{State, process};
use crate::report::Report;

/// Takes the cluster down; what is not there is fine.
pub fn run(state: &State, report: &Report) -> Result<()> {
    let sockets = shim_sockets(state);
    report.step("stopped processes", || stop_processes(state))?;
    report.step("removed mounts, namespace and control groups", || {
        unmount_all(state)?;
        network::delete(state)?;
        cgroup::remove(state)
    })?;
    report.step("removed files", || {
        for socket in sockets {
            let _ = std::fs::remove_file(socket);
        }
        remove_strays(state);
        if state.exists() {
            let folder = state.folder();
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(())
    })
}

fn stop_processes(state: &State) -> Result<()> {
    process::records(state).values().for_each(process::stop);
    // Every process in our namespace is ours, recorded or not: an interrupted `up` may have left one without record.
    if let Ok(inside) = std::fs::metadata(network::path(state)) {
        let ours = |folder: &Path| {
            std::fs::metadata(folder.join("ns/net"))
                .is_ok_and(|network| (network.dev(), network.ino()) == (inside.dev(), inside.ino()))
        };
        process::ids_where(ours).into_iter().for_each(process::kill);
    }
    // Shims of an earlier containerd of this cluster may be outside the namespace's view once it is gone.
    let socket = state.path("containerd.sock").to_string_lossy().into_owned();
    let shim = |folder: &Path| {
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.split('\0').next().is_some_and(|program| program.ends_with("containerd-shim-runc-v2"))
            && line.split('\0').any(|argument| argument == socket)
    };
    process::ids_where(shim).into_iter().for_each(process::kill);
    for _ in 0..50 {
        let left = cgroup::processes(state)?;
        if left.is_empty() {
            return Ok(());
        }
        left.into_iter().for_each(process::kill);
    }
    bail!("processes in control group {} do not end; look for them in state D with ps", state.global_name())
}

fn unmount_all(state: &State) -> Result<()> {
    // Several passes: mounts may lie on top of each other.
    for _ in 0..5 {
        let mounts = mounts_below(state.folder())?;
        if mounts.is_empty() {
            return Ok(());
        }
        for mount in mounts.iter().rev() {
            // Lazily: what a dying process still holds goes when the process does.
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
    }
    let left = mounts_below(state.folder())?;
    bail!("cannot unmount {left:?}; unmount them by hand, then repeat")
}

fn mounts_below(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = std::fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    Ok(parse_mounts(&text, folder))
}

fn parse_mounts(text: &str, folder: &Path) -> BTreeSet<PathBuf> {
    let points = text.lines().filter_map(|line| line.split(' ').nth(1));
    // The kernel writes spaces in paths as octal escapes.
    points.map(|point| PathBuf::from(point.replace("\\040", " "))).filter(|point| point.starts_with(folder)).collect()
}

/// Sockets of the shims: containerd puts them in a folder of the machine.
fn shim_sockets(state: &State) -> Vec<PathBuf> {
    let tasks = state.path("containerd/state/io.containerd.runtime.v2.task/k8s.io");
    let entries = std::fs::read_dir(tasks).into_iter().flatten().flatten();
    let addresses = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("address")).ok());
    addresses.filter_map(|address| address.trim().strip_prefix("unix://").map(PathBuf::from)).collect()
}

/// Removes what the programs put in fixed places of the machine, as far as it is this cluster's.
fn remove_strays(state: &State) {
    let global = format!("{}-", state.global_name());
    for entry in std::fs::read_dir("/var/lib/cni/results").into_iter().flatten().flatten() {
        // `<network>-<64 hexadecimal digits>-<interface>`; the length keeps `a` from removing what belongs to `a-b`.
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(&global).and_then(|rest| rest.split('-').next());
        if rest.is_some_and(|id| id.len() == 64) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    for entry in std::fs::read_dir("/var/log/containers").into_iter().flatten().flatten() {
        if std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(state.folder())) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    // Only when empty: the folders may be somebody else's too.
    for folder in ["/var/log/containers", "/var/lib/cni/results", "/var/lib/cni"] {
        let _ = std::fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_found_innermost_last() {
        let text = "proc /proc proc rw 0 0\n\
                    shm /state/dev/run/a/shm tmpfs rw 0 0\n\
                    overlay /state/dev/run/a overlay rw 0 0\n\
                    other /state/dev2/x tmpfs rw 0 0\n\
                    tmpfs /state/dev/with\\040space tmpfs rw 0 0\n";
        let found: Vec<PathBuf> = parse_mounts(text, Path::new("/state/dev")).into_iter().collect();
        let expected = ["/state/dev/run/a", "/state/dev/run/a/shm", "/state/dev/with space"];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
