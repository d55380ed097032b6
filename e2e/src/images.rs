//! Container images, made without a container engine and packed into one OCI archive.
//!
//! Every image is a Debian base (only the files, no package manager; a shell only in those of the stores) and a layer of its own. Tags are content
//! hashes: what did not change keeps its name, so nothing is loaded or rolled again.

pub mod base;
pub mod binaries;
pub mod glibc;
pub mod layer;
pub mod oci;
pub mod pause;
pub mod stores;
pub mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::host::hash::Key;
use crate::host::lock::Lock;
use crate::host::packages::{self, Needed, needed};
use crate::host::{folders, hash};
use crate::report::{Outcome, Report};
use binaries::BuildOptions;
use layer::Layer;
use oci::{Config, Image};

/// User of the Sentinel images.
const NONROOT: &str = "65532:65532";
/// User of the nginx image, as in the upstream unprivileged one.
const NGINX_USER: &str = "101:101";
/// How many archives, and layers of each name, the cache keeps; older ones are removed.
const KEPT: usize = 3;

const PROGRAMS: &[Needed] = &[
    needed("mmdebstrap", "mmdebstrap"),
    needed("gcc", "gcc"),
    needed("strip", "binutils"),
    needed("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
];

/// Which images to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Those that hold nothing of Sentinel: pause and nginx.
    ThirdParty,
    /// Those of the Embedded profile, with Sentinel's own built from this repository.
    Embedded(BuildOptions),
    /// The stores of the Distributed profile alone.
    Stores,
    /// Both: those of the Embedded profile, and the stores.
    Distributed(BuildOptions),
}

/// Images ready to be loaded.
#[derive(Debug, Clone)]
pub struct Built {
    /// The OCI archive that holds them all.
    pub archive: PathBuf,
    /// Full reference by short name (`sentinel`, `sentinel-operator`, `nginx`, `pause`; `postgres`, `redis`,
    /// `cassandra`, `kafka`, `elasticsearch`, `s3`).
    pub references: BTreeMap<String, String>,
}

impl Built {
    /// The full references alone.
    pub fn all(&self) -> Vec<String> {
        self.references.values().cloned().collect()
    }

    /// The reference of one image.
    pub fn reference(&self, name: &str) -> Result<&str> {
        let found = self.references.get(name);
        found.map(String::as_str).with_context(|| format!("image {name} was not built"))
    }
}

/// Builds the images and packs them; what is in the cache already is not made again.
pub fn build(report: &Report, selection: Selection) -> Result<Built> {
    report.check("image tools installed", || packages::ensure(PROGRAMS))?;
    let _lock = Lock::take(&folders::cache()?.join("images/.lock"), "images")?;
    let mut images = Vec::new();
    if selection != Selection::Stores {
        images.push(report.step("image pause", pause::image)?);
        images.push(report.step("image nginx", || Ok(Image::new("nginx", vec![base::nginx()?], &nginx_config())))?);
    }
    if let Selection::Stores | Selection::Distributed(_) = selection {
        images.extend(stores::images(report)?);
    }
    if let Selection::Embedded(how) | Selection::Distributed(how) = selection {
        let web = web::layer(&crate::web::build(report)?)?;
        report.note("cargo builds the binaries (several minutes the first time)");
        let built = report.step("binaries", || binaries::build(how))?;
        let base = report.step("image base", base::sentinel)?;
        for (image, binary) in [("sentinel", "sentinel"), ("sentinel-operator", "operator")] {
            images.push(report.step(&format!("image {image}"), || {
                let mut layers = vec![base.clone(), binaries::layer(&built, binary, &base)?];
                if image == "sentinel" {
                    layers.push(web.clone());
                }
                Ok(Image::new(image, layers, &sentinel_config(binary)))
            })?);
        }
    }
    let references = images.iter().map(|image| (image.name.clone(), image.reference())).collect();
    let mut archive = PathBuf::new();
    report.check("images packed", || {
        let (path, outcome) = pack(&images)?;
        archive = path;
        Ok(outcome)
    })?;
    Ok(Built { archive, references })
}

/// Makes what holds nothing of this repository, for a later [`build`] to find in the cache.
pub fn ahead(report: &Report) -> Result<()> {
    report.check("image tools installed", || packages::ensure(PROGRAMS))?;
    let _lock = Lock::take(&folders::cache()?.join("images/.lock"), "images")?;
    report.step("image nginx", base::nginx)?;
    report.step("image base", base::sentinel)?;
    stores::images(report).map(drop)
}

/// Packs the images into an archive named by its content.
fn pack(images: &[Image]) -> Result<(PathBuf, Outcome)> {
    let key = images.iter().fold(Key::default(), |key, image| key.with(&image.name, image.reference()));
    let folder = folders::cache()?.join("images/archives");
    let archive = folder.join(format!("images-{}.tar", key.short()));
    if archive.is_file() {
        return Ok((archive, Outcome::Unchanged));
    }
    folders::make(&folder)?;
    let partial = archive.with_extension("partial");
    oci::write(images, &partial)?;
    folders::put(&partial, &archive)?;
    prune(&folder, "images")?;
    Ok((archive, Outcome::Done))
}

/// Removes all files `<name>-<hash>.tar` but the newest few.
fn prune(folder: &Path, name: &str) -> Result<()> {
    let of_this_name = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        stem.rsplit_once('-').is_some_and(|(stem, _)| stem == name)
    };
    let mut files: Vec<_> = hash::files_below(folder)?
        .into_iter()
        .filter(of_this_name)
        .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    files.sort();
    for (_, path) in files.iter().rev().skip(KEPT) {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn sentinel_config(binary: &str) -> Config {
    Config {
        user: NONROOT.to_owned(),
        entrypoint: vec![format!("/usr/bin/{binary}")],
        working_dir: "/".to_owned(),
        env: vec!["PATH=/usr/bin".to_owned()],
        ..Config::default()
    }
}

fn nginx_config() -> Config {
    Config {
        user: NGINX_USER.to_owned(),
        cmd: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec(),
        working_dir: "/".to_owned(),
        env: vec!["PATH=/usr/sbin:/usr/bin".to_owned()],
        stop_signal: Some("SIGQUIT".to_owned()),
        ..Config::default()
    }
}

/// Begins the key of a layer: the code that makes it is part of what it is made from.
fn layer_key(code: &str) -> Key {
    Key::default().with("code", code).with("layer", include_str!("images/layer.rs"))
}

/// A layer from the cache, or made now and put there.
fn cached_layer(name: &str, key: Key, make: impl FnOnce() -> Result<layer::Files>) -> Result<Layer> {
    let folder = folders::cache()?.join("images/layers");
    let path = folder.join(format!("{name}-{}.tar", key.short()));
    if !path.is_file() {
        folders::write_whole(&path, make()?.to_tar()?)?;
        prune(&folder, name)?;
    }
    Layer::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_files_of_a_name_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a-1.tar", "a-2.tar", "a-3.tar", "a-4.tar", "a-b-1.tar"] {
            std::fs::write(folder.path().join(name), "").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        prune(folder.path(), "a").unwrap();
        let left: Vec<String> = hash::files_below(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(left, ["a-2.tar", "a-3.tar", "a-4.tar", "a-b-1.tar"]);
    }
}
