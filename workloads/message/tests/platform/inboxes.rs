//! Inboxes and preferences that can fail for one user, or have lost what is old, and that remember whose inbox was asked for.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    ids::{EventId, UserId},
    notification::Preferences,
    place::InboxPlace,
    ports::{Inbox, Inboxes, PreferenceReader, StoreError},
    time::Timestamp,
};

/// What is wrong with what a user has.
#[derive(Clone, Copy)]
pub enum Failing {
    Away,
    Damaged,
}

pub struct MayFail {
    store: Sqlite,
    failing: Mutex<HashMap<UserId, Failing>>,
    pruned: Mutex<HashMap<UserId, EventId>>,
    asked: Mutex<Vec<UserId>>,
}

impl MayFail {
    pub fn over(store: Sqlite) -> Self {
        Self { store, failing: Mutex::default(), pruned: Mutex::default(), asked: Mutex::default() }
    }

    /// From now on this user's inbox and preferences can't be read.
    pub fn fail(&self, user: UserId, failing: Failing) {
        self.failing.lock().unwrap().insert(user, failing);
    }

    /// This user's inbox has nothing up to this event any more, as when that is too old.
    pub fn prune(&self, user: UserId, up_to: EventId) {
        self.pruned.lock().unwrap().insert(user, up_to);
    }

    fn check(&self, user: UserId) -> Result<(), StoreError> {
        match self.failing.lock().unwrap().get(&user) {
            None => Ok(()),
            Some(Failing::Away) => Err(StoreError::unavailable("away")),
            Some(Failing::Damaged) => Err(StoreError::unreadable("damaged")),
        }
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
        self.check(caller)?;
        let pruned = self.pruned.lock().unwrap().get(&caller).copied();
        match pruned.filter(|pruned| since.as_ref().is_some_and(|since| since.up_to() < *pruned)) {
            None => self.store.inbox(caller, since, limit).await,
            Some(pruned) => {
                let kept = self.store.inbox(caller, Some(InboxPlace::exactly(pruned)), limit).await?;
                Ok(Inbox { reset: true, ..kept })
            }
        }
    }

    async fn inbox_head(&self, caller: UserId, now: Timestamp) -> Result<InboxPlace, StoreError> {
        self.store.inbox_head(caller, now).await
    }
}

#[async_trait]
impl PreferenceReader for MayFail {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        self.check(user)?;
        self.store.preferences(user).await
    }
}
