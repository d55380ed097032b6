//! The services of profile Distributed: one table, from which workloads, credentials, routes and NetworkPolicies are
//! derived. A service is switched off by removing its row; its paths then lead to `users`.

use sentinel_domain::key_file::KeyFile;
use serde_json::Value;

use super::Kind;
use crate::{
    api::{ServiceOverrides, Store},
    names::Component,
    steps::{observe::Observed, validate::ValidChat},
};

/// What the gateway sends to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// This path only.
    Exact(&'static str),
    /// This path and what is below it.
    Below(&'static str),
}

/// What a service is given of the Secrets that are not of a store. The Secret with the keys is mounted entry by entry, so
/// that a process which is taken over gives away no more than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The private keys that sign tokens. Others verify tokens by the public ones.
    SigningKeys,
    /// The keys that encrypt the keys of chats, and by which cursors are made: of those who write or show messages, or lists in
    /// pages.
    EncryptionKeys,
    /// What pushes are sent with: the key of Web Push, the service account of FCM.
    Push,
    /// What the mail relay is used with.
    Mail,
}

impl Given {
    /// Whether an entry of the Secret with the keys is of that.
    pub fn is_key(self, entry: &str) -> bool {
        match KeyFile::named(entry) {
            Some(KeyFile::Signing { .. }) => self == Self::SigningKeys,
            Some(KeyFile::Encryption { .. }) => self == Self::EncryptionKeys,
            Some(KeyFile::Vapid) => self == Self::Push,
            None => false,
        }
    }
}

/// A service of profile Distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its part of the platform.
    pub component: Component,
    /// What the binary is told to serve.
    pub role: &'static str,
    /// Stores that it connects to.
    pub stores: &'static [Store],
    /// What it is given beside the credentials of its stores.
    pub given: &'static [Given],
    /// What the gateway sends to it; `users` gets what no other service does.
    pub paths: &'static [Path],
    /// Pods when nothing else is said.
    pub replicas: i32,
    /// CPU that is set aside for a pod when nothing else is said.
    pub cpu: &'static str,
    /// Memory that is set aside for a pod when nothing else is said.
    pub memory: &'static str,
    /// Memory that a pod cannot exceed when nothing else is said.
    pub limit: &'static str,
}

use Given::{EncryptionKeys, Mail, Push, SigningKeys};
use Path::{Below, Exact};
use Store::{Cassandra, Elasticsearch, Kafka, Postgres, Redis, S3};

/// All services. Each has accounts and sessions (Postgres), who is in which chat (Cassandra; there, `presence` and `media`
/// see what they cannot decrypt), and who is where, and events between processes (Redis).
pub const SERVICES: &[Service] = &[
    Service {
        component: Component::Users,
        role: "users",
        stores: &[Postgres, Cassandra, Redis],
        given: &[SigningKeys, EncryptionKeys, Mail],
        paths: &[],
        replicas: 1,
        cpu: "50m",
        memory: "64Mi",
        // Passwords that are hashed take up to 152 MiB.
        limit: "384Mi",
    },
    Service {
        component: Component::Message,
        role: "message",
        stores: &[Postgres, Cassandra, Redis, Kafka],
        given: &[EncryptionKeys],
        paths: &[Below("/users/chat"), Exact("/sync"), Below("/socket.io")],
        replicas: 2,
        cpu: "100m",
        memory: "96Mi",
        limit: "512Mi",
    },
    Service {
        component: Component::Presence,
        role: "presence",
        stores: &[Postgres, Cassandra, Redis],
        given: &[],
        paths: &[
            Below("/users/user_activity"),
            Below("/users/update-last-active"),
            Below("/users/last_active"),
            Below("/user"),
            Below("/update-last-active"),
        ],
        replicas: 1,
        cpu: "25m",
        memory: "48Mi",
        limit: "256Mi",
    },
    Service {
        component: Component::Notification,
        role: "notification",
        stores: &[Postgres, Cassandra, Redis, Kafka],
        given: &[EncryptionKeys, Push],
        paths: &[Below("/notifications"), Exact("/send_notification")],
        replicas: 1,
        cpu: "25m",
        memory: "48Mi",
        limit: "256Mi",
    },
    Service {
        component: Component::Search,
        role: "search",
        stores: &[Postgres, Cassandra, Redis, Kafka, Elasticsearch],
        given: &[EncryptionKeys],
        paths: &[Below("/search"), Exact("/admin/reindex")],
        replicas: 1,
        cpu: "25m",
        memory: "48Mi",
        limit: "256Mi",
    },
    Service {
        component: Component::Media,
        role: "media",
        stores: &[Postgres, Cassandra, Redis, S3],
        given: &[],
        paths: &[Below("/media")],
        replicas: 1,
        cpu: "50m",
        memory: "64Mi",
        // Pictures take up to 256 MiB while they are read and turned, the uploads that are checked 96 MiB.
        limit: "512Mi",
    },
];

