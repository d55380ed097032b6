//! Root file systems from the machine's own Debian packages: files only, no package manager, no shell.
//!
//! `mmdebstrap --variant=extract` unpacks packages without running their scripts, so it needs no container and always
//! gives the same files. The release is the machine's, hence the C library is the one its programs were linked against.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::layer::{Files, Layer};
use super::{cached_layer, layer_key};
use crate::host::{command, folders};

/// Never part of an image: package manager, caches, devices.
const DROPPED: [&str; 12] = [
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "etc/apt",
    "etc/dpkg",
    "etc/init.d",
    "etc/systemd",
    "usr/lib/systemd",
    "usr/share/keyrings",
    "usr/share/debconf",
    "dev",
    "tmp",
];

/// Makes the folders of a root that has everything below `/usr`.
const MERGED: &str = r#"for folder in bin sbin lib lib64; do
  mkdir -p "$1/usr/$folder" && ln -sT "usr/$folder" "$1/$folder" || exit 1
done"#;

/// Glibc, certificates, time zones: what one Rust program needs.
pub fn sentinel() -> Result<Layer> {
    let packages = ["libc6", "libgcc-s1", "base-files", "netbase", "tzdata"];
    root("base", &packages, keep, |files| {
        accounts(files, &[("nonroot", 65532)]);
        files.add_folder("tmp", 0o1777, (0, 0));
        let bundle = "/etc/ssl/certs/ca-certificates.crt";
        let certificates = std::fs::read(bundle).with_context(|| format!("cannot read {bundle}"))?;
        files.add("etc/ssl/certs/ca-certificates.crt", 0o644, certificates);
        Ok(())
    })
}

/// `PostgreSQL`, Redis, a Java runtime, and the shell and small tools that start scripts use.
pub fn stores() -> Result<Layer> {
    let packages = [
        "base-files",
        "libc-bin",
        "netbase",
        "tzdata",
        "dash",
        "coreutils",
        "grep",
        "sed",
        "findutils",
        "hostname",
        "postgresql",
        "redis-server",
        "openjdk-17-jre-headless",
    ];
    root(
        "stores",
        &packages,
        |path| keep(path) && !unused_by_stores(path),
        |files| {
            files.add_folder("tmp", 0o1777, (0, 0));
            let bundle = "/etc/ssl/certs/ca-certificates.crt";
            let certificates = std::fs::read(bundle).with_context(|| format!("cannot read {bundle}"))?;
            files.add("etc/ssl/certs/ca-certificates.crt", 0o644, certificates);
            // What the package's script would do.
            files.add_link("usr/bin/java", &format!("{}/bin/java", crate::host::javadists::JAVA_HOME));
            Ok(())
        },
    )
}

/// Compilers, debuggers and graphics that Debian's packages bring along.
fn unused_by_stores(path: &str) -> bool {
    let library = path.rsplit('/').next().unwrap_or(path);
    let folders = [
        "usr/share/perl",
        "usr/share/perl5",
        "usr/share/postgresql-common",
        "usr/share/bash-completion",
        "usr/share/icons",
        "usr/share/fonts",
        "usr/share/X11",
        "usr/share/mime",
        "usr/share/alsa",
        "usr/share/java",
        "usr/share/python3",
        "var/lib/postgresql",
        "var/lib/redis",
        "etc/alternatives",
    ];
    folders.iter().any(|folder| within(path, folder))
        || path.contains("/bitcode/")
        || ["libLLVM", "libz3.", "llvmjit", "ct.sym", "classes_nocoops.jsa"]
            .iter()
            .any(|start| library.starts_with(start))
}

/// nginx, without the tools its package depends on for its scripts.
pub fn nginx() -> Result<Layer> {
    root(
        "nginx",
        &["nginx-light", "base-files"],
        |path| keep(path) && !tool(path),
        |files| {
            accounts(files, &[("nginx", 101)]);
            files.add_folder("tmp", 0o1777, (0, 0));
            // As upstream: without a configuration of its own, what it says goes to the pod's log.
            files.add_link("var/log/nginx/access.log", "/dev/stdout");
            files.add_link("var/log/nginx/error.log", "/dev/stderr");
            Ok(())
        },
    )
}

fn keep(path: &str) -> bool {
    !DROPPED.iter().any(|dropped| within(path, dropped))
}

/// Programs other than nginx, and their data.
fn tool(path: &str) -> bool {
    let program = ["usr/bin/", "usr/sbin/"].iter().any(|folder| path.starts_with(folder));
    let data = [
        "usr/share/bash-completion",
        "usr/share/perl",
        "usr/share/perl5",
        "usr/lib/tc",
        "etc/iproute2",
        "usr/share/iproute2",
    ];
    (program && path != "usr/sbin/nginx") || data.iter().any(|folder| within(path, folder))
}

fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The lists of users and groups: root and those given.
pub fn accounts(files: &mut Files, users: &[(&str, u32)]) {
    let all = || [("root", 0)].iter().chain(users);
    let passwd: Vec<String> =
        all().map(|(name, id)| format!("{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n")).collect();
    let group: Vec<String> = all().map(|(name, id)| format!("{name}:x:{id}:\n")).collect();
    files.add("etc/passwd", 0o644, passwd.concat());
    files.add("etc/group", 0o644, group.concat());
}

fn root(
    name: &str,
    packages: &[&str],
    keep: impl Fn(&str) -> bool,
    finish: impl FnOnce(&mut Files) -> Result<()>,
) -> Result<Layer> {
    let release = Release::of_this_machine()?;
    let excludes = folders::repository()?.join("e2e/images/slim.dpkg.cfg");
    let key = layer_key(include_str!("base.rs"))
        .with("packages", packages.join(","))
        .with("release", &release.name)
        .with_file("sources", &release.sources)?
        .with_file("excludes", &excludes)?;
    cached_layer(name, key, || {
        // Below the cache, so that what an interrupted run leaves is found and removed by the next.
        let work = folders::cache()?.join("images/work");
        if work.exists() {
            std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        }
        folders::make(&work)?;
        let tar = work.join("root.tar");
        unpack(&release, packages, &excludes, &work, &tar)?;
        let file = File::open(&tar).with_context(|| format!("cannot read {}", tar.display()))?;
        let mut files = Files::from_tar(std::io::BufReader::new(file), keep)?;
        finish(&mut files)?;
        std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        Ok(files)
    })
}

fn unpack(release: &Release, packages: &[&str], excludes: &Path, work: &Path, tar: &Path) -> Result<()> {
    let mut bootstrap = Command::new("mmdebstrap");
    bootstrap
        .args(["--quiet", "--variant=extract"])
        .args(mode(rustix::process::geteuid().is_root()))
        .arg(format!("--include={}", packages.join(",")))
        .arg(format!("--dpkgopt={}", excludes.display()))
        .arg(&release.name)
        .arg(tar)
        .arg(&release.sources)
        .env("SOURCE_DATE_EPOCH", "0")
        .env("TMPDIR", work);
    command::output(&mut bootstrap).map(drop).with_context(|| {
        format!("cannot unpack {}; is the Debian mirror reachable (apt-get update)?", packages.join(", "))
    })
}

/// How mmdebstrap makes the root. Whoever is not root would get a user namespace, which some machines forbid, whose tools
/// are not everywhere, and from which nothing in a private home folder can be reached. Since no script of a package is
/// run, none is needed. The hooks of the first folder are root's business: they install a package.
fn mode(root: bool) -> [String; 2] {
    if root {
        ["--mode=root".to_owned(), "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr".to_owned()]
    } else {
        ["--mode=chrootless".to_owned(), format!("--setup-hook={MERGED}")]
    }
}

/// The machine's distribution release and its list of mirrors.
struct Release {
    name: String,
    sources: PathBuf,
}

impl Release {
    fn of_this_machine() -> Result<Self> {
        let text = std::fs::read_to_string("/etc/os-release").context("cannot tell the distribution")?;
        let name = codename(&text).context("images are made from Debian's packages: use Debian or Ubuntu")?;
        let candidates = [
            "/etc/apt/sources.list.d/debian.sources",
            "/etc/apt/sources.list.d/ubuntu.sources",
            "/etc/apt/sources.list",
        ];
        let Some(sources) = candidates.iter().map(PathBuf::from).find(|path| path.is_file()) else {
            bail!("no list of Debian mirrors at {}", candidates.join(", "));
        };
        Ok(Self { name, sources })
    }
}

fn codename(os_release: &str) -> Option<String> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n").as_deref(), Some("bookworm"));
        assert_eq!(codename("ID=other\n"), None);
    }

    #[test]
    fn package_manager_and_tools_are_left_out() {
        assert!(!keep("var/lib/dpkg/status") && !keep("dev") && keep("etc/nginx/mime.types") && keep("device"));
        assert!(unused_by_stores("usr/lib/postgresql/15/lib/bitcode/postgres.index.bc"));
        assert!(unused_by_stores("usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"));
        assert!(!unused_by_stores("usr/lib/postgresql/15/bin/postgres"));
        assert!(tool("usr/bin/perl") && !tool("usr/sbin/nginx") && !tool("usr/lib/x86_64-linux-gnu/libc.so.6"));
    }
}
