//! What has to be known about a store to run it.

use anyhow::Result;
use rustix::process::Signal;

use super::set::Set;
use crate::host::javadists::JavaDist;
use crate::host::packages::Needed;
use crate::report::Report;

/// A port of a store: what it is for, and where the search for a free one begins.
pub type Port = (&'static str, u16);

/// How a store is run.
#[derive(Debug, Default)]
pub struct Launch {
    /// Its command line, to be run without root's rights.
    pub argv: Vec<String>,
    /// Environment beside the inherited.
    pub env: Vec<(String, String)>,
    /// What its configuration files hold: it is started anew when this changes.
    pub config: String,
}

/// One kind of store.
pub trait Engine: Sync {
    /// Debian packages it needs.
    fn packages(&self) -> &'static [Needed] {
        &[]
    }

    /// Fetches or builds what Debian does not have; quick when that is in the cache.
    fn install(&self, report: &Report) -> Result<()> {
        match self.java() {
            Some((dist, _)) => dist.ensure(report).map(drop),
            None => Ok(()),
        }
    }

    /// Its ports; the first, named as the store, is the one for clients.
    fn ports(&self) -> &'static [Port];

    /// Writes its configuration, makes what data it must begin with, and tells how to run it.
    fn launch(&self, set: &Set) -> Result<Launch>;

    /// Asks it something in its own protocol; an error says why it is not ready.
    fn answers(&self, set: &Set) -> Result<()>;

    /// What tests need to know, as environment variables.
    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>>;

    /// The signal that asks it to end in good order.
    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }

    /// For a Java server: what it is made of, and the variable that takes options for Java.
    fn java(&self) -> Option<(JavaDist, &'static str)> {
        None
    }
}
