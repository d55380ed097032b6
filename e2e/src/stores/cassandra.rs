//! Apache Cassandra: one node, with passwords, made to start quickly in little memory.

use anyhow::Result;

use super::Store;
use super::cql::Session;
use super::engine::{Engine, Launch, Port};
use super::set::Set;
use crate::host::folders;
use crate::host::javadists::{self, JAVA_HOME, JavaDist};

const USER: &str = "sentinel";
/// The first superuser of a new Cassandra, and its password.
const FIRST_USER: &str = "cassandra";
const HEAP: &str = "192m";

/// Cassandra.
#[derive(Debug)]
pub struct Cassandra;

impl Engine for Cassandra {
    fn ports(&self) -> &'static [Port] {
        &[("cassandra", 19042), ("cassandra-storage", 17000), ("cassandra-management", 27199)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let folder = set.folder(Store::Cassandra)?;
        let dir = folder.display().to_string();
        for part in ["data", "tmp", "logs"] {
            folders::make(&folder.join(part))?;
        }
        let yaml = yaml(set.port("cassandra")?, set.port("cassandra-storage")?, &dir);
        let options = options(set.port("cassandra-management")?, &dir);
        folders::write_changed(&folder.join("conf/cassandra.yaml"), &yaml)?;
        folders::write_changed(&folder.join("conf/jvm-server.options"), &options)?;
        let program = javadists::CASSANDRA.folder()?.join("bin/cassandra").display().to_string();
        let env = [
            ("JAVA_HOME", JAVA_HOME.to_owned()),
            ("CASSANDRA_CONF", folder.join("conf").display().to_string()),
            ("CASSANDRA_DATA", dir),
            ("MAX_HEAP_SIZE", HEAP.to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Ok(Launch { argv: vec![program, "-f".to_owned()], env, config: yaml + &options })
    }

    fn answers(&self, set: &Set) -> Result<()> {
        let address = set.address(Store::Cassandra)?;
        let mut session = match Session::login(&address, USER, set.password()) {
            Ok(session) => session,
            Err(refused) => {
                // The first time only Cassandra's own user exists.
                let Ok(mut first) = Session::login(&address, FIRST_USER, FIRST_USER) else { return Err(refused) };
                first.run(&role(set.password()))?;
                Session::login(&address, USER, set.password())?
            }
        };
        session.run("SELECT release_version FROM system.local")
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("SENTINEL_TEST_CASSANDRA", set.address(Store::Cassandra)?),
            ("SENTINEL_TEST_CASSANDRA_USER", USER.to_owned()),
            ("SENTINEL_TEST_CASSANDRA_PASSWORD", set.password().to_owned()),
        ])
    }

    fn java(&self) -> Option<(JavaDist, &'static str)> {
        Some((javadists::CASSANDRA, "JVM_EXTRA_OPTS"))
    }
}

fn role(password: &str) -> String {
    format!("CREATE ROLE IF NOT EXISTS {USER} WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = '{password}'")
}

fn yaml(port: u16, storage: u16, folder: &str) -> String {
    format!(
        "cluster_name: sentinel
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
data_file_directories: [ \"{folder}/data\" ]
commitlog_directory: \"{folder}/commitlog\"
hints_directory: \"{folder}/hints\"
saved_caches_directory: \"{folder}/saved_caches\"
cdc_raw_directory: \"{folder}/cdc_raw\"
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_segment_size: 8MiB
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"127.0.0.1:{storage}\"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
native_transport_port: {port}
endpoint_snitch: SimpleSnitch
dynamic_snitch: false
# Little memory, two cores.
memtable_heap_space: 32MiB
# A test goes beyond it; with the default of ten times as many it would take all memory.
tombstone_failure_threshold: 10000
memtable_offheap_space: 32MiB
file_cache_size: 16MiB
networking_cache_size: 16MiB
key_cache_size: 4MiB
counter_cache_size: 1MiB
concurrent_reads: 8
concurrent_writes: 8
concurrent_counter_writes: 2
concurrent_materialized_view_writes: 2
concurrent_compactors: 1
"
    )
}

fn options(management: u16, folder: &str) -> String {
    format!(
        "-Xms64m
-Xss256k
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:MaxDirectMemorySize=128m
-XX:+PerfDisableSharedMem
-Djava.net.preferIPv4Stack=true
-Djava.io.tmpdir={folder}/tmp
-Djna.tmpdir={folder}/tmp
-Dcassandra.jmx.local.port={management}
-Dio.netty.allocator.numDirectArenas=1
-Dio.netty.allocator.numHeapArenas=1
# Alone: there is nobody to wait for.
-Dcassandra.skip_wait_for_gossip_to_settle=0
-Dcassandra.ring_delay_ms=1000
-Dcassandra.gossip_settle_min_wait_ms=500
-Dcassandra.gossip_settle_interval_ms=200
-Dcassandra.shutdown_announce_in_ms=200
-Dcassandra.superuser_setup_delay_ms=0
-Dcassandra.consistent.rangemovement=false
-Dcassandra.system_auth.default_rf=1
-Dcassandra.system_distributed.default_rf=1
-Dcassandra.system_traces.default_rf=1
# Spares a calibration of seconds.
-Dcassandra.memtable.row_overhead_size=180
# Passwords here protect nothing.
-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4
# Its own tables need not survive a power failure.
-Dcassandra.unsafesystem=true
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_asks_for_passwords_and_is_its_own_seed() {
        let yaml = yaml(19042, 17000, "/state/dev/cassandra");
        let read: serde_json::Value = serde_yaml_ng::from_str(&yaml).unwrap();
        assert_eq!(read["authenticator"], "PasswordAuthenticator");
        assert_eq!(read["native_transport_port"], 19042);
        assert_eq!(read["seed_provider"][0]["parameters"][0]["seeds"], "127.0.0.1:17000");
        assert_eq!(read["data_file_directories"][0], "/state/dev/cassandra/data");
        assert_eq!(read["listen_address"], "127.0.0.1");
    }

    #[test]
    fn every_option_is_a_line_of_its_own() {
        let options = options(27199, "/state/dev/cassandra");
        assert!(options.lines().all(|line| line.starts_with('-') || line.starts_with('#')));
        assert!(options.contains("-Dcassandra.jmx.local.port=27199\n"));
    }
}
