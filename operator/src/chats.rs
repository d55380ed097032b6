//! How chats stand, for whoever watches them: what their conditions tell is told as a metric at each scrape.

use std::sync::{Arc, Mutex, PoisonError};

use kube::{Resource, runtime::reflector::Store};

use crate::{
    reconcile::Guarded,
    steps::{
        status::conditions::{DEGRADED, READY},
        unreadable,
    },
};

/// The chats that are watched.
#[derive(Clone, Default)]
pub struct Chats {
    stores: Arc<Mutex<Vec<Store<Guarded>>>>,
}

impl Chats {
    /// Also tells of the chats in `store`.
    pub fn watch(&self, store: Store<Guarded>) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).push(store);
    }

    /// What a scrape shows of them.
    pub fn scrape(&self) -> Result<String, sentinel_metrics::Error> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let chats = stores.iter().flat_map(Store::state);
        sentinel_metrics::scrape(sentinel_metrics::CHATS, || chats.for_each(|chat| tell(&chat)))
    }
}

fn tell(chat: &Guarded) {
    for (type_, status, reason) in conditions(chat) {
        let (namespace, name) = (chat.meta().namespace.clone(), chat.meta().name.clone());
        metrics::gauge!(
            "sentinel_operator_chat_condition",
            "namespace" => namespace.unwrap_or_default(),
            "name" => name.unwrap_or_default(),
            "type" => type_,
            "status" => status,
            "reason" => reason,
        )
        .set(1);
    }
}

/// Conditions as type, status and reason. Ready is always one of them, so that nobody is left unnoticed.
fn conditions(chat: &Guarded) -> Vec<(String, String, String)> {
    let owned = |type_: &str, status: &str, reason: &str| (type_.to_owned(), status.to_owned(), reason.to_owned());
    let Ok(chat) = &chat.0 else {
        // Its status is not read with it, and is this one, but for data that was lost before.
        return [(READY, "False"), (DEGRADED, "True")]
            .map(|(type_, status)| owned(type_, status, unreadable::REASON))
            .into();
    };
    let told = chat.status.iter().flat_map(|status| &status.conditions);
    let mut told: Vec<_> = told.map(|found| owned(&found.type_, &found.status, &found.reason)).collect();
    if told.iter().all(|(type_, ..)| type_ != READY) {
        told.push(owned(READY, "Unknown", "NotReported"));
    }
    told
}
