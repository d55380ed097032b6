//! `PostgreSQL` from Debian. Databases are cheap: each test makes its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::engine::{Engine, Launch, Port};
use super::set::Set;
use super::{Store, unprivileged};
use crate::host::packages::{Needed, needed};
use crate::host::{command, folders};

/// Where Debian puts each major version.
const VERSIONS: &str = "/usr/lib/postgresql";
const USER: &str = "sentinel";

/// `PostgreSQL`.
#[derive(Debug)]
pub struct Postgres;

impl Engine for Postgres {
    fn packages(&self) -> &'static [Needed] {
        const PACKAGES: &[Needed] = &[needed(VERSIONS, "postgresql")];
        PACKAGES
    }

    fn ports(&self) -> &'static [Port] {
        &[("postgres", 15432)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let folder = set.folder(Store::Postgres)?;
        let programs = programs(Path::new(VERSIONS))?;
        let data = folder.join("data");
        if !data.exists() {
            initialise(&programs, &folder, &data, set.password())?;
        }
        if !set.runs(Store::Postgres) {
            forget_owner(&data)?;
        }
        let mut argv =
            vec![programs.join("postgres").display().to_string(), "-D".to_owned(), data.display().to_string()];
        for setting in settings(set.port("postgres")?) {
            argv.extend(["-c".to_owned(), setting]);
        }
        Ok(Launch { argv, ..Launch::default() })
    }

    fn answers(&self, set: &Set) -> Result<()> {
        let mut psql = std::process::Command::new(programs(Path::new(VERSIONS))?.join("psql"));
        psql.args(["--no-psqlrc", "--no-password", "-qAtc", "select 1"]).arg(url(set)?).env("PGCONNECT_TIMEOUT", "2");
        command::output(&mut psql).map(drop)
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![("SENTINEL_TEST_POSTGRES", url(set)?)])
    }

    /// Ends open connections; the usual signal waits for them.
    fn stop_signal(&self) -> Signal {
        Signal::INT
    }
}

fn url(set: &Set) -> Result<String> {
    Ok(format!("postgres://{USER}:{}@{}/postgres", set.password(), set.address(Store::Postgres)?))
}

/// The programs of the newest version installed.
fn programs(versions: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(versions).with_context(|| format!("cannot read {}", versions.display()))?;
    let installed = entries.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        entry.path().join("bin/postgres").is_file().then(|| (version, entry.path().join("bin")))
    });
    let newest = installed.max().context("no PostgreSQL server below /usr/lib/postgresql; install postgresql")?;
    Ok(newest.1)
}

/// Makes the first database; under another name, so that half of one is never taken for a whole.
fn initialise(programs: &Path, folder: &Path, data: &Path, password: &str) -> Result<()> {
    let partial = folder.join("data.partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    let password_file = folder.join("password");
    folders::write_whole(&password_file, password)?;
    let program = programs.join("initdb").display().to_string();
    let password_file = format!("--pwfile={}", password_file.display());
    let target = format!("--pgdata={}", partial.display());
    let user = format!("--username={USER}");
    let options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
    let arguments: Vec<&str> = options.into_iter().chain([&*user, &*password_file, &*target]).collect();
    command::output(&mut unprivileged::command(&program, &arguments))?;
    std::fs::rename(&partial, data).with_context(|| format!("cannot write {}", data.display()))
}

/// Removes the note of who uses the data. Nobody does; but one that was killed and that its parent has not collected
/// looks alive to Postgres.
fn forget_owner(data: &Path) -> Result<()> {
    folders::remove_if_there(&data.join("postmaster.pid"))
}

fn settings(port: u16) -> Vec<String> {
    let mut settings = vec![format!("port={port}")];
    let fixed = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
        "shared_buffers=32MB",
        // What was committed survives the end of the process; it need not survive a power failure.
        "fsync=off",
        "full_page_writes=off",
        "max_wal_size=256MB",
        "log_min_duration_statement=2000",
    ];
    settings.extend(fixed.map(str::to_owned));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_version_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9", "15", "16"] {
            folders::make(&folder.path().join(version).join("bin")).unwrap();
        }
        // Of 16 only the client is installed.
        for version in ["9", "15"] {
            std::fs::write(folder.path().join(version).join("bin/postgres"), "").unwrap();
        }
        assert_eq!(programs(folder.path()).unwrap(), folder.path().join("15/bin"));
    }

    #[test]
    fn it_listens_on_loopback_only() {
        let settings = settings(15432);
        assert!(settings.contains(&"port=15432".to_owned()));
        assert!(settings.contains(&"listen_addresses=127.0.0.1".to_owned()));
        assert!(settings.contains(&"unix_socket_directories=".to_owned()));
    }
}
