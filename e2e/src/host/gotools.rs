//! Programs built from Go modules, pinned by the `go.mod` and `go.sum` of their folder in `e2e/cluster`.
//!
//! A binary is kept in the cache under the hash of what it was built from, so it is built once for each version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::hash::Key;
use super::lock::Lock;
use super::{command, folders, log};
use crate::report::Report;

/// How often module downloads are tried: a proxy's hiccup must not cost a ten-minute build.
const DOWNLOAD_TRIES: u32 = 3;

/// One Go program.
#[derive(Debug, Clone, Copy)]
pub struct GoTool {
    /// Folder below `e2e/cluster`, and the program's name.
    pub name: &'static str,
    package: &'static str,
    ldflags: &'static str,
    first_build: &'static str,
}

/// etcd, the Kubernetes parts, `CoreDNS` and the local volume provisioner in one binary.
pub const NODE: GoTool = GoTool {
    name: "node",
    package: ".",
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
    first_build: "Helm from its Go module, about 2 minutes",
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
        let source = folders::repository()?.join("e2e/cluster").join(self.name);
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
        Ok(key.with("arch", std::env::consts::ARCH).with_folder(source)?.short())
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
        go(source, log, &["build", "-trimpath", "-ldflags", self.ldflags, "-o", &output, self.package])
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
    fn every_tool_has_pinned_modules() {
        for tool in [NODE, HELM, KIND, METRICS_SERVER] {
            let folder = folders::repository().unwrap().join("e2e/cluster").join(tool.name);
            for file in ["go.mod", "go.sum"] {
                assert!(folder.join(file).is_file(), "{} lacks {file}", tool.name);
            }
            assert_eq!(tool.key(&folder).unwrap().len(), 12);
        }
    }

    #[test]
    fn the_reported_version_is_the_pinned_one() {
        let modules = folders::repository().unwrap().join("e2e/cluster/node/go.mod");
        let modules = std::fs::read_to_string(modules).unwrap();
        let version = NODE.ldflags.split("gitVersion=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(modules.contains(&format!("k8s.io/kubernetes {version}")));
    }
}
