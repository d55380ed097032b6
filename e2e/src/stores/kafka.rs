//! Apache Kafka: broker and controller in one process, without any other server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::engine::{Engine, Launch, Port};
use super::set::Set;
use super::{Store, unprivileged};
use crate::host::javadists::{self, JAVA_HOME, JavaDist};
use crate::host::{command, folders};

const HEAP: &str = "-Xms32m -Xmx128m";
/// Any 16 bytes in URL-safe base64; only nodes with the same id form a cluster.
const CLUSTER_ID: &str = "AAAAAAAAQACAAAAAAAAAAQ";
const PATIENCE: Duration = Duration::from_secs(2);

/// Kafka.
#[derive(Debug)]
pub struct Kafka;

impl Engine for Kafka {
    fn ports(&self) -> &'static [Port] {
        &[("kafka", 19092), ("kafka-controller", 29092)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let folder = set.folder(Store::Kafka)?;
        let programs = javadists::KAFKA.folder()?.join("bin");
        let config = config(set.port("kafka")?, set.port("kafka-controller")?, &folder.display().to_string());
        let file = folder.join("server.properties");
        folders::write_changed(&file, &config)?;
        folders::make(&folder.join("tmp"))?;
        if !folder.join("log/meta.properties").is_file() {
            format_storage(&programs, &file)?;
        }
        let argv = vec![programs.join("kafka-server-start.sh").display().to_string(), file.display().to_string()];
        let env = [
            ("JAVA_HOME", JAVA_HOME.to_owned()),
            ("KAFKA_HEAP_OPTS", HEAP.to_owned()),
            ("KAFKA_OPTS", format!("-Djava.io.tmpdir={}", folder.join("tmp").display())),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Ok(Launch { argv, env, config })
    }

    fn answers(&self, set: &Set) -> Result<()> {
        let brokers = brokers(&set.address(Store::Kafka)?)?;
        if brokers != 1 {
            bail!("{brokers} brokers are ready");
        }
        Ok(())
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![("SENTINEL_TEST_KAFKA", set.address(Store::Kafka)?)])
    }

    fn java(&self) -> Option<(JavaDist, &'static str)> {
        Some((javadists::KAFKA, "KAFKA_OPTS"))
    }
}

fn format_storage(programs: &Path, config: &Path) -> Result<()> {
    let program = programs.join("kafka-storage.sh").display().to_string();
    let config = config.display().to_string();
    let arguments = ["format", "-t", CLUSTER_ID, "-c", &config, "--ignore-formatted"];
    let mut format = unprivileged::command(&program, &arguments);
    command::output(format.env("JAVA_HOME", JAVA_HOME).env("KAFKA_HEAP_OPTS", "-Xmx64m")).map(drop)
}

fn config(port: u16, controller: u16, folder: &str) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
# A broker that was killed is back after seconds.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=500
controller.quorum.election.backoff.max.ms=300
controller.quorum.fetch.timeout.ms=1000
# Little memory.
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.io.buffer.size=65536
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
socket.request.max.bytes=33554432
telemetry.max.bytes=1048576
"
    )
}

/// How many brokers a Metadata request (version 1, no topics) names.
fn brokers(address: &str) -> Result<i32> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    request.extend(3_i16.to_be_bytes()); // Metadata
    request.extend(1_i16.to_be_bytes()); // version
    request.extend(1_i32.to_be_bytes()); // correlation
    request.extend((-1_i16).to_be_bytes()); // no client id
    request.extend(0_i32.to_be_bytes()); // no topics
    connection.write_all(&u32::try_from(request.len())?.to_be_bytes())?;
    connection.write_all(&request)?;
    let mut head = [0; 12];
    connection.read_exact(&mut head)?;
    parse_brokers(&head).context("the answer is not Kafka's")
}

/// Length, correlation, number of brokers.
fn parse_brokers(head: &[u8; 12]) -> Option<i32> {
    let number = |at: usize| Some(i32::from_be_bytes(head[at..at + 4].try_into().ok()?));
    (number(4)? == 1).then(|| number(8)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_the_loopback_address() {
        let config = config(19092, 29092, "/state/dev/kafka");
        for line in [
            "advertised.listeners=PLAINTEXT://127.0.0.1:19092",
            "controller.quorum.voters=1@127.0.0.1:29092",
            "log.dirs=/state/dev/kafka/log",
        ] {
            assert!(config.lines().any(|found| found == line), "{line}");
        }
    }

    #[test]
    fn only_an_answer_to_our_request_counts() {
        let mut head = [0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 1];
        assert_eq!(parse_brokers(&head), Some(1));
        head[7] = 2;
        assert_eq!(parse_brokers(&head), None);
    }
}
