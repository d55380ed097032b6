//! Where things are kept: the repository, the cache, the state of each cluster.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The repository this binary was built from.
pub fn repository() -> Result<PathBuf> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.parent().context("the e2e crate has no parent folder")?;
    if !root.join("e2e/cluster/go.mod").is_file() {
        bail!("{} is no longer the repository this binary was built from; build it again with cargo", root.display());
    }
    Ok(root.to_path_buf())
}

/// `${XDG_CACHE_HOME:-~/.cache}/sentinel`: what can be made again.
pub fn cache() -> Result<PathBuf> {
    base("XDG_CACHE_HOME", ".cache")
}

/// `${XDG_STATE_HOME:-~/.local/state}/sentinel`: one folder for each cluster.
pub fn clusters() -> Result<PathBuf> {
    base("XDG_STATE_HOME", ".local/state")
}

/// The state folder of one cluster.
pub fn cluster(name: &str) -> Result<PathBuf> {
    Ok(clusters()?.join(checked_name(name)?))
}

/// The state folder of one set of stores. A cluster's name has no underscore, so it cannot be a cluster's.
pub fn stores(name: &str) -> Result<PathBuf> {
    Ok(clusters()?.join(format!("stores_{}", checked_name(name)?)))
}

/// A cluster's name becomes part of folder, namespace, control group and container names.
fn checked_name(name: &str) -> Result<&str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 30 || !name.chars().all(allowed) || name.starts_with('-') || name.ends_with('-')
    {
        bail!("name {name:?} must be 1 to 30 of a-z, 0-9 and -, and must not begin or end with -");
    }
    Ok(name)
}

/// Writes a file so that it is either the old or the new one, never half of it.
pub fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let folder = path.parent().with_context(|| format!("{} has no parent folder", path.display()))?;
    make(folder)?;
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    std::fs::write(&partial, content).with_context(|| format!("cannot write {}", partial.display()))?;
    put(&partial, path)
}

/// Gives a finished file or folder its name. What has that name is trusted from then on, so it has to be on the disk first:
/// a power failure would otherwise leave an empty file under it.
pub fn put(partial: &Path, path: &Path) -> Result<()> {
    let written = std::fs::File::open(partial).and_then(|file| {
        if file.metadata()?.is_dir() {
            // All that is below it, in one go.
            return Ok(rustix::fs::syncfs(&file)?);
        }
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {} to the disk", partial.display()))?;
    std::fs::rename(partial, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a file; one that is not there is fine.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// As [`write_whole`], but leaves a file that already has this content alone; tells whether it wrote.
pub fn write_changed(path: &Path, content: impl AsRef<[u8]>) -> Result<bool> {
    if std::fs::read(path).is_ok_and(|present| present == content.as_ref()) {
        return Ok(false);
    }
    write_whole(path, content)?;
    Ok(true)
}

/// Makes a folder and its parents.
pub fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    let root = match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir().with_context(|| format!("set HOME or {variable}"))?.join(below_home),
    };
    Ok(resolved(&root.join("sentinel")))
}

/// The path without symbolic links, as far as it is there: the kernel tells mounts by such paths alone.
fn resolved(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|folder| Some((folder, std::fs::canonicalize(folder).ok()?)));
    let Some((folder, real)) = there else { return path.to_path_buf() };
    match path.strip_prefix(folder) {
        Ok(rest) if rest.as_os_str().is_empty() => real,
        Ok(rest) => real.join(rest),
        Err(_) => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["sentinel", "dev", "a1-b2"] {
            assert_eq!(checked_name(good).unwrap(), good);
        }
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a_b", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert!(checked_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_are_resolved_also_above_what_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(resolved(&link.join("sentinel/dev")), real.join("sentinel/dev"));
        std::fs::create_dir(real.join("sentinel")).unwrap();
        assert_eq!(resolved(&link.join("sentinel")).as_os_str(), real.join("sentinel").as_os_str());
    }

    #[test]
    fn files_and_folders_are_put_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("partial")).unwrap();
        std::fs::write(path("partial/file"), "one").unwrap();
        put(&path("partial"), &path("whole")).unwrap();
        put(&path("whole/file"), &path("file")).unwrap();
        assert_eq!(std::fs::read_to_string(path("file")).unwrap(), "one");
        assert!(!path("partial").exists());
        assert!(put(&path("missing"), &path("whole")).is_err());
    }

    #[test]
    fn unchanged_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/file");
        assert!(write_changed(&file, "one").unwrap());
        assert!(!write_changed(&file, "one").unwrap());
        assert!(write_changed(&file, "two").unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
    }
}
