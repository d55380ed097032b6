//! Control groups. Each cluster has a root of its own, or two kubelets would remove each other's pods.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cluster::State;

/// Controllers that kubelet needs in the unified hierarchy.
const UNIFIED_CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "memory", "pids", "io"];

/// One mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Version 1, with these controllers.
    Controllers(Vec<String>),
    /// Version 2, with all controllers.
    Unified,
    /// Version 2 beside version 1: holds no controllers.
    Hybrid,
}

/// Makes the cluster's root in every hierarchy; tells whether it had to.
pub fn ensure(state: &State) -> Result<bool> {
    let mut made = false;
    for hierarchy in mounted()? {
        if hierarchy.kind == Kind::Hybrid {
            continue;
        }
        if hierarchy.kind == Kind::Unified {
            let control = hierarchy.mount.join("cgroup.subtree_control");
            for controller in UNIFIED_CONTROLLERS {
                // Absent or already on; kubelet names what it misses.
                let _ = std::fs::write(&control, format!("+{controller}"));
            }
        }
        let root = hierarchy.mount.join(state.global_name());
        if !root.is_dir() {
            std::fs::create_dir(&root).with_context(|| format!("cannot make control group {}", root.display()))?;
            made = true;
        }
        if matches!(&hierarchy.kind, Kind::Controllers(names) if names.iter().any(|name| name == "cpuset")) {
            // A new group of this controller has no processors and no memory, so nothing could run in it.
            for setting in ["cpuset.cpus", "cpuset.mems"] {
                let all = std::fs::read_to_string(hierarchy.mount.join(setting))
                    .with_context(|| format!("cannot read {setting}"))?;
                std::fs::write(root.join(setting), all.trim()).with_context(|| format!("cannot set {setting}"))?;
            }
        }
    }
    Ok(made)
}

/// Ids of all processes in the cluster's groups.
pub fn processes(state: &State) -> Result<Vec<i32>> {
    let mut ids = Vec::new();
    for root in roots(state)? {
        for group in groups_below(&root) {
            let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            ids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|id| *id > 0));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Removes the cluster's groups, which must hold no process any more.
pub fn remove(state: &State) -> Result<()> {
    for root in roots(state)? {
        // The innermost come last in this list.
        for group in groups_below(&root).iter().rev() {
            remove_patiently(group)?;
        }
    }
    Ok(())
}

/// A group stays busy for a moment after its last process has gone.
fn remove_patiently(group: &Path) -> Result<()> {
    let mut tries = 0;
    loop {
        match std::fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if tries == 50 => {
                return Err(error).with_context(|| format!("cannot remove control group {}", group.display()));
            }
            Err(_) => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}

fn roots(state: &State) -> Result<Vec<PathBuf>> {
    let roots = mounted()?.into_iter().map(|hierarchy| hierarchy.mount.join(state.global_name()));
    Ok(roots.filter(|root| root.is_dir()).collect())
}

/// A group and all below it, each before its children.
fn groups_below(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_path_buf()];
    let mut next = 0;
    while next < found.len() {
        let entries = std::fs::read_dir(&found[next]).into_iter().flatten().flatten();
        let children: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        found.extend(children);
        next += 1;
    }
    found
}

fn mounted() -> Result<Vec<Hierarchy>> {
    Ok(parse(&std::fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?))
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    let lines: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    let has_controllers = lines.iter().any(|fields| fields.get(2) == Some(&"cgroup"));
    lines
        .iter()
        .filter_map(|fields| {
            let mount = PathBuf::from(fields.get(1)?);
            let kind = match *fields.get(2)? {
                "cgroup" => Kind::Controllers(fields.get(3)?.split(',').map(str::to_owned).collect()),
                "cgroup2" if has_controllers => Kind::Hybrid,
                "cgroup2" => Kind::Unified,
                _ => return None,
            };
            Some(Hierarchy { mount, kind })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_and_unified_are_told_apart() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let found = parse(hybrid);
        assert_eq!(found.len(), 2);
        assert!(matches!(&found[0].kind, Kind::Controllers(names) if names.contains(&"cpuset".to_owned())));
        assert_eq!(found[1].kind, Kind::Hybrid);
        let unified = parse("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
        assert_eq!(unified, [Hierarchy { mount: "/sys/fs/cgroup".into(), kind: Kind::Unified }]);
    }

    #[test]
    fn parents_come_before_children() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let found = groups_below(folder.path());
        assert_eq!(found, [folder.path().to_path_buf(), folder.path().join("a"), folder.path().join("a/b")]);
    }
}
