//! What is remembered about a cluster between runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::host::lock::Lock;
use crate::host::{folders, ports};

/// The state folder of one cluster, or of one set of stores, and the names in it.
#[derive(Debug, Clone)]
pub struct State {
    name: String,
    folder: PathBuf,
    what: &'static str,
}

/// `cluster.json` or `stores.json`: the few facts that must not change between runs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Facts {
    provider: Option<String>,
    ports: BTreeMap<String, u16>,
}

impl State {
    /// The state of the cluster of this name, which need not exist yet.
    pub fn of(name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), folder: folders::cluster(name)?, what: "cluster" })
    }

    /// The state of the set of stores of this name; it has nothing to do with a cluster of the same name.
    pub fn of_stores(name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), folder: folders::stores(name)?, what: "stores" })
    }

    /// The state of a set of stores kept elsewhere.
    pub fn of_stores_in(folder: PathBuf) -> Self {
        Self { name: "scratch".to_owned(), folder, what: "stores" }
    }

    /// The cluster's name as its user knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name for what lives outside the state folder: namespace, control groups, kind cluster.
    pub fn global_name(&self) -> String {
        format!("sentinel-{}", self.name)
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in the state folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.join(below)
    }

    /// The kubeconfig that works from a normal shell.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// The log of a part.
    pub fn log(&self, part: &str) -> PathBuf {
        self.folder.join("log").join(format!("{part}.log"))
    }

    /// Names of the parts that have a log.
    pub fn logged_parts(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("log")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().to_string_lossy().strip_suffix(".log").map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// Whether anything is remembered of the cluster.
    pub fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// Keeps other runs away from this cluster while held.
    pub fn lock(&self) -> Result<Lock> {
        // Next to the folder, since `down` removes the folder.
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        Lock::take(&self.folder.with_file_name(format!(".{name}.lock")), &format!("{} {}", self.what, self.name))
    }

    /// The provider that made the cluster.
    pub fn provider(&self) -> Option<String> {
        self.facts().provider
    }

    /// Remembers the provider.
    pub fn set_provider(&self, provider: &str) -> Result<()> {
        self.change(|facts| facts.provider = Some(provider.to_owned()))
    }

    /// The port remembered under this purpose.
    pub fn port(&self, purpose: &str) -> Option<u16> {
        self.facts().ports.get(purpose).copied()
    }

    /// A port for this purpose: the remembered one if nobody else took it meanwhile, else a free one from `preferred`
    /// on, which is then remembered.
    pub fn choose_port(&self, purpose: &str, preferred: Option<u16>) -> Result<u16> {
        if let Some(port) = self.port(purpose).filter(|port| ports::is_free(*port)) {
            return Ok(port);
        }
        let port = match preferred {
            Some(port) => ports::free_from(port)?,
            None => ports::any_free()?,
        };
        self.change(|facts| {
            facts.ports.insert(purpose.to_owned(), port);
        })?;
        Ok(port)
    }

    fn facts(&self) -> Facts {
        // An unreadable file is treated as a cluster that has to be made again.
        let text = std::fs::read(self.facts_file()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn change(&self, edit: impl FnOnce(&mut Facts)) -> Result<()> {
        let mut facts = self.facts();
        edit(&mut facts);
        let text = serde_json::to_vec_pretty(&facts).context("cannot write the cluster's facts")?;
        folders::write_whole(&self.facts_file(), text)
    }

    fn facts_file(&self) -> PathBuf {
        self.path(&format!("{}.json", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(folder: &Path) -> State {
        State { name: "test".to_owned(), folder: folder.join("test"), what: "cluster" }
    }

    #[test]
    fn ports_are_stable_until_a_stranger_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path());
        let port = state.choose_port("chat", None).unwrap();
        assert_eq!(state.choose_port("chat", Some(1)).unwrap(), port);
        let _stranger = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let other = state.choose_port("chat", None).unwrap();
        assert_ne!(other, port);
        assert_eq!(state.port("chat"), Some(other));
    }

    #[test]
    fn the_provider_is_remembered_beside_ports() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path());
        assert_eq!(state.provider(), None);
        state.choose_port("api", None).unwrap();
        state.set_provider("local").unwrap();
        assert_eq!(state.provider().as_deref(), Some("local"));
        assert!(state.port("api").is_some());
    }
}
