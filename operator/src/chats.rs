//! How chats stand, for whoever watches them: what their conditions tell is told as a metric at each scrape.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::{Resource, runtime::reflector::Store};

use crate::steps::{
    status::conditions::{PAUSED, READY},
    unreadable::Guarded,
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
    let told = match &chat.0 {
        Ok(chat) => chat.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default(),
        Err(unreadable) => {
            let mut told = unreadable.judge(Timestamp::now());
            // Whether it still is paused is not known, and a chat that is paused raises no alert.
            told.retain(|condition| condition.type_ != PAUSED);
            told
        }
    };
    let mut told: Vec<_> = told.into_iter().map(|found| (found.type_, found.status, found.reason)).collect();
    if told.iter().all(|(type_, ..)| type_ != READY) {
        told.push((READY.into(), "Unknown".into(), "NotReported".into()));
    }
    told
}
