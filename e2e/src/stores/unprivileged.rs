//! Runs stores without root's rights where we are root: Postgres and `OpenSearch` refuse to run as root, and the others
//! need none of its rights.
//!
//! A user namespace maps us to `nobody`. For the kernel the process stays the owner of our files, so that state and
//! cache may lie in a private home folder, but it has no capabilities, and for itself it is not root.

use std::process::Command;

use anyhow::{Result, bail};

use crate::host::command;

const WRAPPER: [&str; 4] = ["unshare", "--user", "--map-user=65534", "--map-group=65534"];

/// The command line that runs `argv` without root's rights.
pub fn wrapped(argv: Vec<String>) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return argv;
    }
    WRAPPER.iter().map(|part| (*part).to_owned()).chain(["--".to_owned()]).chain(argv).collect()
}

/// As [`wrapped`], to be run at once.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let argv = std::iter::once(program).chain(arguments.iter().copied()).map(str::to_owned).collect();
    let argv = wrapped(argv);
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).current_dir("/");
    command
}

/// Fails where the kernel or a container's rules forbid the namespace.
pub fn check() -> Result<()> {
    if !command::succeeds(&mut command("true", &[])) {
        bail!("root cannot make a user namespace here, which stores need; run them as an ordinary user instead");
    }
    Ok(())
}
