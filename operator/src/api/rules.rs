//! Rules across fields, as tables that [`inject`] writes into the schema.
//!
//! A message says what to write, because it is all that a user of `kubectl apply` gets to see.
//! Every rule has a resource in `tests/fixtures/invalid` that breaks it.

use serde_json::{Value, json};
use thiserror::Error;

use super::Store;

/// One CEL rule.
pub struct Rule {
    /// Where it applies, from the root of the resource.
    pub path: &'static str,
    /// What must hold.
    pub rule: &'static str,
    /// What to write instead.
    pub message: &'static str,
}

/// Longest name: the longest child appends 14 characters and must stay within 52, or the labels
/// that Kubernetes derives from it exceed 63.
pub const NAME_MAX: usize = 38;

const fn rule(path: &'static str, rule: &'static str, message: &'static str) -> Rule {
    Rule { path, rule, message }
}

/// A port that something can listen at.
macro_rules! port {
    () => {
        "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
    };
}

const SIZE: &str = "isQuantity(self.size) && quantity(self.size).compareTo(quantity('64Mi')) >= 0";
const SIZE_MESSAGE: &str = "storage.size: write an amount of at least 64Mi, for example 8Gi";
const CLASS_MESSAGE: &str = "storage.className cannot change: restore the old value; to move the data, create a second SentinelChat with the new class";
const REPOSITORY: &str = concat!(
    "!has(self.repository) || self.repository.matches('^([a-z0-9.-]+(:",
    port!(),
    ")?/)?[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$')"
);
const REPOSITORY_MESSAGE: &str =
    "image.repository: write registry and name without tag, for example registry.example.com/sentinel";
const TAG: &str = "!has(self.tag) || self.tag.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$')";
const TAG_MESSAGE: &str = "image.tag: write letters, digits, '.', '_' and '-', for example 1.2.3";
const DIGEST: &str = "!has(self.digest) || self.digest.matches('^sha256:[a-f0-9]{64}$')";
const DIGEST_MESSAGE: &str = "image.digest: write sha256: and 64 hexadecimal digits";

/// Stores whose endpoints are `host:port`.
const BY_HOST: &[Store] = &[Store::Postgres, Store::Cassandra, Store::Kafka, Store::Redis];
/// Stores whose endpoints are URLs.
const BY_URL: &[Store] = &[Store::Elasticsearch, Store::S3];

/// Rules that several stores have, with those that do; the path begins at the field of the store.
const OF_STORES: &[(&[Store], Rule)] = &[
    (&Store::ALL, rule("", "has(self.managed) != has(self.external)", "write exactly one of managed and external")),
    (&Store::ALL, rule("managed.storage", SIZE, SIZE_MESSAGE)),
    (
        &Store::ALL,
        rule(
            "managed.storage",
            "has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)",
            CLASS_MESSAGE,
        ),
    ),
    (&Store::ALL, rule("managed.image", REPOSITORY, REPOSITORY_MESSAGE)),
    (&Store::ALL, rule("managed.image", TAG, TAG_MESSAGE)),
    (&Store::ALL, rule("managed.image", DIGEST, DIGEST_MESSAGE)),
    (
        BY_HOST,
        rule(
            "external",
            concat!("self.endpoints.all(e, e.matches('^([A-Za-z0-9._-]+|[[][0-9a-fA-F:]+[]]):", port!(), "$'))"),
            "endpoints: write host:port without scheme and with a port from 1 to 65535, for example db.example.com:5432",
        ),
    ),
    (
        BY_URL,
        rule(
            "external",
            concat!(
                "self.endpoints.all(e, e.matches('^https?://([A-Za-z0-9._-]+|[[][0-9a-fA-F:]+[]])(:",
                port!(),
                ")?$'))"
            ),
            "endpoints: write scheme, host and port without path, the port from 1 to 65535, for example https://search.example.com:9200",
        ),
    ),
    (
        BY_URL,
        rule(
            "external",
            "self.endpoints.all(e, e.startsWith('https://') == (has(self.tls) && self.tls.enabled)) || !self.endpoints.all(e, e.startsWith('http'))",
            "endpoints: write https:// with tls (tls: {} trusts the authorities of the system), and http:// without",
        ),
    ),
    (
        &Store::ALL,
        rule(
            "external",
            "!has(self.tls) || self.tls.enabled || !has(self.tls.caSecret)",
            "tls.caSecret: leave it out or write tls.enabled: true",
        ),
    ),
];

