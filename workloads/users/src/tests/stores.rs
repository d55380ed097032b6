//! The ports in memory, with a switch for outages.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use sentinel_domain::{
    account::{Account, Profile, Standing, Username},
    audit::AuditEntry,
    event::Origin,
    ids::{ChatId, EventId, MediaId, SessionId, UserId},
    mail::{LinkPurpose, NewLink, QueuedMail},
    media::Media,
    message::{Chat, Message},
    notification::{Notification, Preferences},
    ports::{
        AccountReader, AccountStore, Beginning, ChatReader, ChatSummary, ConfirmedRemoval, Credentials, HistoryPage,
        HistoryQuery, NewAccount, PasswordChange, ProfileChange, SessionReader, SessionStore, StoreError, TakenField,
    },
    push::Device,
    report::Report,
    session::{Rotation, Session, rotate},
    time::Timestamp,
};

#[derive(Default)]
pub struct Memory {
    pub down: AtomicBool,
    /// An outage of what is known of accounts alone.
    pub accounts_down: AtomicBool,
    /// Calls that were refused because of that.
    pub refused: AtomicUsize,
    data: Mutex<Data>,
}

#[derive(Default)]
pub struct Data {
    pub accounts: BTreeMap<UserId, (Account, String)>,
    pub sessions: BTreeMap<SessionId, Session>,
    pub blocks: Vec<(UserId, UserId, Timestamp)>,
    pub chats: Vec<(Chat, Vec<Message>)>,
    /// Where in the list chats are that are not where their id puts them.
    pub activity: BTreeMap<ChatId, EventId>,
    /// A chat that moves when a history is read for the first time.
    pub moves: Option<(ChatId, EventId)>,
    /// In the order of their ids.
    pub media: Vec<Media>,
    /// Those that a message shows.
    pub shown_media: Vec<MediaId>,
    pub devices: Vec<Device>,
    pub notifications: Vec<Notification>,
    pub preferences: BTreeMap<UserId, Preferences>,
    pub standings: BTreeMap<UserId, Standing>,
    pub audit: Vec<AuditEntry>,
    pub reports: Vec<Report>,
    pub links: Vec<NewLink>,
    /// Devices that are in use.
    pub present: Vec<(UserId, Origin)>,
    /// With when it is due.
    pub mail: Vec<(QueuedMail, Timestamp)>,
}

impl Memory {
    pub fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    /// Gives an account the password of another.
    pub fn set_password_of(&self, name: &str, other: &str) {
        let mut data = self.data();
        let hash_of = |name: &str| data.accounts.values().find(|it| it.0.username.as_str() == name).unwrap().1.clone();
        let new = hash_of(other);
        data.accounts.values_mut().find(|it| it.0.username.as_str() == name).unwrap().1 = new;
    }

    pub(super) fn up(&self) -> Result<MutexGuard<'_, Data>, StoreError> {
        if self.down.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::unavailable("driver text: connection to 10.0.0.7 refused"));
        }
        Ok(self.data())
    }
}

fn profile(account: &Account) -> Profile {
    Profile {
        username: account.username.clone(),
        user_id: account.id,
        display_name: account.display_name.clone(),
        avatar_url: account.avatar_url.clone(),
    }
}

impl Data {
    fn profiles(&self) -> Vec<Profile> {
        let mut profiles: Vec<_> = self.accounts.values().map(|(account, _)| profile(account)).collect();
        profiles.sort_by(|a, b| a.username.cmp(&b.username));
        profiles
    }

    fn chat(&self, caller: UserId, id: ChatId) -> Result<&(Chat, Vec<Message>), StoreError> {
        self.chats.iter().find(|(chat, _)| chat.id == id && chat.has(caller)).ok_or(StoreError::NotFound)
    }

    fn credentials(&self, which: impl Fn(&Account) -> bool) -> Option<Credentials> {
        let (account, hash) = self.accounts.values().find(|(account, _)| which(account))?;
        let standing = self.standings.get(&account.id).copied().unwrap_or_default();
        Some(Credentials { account: account.clone(), password_hash: hash.clone(), standing })
    }
}

