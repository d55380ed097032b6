//! What topics are set to. Topics that were made by an earlier version, or by hand, are brought to what the platform needs;
//! whatever else somebody set of them stays.

use std::{collections::BTreeMap, sync::LazyLock};

use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier},
    error::{KafkaError as DriverError, RDKafkaErrorCode},
};
use sentinel_domain::retention::DEAD_LETTER_SECONDS;

/// How long events that can't be handled are kept, in milliseconds, whatever the brokers do by default.
static DEAD_LETTER_MILLIS: LazyLock<String> = LazyLock::new(|| (DEAD_LETTER_SECONDS * 1000).to_string());
/// What the topic of dead letters is set to.
static OF_DEAD_LETTERS: LazyLock<[(&str, &str); 2]> =
    LazyLock::new(|| [("cleanup.policy", "delete"), ("retention.ms", DEAD_LETTER_MILLIS.as_str())]);

/// The topic of dead letters, as it is made.
pub(super) fn of_dead_letters(topic: NewTopic<'_>) -> NewTopic<'_> {
    OF_DEAD_LETTERS.iter().fold(topic, |topic, &(key, value)| topic.set(key, value))
}

/// Why a topic keeps the settings that it has.
#[derive(Debug, thiserror::Error)]
enum Kept {
    /// The brokers refuse to tell them or to change them.
    #[error("the brokers refuse: {0}")]
    Refused(RDKafkaErrorCode),
    /// One of them could not be kept: changing some means writing all.
    #[error("the brokers do not tell the value of {0}, which would be lost")]
    Hidden(String),
    /// The brokers can't be reached.
    #[error("the brokers did not answer")]
    Driver(#[from] DriverError),
}

/// Brings a topic of dead letters that was there to what it should be. Events are kept either way, so what can't be changed is
/// only told.
pub(super) async fn adjust_dead_letters<C: ClientContext>(admin: &AdminClient<C>, options: &AdminOptions, topic: &str) {
    match adjust(admin, options, topic, OF_DEAD_LETTERS.as_slice()).await {
        Ok(false) => {}
        Ok(true) => tracing::info!(topic, "the settings of a kafka topic were brought to what they should be"),
        Err(error) => {
            let wanted = OF_DEAD_LETTERS.map(|(key, value)| format!("{key}={value}")).join(", ");
            tracing::warn!(
                topic,
                error = &error as &dyn std::error::Error,
                "a kafka topic keeps the settings that it has; allow the user DescribeConfigs and AlterConfigs on it, or set \
                 {wanted} by hand"
            );
        }
    }
}

/// Gives whether something had to be changed.
async fn adjust<C: ClientContext>(
    admin: &AdminClient<C>,
    options: &AdminOptions,
    topic: &str,
    wanted: &[(&str, &str)],
) -> Result<bool, Kept> {
    let resource = ResourceSpecifier::Topic(topic);
    let described = admin.describe_configs([&resource], options).await?.into_iter().next();
    let described = described.unwrap_or(Err(RDKafkaErrorCode::UnknownTopicOrPartition)).map_err(Kept::Refused)?;
    let Some(settings) = adjusted(&described.entries, wanted)? else { return Ok(false) };
    let change = AlterConfig {
        specifier: resource,
        entries: settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    };
    match admin.alter_configs([&change], options).await?.into_iter().next() {
        Some(Err((_, code))) => Err(Kept::Refused(code)),
        Some(Ok(_)) | None => Ok(true),
    }
}

/// All that a topic is to be set to: what was set of it, and what is wanted in its place. `None` when it is so already. The
/// client can only write all settings at once; what is not written goes back to the brokers' defaults.
fn adjusted(entries: &[ConfigEntry], wanted: &[(&str, &str)]) -> Result<Option<BTreeMap<String, String>>, Kept> {
    let is = |key: &str| entries.iter().find(|entry| entry.name == key).filter(|entry| is_set(entry));
    if wanted.iter().all(|(key, value)| is(key).is_some_and(|entry| entry.value.as_deref() == Some(*value))) {
        return Ok(None);
    }
    let mut settings = BTreeMap::new();
    for entry in entries.iter().filter(|entry| is_set(entry)) {
        let value = entry.value.clone().ok_or_else(|| Kept::Hidden(entry.name.clone()))?;
        settings.insert(entry.name.clone(), value);
    }
    settings.extend(wanted.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Ok(Some(settings))
}

/// Whether somebody set this of the topic itself.
fn is_set(entry: &ConfigEntry) -> bool {
    match entry.source {
        ConfigSource::DynamicTopic => true,
        // Old brokers do not tell.
        ConfigSource::Unknown => !entry.is_default && !entry.is_read_only,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: Option<&str>, source: ConfigSource) -> ConfigEntry {
        ConfigEntry {
            name: name.into(),
            value: value.map(Into::into),
            is_default: source == ConfigSource::Default,
            source,
            is_read_only: false,
            is_sensitive: value.is_none(),
        }
    }

    const WANTED: [(&str, &str); 2] = [("cleanup.policy", "delete"), ("retention.ms", "7")];

    fn pairs(settings: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[test]
    fn what_others_set_stays_and_what_brokers_give_by_default_is_not_written_down() {
        let entries = [
            entry("cleanup.policy", Some("delete"), ConfigSource::Default),
            entry("retention.ms", Some("604800000"), ConfigSource::StaticBroker),
            entry("max.message.bytes", Some("2000000"), ConfigSource::DynamicTopic),
            entry("segment.bytes", Some("1"), ConfigSource::DynamicDefaultBroker),
        ];
        let settings = adjusted(&entries, &WANTED).unwrap().unwrap();
        let expected = [("cleanup.policy", "delete"), ("max.message.bytes", "2000000"), ("retention.ms", "7")];
        assert_eq!(pairs(&settings), expected);
    }

    #[test]
    fn a_topic_that_is_as_wanted_is_left_alone() {
        let entries = [
            entry("cleanup.policy", Some("delete"), ConfigSource::DynamicTopic),
            entry("retention.ms", Some("7"), ConfigSource::DynamicTopic),
            entry("secret", None, ConfigSource::DynamicTopic),
        ];
        assert_eq!(adjusted(&entries, &WANTED).unwrap(), None);
        // The same by a default of today is not what the topic has tomorrow.
        let entries = [entry("retention.ms", Some("7"), ConfigSource::StaticBroker)];
        assert_eq!(pairs(&adjusted(&entries, &WANTED).unwrap().unwrap()), WANTED);
    }

    #[test]
    fn what_can_not_be_kept_is_not_lost() {
        let entries = [entry("secret", None, ConfigSource::DynamicTopic)];
        let kept = adjusted(&entries, &WANTED).unwrap_err().to_string();
        assert!(kept.contains("secret"), "{kept}");
    }
}
