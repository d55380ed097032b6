//! `internal-launch`: becomes another program, in a session of its own and inside a network namespace.
//!
//! The namespace is entered by a small program that then turns into the part, since a program cannot be started in
//! another namespace from outside without unsafe code.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Replaces this process by `argv`; returns only if that fails.
pub fn launch(network: Option<&Path>, argv: &[String]) -> Result<std::convert::Infallible> {
    let (program, arguments) = argv.split_first().context("nothing to launch")?;
    // A session of its own: neither Ctrl-C nor a closed terminal reaches the part. Fails only for who leads one already.
    let _ = rustix::process::setsid();
    if let Some(network) = network {
        enter(network)?;
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

/// Moves the calling thread into a network namespace; sockets made before stay where they were made.
pub fn enter(network: &Path) -> Result<()> {
    let file = File::open(network).with_context(|| format!("no network namespace {}", network.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the network namespace {}", network.display()))
}
