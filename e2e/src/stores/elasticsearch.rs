//! Elasticsearch: one node, made of the published jars. It has no scripts, by-query operations, TLS or passwords.

use anyhow::{Result, bail};

use super::engine::{Engine, Launch, Port};
use super::set::Set;
use super::{Store, web};
use crate::host::folders;
use crate::host::javadists::{self, JAVA_HOME, JavaDist};

const JAVA_OPTIONS: &str =
    "-Xms32m -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -XX:MaxDirectMemorySize=64m";

/// Elasticsearch.
#[derive(Debug)]
pub struct Elasticsearch;

impl Engine for Elasticsearch {
    fn ports(&self) -> &'static [Port] {
        &[("elasticsearch", 19200), ("elasticsearch-transport", 29200)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let folder = set.folder(Store::Elasticsearch)?;
        let dir = folder.display().to_string();
        let dist = javadists::ELASTICSEARCH.folder()?;
        let config = config(set.port("elasticsearch")?, set.port("elasticsearch-transport")?, &dir)
            + "discovery.type: single-node\n";
        folders::make(&folder.join("tmp"))?;
        folders::write_changed(&folder.join("config/elasticsearch.yml"), &config)?;
        folders::write_changed(&folder.join("config/log4j2.properties"), log_config())?;
        let env = [
            ("JAVA_HOME", JAVA_HOME.to_owned()),
            ("ES_PATH_CONF", folder.join("config").display().to_string()),
            ("ES_TMPDIR", folder.join("tmp").display().to_string()),
            ("ES_JAVA_OPTS", JAVA_OPTIONS.to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let argv = vec![dist.join("bin/elasticsearch").display().to_string()];
        Ok(Launch { argv, env, config })
    }

    fn answers(&self, set: &Set) -> Result<()> {
        healthy(&set.address(Store::Elasticsearch)?)
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![("SENTINEL_TEST_ELASTICSEARCH", format!("http://{}", set.address(Store::Elasticsearch)?))])
    }

    fn java(&self) -> Option<(JavaDist, &'static str)> {
        Some((javadists::ELASTICSEARCH, "ES_JAVA_OPTS"))
    }
}

/// Where log messages go, for both engines.
pub fn log_config() -> &'static str {
    include_str!("../../stores/elasticsearch/dist/config/log4j2.properties")
}

/// Settings that both engines have.
pub fn config(port: u16, transport: u16, folder: &str) -> String {
    format!(
        "cluster.name: sentinel
node.name: node
path.data: \"{folder}/data\"
path.logs: \"{folder}/logs\"
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
# A full disk of a test machine is no reason to refuse writes.
cluster.routing.allocation.disk.threshold_enabled: false
node.store.allow_mmap: false
node.processors: 2
indices.memory.index_buffer_size: 8mb
"
    )
}

/// Whether the cluster takes reads and writes.
pub fn healthy(address: &str) -> Result<()> {
    let (status, body) = web::get(&format!("http://{address}/_cluster/health?wait_for_status=yellow&timeout=1s"))?;
    if status != 200 {
        bail!("it answers {status}: {body}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_loopback_and_keeps_data_in_its_folder() {
        let read: serde_json::Value =
            serde_yaml_ng::from_str(&config(19200, 29200, "/state/dev/elasticsearch")).unwrap();
        assert_eq!(read["network.host"], "127.0.0.1");
        assert_eq!(read["http.port"], 19200);
        assert_eq!(read["path.data"], "/state/dev/elasticsearch/data");
    }
}
