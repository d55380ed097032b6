//! Sync: what happened to a user since a token.

use std::collections::{HashMap, hash_map::Entry};

use axum::http::StatusCode;
use sentinel_domain::{
    cursor,
    event::{InboxBody, InboxEvent},
    ids::{ChatId, EventId, UserId},
    keyring::Keyring,
    message::{Chat, Message},
    place::InboxPlace,
    ports::StoreError,
};
use sentinel_http::{
    page,
    problem::{Code, Problem},
    rate::Action,
    views::MessageView,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::{
    requests::SyncSince,
    service::MessageService,
    views::{ChatDeleted, ChatStarted, DeletedMessage, ReceiptView},
};

const QUERY: &str = "sync";
const DEFAULT_EVENTS: usize = 100;
/// Events that are read over again for one count of the limit on that. Whoever reads a flood of short messages once, page by
/// page, stays below it; one of long messages has more pages, and a client that waits when it is told to gets through.
const READ_AGAIN: usize = 200;
/// Most bytes of events in a page that has more than one: some of what may wait for a socket, so that live events find room
/// beside it.
const PAGE_BYTES: usize = 1024 * 1024;

/// One thing that happened. `data` is what sockets got under the name `event` when it did.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncEvent {
    /// Its place; events come in this order.
    #[schema(value_type = uuid::Uuid)]
    pub event_id: EventId,
    /// `receive_message`, `message_edited`, `message_deleted`, `receipt`, `chat_started` or `chat_deleted`.
    #[schema(example = "receive_message")]
    pub event: &'static str,
    /// The event's payload, with messages as they are now.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

/// What happened since a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncPage {
    /// What happened, in order.
    pub events: Vec<SyncEvent>,
    /// The token to go on from.
    pub next: String,
    /// Whether there is more already: a page ends at `limit`, or at 1 MiB, or even earlier.
    pub more: bool,
    /// Whether the token was too old: load the chats anew, then go on from `next`.
    pub reset: bool,
}

/// Writes the token of a place in the caller's inbox.
pub(crate) fn token(keyring: &Keyring, caller: UserId, place: &InboxPlace) -> String {
    cursor::encode(keyring, QUERY, caller, &place.to_bytes())
}

/// A token that is none of the caller's, as after the deployment's keys were replaced. Other than a cursor of a list, it is
/// not just left out: that would begin with the oldest event.
fn forged() -> Problem {
    let detail = "not a sync token of yours: load the chats anew, then go on from sync_token of a socket's ready, or from \
                  the last next of GET /sync read to its end without since";
    Problem::new(StatusCode::BAD_REQUEST, Code::InvalidCursor, detail).with_field("since", Code::InvalidCursor, detail)
}

/// What happened to the caller.
pub(crate) async fn since(service: &MessageService, caller: UserId, query: SyncSince) -> Result<SyncPage, Problem> {
    let mut limit = page::limit(query.limit, DEFAULT_EVENTS)?;
    let since = match query.since.filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let bytes = cursor::decode(&service.keyring, QUERY, caller, &token).map_err(|_| forged())?;
            Some(InboxPlace::from_bytes(&bytes).ok_or_else(forged)?)
        }
    };
    let listed = since.as_ref().map_or(0, InboxPlace::listed);
    if listed >= READ_AGAIN {
        let cost = u32::try_from(listed / READ_AGAIN).unwrap_or(u32::MAX);
        service.limits.check_costly(Action::Sync, &caller.to_string(), cost)?;
    }
    loop {
        let page = page_of(service, caller, since.clone(), limit).await?;
        let fits = fitting(page.events.iter().map(|event| event.data.get().len()));
        if fits >= page.events.len() {
            return Ok(page);
        }
        // Only the store knows the place after so many.
        limit = fits;
    }
}

/// How many events have room in a page, given the bytes of each: one at least.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut left = PAGE_BYTES;
    let fit = sizes.take_while(|size| left.checked_sub(*size).inspect(|rest| left = *rest).is_some());
    fit.count().max(1)
}

