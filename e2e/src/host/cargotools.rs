//! Programs built from published crates, pinned by version and by the lock file that the crate was published with.
//!
//! They are no dependencies of the workspace. A binary is kept in the cache under the hash of what it was built from.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::hash::Key;
use super::lock::Lock;
use super::{folders, log};
use crate::report::Report;

/// How much it is optimised: enough for tests, in half the time.
const OPT_LEVEL: &str = "1";

/// One program of a crate of the same name.
#[derive(Debug, Clone, Copy)]
pub struct CargoTool {
    /// The crate, and the program's name.
    pub name: &'static str,
    version: &'static str,
    features: &'static str,
}

/// An S3 server that keeps objects as files.
pub const S3S_FS: CargoTool = CargoTool { name: "s3s-fs", version: "0.14.1", features: "binary" };

impl CargoTool {
    /// The binary, built now if the cache lacks it.
    pub fn ensure(&self, report: &Report) -> Result<PathBuf> {
        let cache = folders::cache()?;
        let binary = self.binary()?;
        if binary.is_file() {
            return Ok(binary);
        }
        let _lock = Lock::take(&cache.join("bin").join(format!(".{}.lock", self.name)), self.name)?;
        if binary.is_file() {
            return Ok(binary);
        }
        report.note(&format!("building {} from its crate, a few minutes (kept in the cache afterwards)", self.name));
        let log = cache.join("log").join(format!("build-{}.log", self.name));
        report.step(&format!("built {}", self.name), || self.build(&binary, &log))?;
        Ok(binary)
    }

    /// Where the binary is, once built.
    pub fn binary(&self) -> Result<PathBuf> {
        let key = Key::default().with("version", self.version).with("features", self.features);
        let key = key.with("opt-level", OPT_LEVEL).with("arch", std::env::consts::ARCH).short();
        Ok(folders::cache()?.join("bin").join(format!("{}-{key}", self.name)))
    }

    fn build(&self, binary: &Path, log: &Path) -> Result<()> {
        // Kept when the build is interrupted: the next goes on from there.
        let work = folders::cache()?.join("build").join(self.name);
        folders::make(&work)?;
        let output = log::open(log)?;
        let errors = output.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["install", "--locked", "--force", "--no-track", self.name, "--version", self.version])
            .args(["--features", self.features, "--root"])
            .arg(work.join("root"))
            .env("CARGO_TARGET_DIR", &work)
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", OPT_LEVEL)
            // Outside the repository, whose settings are not the tool's.
            .current_dir(&work)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .status()
            .context("cannot start cargo; install Rust (https://rustup.rs), then repeat")?;
        if !status.success() {
            bail!("cannot build {} {}; repeat the command\n{}", self.name, self.version, log::quoted(log));
        }
        folders::put(&work.join("root/bin").join(self.name), binary)?;
        std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
    }
}
