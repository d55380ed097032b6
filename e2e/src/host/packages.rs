//! Programs that come from the distribution's packages, installed only when missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command;
use crate::report::Outcome;

/// A file that must exist, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// A program's name, or an absolute path.
    pub file: &'static str,
    /// The Debian package.
    pub package: &'static str,
}

/// Shorthand for tables of needed programs.
pub const fn needed(file: &'static str, package: &'static str) -> Needed {
    Needed { file, package }
}

/// Installs the packages of whatever is missing. The release of the machine's Debian pins their versions.
pub fn ensure(table: &[Needed]) -> Result<Outcome> {
    let missing = missing(table);
    if missing.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    let list = missing.join(" ");
    if command::find("apt-get").is_none() {
        bail!("install these first (the names are Debian's): {list}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("install these first: sudo apt-get install --no-install-recommends {list}");
    }
    if install(&missing).is_err() {
        // Usual reason: package lists older than the mirror.
        command::output(Command::new("apt-get").args(["-qq", "update"]))
            .context("cannot update Debian's package lists")?;
        install(&missing).with_context(|| format!("cannot install {list}; try apt-get install {list} by hand"))?;
    }
    let still: Vec<&str> = table.iter().filter(|need| !present(need.file)).map(|need| need.file).collect();
    if !still.is_empty() {
        bail!("installed {list}, yet these are missing: {}", still.join(" "));
    }
    Ok(Outcome::Done)
}

fn missing(table: &[Needed]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = table.iter().filter(|need| !present(need.file)).map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn present(file: &str) -> bool {
    if file.starts_with('/') { Path::new(file).exists() } else { command::find(file).is_some() }
}

fn install(packages: &[&str]) -> Result<String> {
    let mut apt = Command::new("apt-get");
    // A package that starts a daemon of its own (containerd) must not disturb us: the cluster runs its own.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command::output(apt.args(["-qq", "install", "-y", "--no-install-recommends"]).args(packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_wanted_and_once() {
        let table = [
            needed("sh", "dash"),
            needed("/no/such/file", "zebra"),
            needed("no-such-program", "ape"),
            needed("/no/such/other", "zebra"),
        ];
        assert_eq!(missing(&table), ["ape", "zebra"]);
    }
}
