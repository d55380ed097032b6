//! Programs built from Go modules, pinned by `go.mod` and `go.sum` in `e2e/cluster`.
//!
//! They have one module, so that what several need, as all do Kubernetes' client, is one version and is compiled once. A
//! binary is kept in the cache under the hash of what it was built from, so it is built once for each version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::hash::Key;
use super::lock::Lock;
use super::{command, folders, log};
use crate::report::Report;

/// How often module downloads are tried: a proxy's hiccup must not cost a ten-minute build.
const DOWNLOAD_TRIES: u32 = 3;
/// Nobody debugs these programs here, and writing debug information takes a sixth of the compiler's time.
const COMPILER_FLAGS: &str = "-gcflags=all=-dwarf=false";
/// The compiler's own heap: how far it grows between collections, in per cent. Twice the memory saves a tenth of the time.
const COMPILER_HEAP: &str = "400";

/// One Go program.
#[derive(Debug, Clone, Copy)]
pub struct GoTool {
    /// The program's name.
    pub name: &'static str,
    package: &'static str,
    ldflags: &'static str,
    first_build: &'static str,
}

/// etcd, the Kubernetes parts, `CoreDNS` and the local volume provisioner in one binary.
pub const NODE: GoTool = GoTool {
    name: "node",
    package: "./node",
    // The version that the API server reports; keep in step with go.mod.
    ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 \
              -X k8s.io/component-base/version.gitMinor=34",
    first_build: "Kubernetes and CoreDNS from their Go modules, 10 to 15 minutes on two cores",
};

/// Helm.
pub const HELM: GoTool = GoTool {
    name: "helm",
    package: "helm.sh/helm/v3/cmd/helm",
    ldflags: "-s -w",
    first_build: "Helm from its Go module, 1 to 2 minutes",
};

/// kind, where a container engine answers.
pub const KIND: GoTool =
    GoTool { name: "kind", package: "sigs.k8s.io/kind", ldflags: "-s -w", first_build: "kind from its Go module" };

/// The metrics server, where asked for.
pub const METRICS_SERVER: GoTool = GoTool {
    name: "metrics-server",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    ldflags: "-s -w",
    first_build: "the metrics server from its Go module, a few minutes",
};

impl GoTool {
    /// The binary, built now if the cache lacks it.
    pub fn ensure(&self, report: &Report) -> Result<PathBuf> {
        let source = folders::repository()?.join("e2e/cluster");
        let cache = folders::cache()?;
        let binary = cache.join("bin").join(format!("{}-{}", self.name, self.key(&source)?));
        if binary.is_file() {
            return Ok(binary);
        }
        let _lock = Lock::take(&cache.join("bin").join(format!(".{}.lock", self.name)), self.name)?;
        if binary.is_file() {
            return Ok(binary);
        }
        report.note(&format!("building {} (kept in the cache afterwards)", self.first_build));
        let log = cache.join("log").join(format!("build-{}.log", self.name));
        report.step(&format!("built {}", self.name), || self.build(&source, &binary, &log))?;
        Ok(binary)
    }

    fn key(&self, source: &Path) -> Result<String> {
        let key = Key::default().with("package", self.package).with("ldflags", self.ldflags);
        let mut key = key.with("gcflags", COMPILER_FLAGS).with("arch", std::env::consts::ARCH);
        for pinned in ["go.mod", "go.sum"] {
            key = key.with_file(pinned, &source.join(pinned))?;
        }
        if let Some(folder) = self.package.strip_prefix("./") {
            key = key.with_folder(&source.join(folder))?;
        }
        Ok(key.short())
    }

    fn build(&self, source: &Path, binary: &Path, log: &Path) -> Result<()> {
        if command::find("go").is_none() {
            bail!("install Go 1.26 or newer (https://go.dev/dl/), then repeat");
        }
        // A build that was interrupted leaves its partial file; nobody else builds while we hold the lock.
        let partial = binary.with_extension("partial");
        let mut tries = 1;
        while let Err(error) = go(source, log, &["mod", "download"]) {
            if tries == DOWNLOAD_TRIES {
                return Err(error.context("cannot download Go modules; check the network or GOPROXY, then repeat"));
            }
            tries += 1;
        }
        let output = partial.to_string_lossy();
        go(source, log, &["build", "-trimpath", COMPILER_FLAGS, "-ldflags", self.ldflags, "-o", &output, self.package])
            .context("repeat the command; what was compiled so far is kept")?;
        folders::put(&partial, binary)
    }
}

fn go(source: &Path, log: &Path, arguments: &[&str]) -> Result<()> {
    let output = log::open(log)?;
    let errors = output.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
    let status = Command::new("go")
        .args(arguments)
        .current_dir(source)
        // Exactly what go.mod and go.sum say, never an update of them.
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOGC", COMPILER_HEAP)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .context("cannot start go")?;
    if !status.success() {
        bail!("go {} failed in {}\n{}", arguments[0], source.display(), log::quoted(log));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned_and_has_its_own_key() {
        let source = folders::repository().unwrap().join("e2e/cluster");
        let pinned = std::fs::read_to_string(source.join("go.mod")).unwrap();
        let tools = [NODE, HELM, KIND, METRICS_SERVER];
        for tool in tools {
            match tool.package.strip_prefix("./") {
                Some(folder) => assert!(source.join(folder).join("main.go").is_file(), "{}", tool.name),
                None => assert!(pinned.lines().any(|line| line.trim() == tool.package), "{}", tool.name),
            }
        }
        let keys: std::collections::BTreeSet<_> = tools.iter().map(|tool| tool.key(&source).unwrap()).collect();
        assert_eq!(keys.len(), tools.len());
    }

    #[test]
    fn the_reported_version_is_the_pinned_one() {
        let modules = folders::repository().unwrap().join("e2e/cluster/go.mod");
        let modules = std::fs::read_to_string(modules).unwrap();
        let version = NODE.ldflags.split("gitVersion=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(modules.contains(&format!("k8s.io/kubernetes {version}")));
    }
}
