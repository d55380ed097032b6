//! `OpenSearch`: one node, made of the published jars, with the modules of its archive.

use anyhow::Result;

use super::Store;
use super::elasticsearch::{config, healthy, log_config};
use super::engine::{Engine, Launch, Port};
use super::set::Set;
use crate::host::folders;
use crate::host::javadists::{self, JAVA_HOME, JavaDist};

const JAVA_OPTIONS: &str =
    "-Xms64m -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -XX:MaxDirectMemorySize=64m";

/// `OpenSearch`.
#[derive(Debug)]
pub struct Opensearch;

impl Engine for Opensearch {
    fn ports(&self) -> &'static [Port] {
        &[("opensearch", 19201), ("opensearch-transport", 29201)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let folder = set.folder(Store::Opensearch)?;
        let dir = folder.display().to_string();
        let dist = javadists::OPENSEARCH.folder()?;
        let config = config(set.port("opensearch")?, set.port("opensearch-transport")?, &dir)
            + "discovery.type: single-node\nbootstrap.memory_lock: false\nbootstrap.system_call_filter: false\n";
        folders::make(&folder.join("tmp"))?;
        folders::write_changed(&folder.join("config/opensearch.yml"), &config)?;
        folders::write_changed(&folder.join("config/log4j2.properties"), log_config())?;
        let env = [
            ("JAVA_HOME", JAVA_HOME.to_owned()),
            ("OPENSEARCH_PATH_CONF", folder.join("config").display().to_string()),
            ("OPENSEARCH_TMPDIR", folder.join("tmp").display().to_string()),
            ("OPENSEARCH_JAVA_OPTS", JAVA_OPTIONS.to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let argv = vec![dist.join("bin/opensearch").display().to_string()];
        Ok(Launch { argv, env, config })
    }

    fn answers(&self, set: &Set) -> Result<()> {
        healthy(&set.address(Store::Opensearch)?)
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![("SENTINEL_TEST_OPENSEARCH", format!("http://{}", set.address(Store::Opensearch)?))])
    }

    fn java(&self) -> Option<(JavaDist, &'static str)> {
        Some((javadists::OPENSEARCH, "OPENSEARCH_JAVA_OPTS"))
    }
}
