//! Java servers start in half the time from an archive of their classes as they lie in memory.
//!
//! Such an archive is written at the end of a run, and holds only for the very Java and paths of that run. So each server
//! is started and ended once, on scratch data, in the root file system of its image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::engine::Launch;
use super::set::Set;
use super::{Store, lifecycle};
use crate::cluster::process;
use crate::host::javadists::JavaDist;
use crate::host::{folders, log};

/// Writing the archive takes seconds, more on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Enters a root file system with the machine's devices and one of its folders. Mounts are seen by this process alone, and
/// go with it. The root is a mount too, since Cassandra asks which file system its data is on.
const ENTER: &str = r#"set -e
root=$1
shared=$2
shift 2
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$shared" "$root$shared"
exec chroot "$root" "$@""#;

/// The archive for an image whose root file system is unpacked at `root`, with the server at `home` in it. Needs root.
pub fn in_image(store: Store, root: &Path, home: &str) -> Result<Vec<u8>> {
    let (dist, _) = store.engine().java().context("not a Java server")?;
    let scratch = Scratch::new(dist)?;
    let here = dist.folder()?.display().to_string();
    let made = scratch.archive(store, |launch| {
        let shared = scratch.0.display().to_string();
        for folder in ["proc", "dev", shared.trim_start_matches('/')] {
            folders::make(&root.join(folder))?;
        }
        let enter = ["unshare", "--mount", "--", "sh", "-c", ENTER, "sh"].map(str::to_owned);
        let inside = launch.argv.iter().map(|part| part.replace(&here, home));
        launch.argv = enter.into_iter().chain([root.display().to_string(), shared]).chain(inside).collect();
        Ok(())
    })?;
    std::fs::read(&made).with_context(|| format!("cannot read {}", made.display()))
}

/// A folder for one run. It is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dist: JavaDist) -> Result<Self> {
        let folder = folders::cache()?.join("build").join(format!("{}-image", dist.name));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        folders::make(&folder)?;
        Ok(Self(folder))
    }

    /// Runs the server once; returns the file it wrote.
    fn archive(&self, store: Store, adapt: impl FnOnce(&mut Launch) -> Result<()>) -> Result<PathBuf> {
        let (_, variable) = store.engine().java().context("not a Java server")?;
        let archive = self.0.join("app.jsa");
        let set = Set::scratch(self.0.clone())?;
        set.choose_ports(store)?;
        let option = format!("-XX:ArchiveClassesAtExit={}", archive.display());
        let ran = run(&set, store, |launch| {
            add_option(&mut launch.env, variable, &option);
            adapt(launch)
        });
        // Whatever happened, it must not go on.
        process::records(set.state()).values().for_each(process::stop_tree);
        ran?;
        if !archive.is_file() {
            bail!("{} wrote no archive\n{}", store.name(), log::quoted(&set.state().log(store.name())));
        }
        Ok(archive)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is removed before the next use.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(set: &Set, store: Store, adapt: impl FnOnce(&mut Launch) -> Result<()>) -> Result<()> {
    let mut launch = lifecycle::prepare(set, store)?;
    adapt(&mut launch)?;
    lifecycle::begin(set, store, launch)?;
    lifecycle::wait(set, store)?;
    let record = process::read(set.state(), store.name()).context("its record is missing")?;
    if !process::ask_to_end(&record, store.engine().stop_signal(), PATIENCE) {
        bail!("{} does not end\n{}", store.name(), log::quoted(&set.state().log(store.name())));
    }
    Ok(())
}

/// Adds an option to a variable that may hold others.
fn add_option(env: &mut Vec<(String, String)>, variable: &str, option: &str) {
    match env.iter_mut().find(|(name, _)| name == variable) {
        Some((_, value)) => *value = format!("{value} {option}"),
        None => env.push((variable.to_owned(), option.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_added_to_those_given() {
        let mut env = vec![("A".to_owned(), "-x".to_owned())];
        add_option(&mut env, "A", "-y");
        add_option(&mut env, "B", "-z");
        let expected = [("A", "-x -y"), ("B", "-z")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(env, expected);
    }
}
