//! The message service: what HTTP routes and socket events have in common.

use std::sync::Arc;

use axum::http::StatusCode;
use sentinel_domain::{
    config::PlatformConfig,
    event::{Fanout, Origin},
    ids::{ChatId, MessageId, UserId},
    keyring::Keyring,
    message::{Chat, ClientMessageId, Draft, InvalidMessage, Message, check_text},
    notification::Preferences,
    ports::{
        AccountReader, Appended, ChatStore, HistoryQuery, Inboxes, MediaStore, PreferenceReader, PresenceStore,
        SessionReader,
    },
    time::Timestamp,
    watermark::{Progress, Watermarks},
};
use sentinel_http::{
    problem::{Code, Problem},
    rate::{Action, RateLimits},
    tokens::Tokens,
};

use crate::{
    accounts::Accounts,
    attachments, dispatcher,
    hub::Hub,
    nodes::{Emitted, RoutedFanout},
    presence::Presences,
    requests::NewMessage,
    socket::{Connections, clock},
    views::StartedChat,
};

/// The stores that the service needs.
pub struct MessageStores {
    /// Names and blocks.
    pub accounts: Arc<dyn AccountReader>,
    /// Sessions, with which sockets begin.
    pub sessions: Arc<dyn SessionReader>,
    /// Chats and messages.
    pub chats: Arc<dyn ChatStore>,
    /// What clients sync from.
    pub inboxes: Arc<dyn Inboxes>,
    /// Files that messages show.
    pub media: Arc<dyn MediaStore>,
    /// Which chats are muted.
    pub preferences: Arc<dyn PreferenceReader>,
    /// Who is connected; without it nobody can be watched.
    pub presence: Option<Arc<dyn PresenceStore>>,
}

/// Chats, messages, history and sync, over HTTP and over sockets.
pub struct MessageService {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) sessions: Arc<dyn SessionReader>,
    pub(crate) chats: Arc<dyn ChatStore>,
    pub(crate) inboxes: Arc<dyn Inboxes>,
    pub(crate) media: Arc<dyn MediaStore>,
    preferences: Arc<dyn PreferenceReader>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) limits: Arc<RateLimits>,
    pub(crate) config: Arc<PlatformConfig>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) routed: Option<Arc<RoutedFanout>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) presences: Option<Arc<Presences>>,
}

impl MessageService {
    /// Builds the service and starts its dispatcher and its clock; call it inside a Tokio runtime.
    ///
    /// `hub` is where the events of the store end up; it serves one service. Where there are several processes, `routed`
    /// is the fan-out over the same hub that the store publishes to; where there is one, it publishes to the hub.
    pub fn new(
        stores: MessageStores,
        tokens: Arc<Tokens>,
        keyring: Arc<Keyring>,
        limits: Arc<RateLimits>,
        config: Arc<PlatformConfig>,
        hub: Arc<Hub>,
        routed: Option<Arc<RoutedFanout>>,
    ) -> Arc<Self> {
        let MessageStores { accounts, sessions, chats, inboxes, media, preferences, presence } = stores;
        let connections = Arc::new(Connections::default());
        let accounts = Arc::new(Accounts::new(accounts));
        dispatcher::start(&hub, tokens.clone(), routed.is_some().then(Emitted::default));
        clock::start(&hub, &connections);
        let presences = presence.map(|store| Presences::start(store, accounts.clone(), limits.clone(), &hub));
        let service = Arc::new(Self {
            accounts,
            sessions,
            chats,
            inboxes,
            media,
            preferences,
            tokens,
            keyring,
            limits,
            config,
            hub,
            routed,
            connections,
            presences,
        });
        if let Some(routed) = &service.routed {
            routed.start(&service);
        }
        service
    }

    /// Where events go that no store publishes.
    pub(crate) fn fanout(&self) -> &dyn Fanout {
        match &self.routed {
            Some(routed) => routed.as_ref(),
            None => self.hub.as_ref(),
        }
    }

    /// The one chat of the caller and `receiver`, made if need be.
    pub(crate) async fn start_chat(&self, caller: UserId, receiver: UserId) -> Result<StartedChat, Problem> {
        self.limits.check(Action::StartChat, &caller.to_string())?;
        let (chat, created) = self.chats.start_chat(caller, receiver, Timestamp::now()).await?;
        let peer = self.accounts.peer(chat.peer_of(caller)).await?;
        Ok(StartedChat { chat_id: chat.id, peer, created })
    }

