//! One set of stores: its folder, ports and password.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::Store;
use crate::cluster::State;
use crate::cluster::process;
use crate::host::folders;

/// How many neighbouring ports each set has before it meets the next one's.
const PORT_STEP: u16 = 10;
/// How many sets get ports of their own; further ones meet, and then take the next free port.
const PORT_SETS: u16 = 80;

/// A set of stores.
#[derive(Debug)]
pub struct Set {
    state: State,
    password: String,
}

impl Set {
    /// The set of this name, made if there is none.
    pub fn of(name: &str) -> Result<Self> {
        Self::with(State::of_stores(name)?)
    }

    /// The set of this name, which must exist.
    pub fn existing(name: &str) -> Result<Self> {
        let state = State::of_stores(name)?;
        if !state.exists() {
            bail!("there are no stores {name}; start some with: sentinel-e2e stores up --name {name}");
        }
        Self::with(state)
    }

    /// A set that lives for a moment in a folder of its own.
    pub fn scratch(folder: PathBuf) -> Result<Self> {
        Self::with(State::of_stores_in(folder))
    }

    fn with(state: State) -> Result<Self> {
        let password = password(&state)?;
        Ok(Self { state, password })
    }

    /// Its state folder and facts.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The password of every store that has one.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The folder of one store, made if need be.
    pub fn folder(&self, store: Store) -> Result<PathBuf> {
        let folder = self.state.path(store.name());
        folders::make(&folder)?;
        Ok(folder)
    }

    /// Chooses the ports of a store that does not run.
    pub fn choose_ports(&self, store: Store) -> Result<()> {
        let offset = port_offset(self.state.name());
        for (purpose, preferred) in store.engine().ports() {
            self.state.choose_port(purpose, Some(preferred + offset))?;
        }
        Ok(())
    }

    /// A port chosen before.
    pub fn port(&self, purpose: &str) -> Result<u16> {
        self.state.port(purpose).with_context(|| format!("no port was chosen for {purpose}"))
    }

    /// The address for clients.
    pub fn address(&self, store: Store) -> Result<String> {
        Ok(format!("127.0.0.1:{}", self.port(store.name())?))
    }

    /// Whether the store runs.
    pub fn runs(&self, store: Store) -> bool {
        process::read(&self.state, store.name()).is_some_and(|record| record.alive())
    }

    /// The stores that were started at least once.
    pub fn known(&self) -> Vec<Store> {
        Store::ALL.into_iter().filter(|store| process::read(&self.state, store.name()).is_some()).collect()
    }

    /// Shell commands that tell tests where the stores are.
    pub fn exports(&self) -> Result<String> {
        let mut text = String::new();
        for store in self.known() {
            for (name, value) in store.engine().exports(self)? {
                text.push_str(&export(name, &value));
            }
        }
        Ok(text)
    }

    /// The file that holds [`Set::exports`].
    pub fn exports_file(&self) -> PathBuf {
        self.state.path("env")
    }
}

/// Sets get different ports, so that two started at the same moment do not reach for the same.
fn port_offset(name: &str) -> u16 {
    if name == super::cli::DEFAULT_NAME {
        return 0;
    }
    let sum = name.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(byte)));
    (1 + sum % (PORT_SETS - 1)) * PORT_STEP
}

/// A line for a shell to read; whatever is in the value, it stays one word.
fn export(name: &str, value: &str) -> String {
    format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
}

fn password(state: &State) -> Result<String> {
    let path = state.path("password");
    if let Ok(password) = std::fs::read_to_string(&path)
        && !password.is_empty()
    {
        return Ok(password);
    }
    folders::make(state.folder())?;
    let password = uuid::Uuid::new_v4().simple().to_string();
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(password.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_single_words_for_a_shell() {
        assert_eq!(export("A", "b c"), "export A='b c'\n");
        assert_eq!(export("A", "it's"), "export A='it'\\''s'\n");
    }

    #[test]
    fn sets_have_ports_of_their_own() {
        assert_eq!(port_offset("dev"), 0);
        assert_ne!(port_offset("contract"), port_offset("outage"));
        for name in ["a", "contract", "outage", "abcdefghijklmnopqrstuvwxyz0123"] {
            assert!((10..800).contains(&port_offset(name)));
        }
    }

    #[test]
    fn the_password_stays_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let set = || Set::scratch(folder.path().join("set")).unwrap();
        let first = set().password().to_owned();
        assert_eq!(first.len(), 32);
        assert_eq!(set().password(), first);
        let mode = std::fs::metadata(folder.path().join("set/password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
