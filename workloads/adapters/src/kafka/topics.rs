//! The topics: made by `sentinel migrate`, looked for by everybody else.

use std::time::Duration;

use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::{Client, DefaultClientContext},
    config::FromClientConfig,
    error::{KafkaError as DriverError, RDKafkaErrorCode},
};
use sentinel_domain::config::KafkaConfig;

use super::{
    KafkaError,
    client::{Complaints, ask_brokers, endpoints, settings},
    settings::{adjust_dead_letters, of_dead_letters},
};

/// How long brokers have to make topics.
const MAKING: Duration = Duration::from_secs(20);

/// Makes the topics that are not there. Of those that are, settings that the platform needs are brought to what they should be.
pub(super) async fn make(config: &KafkaConfig) -> Result<(), KafkaError> {
    make_within(config, MAKING).await
}

async fn make_within(config: &KafkaConfig, making: Duration) -> Result<(), KafkaError> {
    let admin: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&settings(config)?).map_err(KafkaError::Configuration)?;
    let topics = wanted(config);
    let options = AdminOptions::new().request_timeout(Some(making)).operation_timeout(Some(making));
    let made = match admin.create_topics(&topics, &options).await {
        Ok(made) => made,
        Err(source) => {
            // This client never hears why; one that does is asked.
            ask_brokers(config).await?;
            return Err(KafkaError::NotMade { endpoints: endpoints(config), waited: making, source: Box::new(source) });
        }
    };
    let mut refused = Vec::new();
    for result in made {
        match result {
            Ok(topic) => tracing::info!(topic, "kafka topic made"),
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) if topic == config.dead_letters => {
                adjust_dead_letters(&admin, &options, &topic).await;
            }
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            // The others are looked at all the same: what was done is told, and who repairs this has one thing less to find.
            Err((topic, code)) => refused.push(format!("`{topic}` ({code})")),
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(KafkaError::Refused { endpoints: endpoints(config), topics: refused.join(" and ") })
}

/// The topics as they are made.
fn wanted(config: &KafkaConfig) -> [NewTopic<'_>; 2] {
    let partitions = i32::try_from(config.partitions.max(1)).unwrap_or(i32::MAX);
    let copies = i32::try_from(config.replication_factor.max(1)).unwrap_or(i32::MAX);
    let [events, dead_letters] = [&config.topic, &config.dead_letters]
        .map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(copies)));
    [events, of_dead_letters(dead_letters)]
}

/// Whether brokers answer and have the topic. Blocks for up to `patience`.
pub(super) fn look<C: ClientContext>(
    client: &Client<C>,
    config: &KafkaConfig,
    complaints: &Complaints,
    patience: Duration,
) -> Result<(), KafkaError> {
    let unreachable = |source: DriverError| KafkaError::Unreachable {
        endpoints: endpoints(config),
        waited: patience,
        reason: complaints.last(),
        source: Box::new(source),
    };
    let metadata = client.fetch_metadata(Some(&config.topic), patience).map_err(unreachable)?;
    let found = metadata.topics().iter().any(|topic| topic.error().is_none() && !topic.partitions().is_empty());
    if found { Ok(()) } else { Err(KafkaError::NoTopic { endpoints: endpoints(config), topic: config.topic.clone() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn brokers_that_went_away_before_topics_are_made_are_told_with_the_reason() {
        let config = serde_json::json!({ "connection": { "endpoints": ["127.0.0.1:1"] } });
        let config = serde_json::from_value(config).unwrap();
        let error = make_within(&config, Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("Connection refused") && error.contains("127.0.0.1:1"), "{error}");
    }
}
