//! Finding messages: the index says which may be meant, the messages themselves say which are.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    keyring::Keyring,
    message::{Chat, Message, MessageKind},
    ports::{ChatReader, SearchHit, SearchIndex, SearchQuery, StoreError},
    search::{Highlight, Query, SearchKeys},
    time::Timestamp,
};
use sentinel_http::{rate::RateLimits, tokens::Tokens};

use crate::terms::{Freshness, IndexTerms};

/// Messages that are read at the same time.
const READ_AT_ONCE: usize = 16;
/// Fewest entries to ask the index for.
const SMALLEST_BATCH: usize = 20;
/// Entries that one request looks at; then it answers what it has, with a cursor.
const EXAMINED_AT_MOST: usize = 500;

/// Finds messages for their members.
pub struct SearchService {
    pub(crate) chats: Arc<dyn ChatReader>,
    index: Arc<dyn SearchIndex>,
    terms: IndexTerms,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) limits: Arc<RateLimits>,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the index can't be asked, so that an answer might lack something.
    #[error("the search index has terms of a key that is not in the keys folder")]
    Unreadable,
}

/// What a caller looks for.
pub(crate) struct Asked {
    pub query: Query,
    pub chat: Option<ChatId>,
    pub sender: Option<UserId>,
    pub kind: Option<MessageKind>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub before: Option<MessageId>,
    pub limit: usize,
}

/// A message that was found, with its chat as it is now.
pub(crate) struct Hit {
    pub chat: Arc<Chat>,
    pub message: Message,
    pub highlights: Vec<Highlight>,
}

/// Some hits, newest first.
pub(crate) struct Page {
    pub hits: Vec<Hit>,
    /// Where the next page begins: after this message.
    pub next: Option<MessageId>,
}

/// Chats that were read for a request; `None` is one that the caller has no part in (any more).
type Chats = HashMap<ChatId, Option<Arc<Chat>>>;

impl SearchService {
    /// Builds the service.
    pub fn new(
        chats: Arc<dyn ChatReader>,
        index: Arc<dyn SearchIndex>,
        keys: Arc<SearchKeys>,
        tokens: Arc<Tokens>,
        keyring: Arc<Keyring>,
        limits: Arc<RateLimits>,
    ) -> Self {
        let terms = IndexTerms::new(index.clone(), keys);
        Self { chats, index, terms, tokens, keyring, limits }
    }

    /// Finds messages of the caller's chats.
    pub(crate) async fn find(&self, caller: UserId, asked: &Asked) -> Result<Page, SearchError> {
        let (terms, freshness) = self.terms.asked(&asked.query).await?;
        if freshness == Freshness::Unreadable {
            return Err(SearchError::Unreadable);
        }
        let mut query = SearchQuery {
            caller,
            chat: asked.chat,
            sender: asked.sender,
            kind: asked.kind,
            from: asked.from,
            to: asked.to,
            terms,
            before: asked.before,
            limit: 0,
        };
        let (mut hits, mut chats, mut examined) = (Vec::new(), Chats::new(), 0);
        let next = loop {
            // One more than asked for, to know whether there is a next page.
            query.limit = (asked.limit + 1 - hits.len()).max(SMALLEST_BATCH);
            let found = self.index.query(&query).await?;
            self.read_chats(caller, &found.hits, &mut chats).await?;
            let chats = &chats;
            let read = stream::iter(found.hits.iter().copied()).map(|hit| self.read(caller, asked, hit, chats));
            let read: Vec<Option<Hit>> = read.buffered(READ_AT_ONCE).try_collect().await?;
            hits.extend(read.into_iter().flatten());
            if hits.len() > asked.limit {
                hits.truncate(asked.limit);
                break hits.last().map(|hit| hit.message.id);
            }
            let Some(last) = found.hits.last().filter(|_| found.more) else { break None };
            examined += found.hits.len();
            if examined >= EXAMINED_AT_MOST {
                break Some(last.message_id);
            }
            query.before = Some(last.message_id);
        };
        Ok(Page { hits, next })
    }

    async fn read_chats(&self, caller: UserId, hits: &[SearchHit], chats: &mut Chats) -> Result<(), StoreError> {
        for hit in hits {
            if let Entry::Vacant(place) = chats.entry(hit.chat_id) {
                let chat = found(self.chats.chat(caller, hit.chat_id).await)?;
                place.insert(chat.map(Arc::new));
            }
        }
        Ok(())
    }

    /// The message, if it is what was asked for: the index may be behind, or wrong.
    async fn read(
        &self,
        caller: UserId,
        asked: &Asked,
        hit: SearchHit,
        chats: &Chats,
    ) -> Result<Option<Hit>, StoreError> {
        let Some(Some(chat)) = chats.get(&hit.chat_id) else { return Ok(None) };
        let message = match self.chats.message(caller, hit.chat_id, hit.message_id).await {
            Err(error) if error.is_about_content() => {
                // The others are not to be lost along with it.
                metrics::counter!("sentinel_messages_unreadable_total").increment(1);
                let SearchHit { chat_id, message_id } = hit;
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, chat = %chat_id, message = %message_id, "a message can't be read; a search leaves it out");
                None
            }
            message => found(message)?,
        };
        let checked = message.and_then(|message| {
            let highlights = asked.check(&message)?;
            Some(Hit { chat: chat.clone(), message, highlights })
        });
        Ok(checked)
    }
}

impl Asked {
    /// What to highlight in the message, if it is one that was asked for.
    fn check(&self, message: &Message) -> Option<Vec<Highlight>> {
        let at = message.id.timestamp();
        let meant = !message.deleted
            && self.chat.is_none_or(|chat| chat == message.chat_id)
            && self.sender.is_none_or(|sender| sender == message.sender_id)
            && self.kind.is_none_or(|kind| kind == message.kind)
            && self.from.is_none_or(|from| from <= at)
            && self.to.is_none_or(|to| at < to)
            && self.before.is_none_or(|before| message.id < before);
        if meant { self.query.find(&message.text) } else { None }
    }
}

/// What is not there, or not the caller's, is no error of a search.
fn found<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
