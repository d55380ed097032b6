//! Image layers: sets of files that always become the same tar.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tar::{Archive, Builder, EntryType, Header};

use crate::host::hash;

/// A finished layer, uncompressed.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its tar.
    pub path: PathBuf,
    /// SHA-256 of the tar, hexadecimal.
    pub digest: String,
    /// Length of the tar.
    pub size: u64,
}

impl Layer {
    /// The layer in this tar.
    pub fn read(path: PathBuf) -> Result<Self> {
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { digest: hash::sha256(&content), size: content.len() as u64, path })
    }
}

/// Files of a layer by path, without a leading slash. Times are dropped: they would differ from build to build.
#[derive(Debug, Default, Clone)]
pub struct Files(BTreeMap<String, File>);

#[derive(Debug, Clone)]
struct File {
    mode: u32,
    owner: (u64, u64),
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Folder,
    Bytes(Vec<u8>),
    SymbolicLink(String),
    HardLink(String),
}

impl Files {
    /// The files of a tar for which `keep` holds; devices and the like are left out.
    pub fn from_tar(reader: impl Read, keep: impl Fn(&str) -> bool) -> Result<Self> {
        let mut files = Self::default();
        let mut archive = Archive::new(reader);
        for entry in archive.entries().context("cannot read the root file system's tar")? {
            let mut entry = entry.context("broken tar")?;
            let path = plain(&entry.path().context("odd path in tar")?.to_string_lossy());
            if path.is_empty() || !keep(&path) {
                continue;
            }
            let link = entry.link_name().context("odd link in tar")?;
            let link = link.map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
            let content = match entry.header().entry_type() {
                EntryType::Directory => Content::Folder,
                EntryType::Symlink => Content::SymbolicLink(link),
                EntryType::Link => Content::HardLink(plain(&link)),
                EntryType::Regular | EntryType::Continuous => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).context("broken tar")?;
                    Content::Bytes(bytes)
                }
                _ => continue,
            };
            let header = entry.header();
            let owner = (header.uid().context("odd owner in tar")?, header.gid().context("odd group in tar")?);
            let mode = header.mode().context("odd mode in tar")? & 0o7777;
            files.0.insert(path, File { mode, owner, content });
        }
        Ok(files)
    }

    /// Adds a file of root's; its folders are added as needed.
    pub fn add(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.put(path, mode, (0, 0), Content::Bytes(bytes.into()));
    }

    /// Adds a folder with an owner.
    pub fn add_folder(&mut self, path: &str, mode: u32, owner: (u64, u64)) {
        self.put(path, mode, owner, Content::Folder);
    }

    /// Adds a symbolic link.
    pub fn add_link(&mut self, path: &str, target: &str) {
        self.put(path, 0o777, (0, 0), Content::SymbolicLink(target.to_owned()));
    }

    /// The content of a regular file.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        match &self.0.get(path)?.content {
            Content::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The tar of these files: sorted, at the epoch, hard links after what they point to.
    pub fn to_tar(&self) -> Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        let is_link = |file: &File| matches!(file.content, Content::HardLink(_));
        let (links, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, file)| is_link(file));
        for (path, file) in others.into_iter().chain(links) {
            append(&mut builder, path, file).with_context(|| format!("cannot pack {path}"))?;
        }
        builder.into_inner().context("cannot finish the layer")
    }

    fn put(&mut self, path: &str, mode: u32, owner: (u64, u64), content: Content) {
        let mut end = 0;
        while let Some(slash) = path[end..].find('/') {
            end += slash;
            let folder = File { mode: 0o755, owner: (0, 0), content: Content::Folder };
            self.0.entry(path[..end].to_owned()).or_insert(folder);
            end += 1;
        }
        self.0.insert(path.to_owned(), File { mode, owner, content });
    }
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, file: &File) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_mode(file.mode);
    header.set_uid(file.owner.0);
    header.set_gid(file.owner.1);
    header.set_size(0);
    match &file.content {
        Content::Folder => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        Content::Bytes(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes.as_slice())
        }
        Content::SymbolicLink(target) => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, path, target)
        }
        Content::HardLink(target) => {
            header.set_entry_type(EntryType::Link);
            builder.append_link(&mut header, path, target)
        }
    }
}

fn plain(path: &str) -> String {
    let inner = path.strip_prefix("./").unwrap_or(path).trim_matches('/');
    if inner == "." { String::new() } else { inner.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Files {
        let mut files = Files::default();
        files.add("usr/bin/b", 0o755, "program");
        files.add_link("usr/bin/a", "b");
        files.add_folder("data", 0o700, (5, 6));
        files
    }

    #[test]
    fn the_same_files_make_the_same_tar() {
        assert_eq!(sample().to_tar().unwrap(), sample().to_tar().unwrap());
    }

    #[test]
    fn a_tar_survives_the_round_trip() {
        let tar = sample().to_tar().unwrap();
        let again = Files::from_tar(tar.as_slice(), |_| true).unwrap();
        assert_eq!(again.to_tar().unwrap(), tar);
        assert_eq!(again.content("usr/bin/b"), Some(b"program".as_slice()));
        assert_eq!(again.paths().collect::<Vec<_>>(), ["data", "usr", "usr/bin", "usr/bin/a", "usr/bin/b"]);
    }

    #[test]
    fn unwanted_files_are_left_out() {
        let tar = sample().to_tar().unwrap();
        let some = Files::from_tar(tar.as_slice(), |path| !path.starts_with("usr")).unwrap();
        assert_eq!(some.paths().collect::<Vec<_>>(), ["data"]);
    }

    #[test]
    fn paths_lose_their_prefix_only() {
        assert_eq!(plain("./usr/bin/"), "usr/bin");
        assert_eq!(plain("/etc"), "etc");
        assert_eq!(plain("./"), "");
    }
}