/// No more than what the platform's reader of senders takes: it ends when it cannot read this one. Words of a name are
/// letters, digits and some signs, or anything in double quotes.
const SENDER: &str = r#"self.from.matches(r'^ *((([A-Za-z0-9!#$%&\x27*+/=?^_`{|}~[:^ascii:]-]|"[^"\\[:cntrl:]]*")([A-Za-z0-9!#$%&\x27*+/=?^_`{|}~[:^ascii:]. -]|"[^"\\[:cntrl:]]*")*)?<[A-Za-z0-9!#$%&\x27*+/=?^_`{|}~[:^ascii:]-]+([.][A-Za-z0-9!#$%&\x27*+/=?^_`{|}~[:^ascii:]-]+)*@[A-Za-z0-9[:^ascii:]]([A-Za-z0-9[:^ascii:]-]*[A-Za-z0-9[:^ascii:]])?([.][A-Za-z0-9[:^ascii:]]([A-Za-z0-9[:^ascii:]-]*[A-Za-z0-9[:^ascii:]])?)*>|[A-Za-z0-9!#$%&\x27*+/=?^_`{|}~[:^ascii:]-]+([.][A-Za-z0-9!#$%&\x27*+/=?^_`{|}~[:^ascii:]-]+)*@[A-Za-z0-9[:^ascii:]]([A-Za-z0-9[:^ascii:]-]*[A-Za-z0-9[:^ascii:]])?([.][A-Za-z0-9[:^ascii:]]([A-Za-z0-9[:^ascii:]-]*[A-Za-z0-9[:^ascii:]])?)*) *$')"#;

