//! Starting a chat, and the caller's chats.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sentinel_domain::{
    cursor,
    ids::{ChatId, EventId, UserId},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Query},
    page,
    problem::{Problem, ProblemBody},
    views::MessageView,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use crate::{
    requests::StartChat,
    views::{ChatEntry, StartedChat},
};

const QUERY: &str = "chats";
const DEFAULT_CHATS: usize = 50;

/// Start a chat
///
/// Two accounts have one chat, whoever starts it; one may have a chat with oneself.
#[utoipa::path(
    post, path = "/users/chat", tag = "chats", operation_id = "start_chat", security(("bearer" = [])),
    request_body = StartChat,
    responses(
        (status = 201, description = "The chat is new", body = StartedChat),
        (status = 200, description = "The chat was there", body = StartedChat),
        (
            status = 403, description = "`sender_id` is not the caller (`forbidden`), or one blocks the other (`blocked`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 404, description = "There is no such account (`not_found`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesJson, NeedsToken, Any,
    )
)]
pub(super) async fn start(
    State(App(service)): State<App>,
    user: AuthUser,
    Json(asked): Json<StartChat>,
) -> Result<Response, Problem> {
    let chat = service.start_chat(user.user_id, asked.receiver_id).await?;
    let status = if chat.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(chat)).into_response())
}

/// Which chats.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChatsQuery {
    /// At most this many (1 to 100); 50 by default.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Some of the caller's chats.
#[derive(Serialize, ToSchema)]
pub(super) struct ChatPage<'a> {
    /// The ids of `chats`, for clients of the seed.
    #[schema(value_type = Vec<uuid::Uuid>)]
    chat_ids: Vec<ChatId>,
    /// The chats, newest activity first.
    chats: Vec<ChatEntry<'a>>,
    /// Gives the next page; `null` on the last.
    next_cursor: Option<String>,
    /// Always 200, for clients of the seed.
    status: u16,
}

/// List chats
///
/// The caller's chats, newest activity first.
#[utoipa::path(
    get, path = "/users/chat", tag = "chats", operation_id = "list_chats", security(("bearer" = [])),
    params(("user_id" = Option<uuid::Uuid>, Query, description = "If given, it must be the caller."), ChatsQuery),
    responses(
        (status = 200, description = "Some of the chats", body = ChatPage),
        (
            status = 403, description = "`user_id` is not the caller (`forbidden`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn list(
    State(App(service)): State<App>,
    user: AuthUser,
    Query(query): Query<ChatsQuery>,
) -> Result<Response, Problem> {
    let caller = user.user_id;
    let limit = page::limit(query.limit, DEFAULT_CHATS)?;
    let before = page::after(&service.keyring, QUERY, caller, query.cursor.as_deref())?.map(EventId::from_bytes);
    let (summaries, preferences) =
        tokio::join!(service.chats.chats(caller, before, limit + 1), service.preferences(caller));
    let (mut summaries, now) = (summaries?, Timestamp::now());
    let next = page::cut(&mut summaries, limit).map(|last| last.activity);
    let ids: Vec<UserId> = summaries.iter().map(|summary| summary.chat.peer_of(caller)).collect();
    let peers = service.accounts.peers(&ids).await?;
    let chats: Vec<ChatEntry<'_>> = summaries
        .iter()
        // A peer whose account was deleted a moment ago takes the chat along.
        .filter_map(|summary| {
            let peer = peers.get(&summary.chat.peer_of(caller))?.clone();
            let marks = summary.chat.watermarks_of(caller);
            Some(ChatEntry {
                chat_id: summary.chat.id,
                peer,
                last_message: summary.last_message.as_ref().map(|message| MessageView::of(&summary.chat, message)),
                unread: summary.unread,
                delivered_up_to: marks.delivered_up_to,
                read_up_to: marks.read_up_to,
                muted: preferences.mutes(summary.chat.id, now),
            })
        })
        .collect();
    let page = ChatPage {
        chat_ids: chats.iter().map(|chat| chat.chat_id).collect(),
        chats,
        next_cursor: next.map(|place| cursor::encode(&service.keyring, QUERY, caller, place.as_bytes())),
        status: 200,
    };
    Ok(Json(page).into_response())
}
