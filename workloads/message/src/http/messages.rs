//! Writing, editing, deleting and reading messages.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    message::{Chat, Message},
    ports::ChatReader,
    watermark::Progress,
};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, MayBeMissing, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path},
    problem::{Problem, ProblemBody},
    views::MessageView,
};

use super::App;
use crate::requests::{EditedText, NewMessage, ReadUpTo};

/// Send a message
///
/// Durable once answered. A repeat with the same `client_message_id` answers the first message.
#[utoipa::path(
    post, path = "/users/chat/{chat_id}/messages", tag = "messages", operation_id = "send_message",
    security(("bearer" = [])), params(("chat_id" = uuid::Uuid, Path, description = "The chat")),
    request_body = NewMessage,
    responses(
        (status = 201, description = "The message", body = MessageView),
        (status = 200, description = "The first message, of which this was a repeat", body = MessageView),
        (
            status = 403, description = "`sender_id` is not the caller (`forbidden`), or one blocks the other (`blocked`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 409, description = "`client_message_id` is that of a message of another chat (`client_message_id_taken`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 413, description = "The text is too long (`message_too_large`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 422,
            description = "There is neither text nor attachment (`empty_message`), the sender's own id can't be one \
                (`invalid_client_message_id`), the attachments are too many or one is there twice \
                (`too_many_attachments`), one is no completed upload of the caller (`unknown_attachment`), `type` does \
                not fit them (`wrong_type`), or `reply_to` is no message of this chat (`unknown_reply`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesJson, TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn send(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(chat_id): Path<ChatId>,
    Json(new): Json<NewMessage>,
) -> Result<Response, Problem> {
    let appended = service.send(user.user_id, chat_id, new, None).await?;
    let chat = as_it_is(service.chats.as_ref(), user.user_id, &appended.message).await;
    let status = if appended.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(MessageView::of(&chat, &appended.message))).into_response())
}

/// The chat of a message that was just written, for how far it has got. What was written is not refused because this can't
/// be read: then it looks as if nobody had got it yet, and receipts tell the rest.
async fn as_it_is(chats: &dyn ChatReader, caller: UserId, message: &Message) -> Chat {
    match chats.chat(caller, message.chat_id).await {
        Ok(chat) => chat,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a message is answered without its receipts");
            Chat {
                id: message.chat_id,
                members: [message.sender_id; 2],
                created_at: message.id.timestamp(),
                watermarks: Default::default(),
                shown: Default::default(),
            }
        }
    }
}

/// Edit a message
///
/// Only its author may.
#[utoipa::path(
    patch, path = "/users/chat/{chat_id}/messages/{message_id}", tag = "messages", operation_id = "edit_message",
    security(("bearer" = [])),
    params(
        ("chat_id" = uuid::Uuid, Path, description = "The chat"),
        ("message_id" = uuid::Uuid, Path, description = "The message"),
    ),
    request_body = EditedText,
    responses(
        (status = 200, description = "The message as it is now", body = MessageView),
        (
            status = 403, description = "The caller is not the author (`forbidden`), or one blocks the other (`blocked`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 409, description = "The message was deleted (`message_deleted`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 413, description = "The text is too long (`message_too_large`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 422, description = "There is neither text nor attachment (`empty_message`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesJson, TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn edit(
    State(App(service)): State<App>,
    user: AuthUser,
    Path((chat_id, message_id)): Path<(ChatId, MessageId)>,
    Json(edited): Json<EditedText>,
) -> Result<Response, Problem> {
    let message = service.edit(user.user_id, chat_id, message_id, edited.message).await?;
    let chat = as_it_is(service.chats.as_ref(), user.user_id, &message).await;
    Ok(Json(MessageView::of(&chat, &message)).into_response())
}

/// Delete a message
///
/// Only its author may. A tombstone is left.
#[utoipa::path(
    delete, path = "/users/chat/{chat_id}/messages/{message_id}", tag = "messages", operation_id = "delete_message",
    security(("bearer" = [])),
    params(
        ("chat_id" = uuid::Uuid, Path, description = "The chat"),
        ("message_id" = uuid::Uuid, Path, description = "The message"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (
            status = 403, description = "The caller is not the author (`forbidden`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn delete(
    State(App(service)): State<App>,
    user: AuthUser,
    Path((chat_id, message_id)): Path<(ChatId, MessageId)>,
) -> Result<StatusCode, Problem> {
    service.delete(user.user_id, chat_id, message_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mark messages as read
///
/// All up to the one given. Never moves back.
#[utoipa::path(
    post, path = "/users/chat/{chat_id}/read", tag = "messages", operation_id = "mark_read",
    security(("bearer" = [])), params(("chat_id" = uuid::Uuid, Path, description = "The chat")),
    request_body = ReadUpTo,
    responses(
        (status = 204, description = "They are read"),
        MayBeMissing, TakesJson, TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn read(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(chat_id): Path<ChatId>,
    Json(read): Json<ReadUpTo>,
) -> Result<StatusCode, Problem> {
    service.advance(user.user_id, chat_id, Progress::Read, read.message_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use sentinel_domain::{
        ids::EventId,
        message::MessageKind,
        ports::{ChatSummary, HistoryPage, HistoryQuery, StoreError},
    };
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    /// Chats that can't be read.
    struct Away;

    #[async_trait]
    impl ChatReader for Away {
        async fn chat(&self, _: UserId, _: ChatId) -> Result<Chat, StoreError> {
            Err(StoreError::unavailable("away"))
        }

        async fn chat_and_block(&self, _: UserId, _: ChatId) -> Result<(Chat, bool), StoreError> {
            Err(StoreError::unavailable("away"))
        }

        async fn chats(&self, _: UserId, _: Option<EventId>, _: usize) -> Result<Vec<ChatSummary>, StoreError> {
            Err(StoreError::unavailable("away"))
        }

        async fn history(&self, _: UserId, _: ChatId, _: HistoryQuery, _: usize) -> Result<HistoryPage, StoreError> {
            Err(StoreError::unavailable("away"))
        }
    }

    /// How far it has got can't be read; it is written all the same, and a client that is told otherwise sends it again.
    #[tokio::test]
    async fn what_was_written_is_not_refused_because_of_what_is_read_after_it() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let written = Message {
            id: MessageId(Uuid::now_v7()),
            chat_id: ChatId::of_pair(ann, bob),
            sender_id: ann,
            kind: MessageKind::Text,
            text: "hello".into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: None,
            edited_at: None,
            deleted: false,
        };
        let chat = as_it_is(&Away, ann, &written).await;
        let seen = serde_json::to_value(MessageView::of(&chat, &written)).unwrap();
        assert_eq!(
            (&seen["message"], &seen["status"], &seen["seen_at"]),
            (&json!("hello"), &json!("sent"), &json!(null))
        );
    }
}
