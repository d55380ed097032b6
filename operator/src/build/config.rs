//! The platform's own configuration.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use sentinel_domain::config::{
    Access, AuthConfig, LimitsConfig, PlatformConfig, RetentionConfig, SearchConfig, SearchMode,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Error, Facts, mail, metadata, push, stores};
use crate::{api, api::Store, names::Component, steps::validate::ValidChat};

/// Port for clients.
pub(super) const PORT: u16 = 8080;
/// Port for probes and metrics.
pub(crate) const ADMIN_PORT: u16 = 9090;
/// File of the configuration in the ConfigMap.
pub(super) const FILE: &str = "sentinel.json";
/// Folder of the configuration in the pod.
pub(super) const FOLDER: &str = "/etc/sentinel";
/// Folder of the keys in the pod.
pub(super) const KEYS: &str = "/etc/sentinel/keys";
/// Folder of the data volume in the pod.
pub(super) const DATA: &str = "/var/lib/sentinel";

const DAY_SECONDS: u32 = 24 * 3600;

/// Folder of the web client in the image.
pub(super) const WEB: &str = "/usr/share/sentinel/web";

/// The configuration as services read it. With how many copies the operator's own stores keep what is written matters to the
/// Jobs alone, and must not restart services when these stores grow.
pub(super) fn of_services(chat: &ValidChat, file: &Value) -> Value {
    let mut file = file.clone();
    for store in [Store::Cassandra, Store::Kafka] {
        if chat.managed(store).is_some() {
            remove(&mut file, &format!("/stores/{}/replicationFactor", store.as_str()));
        }
    }
    file
}

/// The configuration as a service that uses `stores` depends on it: its pods are made anew when this changes. How many copies
/// an index of the operator's own search engine has is in the file of all, but is read by those only that use it.
pub(super) fn of_service(chat: &ValidChat, file: &Value, stores: &[Store]) -> Result<Vec<u8>, Error> {
    let mut file = of_services(chat, file);
    if chat.managed(Store::Elasticsearch).is_some() && !stores.contains(&Store::Elasticsearch) {
        remove(&mut file, "/stores/elasticsearch/replicas");
    }
    Ok(serde_json::to_vec(&config_map(chat, &file)?.data)?)
}

/// What the platform reads. All services of profile Distributed share it.
pub(super) fn config_map(chat: &ValidChat, file: &Value) -> Result<ConfigMap, Error> {
    let component = (!chat.is_distributed()).then_some(Component::Sentinel);
    with_file(metadata(chat, chat.names.config(), component), file)
}

/// The same for the Jobs: they have to read the newest one while services keep theirs.
pub(super) fn job_config_map(chat: &ValidChat, file: &Value) -> Result<ConfigMap, Error> {
    with_file(metadata(chat, chat.names.component(Component::Migration), Some(Component::Migration)), file)
}

fn with_file(metadata: ObjectMeta, file: &Value) -> Result<ConfigMap, Error> {
    let json = serde_json::to_string_pretty(file)?;
    Ok(ConfigMap { metadata, data: Some(BTreeMap::from([(FILE.into(), json)])), ..ConfigMap::default() })
}

pub(super) fn platform_config(chat: &ValidChat, facts: &Facts) -> Result<PlatformConfig, Error> {
    let auth = &chat.spec.auth;
    let limits = &chat.spec.limits;
    Ok(PlatformConfig {
        listen: SocketAddr::from(([0, 0, 0, 0], PORT)),
        admin_listen: SocketAddr::from(([0, 0, 0, 0], ADMIN_PORT)),
        data_dir: PathBuf::from(DATA),
        keys_dir: PathBuf::from(KEYS),
        auth: AuthConfig {
            issuer: auth.issuer.clone(),
            access_token_seconds: seconds("auth.accessTokenLifetime", chat.access_token)?,
            refresh_token_seconds: seconds("auth.refreshTokenLifetime", chat.refresh_token)?,
            cors_origins: auth.cors_origins.clone(),
            directory: access(auth.directory),
            registration: access(auth.registration),
            ..AuthConfig::default()
        },
        limits: LimitsConfig {
            message_bytes: number("limits.messageBytes", limits.message_bytes)?,
            body_bytes: number("limits.bodyBytes", limits.body_bytes)?,
            messages_per_second: number("limits.messagesPerSecond", limits.messages_per_second)?,
            requests_per_second: number("limits.requestsPerSecond", limits.requests_per_second)?,
            logins_per_minute: number("limits.loginsPerMinute", limits.logins_per_minute)?,
            socket_queue: number("limits.socketQueue", limits.socket_queue)?,
            sockets_per_user: number("limits.socketsPerUser", limits.sockets_per_user)?,
            ..LimitsConfig::default()
        },
        retention: RetentionConfig { message_seconds: message_seconds(chat.spec.retention)? },
        drain_seconds: u16::try_from(chat.spec.drain_seconds).map_err(|_| Error::Range("drainSeconds"))?,
        // The NetworkPolicy lets only the gateway in, and the gateway overwrites X-Forwarded-For.
        trusted_proxies: vec!["0.0.0.0/0".into(), "::/0".into()],
        mail: mail::config(chat)?,
        web_dir: chat.spec.web.enabled.then(|| PathBuf::from(WEB)),
        stores: stores::config(chat, facts)?,
        message_peers: chat.is_distributed().then(|| message_peers(chat)),
        push: push::config(chat)?,
        search: SearchConfig {
            mode: match chat.spec.search.mode {
                api::SearchMode::Blind => SearchMode::Blind,
                api::SearchMode::Plaintext => SearchMode::Plaintext,
            },
        },
    })
}

