//! One run at a time for each cluster and for the cache.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::folders;

/// Held until dropped; the kernel releases it too when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Waits for the lock at `path`; says so when somebody else has it.
    pub fn take(path: &Path, what: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            folders::make(folder)?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            println!("· waiting for another run that is working on {what}");
            flock(&file, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(Self(file))
    }
}
