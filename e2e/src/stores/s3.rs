//! An S3 server that keeps each object as a file.

use anyhow::{Result, bail};

use super::engine::{Engine, Launch, Port};
use super::set::Set;
use super::{Store, web};
use crate::host::cargotools;
use crate::host::folders;
use crate::report::Report;

const ACCESS_KEY: &str = "sentinel";

/// The S3 server.
#[derive(Debug)]
pub struct S3;

impl Engine for S3 {
    fn install(&self, report: &Report) -> Result<()> {
        cargotools::S3S_FS.ensure(report).map(drop)
    }

    fn ports(&self) -> &'static [Port] {
        &[("s3", 19000)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let data = set.folder(Store::S3)?.join("data");
        folders::make(&data)?;
        let program = cargotools::S3S_FS.binary()?.display().to_string();
        let port = set.port("s3")?.to_string();
        let data = data.display().to_string();
        let argv = [
            &*program,
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--access-key",
            ACCESS_KEY,
            "--secret-key",
            set.password(),
            &data,
        ];
        let argv = argv.map(str::to_owned).to_vec();
        let env = vec![("RUST_LOG".to_owned(), "warn".to_owned())];
        Ok(Launch { argv, env, ..Launch::default() })
    }

    /// Without a signature it must refuse, in S3's own words.
    fn answers(&self, set: &Set) -> Result<()> {
        let (status, body) = web::get(&format!("http://{}/", set.address(Store::S3)?))?;
        if status != 403 || !body.contains("AccessDenied") {
            bail!("it answers {status}: {body}");
        }
        Ok(())
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("SENTINEL_TEST_S3", format!("http://{}", set.address(Store::S3)?)),
            ("SENTINEL_TEST_S3_ACCESS_KEY", ACCESS_KEY.to_owned()),
            ("SENTINEL_TEST_S3_SECRET_KEY", set.password().to_owned()),
        ])
    }
}