#[async_trait]
impl AccountReader for Memory {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        Ok(self.up()?.profiles().into_iter().find(|profile| profile.username == *username))
    }

    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        Ok(self.up()?.profiles().into_iter().filter(|profile| ids.contains(&profile.user_id)).collect())
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        Ok(self.up()?.blocks.iter().any(|(x, y, _)| (*x, *y) == (a, b) || (*x, *y) == (b, a)))
    }
}

#[async_trait]
impl AccountStore for Memory {
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError> {
        let mut data = self.up()?;
        if data.credentials(|account| account.username == new.username).is_some() {
            return Err(StoreError::Taken(TakenField::Username));
        }
        if data.credentials(|account| account.email == new.email).is_some() {
            return Err(StoreError::Taken(TakenField::Email));
        }
        let account = Account {
            id: new.id,
            display_name: new.username.to_string(),
            username: new.username,
            email: new.email,
            email_verified: false,
            avatar_url: None,
            created_at: new.created_at,
        };
        data.accounts.insert(account.id, (account.clone(), new.password_hash));
        data.sessions.extend(beginning.session.map(|session| (session.id, session)));
        if let Some(link) = beginning.link {
            data.queue(link);
        }
        Ok(account)
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.up()?.accounts.get(&id).map(|(account, _)| account.clone()))
    }

    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError> {
        if self.accounts_down.load(Ordering::Relaxed) {
            return Err(StoreError::unavailable("the connection broke"));
        }
        Ok(self.up()?.credentials(|account| account.id == id))
    }

    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        Ok(self.up()?.credentials(|account| [account.username.as_str(), account.email.as_str()].contains(&login)))
    }

    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError> {
        let profiles = self.up()?.profiles().into_iter();
        Ok(profiles.filter(|profile| profile.username.as_str().starts_with(prefix)).take(limit).collect())
    }

    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError> {
        let profiles = self.up()?.profiles().into_iter();
        Ok(profiles.filter(|profile| after.is_none_or(|after| profile.username.as_str() > after)).take(limit).collect())
    }

    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError> {
        let mut data = self.up()?;
        let (account, _) = data.accounts.get_mut(&id).ok_or(StoreError::NotFound)?;
        if let Some(name) = change.display_name {
            account.display_name = name;
        }
        if let Some(url) = change.avatar_url {
            account.avatar_url = url;
        }
        Ok(account.clone())
    }

    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError> {
        let mut data = self.up()?;
        if let Some((_, hash)) = data.accounts.get_mut(&id).filter(|(_, hash)| *hash == old) {
            *hash = new;
        }
        Ok(())
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError> {
        let mut data = self.up()?;
        let asks = data.sessions.contains_key(&change.session);
        let account = data.accounts.get_mut(&change.user).filter(|(_, hash)| *hash == change.confirmed && asks);
        let Some((_, hash)) = account else { return Ok(None) };
        *hash = change.password_hash;
        let (user, keep) = (change.user, change.session);
        let ended = data.sessions.extract_if(.., |id, session| session.user_id == user && *id != keep);
        let ended = ended.map(|(id, _)| id).collect();
        data.withdraw(user, LinkPurpose::ResetPassword);
        data.audit.push(change.entry);
        Ok(Some(ended))
    }

    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError> {
        let mut data = self.up()?;
        let (_, hash) = data.accounts.get(&id).ok_or(StoreError::NotFound)?;
        if confirmed.as_ref().is_some_and(|confirmed| confirmed.password_hash != *hash) {
            return Ok(false);
        }
        data.accounts.remove(&id);
        data.sessions.retain(|_, session| session.user_id != id);
        data.forget_in_reports(id);
        data.audit.extend(confirmed.map(|confirmed| confirmed.entry));
        Ok(true)
    }

    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError> {
        let mut data = self.up()?;
        if !data.accounts.contains_key(&other) {
            return Err(StoreError::NotFound);
        }
        if !data.blocks.iter().any(|(a, b, _)| (*a, *b) == (id, other)) {
            data.blocks.push((id, other, now));
        }
        Ok(())
    }

    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError> {
        self.up()?.blocks.retain(|(a, b, _)| (*a, *b) != (id, other));
        Ok(())
    }

    async fn blocks(
        &self,
        id: UserId,
        before: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Profile, Timestamp)>, StoreError> {
        let data = self.up()?;
        let own = data.blocks.iter().rev().filter(|(a, _, _)| *a == id);
        let after = own.filter(|(_, other, at)| before.is_none_or(|before| (*at, *other) < before)).take(limit);
        Ok(after.map(|(_, other, at)| (profile(&data.accounts[other].0), *at)).collect())
    }
}