/// The configuration without what says nothing: a file that lacks it is read as the same. An older image refuses names
/// that it does not know, so a setting that is new with this operator must not be in the file of a platform that has not
/// asked for it and keeps its image.
pub(super) fn shortest(config: &PlatformConfig) -> Result<Value, Error> {
    let mut file = serde_json::to_value(config)?;
    let mut paths = Vec::new();
    members(&file, "", &mut paths);
    for path in paths {
        let mut shorter = file.clone();
        let is_same =
            remove(&mut shorter, &path) && PlatformConfig::deserialize(&shorter).is_ok_and(|read| read == *config);
        if is_same {
            file = shorter;
        }
    }
    Ok(file)
}

/// Paths of all members of objects, those of an object before those of what is in it.
fn members(value: &Value, path: &str, paths: &mut Vec<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        paths.push(path.clone());
        members(member, &path, paths);
    }
}

/// Removes the member at `path`; false when it is gone with the object that it was in.
pub(super) fn remove(file: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    file.pointer_mut(parent).and_then(Value::as_object_mut).is_some_and(|object| object.remove(name).is_some())
}

/// How replicas of the message service find each other: by the names that the headless Service gives them.
fn message_peers(chat: &ValidChat) -> String {
    let (set, pods) = (chat.names.workload(Component::Message), chat.names.pods(Component::Message));
    format!("{set}-{{ordinal}}.{pods}.{}.svc:{PORT}", chat.namespace)
}

fn seconds(field: &'static str, time: Duration) -> Result<u32, Error> {
    u32::try_from(time.as_secs()).map_err(|_| Error::Range(field))
}

/// The API server takes no days beyond the rule, a file that is only rendered may have them.
fn message_seconds(retention: api::Retention) -> Result<Option<NonZeroU32>, Error> {
    let out_of_range = || Error::Range("retention.messageDays");
    let seconds = |days: i32| match u32::try_from(days) {
        Ok(days @ 1..) => days.checked_mul(DAY_SECONDS).ok_or_else(out_of_range),
        _ => Err(out_of_range()),
    };
    retention.message_days.map(|days| NonZeroU32::new(seconds(days)?).ok_or_else(out_of_range)).transpose()
}

fn number(field: &'static str, value: i32) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::Range(field))
}

fn access(access: api::Access) -> Access {
    match access {
        api::Access::Open => Access::Open,
        api::Access::Closed => Access::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_not_in_the_file() {
        let mut config: PlatformConfig = serde_json::from_str(
            r#"{"listen":"0.0.0.0:8080","adminListen":"0.0.0.0:9090","dataDir":"/d","keysDir":"/k"}"#,
        )
        .unwrap();
        let names = |file: &Value| {
            let mut names: Vec<String> = file.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&shortest(&config).unwrap()), ["adminListen", "dataDir", "keysDir", "listen"]);
        config.limits.messages_per_second += 1;
        config.auth.cors_origins = vec!["https://chat.example.com".into()];
        let file = shortest(&config).unwrap();
        assert_eq!(file["limits"], serde_json::json!({ "messagesPerSecond": config.limits.messages_per_second }));
        assert_eq!(names(&file["auth"]), ["corsOrigins"]);
        assert_eq!(PlatformConfig::deserialize(&file).unwrap(), config, "nothing of it is lost");
    }

    #[test]
    fn days_become_seconds_and_none_stays_none() {
        let of = |message_days| message_seconds(api::Retention { message_days });
        assert_eq!(of(None).unwrap(), None);
        assert_eq!(of(Some(1)).unwrap(), NonZeroU32::new(86_400));
        assert_eq!(of(Some(3650)).unwrap(), NonZeroU32::new(315_360_000));
        for bad in [0, -1, i32::MAX] {
            assert!(of(Some(bad)).is_err(), "{bad}");
        }
    }
}