async fn page_of(
    service: &MessageService,
    caller: UserId,
    since: Option<InboxPlace>,
    limit: usize,
) -> Result<SyncPage, Problem> {
    let inbox = service.inboxes.inbox(caller, since, limit).await?;
    let mut chats = HashMap::new();
    let mut events = Vec::with_capacity(inbox.events.len());
    for event in &inbox.events {
        if let Some(event) = describe(service, caller, &mut chats, event).await? {
            events.push(event);
        }
    }
    Ok(SyncPage { events, next: token(&service.keyring, caller, &inbox.next), more: inbox.more, reset: inbox.reset })
}

/// An event as clients get it; nothing when its chat went away meanwhile. `chats` keeps what was read for the page.
pub(crate) async fn describe(
    service: &MessageService,
    caller: UserId,
    chats: &mut HashMap<ChatId, Option<Chat>>,
    event: &InboxEvent,
) -> Result<Option<SyncEvent>, Problem> {
    let (name, data) = match &event.body {
        InboxBody::Message(message) => ("receive_message", view(service, caller, chats, message).await?),
        InboxBody::Edited(message) => ("message_edited", view(service, caller, chats, message).await?),
        InboxBody::Deleted { chat_id, message_id } => {
            ("message_deleted", json(&DeletedMessage { chat_id: *chat_id, message_id: *message_id })?)
        }
        InboxBody::Receipt { chat_id, user_id, watermarks } => {
            let receipt = ReceiptView {
                chat_id: *chat_id,
                user_id: *user_id,
                delivered_up_to: watermarks.delivered_up_to,
                read_up_to: watermarks.read_up_to,
            };
            ("receipt", json(&receipt)?)
        }
        InboxBody::ChatStarted { chat_id, by } => {
            let chat = chat_of(service, caller, chats, *chat_id).await?;
            let started =
                chat.map(|chat| ChatStarted { chat_id: *chat_id, by: *by, members: chat.distinct_members().to_vec() });
            ("chat_started", started.map_or(Ok(None), |started| json(&started))?)
        }
        InboxBody::ChatDeleted { chat_id } => ("chat_deleted", json(&ChatDeleted { chat_id: *chat_id })?),
    };
    Ok(data.map(|data| SyncEvent { event_id: event.id, event: name, data }))
}

/// A message with its status; nothing when its chat went away meanwhile.
async fn view(
    service: &MessageService,
    caller: UserId,
    chats: &mut HashMap<ChatId, Option<Chat>>,
    message: &Message,
) -> Result<Option<Box<RawValue>>, Problem> {
    let chat = chat_of(service, caller, chats, message.chat_id).await?;
    chat.map_or(Ok(None), |chat| json(&MessageView::of(chat, message)))
}

/// A chat of the caller; none when it went away meanwhile, which another event tells.
async fn chat_of<'a>(
    service: &MessageService,
    caller: UserId,
    chats: &'a mut HashMap<ChatId, Option<Chat>>,
    id: ChatId,
) -> Result<Option<&'a Chat>, Problem> {
    let chat = match chats.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => match service.chats.chat(caller, id).await {
            Ok(chat) => unknown.insert(Some(chat)),
            Err(StoreError::NotFound) => unknown.insert(None),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(chat.as_ref())
}

fn json(value: &impl Serialize) -> Result<Option<Box<RawValue>>, Problem> {
    to_raw_value(value).map(Some).map_err(|_| Problem::internal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_it_is_too_large_and_has_one_event_at_least() {
        let fits = |sizes: &[usize]| fitting(sizes.iter().copied());
        assert_eq!(fits(&[PAGE_BYTES / 2, PAGE_BYTES / 2, 1]), 2);
        assert_eq!(fits(&[1; 100]), 100);
        assert_eq!((fits(&[PAGE_BYTES + 1, 1]), fits(&[])), (1, 1));
    }
}
