//! Inboxes that can fail for one user, and that remember who was asked for.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    ids::UserId,
    place::InboxPlace,
    ports::{Inbox, Inboxes, StoreError},
    time::Timestamp,
};

/// What is wrong with an inbox.
#[derive(Clone, Copy)]
pub enum Failing {
    Away,
    Damaged,
}

pub struct MayFail {
    store: Sqlite,
    failing: Mutex<HashMap<UserId, Failing>>,
    asked: Mutex<Vec<UserId>>,
}

impl MayFail {
    pub fn over(store: Sqlite) -> Self {
        Self { store, failing: Mutex::default(), asked: Mutex::default() }
    }

    /// From now on this inbox can't be read.
    pub fn fail(&self, user: UserId, failing: Failing) {
        self.failing.lock().unwrap().insert(user, failing);
    }

    /// How often an inbox was to be read.
    pub fn asked_for(&self, user: UserId) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| **asked == user).count()
    }
}

#[async_trait]
impl Inboxes for MayFail {
    async fn inbox(&self, caller: UserId, since: Option<InboxPlace>, limit: usize) -> Result<Inbox, StoreError> {
        self.asked.lock().unwrap().push(caller);
        let failing = self.failing.lock().unwrap().get(&caller).copied();
        match failing {
            None => self.store.inbox(caller, since, limit).await,
            Some(Failing::Away) => Err(StoreError::unavailable("away")),
            Some(Failing::Damaged) => Err(StoreError::unreadable("damaged")),
        }
    }

    async fn inbox_head(&self, caller: UserId, now: Timestamp) -> Result<InboxPlace, StoreError> {
        self.store.inbox_head(caller, now).await
    }
}
