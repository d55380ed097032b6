//! What a service keeps, pushes and shows, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use async_trait::async_trait;
use sentinel_domain::{
    event::{Fanout, LiveEvent},
    ids::{ChatId, MessageId, UserId},
    notification::{Notification, Preferences, Shown},
    ports::{
        NotificationReader, NotificationSink, NotificationStore, PreferenceReader, PushSender, StoreError, UnfitAddress,
    },
    push::{Push, PushAddress, Pushed},
};

/// Whose rows can't be read, and why.
pub(super) type Failing = (UserId, fn() -> StoreError);

/// Notifications and preferences.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) kept: Mutex<BTreeMap<(UserId, MessageId), Notification>>,
    pub(super) preferences: Mutex<HashMap<UserId, Preferences>>,
    /// Whose preferences are of another version.
    pub(super) unreadable: Mutex<Option<UserId>>,
    /// Whose preferences can't be had now.
    pub(super) away: Mutex<Option<UserId>>,
    /// For whom those of a chat were marked as read, and how far.
    pub(super) chats_read: Mutex<Vec<(UserId, MessageId)>>,
    /// Whose notifications can't be listed, and why.
    pub(super) unlisted: Mutex<Option<Failing>>,
}

#[async_trait]
impl NotificationSink for Memory {
    async fn add(&self, notification: Notification) -> Result<(), StoreError> {
        let key = (notification.user_id, notification.message_id);
        self.kept.lock().unwrap().entry(key).or_insert(notification);
        Ok(())
    }
}

#[async_trait]
impl PreferenceReader for Memory {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        if *self.unreadable.lock().unwrap() == Some(user) {
            return Err(StoreError::unreadable("unknown field"));
        }
        if *self.away.lock().unwrap() == Some(user) {
            return Err(StoreError::unavailable("away"));
        }
        Ok(self.preferences.lock().unwrap().get(&user).cloned().unwrap_or_default())
    }
}

#[async_trait]
impl NotificationReader for Memory {
    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        if let Some((_, error)) = self.unlisted.lock().unwrap().filter(|(unlisted, _)| *unlisted == user) {
            return Err(error());
        }
        let kept = self.kept.lock().unwrap();
        let mine = kept.values().rev().filter(|one| one.user_id == user);
        Ok(mine.filter(|one| before.is_none_or(|before| one.message_id < before)).take(limit).cloned().collect())
    }
}

#[async_trait]
impl NotificationStore for Memory {
    async fn mark_read(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        self.kept.lock().unwrap().get_mut(&(user, message)).ok_or(StoreError::NotFound)?.read = true;
        Ok(())
    }

    async fn mark_chat_read(
        &self,
        user: UserId,
        chat: ChatId,
        before: Option<MessageId>,
        up_to: MessageId,
    ) -> Result<(), StoreError> {
        self.chats_read.lock().unwrap().push((user, up_to));
        for one in self.kept.lock().unwrap().values_mut() {
            let was_read = before.is_some_and(|before| one.message_id <= before);
            one.read |= one.user_id == user && one.chat_id == chat && !was_read && one.message_id <= up_to;
        }
        Ok(())
    }

    async fn withdraw(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        self.kept.lock().unwrap().remove(&(user, message));
        Ok(())
    }

    async fn withdraw_chat(&self, user: UserId, chat: ChatId) -> Result<(), StoreError> {
        self.kept.lock().unwrap().retain(|_, one| one.user_id != user || one.chat_id != chat);
        Ok(())
    }

    async fn set_preferences(&self, user: UserId, preferences: &Preferences) -> Result<(), StoreError> {
        self.preferences.lock().unwrap().insert(user, preferences.clone());
        Ok(())
    }

    async fn replace_preferences(
        &self,
        user: UserId,
        known: &Preferences,
        wanted: &Preferences,
    ) -> Result<bool, StoreError> {
        let mut all = self.preferences.lock().unwrap();
        let kept = all.entry(user).or_default();
        let same = kept == known;
        if same {
            kept.clone_from(wanted);
        }
        Ok(same)
    }
}

/// Keeps what is pushed and shown. A token that is `gone` is none any more; one that begins with `bad` never was.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) pushed: Mutex<Vec<(String, Push)>>,
    pub(super) shown: Mutex<Vec<(UserId, Shown)>>,
    pub(super) read: Mutex<Vec<(UserId, MessageId)>>,
}

impl Recorder {
    /// Which tokens were pushed to since the last call, and what.
    pub(super) fn pushed(&self) -> Vec<(String, Push)> {
        let mut pushed = std::mem::take(&mut *self.pushed.lock().unwrap());
        pushed.sort_by(|a, b| a.0.cmp(&b.0));
        pushed
    }

    pub(super) fn shown(&self) -> Vec<(UserId, Shown)> {
        std::mem::take(&mut self.shown.lock().unwrap())
    }

    /// What sockets were told to be read since the last call.
    pub(super) fn read(&self) -> Vec<(UserId, MessageId)> {
        std::mem::take(&mut self.read.lock().unwrap())
    }
}

#[async_trait]
impl PushSender for Recorder {
    fn web_push_key(&self) -> Option<String> {
        Some("the-key".into())
    }

    fn check(&self, address: &PushAddress) -> Result<PushAddress, UnfitAddress> {
        match address {
            PushAddress::Fcm { token } if token.starts_with("bad") => {
                Err(UnfitAddress::Malformed { field: "token", detail: "must be good" })
            }
            PushAddress::Fcm { .. } => Ok(address.clone()),
            PushAddress::WebPush { endpoint, p256dh, auth } if endpoint.starts_with("https://push.example/") => {
                // Spelled in one way, as browsers' push services would.
                let endpoint = endpoint.split('#').next().unwrap_or_default().to_owned();
                Ok(PushAddress::WebPush { endpoint, p256dh: p256dh.clone(), auth: auth.clone() })
            }
            PushAddress::WebPush { .. } => Err(UnfitAddress::Endpoint),
        }
    }

    async fn push(&self, address: &PushAddress, push: &Push) -> Pushed {
        let PushAddress::Fcm { token } = address else { panic!("browsers are not tested here") };
        self.pushed.lock().unwrap().push((token.clone(), push.clone()));
        if token == "gone" { Pushed::AddressGone } else { Pushed::Accepted }
    }
}

impl Fanout for Recorder {
    fn publish(&self, events: Vec<LiveEvent>) {
        for event in events {
            match event {
                LiveEvent::Notification { user_id, shown } => self.shown.lock().unwrap().push((user_id, shown)),
                LiveEvent::NotificationRead { user_id, notification_id } => {
                    self.read.lock().unwrap().push((user_id, notification_id));
                }
                event => panic!("{event:?}"),
            }
        }
    }
}
