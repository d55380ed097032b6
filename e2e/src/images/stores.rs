//! Images of the stores, laid out as the upstream ones, for clusters without a registry.
//!
//! All stand on one layer of Debian packages: `PostgreSQL`, Redis, a Java runtime and a shell. Each adds a small layer of its
//! own. `e2e/stores/README.md` tells users, paths and ports.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::layer::{Files, Layer};
use super::oci::{Config, Image};
use super::{base, binaries, cached_layer, layer_key};
use crate::host::cargotools::S3S_FS;
use crate::host::javadists::{self, JAVA_HOME, JavaDist};
use crate::host::{command, folders, hash};
use crate::report::Report;
use crate::stores::{self, warm_up};

/// Folder with a folder for each major version of Postgres; each Debian and Ubuntu release has another one.
const POSTGRES: &str = "usr/lib/postgresql";
/// Stands for that version.
const VERSION: &str = "VERSION";

/// What one image is made of, beside the shared layer.
struct Store {
    /// The image's name.
    name: &'static str,
    /// Name and id of its user.
    user: (&'static str, u32),
    /// Its command, where the pod gives none.
    command: &'static [&'static str],
    /// Folders with its programs.
    path: &'static str,
    /// Folder of its data, which belongs to its user.
    data: &'static str,
    /// Environment beside `PATH`.
    env: &'static [(&'static str, &'static str)],
    content: Content,
}