/// Rules of one place each.
const RULES: &[Rule] = &[
    rule(
        "",
        "self.metadata.name.size() <= 38",
        "metadata.name: write at most 38 characters; the names of what is made from it must fit into labels",
    ),
    rule(
        "",
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: start with a letter and use only a-z, 0-9 and '-', for example chat",
    ),
    rule(
        "spec",
        "self.profile != 'Embedded' || !has(self.services.sentinel) || !has(self.services.sentinel.replicas) || self.services.sentinel.replicas == 1",
        "services.sentinel.replicas: write 1 or leave it out; profile Embedded is one pod with its own volume",
    ),
    rule(
        "spec",
        "self.profile != 'Embedded' || !(has(self.services.users) || has(self.services.message) || has(self.services.presence) || has(self.services.notification) || has(self.services.search) || has(self.services.media))",
        "services: write services.sentinel; profile Embedded runs every role in that one pod",
    ),
    rule(
        "spec",
        "self.profile != 'Distributed' || !has(self.services.sentinel)",
        "services.sentinel: write services.users, services.message and so on; profile Distributed has one workload for each",
    ),
    rule(
        "spec",
        "self.profile != 'Embedded' || !has(self.dependencies)",
        "dependencies: leave it out; profile Embedded keeps its data in one pod",
    ),
    rule(
        "spec",
        "self.profile != 'Distributed' || has(self.dependencies)",
        "dependencies: write postgres, cassandra, kafka, redis, elasticsearch and s3; profile Distributed needs them",
    ),
    rule(
        "spec",
        "self.profile != 'Embedded' || (has(self.storage.className) == has(oldSelf.storage.className) && (!has(self.storage.className) || self.storage.className == oldSelf.storage.className))",
        CLASS_MESSAGE,
    ),
    // The size is the default that the API server fills in. What an earlier definition let through stays.
    rule(
        "spec",
        "self.profile != 'Distributed' || (self.storage.size == '8Gi' && !has(self.storage.className)) || (oldSelf.hasValue() && oldSelf.value().storage == self.storage)",
        "storage: leave it out; profile Distributed keeps its data in its stores, so write dependencies.cassandra.managed.storage and so on",
    ),
    rule(
        "spec",
        "!has(self.monitoring.serviceMonitor) || !self.networkPolicy.enabled || (has(self.networkPolicy.monitoringNamespaces) && self.networkPolicy.monitoringNamespaces.size() > 0)",
        "networkPolicy.monitoringNamespaces: write the namespace that Prometheus runs in, or it cannot read metrics",
    ),
    rule(
        "spec",
        "self.profile == oldSelf.profile",
        "profile cannot change: restore the old value; to use the other profile, create a second SentinelChat and move the data",
    ),
    rule(
        "spec",
        "self.profile != 'Embedded' || !has(self.media.cdnBaseUrl)",
        "media.cdnBaseUrl: leave it out; profile Embedded serves files itself",
    ),
    rule(
        "spec.media",
        concat!(
            "!has(self.cdnBaseUrl) || self.cdnBaseUrl.matches('^https?://[A-Za-z0-9.-]+(:",
            port!(),
            ")?(/[A-Za-z0-9._~/-]*)?$')"
        ),
        "media.cdnBaseUrl: write scheme, host and, if need be, a port from 1 to 65535 and a path, for example https://cdn.example.com",
    ),
    rule(
        "spec.mail",
        "self.host.matches('^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",
        "mail.host: write the relay's name without scheme and port, for example smtp.example.com",
    ),
    rule(
        "spec.mail",
        concat!("self.baseUrl.matches('^https?://([^/?# :]+|[[][0-9a-fA-F:]+[]])(:", port!(), ")?(/[^?# ]*)?$')"),
        "mail.baseUrl: write where the web client is, with a port from 1 to 65535 if need be, for example https://chat.example.com",
    ),
    rule(
        "spec.mail",
        SENDER,
        "mail.from: write an address, for example chat@example.com or Sentinel <chat@example.com>; put a name with signs like commas and brackets into double quotes",
    ),
    rule("spec.image", REPOSITORY, REPOSITORY_MESSAGE),
    rule("spec.image", TAG, TAG_MESSAGE),
    rule("spec.image", DIGEST, DIGEST_MESSAGE),
    rule("spec.gateway.image", REPOSITORY, REPOSITORY_MESSAGE),
    rule("spec.gateway.image", TAG, TAG_MESSAGE),
    rule("spec.gateway.image", DIGEST, DIGEST_MESSAGE),
    rule(
        "spec.push.webPush",
        "!has(self.subject) || self.subject.matches('^(mailto:[^@ ]+@[^@ ]+|https://[^ ]+)$')",
        "push.webPush.subject: write mailto: and an address, or a page with https://, for example mailto:ops@example.com",
    ),
    rule(
        "spec.push.webPush",
        "self.allowedHosts.all(h, h.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'))",
        "push.webPush.allowedHosts: write names in lower case without scheme, port and path, for example push.example.com",
    ),
    rule(
        "spec.push.fcm",
        concat!(
            "!has(self.baseUrl) || self.baseUrl.matches('^https?://([A-Za-z0-9._-]+|[[][0-9a-fA-F:]+[]])(:",
            port!(),
            ")?$')"
        ),
        "push.fcm.baseUrl: write scheme, host and port without path, the port from 1 to 65535, for example https://fcm.googleapis.com",
    ),
    rule(
        "spec.gateway",
        "!has(self.host) || self.host.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",
        "gateway.host: write a name in lower case without scheme, port and path, for example chat.example.com",
    ),
    rule(
        "spec.gateway",
        "!has(self.ingress) || has(self.host)",
        "gateway.host: write the name that the Ingress serves, for example chat.example.com",
    ),
    rule(
        "spec.gateway",
        "!has(self.tls) || has(self.host)",
        "gateway.host: write the name that the certificate is for, for example chat.example.com",
    ),
    rule(
        "spec.gateway",
        "!has(self.trustedProxies) || self.trustedProxies.all(p, isCIDR(p))",
        "gateway.trustedProxies: write address ranges, for example 10.0.0.0/8",
    ),
    rule(
        "spec.gateway.service",
        "!has(self.nodePort) || self.type == 'NodePort'",
        "gateway.service.nodePort: leave it out or write gateway.service.type NodePort",
    ),
    rule("spec.storage", SIZE, SIZE_MESSAGE),
    rule(
        "spec.auth",
        "self.accessTokenLifetime.matches('^([0-9]+(s|m|h))+$') && duration(self.accessTokenLifetime) >= duration('1m') && duration(self.accessTokenLifetime) <= duration('24h')",
        "auth.accessTokenLifetime: write a time from 1m to 24h, for example 15m",
    ),
    rule(
        "spec.auth",
        "self.refreshTokenLifetime.matches('^([0-9]+(s|m|h))+$') && duration(self.refreshTokenLifetime) >= duration('1h') && duration(self.refreshTokenLifetime) <= duration('8760h')",
        "auth.refreshTokenLifetime: write a time from 1h to 8760h, for example 720h",
    ),
    rule(
        "spec.auth",
        "!self.accessTokenLifetime.matches('^([0-9]+(s|m|h))+$') || !self.refreshTokenLifetime.matches('^([0-9]+(s|m|h))+$') || duration(self.refreshTokenLifetime) > duration(self.accessTokenLifetime)",
        "auth.refreshTokenLifetime: write a longer time than auth.accessTokenLifetime",
    ),
    rule(
        "spec.auth",
        concat!(
            "!has(self.corsOrigins) || self.corsOrigins.all(o, o.matches('^(https://[a-z0-9.-]+|http://(localhost|127[.]0[.]0[.]1))(:",
            port!(),
            ")?$'))"
        ),
        "auth.corsOrigins: write exact https origins without path and wildcard, for example https://chat.example.com (http only for localhost); a port is from 1 to 65535",
    ),
    rule(
        "spec.limits",
        "self.bodyBytes >= self.messageBytes + 4096",
        "limits.bodyBytes: write at least limits.messageBytes and 4096 more; a message travels in a JSON body",
    ),
    rule(
        "spec.retention",
        "!has(self.messageDays) || (self.messageDays >= 1 && self.messageDays <= 3650)",
        "retention.messageDays: write days from 1 to 3650, for example 90, or leave it out to keep messages",
    ),
    rule(
        "spec.monitoring.serviceMonitor",
        "self.interval.matches('^[1-9][0-9]*(s|m)$')",
        "monitoring.serviceMonitor.interval: write seconds or minutes, for example 30s",
    ),
    rule(
        "spec.networkPolicy",
        "!has(self.monitoringNamespaces) || self.monitoringNamespaces.all(n, n.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'))",
        "networkPolicy.monitoringNamespaces: write names of namespaces, for example monitoring",
    ),
    rule(
        "spec.dependencies.postgres",
        "!has(self.managed) || self.managed.replicas == 1",
        "dependencies.postgres.managed.replicas: write 1; for more, run Postgres elsewhere and write dependencies.postgres.external",
    ),
    rule(
        "spec.dependencies.redis",
        "!has(self.managed) || self.managed.replicas == 1",
        "dependencies.redis.managed.replicas: write 1; for more, run Redis elsewhere and write dependencies.redis.external",
    ),
    rule(
        "spec.dependencies.s3",
        "!has(self.managed) || self.managed.replicas == 1",
        "dependencies.s3.managed.replicas: write 1; for more, use an S3 service and write dependencies.s3.external",
    ),
    rule(
        "spec.dependencies.postgres.external",
        "self.database.matches('^[A-Za-z_][A-Za-z0-9_-]*$')",
        "dependencies.postgres.external.database: write letters, digits, '_' and '-', for example sentinel",
    ),
    rule(
        "spec.dependencies.postgres.external",
        "!has(self.migrationSecret) || has(self.secret)",
        "dependencies.postgres.external.secret: name the Secret of services beside migrationSecret",
    ),
    rule(
        "spec.dependencies.cassandra.external",
        "!has(self.migrationSecret) || has(self.secret)",
        "dependencies.cassandra.external.secret: name the Secret of services beside migrationSecret",
    ),
    rule(
        "spec.dependencies.cassandra.external",
        "self.keyspace.matches('^[a-z][a-z0-9_]*$')",
        "dependencies.cassandra.external.keyspace: write a-z, 0-9 and '_', for example sentinel",
    ),
    rule(
        "spec.dependencies.redis.external",
        "(self.mode == 'Sentinel') == has(self.primary)",
        "dependencies.redis.external.primary: write what the sentinels call the primary with mode Sentinel, and leave it out otherwise",
    ),
    rule(
        "spec.dependencies.kafka.external",
        "self.topic.matches('^[A-Za-z0-9._-]+$') && self.deadLetterTopic.matches('^[A-Za-z0-9._-]+$') && self.topic != self.deadLetterTopic",
        "dependencies.kafka.external.topic and deadLetterTopic: write two names of letters, digits, '.', '_' and '-'",
    ),
    rule(
        "spec.dependencies.kafka.external",
        "self.saslMechanism == 'PLAIN' || has(self.secret)",
        "dependencies.kafka.external.secret: name the Secret that saslMechanism is for, or leave saslMechanism out",
    ),
    rule(
        "spec.dependencies.elasticsearch.external",
        "self.indexPrefix.matches('^[a-z][a-z0-9_-]*$')",
        "dependencies.elasticsearch.external.indexPrefix: write a-z, 0-9, '_' and '-', for example sentinel",
    ),
    rule(
        "spec.dependencies.s3.external",
        "self.bucket.matches('^[a-z0-9][a-z0-9.-]*[a-z0-9]$')",
        "dependencies.s3.external.bucket: write a-z, 0-9, '.' and '-', for example sentinel-media",
    ),
    rule(
        "spec.dependencies.s3.external",
        concat!(
            "!has(self.publicEndpoint) || self.publicEndpoint.matches('^https?://[A-Za-z0-9.-]+(:",
            port!(),
            ")?$')"
        ),
        "dependencies.s3.external.publicEndpoint: write scheme and host, a port from 1 to 65535 if need be, for example https://media.example.com",
    ),
];

