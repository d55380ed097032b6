//! One run at a time for each cluster and for the cache.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::folders;
use crate::say;

/// Held until dropped; the kernel releases it too when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock at `path`; says so when somebody else has it.
    pub fn take(path: &Path, what: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            folders::make(folder)?;
        }
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
                .with_context(|| format!("cannot open {}", path.display()))?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                say!("· waiting for another run that is working on {what}\n");
                flock(&file, FlockOperation::LockExclusive)
                    .with_context(|| format!("cannot lock {}", path.display()))?;
            }
            let lock = Self { file, path: path.to_path_buf() };
            // Whoever had it may have removed the file; then this is the lock of nothing.
            if lock.is_current() {
                return Ok(lock);
            }
        }
    }

    /// Removes the file as well.
    pub fn remove(self) {
        if self.is_current() {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn is_current(&self) -> bool {
        let identity = |file: std::fs::Metadata| (file.dev(), file.ino());
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(held), Ok(named)) => identity(held) == identity(named),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_lock_can_be_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/lock");
        Lock::take(&path, "test").unwrap().remove();
        assert!(!path.exists());
        let again = Lock::take(&path, "test").unwrap();
        assert!(again.is_current());
    }
}
