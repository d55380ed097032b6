//! Content hashes: the keys of every cache and the tags of every image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::digest::{Context as Sha256, SHA256, digest};

/// Collects named pieces of content into one key. Names and lengths are hashed too, so pieces cannot run together.
///
/// The implementation is the one of the TLS stack: assembly, quick in debug builds too.
#[derive(Clone)]
pub struct Key(Sha256);

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key")
    }
}

impl Default for Key {
    fn default() -> Self {
        Self(Sha256::new(&SHA256))
    }
}

impl Key {
    /// Adds a named piece.
    #[must_use]
    pub fn with(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), content.as_ref()] {
            self.0.update(&part.len().to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds the content of a file under a name of its own.
    pub fn with_file(self, name: &str, path: &Path) -> Result<Self> {
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.with(name, content))
    }

    /// Adds every file below a folder, named by its path below it, in a fixed order.
    pub fn with_folder(mut self, folder: &Path) -> Result<Self> {
        for path in files_below(folder)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            self = self.with_file(&name, &path)?;
        }
        Ok(self)
    }

    /// The first twelve hexadecimal digits: enough to tell apart what one machine makes.
    pub fn short(self) -> String {
        let mut text = hex::encode(self.0.finish());
        text.truncate(12);
        text
    }
}

/// Hexadecimal SHA-256 of some bytes.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(digest(&SHA256, content))
}

/// Every regular file below a folder, sorted by path.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next).with_context(|| format!("cannot read folder {}", next.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read folder {}", next.display()))?;
            let kind = entry.file_type().with_context(|| format!("cannot read {}", entry.path().display()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn pieces_do_not_run_together() {
        let one = Key::default().with("a", "bc").with("d", "");
        let two = Key::default().with("a", "b").with("cd", "");
        assert_ne!(one.short(), two.short());
    }

    #[test]
    fn folders_hash_by_content_and_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a", "1");
        let key = || Key::default().with_folder(folder.path()).unwrap().short();
        let first = key();
        assert_eq!(first, key());
        assert_eq!(first.len(), 12);
        write("b", "");
        let second = key();
        assert_ne!(first, second);
        write("a", "2");
        assert_ne!(second, key());
    }
}