/// Why a rule could not be written into the schema.
#[derive(Debug, Error)]
pub enum Error {
    /// The path of a rule leads nowhere.
    #[error("the schema has no {path}: {rule}")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The rule.
        rule: &'static str,
    },
}

/// All rules, each with where it applies from the root of the resource.
pub fn all() -> impl Iterator<Item = (String, &'static Rule)> {
    let of_store = |store: &Store, path: &str| ["spec.dependencies", store.as_str(), path].join(".");
    let of_stores = OF_STORES
        .iter()
        .flat_map(move |(stores, rule)| stores.iter().map(move |store| (of_store(store, rule.path), rule)));
    RULES.iter().map(|rule| (rule.path.to_owned(), rule)).chain(of_stores)
}

/// Writes every rule into the schema of the resource.
pub fn inject(schema: &mut Value) -> Result<(), Error> {
    for (path, &Rule { rule, message, .. }) in all() {
        let lost = || Error::NoSuchPath { path: path.clone(), rule };
        let node = path
            .split('.')
            .filter(|step| !step.is_empty())
            .try_fold(&mut *schema, |node, step| node.get_mut("properties")?.get_mut(step))
            .and_then(Value::as_object_mut)
            .ok_or_else(lost)?;
        let rules = node.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        let mut written = json!({ "rule": rule, "message": message });
        // Otherwise a rule that asks for what was before is for changes only.
        if rule.contains("oldSelf.hasValue()") {
            written["optionalOldSelf"] = json!(true);
        }
        rules.as_array_mut().ok_or_else(lost)?.push(written);
    }
    Ok(())
}
