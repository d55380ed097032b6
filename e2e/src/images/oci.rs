//! The OCI archive: several images that share layers, in one tar.

use std::collections::BTreeSet;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::layer::Layer;
use crate::host::hash::{self, Key};

/// Registry part of every image we make; nothing of that name can be pulled, so a missing one fails at once.
const REGISTRY: &str = "localhost";
const EPOCH: &str = "1970-01-01T00:00:00Z";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// How a container of an image is run, as the OCI specification spells it.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// User and group ids.
    pub user: String,
    /// The program, where the pod gives no command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Arguments, where the pod gives none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Folder to start in.
    pub working_dir: String,
    /// The signal that asks it to end, where not SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// An image: layers and how to run them.
#[derive(Debug)]
pub struct Image {
    /// Its short name.
    pub name: String,
    tag: String,
    layers: Vec<Layer>,
    config: Vec<u8>,
}

impl Image {
    /// An image tagged by its content.
    pub fn new(name: &str, layers: Vec<Layer>, config: &Config) -> Self {
        let mut image = Self::tagged(name, "", layers, config);
        image.tag = Key::default().with("config", &image.config).short();
        image
    }

    /// An image with a tag that other files name.
    pub fn tagged(name: &str, tag: &str, layers: Vec<Layer>, config: &Config) -> Self {
        let identities: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
        // Layer digests are part of the configuration, so its hash covers the whole image.
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "created": EPOCH,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": identities},
        });
        Self { name: name.to_owned(), tag: tag.to_owned(), layers, config: config.to_string().into_bytes() }
    }

    /// The full reference: `localhost/<name>:<tag>`.
    pub fn reference(&self) -> String {
        format!("{REGISTRY}/{}:{}", self.name, self.tag)
    }

    fn manifest(&self) -> Vec<u8> {
        let layers: Vec<Value> = self.layers.iter().map(|layer| descriptor(LAYER, &layer.digest, layer.size)).collect();
        let config = descriptor(CONFIG, &hash::sha256(&self.config), self.config.len() as u64);
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).to_string().into_bytes()
    }
}

/// Writes the archive.
pub fn write(images: &[Image], path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Builder::new(BufWriter::new(file));
    let mut written = BTreeSet::new();
    let mut manifests = Vec::new();
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    for image in images {
        for layer in &image.layers {
            if written.insert(layer.digest.clone()) {
                let content =
                    std::fs::read(&layer.path).with_context(|| format!("cannot read {}", layer.path.display()))?;
                append(&mut archive, &blob(&layer.digest), &content)?;
            }
        }
        let manifest = image.manifest();
        for content in [&image.config, &manifest] {
            let digest = hash::sha256(content);
            if written.insert(digest.clone()) {
                append(&mut archive, &blob(&digest), content)?;
            }
        }
        let mut entry = descriptor(MANIFEST, &hash::sha256(&manifest), manifest.len() as u64);
        entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
        entry["annotations"] = json!({
            "io.containerd.image.name": image.reference(),
            "org.opencontainers.image.ref.name": image.tag,
        });
        manifests.push(entry);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    append(&mut archive, "index.json", index.as_bytes())?;
    let mut writer = archive.into_inner().with_context(|| format!("cannot write {}", path.display()))?;
    std::io::Write::flush(&mut writer).with_context(|| format!("cannot write {}", path.display()))
}

fn append<W: std::io::Write>(archive: &mut Builder<W>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content).with_context(|| format!("cannot write {name} to the archive"))
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::layer::Files;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn layer(folder: &Path, name: &str, content: &str) -> Layer {
        let mut files = Files::default();
        files.add("file", 0o644, content);
        let path = folder.join(name);
        std::fs::write(&path, files.to_tar().unwrap()).unwrap();
        Layer::read(path).unwrap()
    }

    fn read(path: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (name, content)
        });
        entries.collect()
    }

    #[test]
    fn an_archive_is_a_valid_layout_and_reproducible() {
        let folder = tempfile::tempdir().unwrap();
        let shared = layer(folder.path(), "shared", "base");
        let images = || {
            let own = layer(folder.path(), "own", "own");
            let config = Config { user: "1:1".to_owned(), ..Config::default() };
            [
                Image::new("one", vec![shared.clone(), own], &config),
                Image::tagged("two", "1", vec![shared.clone()], &Config::default()),
            ]
        };
        let (first, second) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
        write(&images(), &first).unwrap();
        write(&images(), &second).unwrap();
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());

        let files = read(&first);
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        assert_eq!(index["manifests"][1]["annotations"]["io.containerd.image.name"], "localhost/two:1");
        for entry in index["manifests"].as_array().unwrap() {
            let manifest: Value = serde_json::from_slice(&files[&named(entry)]).unwrap();
            assert!(files.contains_key(&named(&manifest["config"])));
            for layer in manifest["layers"].as_array().unwrap() {
                assert_eq!(files[&named(layer)].len() as u64, layer["size"].as_u64().unwrap());
            }
        }
        for (name, content) in &files {
            if let Some(digest) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(hash::sha256(content), digest);
            }
        }
    }

    fn named(descriptor: &Value) -> String {
        blob(descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap())
    }

    #[test]
    fn tags_follow_content() {
        let folder = tempfile::tempdir().unwrap();
        let image = |text| Image::new("x", vec![layer(folder.path(), text, text)], &Config::default()).reference();
        assert_eq!(image("a"), image("a"));
        assert_ne!(image("a"), image("b"));
        assert!(image("a").starts_with("localhost/x:"));
    }
}
