//! Chats some of whose messages can't be read.

use sentinel_domain::{
    keyring::KeyError,
    ports::{ChatSummary, HistoryPage, HistoryQuery},
};

use super::*;

/// A store of chats with damage.
pub struct Damaged {
    store: Arc<Sqlite>,
    /// Messages that are damaged, and what is read of each.
    pub messages: Mutex<HashMap<MessageId, fn() -> StoreError>>,
}

impl Damaged {
    /// Nothing is damaged yet.
    pub fn of(store: Arc<Sqlite>) -> Self {
        Self { store, messages: Mutex::default() }
    }
}

#[async_trait]
impl ChatReader for Damaged {
    async fn chats(&self, user: UserId, before: Option<EventId>, limit: usize) -> Result<Vec<ChatSummary>, StoreError> {
        self.store.chats(user, before, limit).await
    }

    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        self.store.chat(caller, chat).await
    }

    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError> {
        self.store.chat_and_block(caller, chat).await
    }

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.store.history(caller, chat, query, limit).await
    }

    async fn message(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<Message, StoreError> {
        let damage = self.messages.lock().unwrap().get(&message).copied();
        match damage {
            Some(error) => Err(error()),
            None => self.store.message(caller, chat, message).await,
        }
    }
}

#[tokio::test]
async fn a_notification_whose_message_can_not_be_read_is_shown_without_it() {
    let mut world = World::new().await;
    let mut sent = Vec::new();
    for number in 0..3 {
        let message = world.send(world.ann, &format!("number {number}")).await;
        world.written(&message).await;
        sent.push(message.id);
    }
    world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({"show_content": true}))).await;
    let damaged = Arc::new(Damaged::of(world.store.clone()));
    world.router = routes(&Arc::new(world.service_over(damaged.clone())));
    for error in [(|| KeyError::Corrupt.into()) as fn() -> StoreError, || KeyError::Missing("kek-0002".into()).into()] {
        damaged.messages.lock().unwrap().insert(sent[1], error);
        let (status, page) = world.call(world.bob, "GET", "/notifications", None).await;
        assert_eq!(status, 200, "{page}");
        let shown = |place: usize| (&page["notifications"][place]["header"], &page["notifications"][place]["body"]);
        assert_eq!(shown(0), (&json!("ann"), &json!("number 2")));
        assert_eq!(shown(1).0, &json!("New message"));
        assert_eq!(shown(2), (&json!("ann"), &json!("number 0")));
        assert!(!page.to_string().contains("number 1"), "{page}");
    }
    damaged.messages.lock().unwrap().insert(sent[1], || StoreError::unavailable("away"));
    assert!(world.call(world.bob, "GET", "/notifications", None).await.0 >= 500, "what is only away comes later");
}
