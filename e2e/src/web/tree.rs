//! A copy of the web client's sources with its packages beside them, laid out as in the repository, so that nothing that
//! is built or tested here meets what people do in theirs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::sources::{FOLDER, Sources};
use crate::host::{command, folders};

const MODULES: &str = "node_modules";

/// The copy.
#[derive(Debug)]
pub(super) struct Tree(PathBuf);

impl Tree {
    /// The copy in this folder, whether or not it is there yet.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Whether its packages are there, all of them.
    pub(super) fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// Where the built files are.
    pub(super) fn dist(&self) -> PathBuf {
        self.folder().join("dist")
    }

    /// Installs the packages.
    pub(super) fn install(&self, sources: &Sources) -> Result<()> {
        let partial = Self(self.0.with_extension("partial"));
        remove(&partial.0)?;
        sources.copy_packages(&partial.0)?;
        // No package's script is run: none is needed, and any could do anything.
        partial.npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).context(
            "cannot install the web client's packages; is the npm registry reachable (npm config get registry)?",
        )?;
        folders::put(&partial.0, &self.0)
    }

    /// Replaces all but the packages by the sources.
    pub(super) fn fill(&self, sources: &Sources) -> Result<()> {
        let folder = self.folder();
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read folder {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot read folder {}", folder.display()))?;
            if entry.file_name() != MODULES {
                remove(&entry.path())?;
            }
        }
        sources.copy(&self.0)
    }

    /// Runs npm; what it says is shown only when it fails.
    pub(super) fn npm(&self, arguments: &[&str]) -> Result<()> {
        command::output(&mut self.command(arguments)).map(drop)
    }

    /// Runs npm with its output shown.
    pub(super) fn npm_aloud(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(arguments);
        let status = command.stdin(Stdio::null()).status().context("cannot start npm: is it installed?")?;
        if !status.success() {
            bail!("npm {} failed; its output is above", arguments.join(" "));
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.0.join(FOLDER)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut npm = Command::new("npm");
        npm.args(arguments).current_dir(self.folder()).env("npm_config_update_notifier", "false").env("CI", "true");
        npm
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot remove {}", path.display())),
    }
}
