//! Sentinel's own programs, built by cargo and put into layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::layer::{Files, Layer};
use super::{cached_layer, glibc, layer_key};
use crate::host::packages::{self, Needed, needed};
use crate::host::{command, folders};

/// How Sentinel is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct BuildOptions {
    /// Build Sentinel with optimisation.
    #[arg(long)]
    pub release: bool,
    /// Build Sentinel with TLS for Kafka; that brings OpenSSL, which the rest does without.
    #[arg(long)]
    pub kafka_tls: bool,
}

/// What compiles OpenSSL: all of Perl, of which `perl` alone tells nothing.
const PERL: &[Needed] = &[needed("prove", "perl"), needed("make", "make")];

/// Builds the programs; returns the path of each by name.
pub fn build(how: BuildOptions) -> Result<BTreeMap<String, PathBuf>> {
    if how.kafka_tls {
        packages::ensure(PERL)?;
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folders::repository()?).args(arguments(how));
    // Compiler errors go straight to the person who caused them.
    let result = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !result.status.success() {
        bail!("cargo cannot build Sentinel; its messages are above");
    }
    let built = executables(&String::from_utf8_lossy(&result.stdout));
    for program in ["sentinel", "operator"] {
        if !built.contains_key(program) {
            bail!("cargo built no program {program}");
        }
    }
    Ok(built)
}

fn arguments(how: BuildOptions) -> Vec<&'static str> {
    // The whole workspace, as `make build` does: a choice of packages would mean other features of the dependencies, and
    // everything would be compiled twice.
    let mut arguments =
        vec!["build", "--locked", "--quiet", "--workspace", "--bins", "--message-format=json-render-diagnostics"];
    if how.release {
        arguments.push("--release");
    }
    if how.kafka_tls {
        arguments.extend(["--features", "sentinel-adapters/kafka-tls"]);
    }
    arguments
}

/// The layer that puts one program on top of `base`.
pub fn layer(built: &BTreeMap<String, PathBuf>, program: &str, base: &Layer) -> Result<Layer> {
    let path = built.get(program).with_context(|| format!("cargo built no program {program}"))?;
    let key = layer_key(include_str!("binaries.rs")).with_file("content", path)?.with("base", &base.digest);
    cached_layer(program, key, || {
        let (content, needed) = stripped(path)?;
        let libraries = std::fs::File::open(&base.path).context("cannot read the base layer")?;
        let libraries = Files::from_tar(libraries, |file| file.ends_with("/libc.so.6"))?;
        let library = libraries.paths().next().and_then(|file| libraries.content(file));
        glibc::check(program, needed, library.and_then(glibc::newest))?;
        let mut files = Files::default();
        files.add(&format!("usr/bin/{program}"), 0o755, content);
        Ok(files)
    })
}

/// The program without symbols, and the C library it needs.
fn stripped(program: &Path) -> Result<(Vec<u8>, Option<glibc::Version>)> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let small = folder.path().join("program");
    command::output(Command::new("strip").arg("-o").arg(&small).arg(program))?;
    let versions = command::output(Command::new("readelf").args(["--wide", "--version-info"]).arg(&small))?;
    let content = std::fs::read(&small).with_context(|| format!("cannot read {}", small.display()))?;
    Ok((content, glibc::newest(versions.as_bytes())))
}

fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    artifacts
        .filter_map(|message| {
            let path = message["executable"].as_str()?.into();
            Some((message["target"]["name"].as_str()?.to_owned(), path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_for_kafka_is_built_in_where_it_is_asked_for() {
        let feature = "sentinel-adapters/kafka-tls";
        let with = |kafka_tls| arguments(BuildOptions { release: true, kafka_tls });
        assert!(with(true).ends_with(&["--release", "--features", feature]), "{:?}", with(true));
        assert!(!with(false).contains(&feature), "{:?}", with(false));
    }

    #[test]
    fn only_messages_about_programs_count() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"sentinel"},"executable":"/t/sentinel"}
{"reason":"build-finished","success":true}"#;
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found["sentinel"], PathBuf::from("/t/sentinel"));
    }
}