#[async_trait]
impl SessionReader for Memory {
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.up()?.sessions.get(&id).cloned())
    }

    async fn ended_within(&self, _: i64) -> Result<Vec<SessionId>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        let mut data = self.up()?;
        if !data.accounts.contains_key(&session.user_id) {
            return Err(StoreError::NotFound);
        }
        data.sessions.insert(session.id, session);
        Ok(())
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        Ok(self.up()?.sessions.values().filter(|session| session.user_id == user).cloned().collect())
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        generation: u32,
        now: Timestamp,
        lifetime_seconds: u32,
    ) -> Result<Option<(Session, Rotation)>, StoreError> {
        let mut data = self.up()?;
        let Some(session) = data.sessions.get_mut(&id) else { return Ok(None) };
        let rotation = rotate(session, generation, now, lifetime_seconds);
        if let Rotation::Advance(generation) = rotation {
            session.advance(generation, now);
        }
        let session = session.clone();
        if matches!(rotation, Rotation::Reused | Rotation::Expired) {
            data.sessions.remove(&id);
        }
        Ok(Some((session, rotation)))
    }

    async fn end_session(&self, user: UserId, id: SessionId) -> Result<(), StoreError> {
        let mut data = self.up()?;
        match data.sessions.get(&id) {
            Some(session) if session.user_id == user => {
                data.sessions.remove(&id).map(|_| ()).ok_or(StoreError::NotFound)
            }
            _ => Err(StoreError::NotFound),
        }
    }
}

#[async_trait]
impl ChatReader for Memory {
    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        Ok(self.up()?.chat(caller, chat)?.0.clone())
    }

    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError> {
        let chat = self.chat(caller, chat).await?;
        let blocked = self.blocked_between(caller, chat.peer_of(caller)).await?;
        Ok((chat, blocked))
    }

    async fn chats(
        &self,
        caller: UserId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<ChatSummary>, StoreError> {
        let data = self.up()?;
        let own = data.chats.iter().filter(|(chat, _)| chat.has(caller));
        let summary = |(chat, _): &(Chat, Vec<Message>)| ChatSummary {
            chat: chat.clone(),
            last_message: None,
            unread: 0,
            activity: data.activity.get(&chat.id).copied().unwrap_or(EventId(chat.id.0)),
        };
        let mut summaries: Vec<_> =
            own.map(summary).filter(|it| before.is_none_or(|before| it.activity < before)).collect();
        summaries.sort_by_key(|summary| std::cmp::Reverse(summary.activity));
        summaries.truncate(limit);
        Ok(summaries)
    }

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let mut data = self.up()?;
        if let Some((chat, activity)) = data.moves.take() {
            data.activity.insert(chat, activity);
        }
        let (_, messages) = data.chat(caller, chat)?;
        let before = match query {
            HistoryQuery::Before(id) => Some(id),
            _ => None,
        };
        let older = messages.iter().rev().filter(|message| before.is_none_or(|before| message.id < before));
        let mut messages: Vec<_> = older.cloned().collect();
        let more_before = messages.len() > limit;
        messages.truncate(limit);
        Ok(HistoryPage { messages, more_before, more_after: false })
    }
}
