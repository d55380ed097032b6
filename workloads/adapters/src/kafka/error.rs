//! Why the log can't be used.

use std::time::Duration;

use rdkafka::error::KafkaError as DriverError;

use crate::credentials::CredentialsError;

/// Why Kafka can't be used, and what to change.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// No broker is configured.
    #[error("`stores.kafka.connection.endpoints` is empty; give the brokers' host:port")]
    NoEndpoint,
    /// A file of credentials can't be read.
    #[error("`stores.kafka.connection.credentials`")]
    Credentials(#[from] CredentialsError),
    /// Encryption is asked for and this build has none.
    #[error(
        "`stores.kafka.connection.tls` is set, and this image of sentinel has no TLS for kafka; build images with \
         `sentinel-e2e images build --kafka-tls`, or use a listener without TLS in a network that you trust"
    )]
    NoTls,
    /// A login is asked for that this build can't do.
    #[error(
        "`stores.kafka.saslMechanism` is {0}, and this image of sentinel has no SCRAM for kafka; build images with \
         `sentinel-e2e images build --kafka-tls`, or use a listener that takes SASL/PLAIN"
    )]
    NoScram(&'static str),
    /// The driver refuses the configuration.
    #[error("the configuration in `stores.kafka` can't be used")]
    Configuration(#[source] DriverError),
    /// No broker answered in time.
    #[error(
        "no kafka broker of {endpoints} can be used within {} s{}; see that they run, can be reached from here, have a \
         certificate of the authority in `stores.kafka.connection.tls` where there is TLS, and accept the credentials of \
         `stores.kafka.connection.credentials` with `stores.kafka.saslMechanism`",
        waited.as_secs(),
        reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
    )]
    Unreachable {
        /// The brokers.
        endpoints: String,
        /// How long they had.
        waited: Duration,
        /// What the driver last complained about.
        reason: Option<String>,
        /// How the attempt ended.
        #[source]
        source: Box<DriverError>,
    },
    /// The topic is not there.
    #[error("kafka at {endpoints} has no topic `{topic}`; run `sentinel migrate` first, or change `stores.kafka`")]
    NoTopic {
        /// The brokers.
        endpoints: String,
        /// The topic.
        topic: String,
    },
    /// The brokers answer, and not when topics are to be made.
    #[error(
        "the kafka brokers of {endpoints} answer, but have not made the topics within {} s; see that a controller is elected \
         among them, and run `sentinel migrate` again",
        waited.as_secs()
    )]
    NotMade {
        /// The brokers.
        endpoints: String,
        /// How long they had.
        waited: Duration,
        /// How the attempt ended.
        #[source]
        source: Box<DriverError>,
    },
    /// The thread that asked the brokers ended early.
    #[error("asking the kafka brokers was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
    /// Topics can't be made.
    #[error(
        "kafka at {endpoints} does not make the topic {topics}; compare the names, `partitions` and `replicationFactor` of \
         `stores.kafka` with the brokers that run and what their user may do, and run `sentinel migrate` again"
    )]
    Refused {
        /// The brokers.
        endpoints: String,
        /// The topics, each with what the broker said.
        topics: String,
    },
}
