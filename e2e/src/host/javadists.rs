//! Java servers assembled from Maven artifacts, pinned by the `pom.xml` files and `jars.sha256` in `e2e/stores/<name>`.
//!
//! The result has the layout of the upstream archive: `bin`, `lib`, `modules`. It is kept in the cache under the hash of
//! what it was made from, so it is made once for each version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::hash::{self, Key};
use super::lock::Lock;
use super::packages::{self, Needed, needed};
use super::{command, folders};
use crate::report::Report;

/// The Java that all engines run on: the newest that Cassandra supports.
#[cfg(target_arch = "aarch64")]
pub const JAVA_HOME: &str = "/usr/lib/jvm/java-17-openjdk-arm64";
/// The Java that all engines run on: the newest that Cassandra supports.
#[cfg(not(target_arch = "aarch64"))]
pub const JAVA_HOME: &str = "/usr/lib/jvm/java-17-openjdk-amd64";

#[cfg(target_arch = "aarch64")]
const JAVAC: &str = "/usr/lib/jvm/java-17-openjdk-arm64/bin/javac";
#[cfg(not(target_arch = "aarch64"))]
const JAVAC: &str = "/usr/lib/jvm/java-17-openjdk-amd64/bin/javac";

/// Words in the names of jars that only other platforms can use.
#[cfg(target_arch = "aarch64")]
const FOREIGN: [&str; 4] = ["osx", "windows", "x86_64", "riscv64"];
#[cfg(not(target_arch = "aarch64"))]
const FOREIGN: [&str; 4] = ["osx", "windows", "aarch_64", "riscv64"];

/// The file of known digests, as `sha256sum` writes it.
const DIGESTS: &str = "jars.sha256";

const PROGRAMS: &[Needed] = &[needed(JAVA_HOME, "openjdk-17-jre-headless")];

const BUILD_PROGRAMS: &[Needed] = &[
    needed("mvn", "maven"),
    // Only the development kit has the compiler.
    needed(JAVAC, "openjdk-17-jdk-headless"),
];

/// One Java server.
#[derive(Debug, Clone, Copy)]
pub struct JavaDist {
    /// Folder below `e2e/stores`, and the server's name.
    pub name: &'static str,
    /// What is left to do once the jars are in place; gets the source folder and the new one.
    finish: Option<fn(&Path, &Path) -> Result<()>>,
}

/// Apache Cassandra.
pub const CASSANDRA: JavaDist = JavaDist { name: "cassandra", finish: None };
/// Apache Kafka with its command line tools.
pub const KAFKA: JavaDist = JavaDist { name: "kafka", finish: None };
/// Elasticsearch with its HTTP transport.
pub const ELASTICSEARCH: JavaDist = JavaDist { name: "elasticsearch", finish: Some(finish_elasticsearch) };
/// OpenSearch with its usual modules.
pub const OPENSEARCH: JavaDist = JavaDist { name: "opensearch", finish: None };

impl JavaDist {
    /// The server's folder, made now if the cache lacks it.
    pub fn ensure(&self, report: &Report) -> Result<PathBuf> {
        packages::ensure(PROGRAMS)?;
        let folder = self.folder()?;
        if folder.is_dir() {
            return Ok(folder);
        }
        report.check("Java tools installed", || packages::ensure(BUILD_PROGRAMS))?;
        // One lock for all: Maven's own store of downloads does not bear two runs at a time.
        let _lock = Lock::take(&folders::cache()?.join("stores/.maven.lock"), "Maven downloads")?;
        if !folder.is_dir() {
            report.step(&format!("fetched {}", self.name), || self.make(&folder))?;
        }
        Ok(folder)
    }

    /// Where the server is, once made.
    pub fn folder(&self) -> Result<PathBuf> {
        let key = Key::default().with("code", include_str!("javadists.rs")).with("arch", std::env::consts::ARCH);
        let key = key.with_folder(&self.source()?)?.short();
        Ok(folders::cache()?.join("stores").join(format!("{}-{key}", self.name)))
    }

    fn source(&self) -> Result<PathBuf> {
        Ok(folders::repository()?.join("e2e/stores").join(self.name))
    }

