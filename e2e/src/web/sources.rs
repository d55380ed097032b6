//! What the web client is built from: its own folder, and the description of the API that its types come from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::host::hash::{self, Key};

/// The web client's folder in the repository.
pub(super) const FOLDER: &str = "workloads/web";
/// The description of the API.
const DESCRIPTION: &str = "docs/reference/openapi.json";
/// Files that say which packages there are.
const PACKAGES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];
/// Made by people's own runs of npm, never built from.
const MADE: [&str; 4] = ["node_modules", "dist", "coverage", "test-results"];

/// All files, by their path below the repository.
#[derive(Debug)]
pub(super) struct Sources {
    repository: PathBuf,
    files: Vec<PathBuf>,
}

impl Sources {
    /// The sources in this repository.
    pub(super) fn find(repository: &Path) -> Result<Self> {
        let folder = repository.join(FOLDER);
        if !folder.join("package-lock.json").is_file() {
            bail!("{} has no package-lock.json: is the web client there?", folder.display());
        }
        let mut files = vec![PathBuf::from(DESCRIPTION)];
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read folder {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read folder {}", folder.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && !PACKAGES.contains(&name.as_str());
            if hidden || MADE.contains(&name.as_str()) {
                continue;
            }
            let found = if path.is_dir() { hash::files_below(&path)? } else { vec![path] };
            for path in found {
                files.push(path.strip_prefix(repository).unwrap_or(&path).to_path_buf());
            }
        }
        files.sort();
        Ok(Self { repository: repository.to_path_buf(), files })
    }

    /// Adds all of them to a key.
    pub(super) fn key(&self, key: Key) -> Result<Key> {
        self.files.iter().try_fold(key, |key, file| key.with_file(&file.to_string_lossy(), &self.repository.join(file)))
    }

    /// Adds those to a key that say which packages there are.
    pub(super) fn packages_key(&self, key: Key) -> Result<Key> {
        self.packages().try_fold(key, |key, file| key.with_file(&file.to_string_lossy(), &self.repository.join(file)))
    }

    /// Copies all of them to the same paths below `target`.
    pub(super) fn copy(&self, target: &Path) -> Result<()> {
        self.files.iter().try_for_each(|file| self.copy_one(file, target))
    }

    /// Copies those that say which packages there are.
    pub(super) fn copy_packages(&self, target: &Path) -> Result<()> {
        self.packages().try_for_each(|file| self.copy_one(file, target))
    }

    fn packages(&self) -> impl Iterator<Item = &PathBuf> {
        let wanted = PACKAGES.map(|name| Path::new(FOLDER).join(name));
        self.files.iter().filter(move |file| wanted.contains(file))
    }

    fn copy_one(&self, file: &Path, target: &Path) -> Result<()> {
        let to = target.join(file);
        if let Some(folder) = to.parent() {
            crate::host::folders::make(folder)?;
        }
        let copied = std::fs::copy(self.repository.join(file), &to);
        copied.map(drop).with_context(|| format!("cannot copy {} to {}", file.display(), to.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(repository: &Path, name: &str, text: &str) {
        let path = repository.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn what_npm_made_is_not_built_from() {
        let repository = tempfile::tempdir().unwrap();
        let path = repository.path();
        assert!(Sources::find(path).is_err());
        for name in
            ["package.json", "package-lock.json", ".npmrc", "src/main.ts", "node_modules/x/a.js", "dist/a.js", ".x"]
        {
            write(path, &format!("{FOLDER}/{name}"), "1");
        }
        write(path, DESCRIPTION, "{}");
        let all = |path: &Path| Sources::find(path).unwrap().key(Key::default()).unwrap().short();
        let packages = |path: &Path| Sources::find(path).unwrap().packages_key(Key::default()).unwrap().short();
        let before = (all(path), packages(path));
        write(path, &format!("{FOLDER}/dist/a.js"), "2");
        write(path, &format!("{FOLDER}/node_modules/x/a.js"), "2");
        assert_eq!((all(path), packages(path)), before);
        write(path, &format!("{FOLDER}/src/main.ts"), "2");
        assert_ne!(all(path), before.0);
        assert_eq!(packages(path), before.1);
        write(path, &format!("{FOLDER}/package-lock.json"), "2");
        assert_ne!(packages(path), before.1);

        let target = tempfile::tempdir().unwrap();
        Sources::find(path).unwrap().copy(target.path()).unwrap();
        assert_eq!(std::fs::read_to_string(target.path().join(FOLDER).join("src/main.ts")).unwrap(), "2");
        assert!(target.path().join(DESCRIPTION).is_file() && !target.path().join(FOLDER).join("dist").exists());
    }
}
