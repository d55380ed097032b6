//! Takes a local cluster down so that no process, mount, namespace, control group or file of it is left.
//!
//! The order matters: a part that lives could restart what was ended, and a mount that stays would let the removal of
//! the state folder reach into somebody's data. The folder goes last, so that an interrupted `down` can be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::mount::{UnmountFlags, unmount};

use super::{cgroup, network};
use crate::cluster::{State, process};
use crate::report::Report;

const CNI_RESULTS: &str = "/var/lib/cni/results";
const CONTAINER_LOGS: &str = "/var/log/containers";
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";
const RUNC_STATE: &str = "/run/containerd/runc/k8s.io";

/// Folders that containerd, kubelet and the network plugins make wherever they run.
const FIXED_FOLDERS: [&str; 8] = [
    CONTAINER_LOGS,
    CNI_RESULTS,
    "/var/lib/cni",
    DEVICE_PLUGINS,
    "/var/lib/kubelet",
    RUNC_STATE,
    "/run/containerd/runc",
    "/run/containerd/s",
];

/// Takes the cluster down; what is not there is fine.
pub fn run(state: &State, report: &Report) -> Result<()> {
    let containers = containers(state);
    report.step("stopped processes", || stop_processes(state))?;
    report.step("removed mounts, namespace and control groups", || {
        unmount_all(state)?;
        network::delete(state)?;
        cgroup::remove(state)
    })?;
    report.step("removed files", || {
        remove_strays(state, &containers);
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

/// Ids of the containers of this cluster, with the sockets of their shims.
fn containers(state: &State) -> BTreeMap<String, Option<PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in entries(&state.path("containerd/state/io.containerd.runtime.v2.task/k8s.io")) {
        let address = std::fs::read_to_string(entry.join("address")).unwrap_or_default();
        let socket = address.trim().strip_prefix("unix://").map(PathBuf::from);
        found.insert(file_name(&entry), socket);
    }
    // Pods that ended before, but whose end was never told to the network plugins.
    let network = format!("{}-", state.global_name());
    for entry in entries(Path::new(CNI_RESULTS)) {
        if let Some(id) = container_of(&file_name(&entry), &network) {
            found.entry(id.to_owned()).or_insert(None);
        }
    }
    found
}

/// The container in `<network>-<id>-<interface>`; the id's length keeps `a` from claiming what belongs to `a-b`.
fn container_of<'a>(result: &'a str, network: &str) -> Option<&'a str> {
    let id = result.strip_prefix(network)?.split('-').next()?;
    (id.len() == 64).then_some(id)
}

/// Removes what the programs put in fixed places of the machine, as far as it is this cluster's.
fn remove_strays(state: &State, containers: &BTreeMap<String, Option<PathBuf>>) {
    for (id, socket) in containers {
        if let Some(socket) = socket {
            let _ = std::fs::remove_file(socket);
        }
        let _ = std::fs::remove_dir_all(Path::new(RUNC_STATE).join(id));
    }
    for entry in entries(Path::new(CNI_RESULTS)) {
        let name = file_name(&entry);
        if name.split('-').any(|part| containers.contains_key(part)) {
            let _ = std::fs::remove_file(entry);
        }
    }
    for entry in entries(Path::new(CONTAINER_LOGS)) {
        if std::fs::read_link(&entry).is_ok_and(|target| target.starts_with(state.folder())) {
            let _ = std::fs::remove_file(entry);
        }
    }
    // Kubelet's socket for device plugins has no setting. Where one answers, another kubelet uses it.
    let socket = Path::new(DEVICE_PLUGINS).join("kubelet.sock");
    if UnixStream::connect(&socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(&socket);
        let _ = std::fs::remove_file(Path::new(DEVICE_PLUGINS).join("kubelet_internal_checkpoint"));
    }
    // Only when empty: the folders may be somebody else's too.
    for folder in FIXED_FOLDERS {
        let _ = std::fs::remove_dir(folder);
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_results_belong_to_the_cluster_of_exactly_that_name() {
        let id = "a".repeat(64);
        assert_eq!(container_of(&format!("sentinel-a-{id}-eth0"), "sentinel-a-"), Some(id.as_str()));
        assert_eq!(container_of(&format!("sentinel-a-b-{id}-eth0"), "sentinel-a-"), None);
    }

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