    fn make(&self, folder: &Path) -> Result<()> {
        let source = self.source()?;
        let partial = folder.with_extension("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        let fetched = partial.join("fetched");
        folders::make(&fetched)?;
        let mut maven = Command::new("mvn");
        maven.args(["-B", "-q", "-f"]).arg(source.join("pom.xml")).arg(format!("-Ddist={}", fetched.display()));
        maven.arg("dependency:copy-dependencies").env("JAVA_HOME", JAVA_HOME).current_dir(&partial);
        command::output(&mut maven).context("cannot fetch jars; check the network or Maven's settings, then repeat")?;
        check_digests(&source.join(DIGESTS), &fetched)?;
        arrange(&fetched, &partial)?;
        copy_tree(&source.join("dist"), &partial)?;
        if let Some(finish) = self.finish {
            finish(&source, &partial)?;
        }
        folders::put(&partial, folder)
    }
}

/// Compares what was fetched with the digests in the repository: nothing missing, nothing more, nothing else.
fn check_digests(list: &Path, fetched: &Path) -> Result<()> {
    let known = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let known: BTreeSet<String> = known.lines().map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    for path in hash::files_below(fetched)? {
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(fetched).unwrap_or(&path).display().to_string();
        found.insert(format!("{}  {name}", hash::sha256(&content)));
    }
    let odd: Vec<&str> = known.symmetric_difference(&found).map(String::as_str).collect();
    if !odd.is_empty() {
        bail!(
            "jars differ from {}; after a wanted change of versions write it anew with sha256sum:\n  {}",
            list.display(),
            odd.join("\n  ")
        );
    }
    Ok(())
}

/// Puts the jars where the server looks for them: `lib`, and `modules/<name>` for what `lib` lacks.
fn arrange(fetched: &Path, folder: &Path) -> Result<()> {
    let library: BTreeSet<String> = names(&fetched.join("lib"))?.into_iter().collect();
    for artifact in names(fetched)? {
        let own = artifact == "lib";
        let target = if own { folder.join("lib") } else { folder.join("modules").join(&artifact) };
        folders::make(&target)?;
        for jar in names(&fetched.join(&artifact))? {
            if foreign(&jar) || (!own && library.contains(&jar)) {
                continue;
            }
            let from = fetched.join(&artifact).join(&jar);
            std::fs::rename(&from, target.join(&jar)).with_context(|| format!("cannot move {}", from.display()))?;
        }
    }
    std::fs::remove_dir_all(fetched).with_context(|| format!("cannot remove {}", fetched.display()))
}

fn foreign(jar: &str) -> bool {
    FOREIGN.iter().any(|word| jar.contains(word))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read folder {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read folder {}", folder.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for path in hash::files_below(from)? {
        let target = to.join(path.strip_prefix(from).unwrap_or(&path));
        folders::make(target.parent().unwrap_or(to))?;
        std::fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

/// The module's description is inside its jar, and the launcher has to be compiled.
fn finish_elasticsearch(source: &Path, folder: &Path) -> Result<()> {
    let java = Path::new(JAVA_HOME).join("bin");
    let module = folder.join("modules/transport-netty4");
    let jar = names(&module)?.into_iter().find(|name| name.starts_with("transport-netty4-"));
    let jar = module.join(jar.context("Elasticsearch's transport module was not fetched")?);
    let inside = "META-INF/es-plugins/transport-netty4";
    command::output(
        Command::new(java.join("jar")).arg("--extract").arg("--file").arg(&jar).arg(inside).current_dir(folder),
    )?;
    for name in names(&folder.join(inside))? {
        let text = std::fs::read_to_string(folder.join(inside).join(&name)).with_context(|| format!("odd {name}"))?;
        // Loaded from the class path, not as a Java module.
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("modulename=")).collect();
        folders::write_whole(&module.join(name), lines.join("\n") + "\n")?;
    }
    std::fs::remove_dir_all(folder.join("META-INF")).context("cannot remove META-INF")?;

    let classes = folder.join("classes");
    let library = folder.join("lib/*");
    command::output(
        Command::new(java.join("javac"))
            .arg("-d")
            .arg(&classes)
            .arg("-cp")
            .arg(&library)
            .arg(source.join("Launch.java")),
    )
    .context("cannot compile Launch.java")?;
    let jar = folder.join("lib/launch.jar");
    command::output(
        Command::new(java.join("jar")).args(["--create", "--file"]).arg(jar).arg("-C").arg(&classes).arg("."),
    )?;
    std::fs::remove_dir_all(&classes).with_context(|| format!("cannot remove {}", classes.display()))?;
    folders::make(&folder.join("plugins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_pinned() {
        for dist in [CASSANDRA, KAFKA, ELASTICSEARCH, OPENSEARCH] {
            let source = dist.source().unwrap();
            let digests = std::fs::read_to_string(source.join(DIGESTS)).unwrap();
            assert!(digests.lines().count() > 20 && digests.contains("  lib/"), "{}", dist.name);
            for pom in hash::files_below(&source).unwrap().iter().filter(|path| path.ends_with("pom.xml")) {
                let text = std::fs::read_to_string(pom).unwrap();
                assert!(!text.contains("<version>[") && !text.contains("SNAPSHOT"), "{}", pom.display());
            }
        }
    }

    #[test]
    fn jars_are_arranged_without_doubles_and_foreign_ones() {
        let folder = tempfile::tempdir().unwrap();
        let fetched = folder.path().join("fetched");
        for file in ["lib/a.jar", "lib/netty-osx-1.jar", "web/a.jar", "web/b.jar"] {
            folders::write_whole(&fetched.join(file), file).unwrap();
        }
        arrange(&fetched, folder.path()).unwrap();
        let left: Vec<String> = hash::files_below(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(left, ["lib/a.jar", "modules/web/b.jar"]);
    }

    #[test]
    fn a_changed_missing_or_added_jar_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let fetched = folder.path().join("fetched");
        let list = folder.path().join(DIGESTS);
        folders::write_whole(&fetched.join("lib/a.jar"), "abc").unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  lib/a.jar\n";
        folders::write_whole(&list, right).unwrap();
        check_digests(&list, &fetched).unwrap();
        folders::write_whole(&list, format!("{right}{}  lib/b.jar\n", "0".repeat(64))).unwrap();
        assert!(check_digests(&list, &fetched).unwrap_err().to_string().contains("lib/b.jar"));
        folders::write_whole(&list, "").unwrap();
        assert!(check_digests(&list, &fetched).is_err());
    }
}
