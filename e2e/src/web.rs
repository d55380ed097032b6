//! The web client, built from `workloads/web` once for each version of its sources, beside the repository.

mod sources;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::host::hash::Key;
use crate::host::lock::Lock;
use crate::host::packages::{self, needed};
use crate::host::{command, folders};
use crate::report::Report;
use sources::Sources;
use tree::Tree;

/// The oldest Node.js that builds it.
const OLDEST_NODE: (u32, u32) = (20, 19);
/// Browsers that the tests can use, the best first.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// How many built versions the cache keeps, and how many sets of packages.
const KEPT: usize = 3;

/// The folder with the built files, each also in compressed forms.
pub fn build(report: &Report) -> Result<PathBuf> {
    let node = node()?;
    let sources = Sources::find(&folders::repository()?)?;
    let compress = folders::repository()?.join("e2e/web/compress.mjs");
    let key = sources.key(key(&node))?.with_file("compress", &compress)?.short();
    let cache = folders::cache()?.join("web");
    let built = cache.join(format!("dist-{key}"));
    if built.is_dir() {
        return Ok(built);
    }
    let _lock = lock(&cache)?;
    if built.is_dir() {
        return Ok(built);
    }
    let tree = tree(report, &cache, &node, &sources)?;
    report.step("web client built", || {
        tree.npm(&["run", "build"])?;
        command::output(Command::new("node").arg(&compress).arg(tree.dist()))?;
        folders::put(&tree.dist(), &built)
    })?;
    prune(&cache, "dist-")?;
    Ok(built)
}

/// Checks the types of the web client and runs its unit tests; what they say goes to this program's output.
pub fn test(report: &Report) -> Result<()> {
    let node = node()?;
    let sources = Sources::find(&folders::repository()?)?;
    let cache = folders::cache()?.join("web");
    let _lock = lock(&cache)?;
    let tree = tree(report, &cache, &node, &sources)?;
    for script in ["check", "test"] {
        tree.npm_aloud(&["run", script])?;
    }
    Ok(())
}

/// A browser for tests, installed if there is none.
pub fn browser() -> Result<PathBuf> {
    let found = || BROWSERS.iter().find_map(|name| command::find(name));
    if let Some(browser) = found() {
        return Ok(browser);
    }
    let _lock = Lock::take(&folders::cache()?.join("web/.browser.lock"), "installing Chromium")?;
    packages::ensure(&[needed("chromium", "chromium")])?;
    found().context("Chromium was installed and is not there")
}

fn key(node: &str) -> Key {
    let code = concat!(include_str!("web.rs"), include_str!("web/sources.rs"), include_str!("web/tree.rs"));
    Key::default().with("code", code).with("node", node)
}

fn lock(cache: &Path) -> Result<Lock> {
    Lock::take(&cache.join(".lock"), "the web client")
}

/// The tree with the packages of these sources, and the sources in it.
fn tree(report: &Report, cache: &Path, node: &str, sources: &Sources) -> Result<Tree> {
    let key = sources.packages_key(key(node))?.short();
    let tree = Tree::at(cache.join(format!("tree-{key}")));
    if !tree.exists() {
        report.step("npm packages of the web client", || tree.install(sources))?;
        prune(cache, "tree-")?;
    }
    tree.fill(sources)?;
    Ok(tree)
}

/// The version of Node.js, which must be new enough.
fn node() -> Result<String> {
    let (major, minor) = OLDEST_NODE;
    let what_to_do =
        || format!("the web client is built by Node.js: install version {major}.{minor} or newer, with npm");
    let version = command::output(Command::new("node").arg("--version")).with_context(what_to_do)?;
    let version = version.trim().to_owned();
    if numbers(&version).is_none_or(|numbers| numbers < OLDEST_NODE) {
        bail!("Node.js {version} is too old; {}", what_to_do());
    }
    Ok(version)
}

/// Its first two numbers.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix('v')?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Removes all folders of this kind but the newest few.
fn prune(cache: &Path, kind: &str) -> Result<()> {
    let entries = std::fs::read_dir(cache).with_context(|| format!("cannot read folder {}", cache.display()))?;
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(kind))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    for (_, path) in found.iter().rev().skip(KEPT) {
        std::fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_compared_by_number() {
        assert_eq!(numbers("v20.20.2"), Some((20, 20)));
        assert!(numbers("v9.1.0") < Some(OLDEST_NODE) && numbers("v20.9.0") < Some(OLDEST_NODE));
        assert_eq!(numbers("20.1"), None);
    }

    #[test]
    fn only_the_newest_of_a_kind_are_kept() {
        let cache = tempfile::tempdir().unwrap();
        for name in ["dist-a", "dist-b", "tree-a", "dist-c", "dist-d"] {
            std::fs::create_dir(cache.path().join(name)).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        prune(cache.path(), "dist-").unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["dist-b", "dist-c", "dist-d", "tree-a"]);
    }
}