    /// Writes a message; durable once this returns.
    pub(crate) async fn send(
        &self,
        caller: UserId,
        chat_id: ChatId,
        new: NewMessage,
        origin: Option<Origin>,
    ) -> Result<Appended, Problem> {
        self.limits.check(Action::Message, &caller.to_string())?;
        let attachments = new.attachments.unwrap_or_default();
        self.check_text(caller, &new.message, attachments.len())?;
        let client_message_id = match new.client_message_id {
            None => None,
            Some(id) => Some(ClientMessageId::parse(id).map_err(|error| refused(&error))?),
        };
        // A repeat shows what the first one did, whatever became of its files since.
        if !attachments.is_empty()
            && let Some(id) = &client_message_id
            && let Some(message) = self.chats.sent(caller, chat_id, id.clone(), origin).await?
        {
            return repeat_in(chat_id, message);
        }
        let now = Timestamp::now();
        let kind = attachments::check(self, caller, chat_id, new.kind, &attachments, now).await?;
        let draft = Draft {
            chat_id,
            sender_id: caller,
            kind,
            text: new.message,
            attachments,
            reply_to: new.reply_to,
            client_message_id,
        };
        let appended = self.chats.append(draft, origin, now).await?;
        if appended.duplicate {
            return repeat_in(chat_id, appended.message);
        }
        metrics::counter!("sentinel_messages_appended_total").increment(1);
        Ok(appended)
    }

    /// Replaces a message's text.
    pub(crate) async fn edit(
        &self,
        caller: UserId,
        chat: ChatId,
        message: MessageId,
        text: String,
    ) -> Result<Message, Problem> {
        self.limits.check(Action::Message, &caller.to_string())?;
        // Only what is empty has to be looked at for files: they stay as they are.
        let shown =
            if text.trim().is_empty() { attachments::of(self, caller, chat, message).await? } else { Vec::new() };
        self.check_text(caller, &text, shown.len())?;
        Ok(self.chats.edit(caller, chat, message, text, Timestamp::now()).await?)
    }

    /// Deletes a message, leaving a tombstone.
    pub(crate) async fn delete(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<(), Problem> {
        self.limits.check(Action::Message, &caller.to_string())?;
        let shown = attachments::of(self, caller, chat, message).await?;
        // Files first: a repeat finds what an interruption left of the message, but not what it showed.
        attachments::release(self, chat, &shown, Timestamp::now()).await?;
        Ok(self.chats.delete(caller, chat, message, Timestamp::now()).await?)
    }

    /// Raises the caller's watermarks.
    pub(crate) async fn advance(
        &self,
        caller: UserId,
        chat: ChatId,
        progress: Progress,
        up_to: MessageId,
    ) -> Result<Watermarks, Problem> {
        Ok(self.chats.advance(caller, chat, progress, up_to, Timestamp::now()).await?)
    }

    /// Raises the caller's delivery watermark to the newest message of the chat with `peer`.
    pub(crate) async fn received_all(&self, caller: UserId, peer: UserId) -> Result<(), Problem> {
        let chat = ChatId::of_pair(caller, peer);
        let newest = self.chats.history(caller, chat, HistoryQuery::Latest, 1).await?.messages;
        if let Some(message) = newest.first() {
            self.advance(caller, chat, Progress::Delivered, message.id).await?;
        }
        Ok(())
    }

    /// A chat of the caller.
    pub(crate) async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, Problem> {
        Ok(self.chats.chat(caller, chat).await?)
    }

    /// How the caller wants to be notified. What can't be read counts as nothing wished for: the chats are worth more than
    /// which of them are muted.
    pub(crate) async fn preferences(&self, caller: UserId) -> Preferences {
        self.preferences.preferences(caller).await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, user = %caller, "which chats are muted can't be read; none counts as muted");
            Preferences::default()
        })
    }

    /// Whether this may be the text of a message, and its author has not written too much of late.
    fn check_text(&self, author: UserId, text: &str, attachments: usize) -> Result<(), Problem> {
        let limit = usize::try_from(self.config.limits.message_bytes).unwrap_or(usize::MAX);
        check_text(text, attachments, limit).map_err(|error| refused(&error))?;
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.limits.check_costly(Action::MessageBytes, &author.to_string(), bytes)
    }
}

/// The first message for its repeat. What was meant for another chat is none: answered as one, it would be lost.
fn repeat_in(chat: ChatId, message: Message) -> Result<Appended, Problem> {
    if message.chat_id == chat {
        return Ok(Appended { message, duplicate: true });
    }
    let detail = "you gave this client_message_id to a message of another chat; give each message an id of its own";
    let problem = Problem::new(StatusCode::CONFLICT, Code::ClientMessageIdTaken, detail);
    Err(problem.with_field("client_message_id", Code::ClientMessageIdTaken, detail))
}

fn refused(error: &InvalidMessage) -> Problem {
    let detail = error.to_string();
    match error {
        InvalidMessage::Empty => Problem::invalid("message", Code::EmptyMessage, detail),
        InvalidMessage::ClientMessageId => Problem::invalid("client_message_id", Code::InvalidClientMessageId, detail),
        InvalidMessage::TooLarge(_) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::MessageTooLarge,
            detail.clone(),
        )
        .with_field("message", Code::MessageTooLarge, detail),
    }
}