impl Service {
    /// What the user wrote about it.
    pub fn overrides(self, chat: &ValidChat) -> Option<&ServiceOverrides> {
        let services = &chat.spec.services;
        match self.component {
            Component::Users => services.users.as_ref(),
            Component::Message => services.message.as_ref(),
            Component::Presence => services.presence.as_ref(),
            Component::Notification => services.notification.as_ref(),
            Component::Search => services.search.as_ref(),
            Component::Media => services.media.as_ref(),
            _ => None,
        }
    }

    /// Pods that it is to have: what the resource says; else those that it has, which an autoscaler may look after.
    pub fn replicas(self, chat: &ValidChat, observed: &Observed) -> i32 {
        self.replicas_with(chat, self.live(chat, observed))
    }

    /// The same of what is known of its workload.
    pub(super) fn replicas_with(self, chat: &ValidChat, live: Option<i32>) -> i32 {
        self.overrides(chat).and_then(|overrides| overrides.replicas).or(live).unwrap_or(self.replicas)
    }

    /// Pods that its workload is told to have: nothing where the resource does not say and there are some, because an
    /// autoscaler may change their number at any time.
    pub(super) fn applied_replicas(self, chat: &ValidChat, live: Option<i32>) -> Option<i32> {
        let written = self.overrides(chat).and_then(|overrides| overrides.replicas);
        written.or_else(|| live.is_none().then_some(self.replicas))
    }

    /// Pods that its workload is set to. None of them would be an outage that nobody wrote into the resource.
    pub fn live(self, chat: &ValidChat, observed: &Observed) -> Option<i32> {
        let workload = observed.get(self.kind(), &chat.names.workload(self.component))?;
        let replicas = workload.pointer("/spec/replicas").and_then(Value::as_i64)?;
        i32::try_from(replicas).ok().filter(|replicas| *replicas > 0)
    }

    /// Pods that there are at a time at most: those of before end in their own time while a Deployment has the next ones
    /// already, and keep their connections until then.
    pub fn most_pods(self, chat: &ValidChat, observed: &Observed) -> i32 {
        self.replicas(chat, observed).saturating_mul(if self.has_named_pods() { 1 } else { 2 })
    }

    /// The kind of its workload.
    pub fn kind(self) -> Kind {
        if self.has_named_pods() { Kind::StatefulSet } else { Kind::Deployment }
    }

    /// Whether its pods have names of their own: clients go on with the pod that they began with.
    pub fn has_named_pods(self) -> bool {
        self.component == Component::Message
    }
}

/// The services that a resource has: none of profile Embedded.
pub fn of(chat: &ValidChat) -> &'static [Service] {
    if chat.is_distributed() { SERVICES } else { &[] }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::account::{PASSWORD_HASH_MIB, PASSWORD_HASHES};

    use super::*;
    use crate::{build::sentinel, subset};

    #[test]
    fn no_two_services_claim_a_path() {
        let paths: Vec<Path> = SERVICES.iter().flat_map(|service| service.paths.iter().copied()).collect();
        for (index, path) in paths.iter().enumerate() {
            assert!(!paths[index + 1..].contains(path), "{path:?} is there twice");
            let (Exact(text) | Below(text)) = path;
            assert!(text.starts_with('/') && !text.ends_with('/'), "{text}");
        }
    }

    #[test]
    fn passwords_that_are_hashed_take_at_most_half_of_the_memory() {
        let users = SERVICES.iter().find(|service| service.component == Component::Users).unwrap();
        let hashes = i128::try_from(PASSWORD_HASHES).unwrap() * i128::from(PASSWORD_HASH_MIB) * (1 << 20);
        for limit in [users.limit, sentinel::MEMORY_LIMIT] {
            // Amounts are counted in thousandths.
            assert!(2 * hashes <= subset::amount(limit).unwrap() / 1_000, "{hashes} bytes of {limit}");
        }
    }
}
