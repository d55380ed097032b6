//! The web client's layer of the Sentinel image.

use std::path::Path;

use anyhow::{Context, Result};

use super::layer::{Files, Layer};
use super::{cached_layer, layer_key};
use crate::host::hash;

/// Where the operator's configuration says that the files are.
const FOLDER: &str = "usr/share/sentinel/web";

/// The built files, where the platform looks for them.
pub fn layer(built: &Path) -> Result<Layer> {
    let key = layer_key(include_str!("web.rs")).with_folder(built)?;
    cached_layer("web", key, || {
        let mut files = Files::default();
        for path in hash::files_below(built)? {
            let name = path.strip_prefix(built).unwrap_or(&path).to_string_lossy().into_owned();
            let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.add(&format!("{FOLDER}/{name}"), 0o644, content);
        }
        Ok(files)
    })
}