enum Content {
    /// All of it is in the shared layer.
    Packages,
    /// A Java server: how it is run here, what it is made of, and where its folder is in the image.
    Java(stores::Store, JavaDist, &'static str),
    /// The S3 server.
    S3,
}

const STORES: [Store; 6] = [
    Store {
        name: "postgres",
        user: ("postgres", 999),
        command: &["postgres"],
        path: "/usr/lib/postgresql/VERSION/bin",
        data: "var/lib/postgresql/data",
        env: &[("PGDATA", "/var/lib/postgresql/data"), ("LANG", "C.UTF-8")],
        content: Content::Packages,
    },
    Store {
        name: "redis",
        user: ("redis", 999),
        command: &["redis-server"],
        path: "/usr/bin",
        data: "data",
        env: &[],
        content: Content::Packages,
    },
    Store {
        name: "cassandra",
        user: ("cassandra", 999),
        command: &["cassandra", "-f"],
        path: "/opt/cassandra/bin",
        data: "var/lib/cassandra",
        env: &[
            ("CASSANDRA_HOME", "/opt/cassandra"),
            ("CASSANDRA_CONF", "/etc/cassandra"),
            ("CASSANDRA_DATA", "/var/lib/cassandra"),
        ],
        content: Content::Java(stores::Store::Cassandra, javadists::CASSANDRA, "opt/cassandra"),
    },
    Store {
        name: "kafka",
        user: ("appuser", 1000),
        command: &["kafka-server-start.sh", "/etc/kafka/server.properties"],
        path: "/opt/kafka/bin",
        data: "var/lib/kafka/data",
        env: &[],
        content: Content::Java(stores::Store::Kafka, javadists::KAFKA, "opt/kafka"),
    },
    Store {
        name: "elasticsearch",
        user: ("elasticsearch", 1000),
        command: &["elasticsearch"],
        path: "/usr/share/elasticsearch/bin",
        data: "usr/share/elasticsearch/data",
        env: &[],
        content: Content::Java(stores::Store::Elasticsearch, javadists::ELASTICSEARCH, "usr/share/elasticsearch"),
    },
    Store {
        name: "s3",
        user: ("nonroot", 65532),
        command: &["s3s-fs", "--help"],
        path: "/usr/bin",
        data: "data",
        env: &[],
        content: Content::S3,
    },
];

/// Makes all of them.
pub fn images(report: &Report) -> Result<Vec<Image>> {
    let root = report.step("image base of the stores", base::stores)?;
    let version = version_of_postgres(&root.path)?;
    let mut images = Vec::new();
    for store in &STORES {
        if let Content::Java(_, dist, _) = &store.content {
            dist.ensure(report)?;
        }
        if let Content::S3 = store.content {
            S3S_FS.ensure(report)?;
        }
        images.push(report.step(&format!("image {}", store.name), || {
            let mut layers = vec![root.clone(), own_layer(store)?];
            if let Content::Java(engine, _, home) = store.content
                && rustix::process::geteuid().is_root()
            {
                layers.push(classes(engine, home, &layers)?);
            }
            if let Content::S3 = store.content {
                let program = BTreeMap::from([(S3S_FS.name.to_owned(), S3S_FS.binary()?)]);
                layers.push(binaries::layer(&program, S3S_FS.name, &root)?);
            }
            Ok(Image::new(store.name, layers, &config(store, &version)))
        })?);
    }
    Ok(images)
}

fn own_layer(store: &Store) -> Result<Layer> {
    let key = layer_key(include_str!("stores.rs")).with("base", include_str!("base.rs"));
    let key = match &store.content {
        Content::Java(_, dist, _) => key.with("content", file_name(&dist.folder()?)),
        Content::Packages | Content::S3 => key,
    };
    cached_layer(&format!("store-{}", store.name), key, || {
        let mut files = Files::default();
        base::accounts(&mut files, &[store.user]);
        let owner = (u64::from(store.user.1), u64::from(store.user.1));
        files.add_folder(store.data, 0o700, owner);
        if let Content::Java(_, dist, target) = &store.content {
            add_tree(&mut files, &dist.folder()?, target)?;
        }
        Ok(files)
    })
}

/// The archive of a server's classes, made by its own Java in its own root file system: it starts in half the time.
/// Only root can enter one; images that others make lack it.
fn classes(engine: stores::Store, home: &str, layers: &[Layer]) -> Result<Layer> {
    let key = layer_key(include_str!("../stores/warm_up.rs"));
    let key = layers.iter().fold(key, |key, layer| key.with("layer", &layer.digest));
    cached_layer(&format!("classes-{}", engine.name()), key, || {
        let root = folders::cache()?.join("images/work");
        if root.exists() {
            std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        }
        folders::make(&root)?;
        for layer in layers {
            command::output(Command::new("tar").arg("--extract").arg("-C").arg(&root).arg("-f").arg(&layer.path))?;
        }
        let archive = warm_up::in_image(engine, &root, &format!("/{home}"))?;
        std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        let mut files = Files::default();
        files.add(&format!("{home}/app.jsa"), 0o644, archive);
        Ok(files)
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The server's folder without the archive of its classes, which holds only for the folder it was made in.
fn add_tree(files: &mut Files, folder: &Path, target: &str) -> Result<()> {
    files.add_folder(&format!("{target}/plugins"), 0o755, (0, 0));
    for path in hash::files_below(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        if name.starts_with("app.") {
            continue;
        }
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let executable = path.metadata().is_ok_and(|file| file.permissions().mode() & 0o100 != 0);
        files.add(&format!("{target}/{name}"), if executable { 0o755 } else { 0o644 }, content);
    }
    Ok(())
}

/// The version of Postgres in the shared layer.
fn version_of_postgres(layer: &Path) -> Result<String> {
    let file = File::open(layer).with_context(|| format!("cannot read {}", layer.display()))?;
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().context("cannot read the layer of the stores")? {
        let entry = entry.context("broken tar")?;
        let path = entry.path().context("odd path in tar")?;
        if let Some(version) = path.to_str().and_then(version_in) {
            return Ok(version.to_owned());
        }
    }
    bail!("there is no Postgres in the packages of this release")
}

fn version_in(path: &str) -> Option<&str> {
    path.strip_prefix(POSTGRES)?.strip_prefix('/')?.strip_suffix("/bin/postgres")
}

fn config(store: &Store, postgres: &str) -> Config {
    let (_, id) = store.user;
    let path = store.path.replace(VERSION, postgres);
    let mut env = vec![format!("PATH={path}:/usr/local/bin:/usr/sbin:/usr/bin")];
    if let Content::Java(..) = store.content {
        env.push(format!("JAVA_HOME={JAVA_HOME}"));
    }
    env.extend(store.env.iter().map(|(name, value)| format!("{name}={value}")));
    Config {
        user: format!("{id}:{id}"),
        cmd: store.command.iter().map(|part| (*part).to_owned()).collect(),
        working_dir: "/".to_owned(),
        env,
        // The usual signal lets Postgres wait for its clients to go.
        stop_signal: (store.name == "postgres").then(|| "SIGINT".to_owned()),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_store_runs_as_root_and_each_finds_its_programs() {
        for store in &STORES {
            let config = config(store, "16");
            assert!(!config.user.starts_with("0:"), "{}", store.name);
            assert!(config.env[0].starts_with("PATH=/") && !config.env[0].contains(VERSION), "{}", store.name);
        }
        assert!(config(&STORES[0], "16").env[0].starts_with("PATH=/usr/lib/postgresql/16/bin:"));
    }

    #[test]
    fn the_version_of_postgres_is_that_of_the_packages() {
        let folder = tempfile::tempdir().unwrap();
        let layer = |paths: &[&str]| {
            let mut files = Files::default();
            for path in paths {
                files.add(path, 0o755, "");
            }
            let layer = folder.path().join("layer.tar");
            std::fs::write(&layer, files.to_tar().unwrap()).unwrap();
            version_of_postgres(&layer)
        };
        let found =
            layer(&["usr/bin/postgres", "usr/lib/postgresql/16/bin/pg_dump", "usr/lib/postgresql/16/bin/postgres"]);
        assert_eq!(found.unwrap(), "16");
        assert!(layer(&["usr/bin/redis-server"]).is_err());
    }

    #[test]
    fn servers_keep_their_layout_and_their_scripts_can_be_run() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("bin/run", 0o755), ("lib/a.jar", 0o600), ("app.jsa", 0o644)] {
            let path = folder.path().join(name);
            crate::host::folders::write_whole(&path, name).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut files = Files::default();
        add_tree(&mut files, folder.path(), "opt/x").unwrap();
        let names: Vec<&str> = files.paths().filter(|path| files.content(path).is_some()).collect();
        assert_eq!(names, ["opt/x/bin/run", "opt/x/lib/a.jar"]);
    }
}
