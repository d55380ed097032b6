//! Which installation of the operator looks after a resource. Two that watch the same namespace would change its objects
//! back and forth for ever, each with its own images.
//!
//! Who looks after a resource writes its name on it: namespace and name of its Lease. Another installation leaves the
//! resource alone for as long as it sees that Lease change, and takes over when it does not: one that was uninstalled, or
//! has another name by now, must not be in the way of its successor. As with the [lease](crate::lease) itself, no clocks of
//! different machines are compared.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::ObjectMeta,
};
use serde_json::json;

use crate::{
    answer,
    api::SentinelChat,
    names::{MANAGER, OPERATOR, full_name},
};

/// How long the Lease of another installation may stay as it is before that counts as gone. A node may be lost, and the
/// image be pulled on another one.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is told that there is another installation, or may be: Events are kept for an hour.
const TOLD_EVERY: Duration = Duration::from_mins(50);

/// What the Lease that a resource names was when it was seen to change last.
struct Sign {
    lease: String,
    version: Option<String>,
    since: Instant,
    /// Whether it has changed at all since it was looked at first.
    has_changed: bool,
    looked: Instant,
}

/// One installation of the operator.
pub struct Installation {
    name: String,
    patience: Duration,
    /// By resource: one that was taken and is taken back is waited for anew.
    signs: Mutex<HashMap<String, Sign>>,
    told: Mutex<HashMap<String, Instant>>,
}

/// Who looks after a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// This installation.
    Own,
    /// This installation, as if it were alone: it may not look whether the one that is named on the resource is there.
    Alone {
        /// Words for people, now and then.
        note: Option<String>,
    },
    /// This installation, as of now: what it wrote triggers the next reconcile.
    Taken,
    /// Another installation, or it is not known yet that it is gone.
    Another {
        /// Words for people, now and then.
        note: Option<String>,
    },
}

impl Installation {
    /// The installation with that Lease.
    pub fn new(lease_namespace: &str, lease_name: &str) -> Self {
        Self {
            name: format!("{lease_namespace}/{lease_name}"),
            patience: PATIENCE,
            signs: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// The same, which waits for another time. For tests.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Who looks after `chat`: the one that does, or this one from now on.
    pub async fn keeper(&self, client: &Client, chat: &ObjectMeta) -> Result<Keeper, kube::Error> {
        let other = chat.annotations.as_ref().and_then(|annotations| annotations.get(OPERATOR));
        if other == Some(&self.name) {
            return Ok(Keeper::Own);
        }
        if let Some(other) = other {
            let version = match version(client, other).await {
                Ok(version) => version,
                // Without the right to look, nobody is kept from working.
                Err(kube::Error::Api(status)) if answer::is_forbidden(&status) => {
                    let note = self.is_to_be_told(chat).then(|| self.note_of_alone(other, &status.message));
                    return Ok(Keeper::Alone { note });
                }
                Err(error) => return Err(error),
            };
            let (is_there, has_changed) = self.observe(chat, other, version);
            if is_there {
                let note = (has_changed && self.is_to_be_told(chat)).then(|| self.note_of_another(other));
                return Ok(Keeper::Another { note });
            }
        }
        // One that is about to go needs no name.
        if chat.deletion_timestamp.is_some() {
            return Ok(Keeper::Own);
        }
        self.take(client, chat).await
    }

    /// Whether the other installation is there, and whether it was seen to be.
    fn observe(&self, chat: &ObjectMeta, other: &str, version: Option<String>) -> (bool, bool) {
        let mut signs = lock(&self.signs);
        let now = Instant::now();
        // Who has gone is not looked at any more.
        signs.retain(|_, sign| sign.looked.elapsed() < TOLD_EVERY);
        let first =
            |version, has_changed| Sign { lease: other.to_owned(), version, since: now, has_changed, looked: now };
        let sign = signs.entry(full_name(chat)).or_insert_with(|| first(version.clone(), false));
        if sign.lease != other {
            *sign = first(version, false);
        } else if sign.version != version {
            let has_changed = version.is_some();
            *sign = first(version, has_changed);
        }
        sign.looked = now;
        (sign.since.elapsed() < self.patience, sign.has_changed)
    }

    async fn take(&self, client: &Client, chat: &ObjectMeta) -> Result<Keeper, kube::Error> {
        // With the version, so that of two one gets it.
        let patch = json!({
            "metadata": { "annotations": { OPERATOR: self.name }, "resourceVersion": chat.resource_version }
        });
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let api: Api<SentinelChat> = Api::namespaced(client.clone(), chat.namespace.as_deref().unwrap_or("default"));
        match api.patch_metadata(chat.name.as_deref().unwrap_or_default(), &params, &Patch::Merge(&patch)).await {
            Ok(_) => {
                // Whoever takes it back may be there: without a Lease, the two would take it from each other without a pause.
                lock(&self.signs).remove(&full_name(chat));
                tracing::info!(object = full_name(chat), "this installation looks after the resource");
            }
            // Whoever changed or deleted it triggers the next look.
            Err(kube::Error::Api(status)) if answer::is_conflict(&status) || answer::is_not_found(&status) => {}
            Err(error) => return Err(error),
        }
        Ok(Keeper::Taken)
    }

    fn is_to_be_told(&self, chat: &ObjectMeta) -> bool {
        let mut told = lock(&self.told);
        told.retain(|_, since| since.elapsed() < TOLD_EVERY);
        let object = full_name(chat);
        let is_new = !told.contains_key(&object);
        if is_new {
            told.insert(object, Instant::now());
        }
        is_new
    }

    fn note_of_alone(&self, other: &str, refusal: &str) -> String {
        let namespace = other.split_once('/').map_or(other, |(namespace, _)| namespace);
        format!(
            "{other} looks after the resource, and {} can't tell whether that installation of the operator is there: it works as \
             if it were alone, and if both are there, they change the resource's objects back and forth. Let it get leases \
             (coordination.k8s.io) in namespace {namespace}; or, if the other one is gone: kubectl annotate schat NAME {OPERATOR}- \
             ({refusal})",
            self.name
        )
    }

    fn note_of_another(&self, other: &str) -> String {
        format!(
            "two installations of the operator watch this namespace: {other} looks after the resource, and {} leaves it \
             alone. Uninstall one of them, or give each namespaces of its own (namespaces in the values of the chart) and \
             then take the annotation from the resources that {} is to have: kubectl annotate schat NAME {OPERATOR}-",
            self.name, self.name
        )
    }
}

/// The version of a Lease, if it is there.
async fn version(client: &Client, lease: &str) -> Result<Option<String>, kube::Error> {
    // Anybody who may change the resource may write anything there: what cannot be the name of a Lease is of none.
    let Some((namespace, name)) = lease.split_once('/').filter(|(namespace, name)| is_name(namespace) && is_name(name))
    else {
        return Ok(None);
    };
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    Ok(api.get_metadata_opt(name).await?.and_then(|lease| lease.metadata.resource_version))
}

/// Whether an object may be called that, as far as it matters in a path.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
