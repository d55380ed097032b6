//! The cluster's containerd.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Local;
use crate::host::command;
use crate::report::Outcome;

/// Waits until containerd answers.
pub fn wait(local: &Local) -> Result<()> {
    let socket = local.socket();
    local.wait("containerd", &["containerd"], || command::succeeds(ctr(&socket).arg("version")))
}

/// Imports an archive unless all of its images are there.
pub fn load(socket: &Path, archive: &Path, references: &[String]) -> Result<Outcome> {
    let present = command::output(ctr(socket).args(["images", "ls", "-q"]))?;
    if references.iter().all(|reference| present.lines().any(|line| line == reference)) {
        return Ok(Outcome::Unchanged);
    }
    command::output(ctr(socket).args(["images", "import"]).arg(archive))?;
    Ok(Outcome::Done)
}

fn ctr(socket: &Path) -> Command {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(socket).args(["--namespace", "k8s.io"]);
    ctr
}
