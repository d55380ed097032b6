//! The image of each pod's first container.

use std::process::Command;

use anyhow::{Context, Result};

use super::layer::Files;
use super::oci::{Config, Image};
use super::{cached_layer, layer_key};
use crate::host::{command, folders};

/// One static program of a few lines; `localhost/pause:1` is named in containerd's configuration.
pub fn image() -> Result<Image> {
    let source = folders::repository()?.join("e2e/images/pause.c");
    let key = layer_key(include_str!("pause.rs")).with_file("source", &source)?;
    let layer = cached_layer("pause", key, || {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let program = folder.path().join("pause");
        let mut compiler = Command::new("gcc");
        compiler.args(["-Os", "-static", "-s", "-Wl,--build-id=none", "-o"]).arg(&program).arg(&source);
        command::output(&mut compiler).context("cannot compile pause.c; is libc6-dev installed?")?;
        let mut files = Files::default();
        files.add("pause", 0o755, std::fs::read(&program).context("the compiler made no program")?);
        Ok(files)
    })?;
    let config = Config {
        user: "65535:65535".to_owned(),
        entrypoint: vec!["/pause".to_owned()],
        working_dir: "/".to_owned(),
        ..Config::default()
    };
    Ok(Image::tagged("pause", "1", vec![layer], &config))
}
