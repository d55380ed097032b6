//! Log files of parts and builds.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};

use super::folders;

/// Above this a log is begun anew when its part starts.
const KEEP: u64 = 32 << 20;
/// The end of a log that is read to find its last lines.
const TAIL: u64 = 64 << 10;
/// Longer lines are cut where they are quoted.
const LONGEST_LINE: usize = 300;

/// Opens a log for appending; one that has grown large is begun anew.
pub fn open(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        folders::make(folder)?;
    }
    let large = std::fs::metadata(path).is_ok_and(|file| file.len() > KEEP);
    if large {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    File::options().create(true).append(true).open(path).with_context(|| format!("cannot open {}", path.display()))
}

/// The last lines of a log; empty when there is none.
pub fn tail(path: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The end of a log as it is put below an error message.
pub fn quoted(path: &Path) -> String {
    let last: Vec<String> = tail(path, 12).lines().map(shortened).collect();
    if last.is_empty() {
        return format!("its log {} is empty", path.display());
    }
    format!("last lines of {}:\n  {}", path.display(), last.join("\n  "))
}

/// Some parts put whole stack traces on one line.
fn shortened(line: &str) -> String {
    if line.chars().count() <= LONGEST_LINE {
        return line.to_owned();
    }
    line.chars().take(LONGEST_LINE).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_gives_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(tail(&path, 2), "");
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&path, 2), "b\nc");
        assert!(quoted(&path).contains("  c"));
        std::fs::write(&path, "x".repeat(1000)).unwrap();
        assert!(quoted(&path).chars().count() < 500);
    }
}
