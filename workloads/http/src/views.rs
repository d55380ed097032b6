//! What clients see of the same things from several services.

use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    message::{Chat, ClientMessageId, Message, MessageKind},
    notification::{Kind, Shown},
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// How far a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// The service has it.
    Sent,
    /// A device of the receiver has it.
    Delivered,
    /// The receiver has seen it.
    Read,
}

/// A message. It looks the same to both members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView<'a> {
    /// Its id: sort messages by it.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
    /// Its chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Who wrote it.
    #[schema(value_type = uuid::Uuid)]
    pub sender_id: UserId,
    /// `text`, `image` or `file`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "text")]
    pub kind: MessageKind,
    /// What it says; empty once deleted.
    pub message: &'a str,
    /// The same as `message`, for clients of the seed.
    pub content: &'a str,
    /// Ids of the files that it shows.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub attachments: &'a [MediaId],
    /// The message that it answers.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub reply_to: Option<MessageId>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// When it was last edited.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub edited_at: Option<Timestamp>,
    /// Whether only the tombstone is left.
    pub deleted: bool,
    /// How far it has got.
    pub status: MessageStatus,
    /// `null` until it was read, then the earliest time at which it can have been: when it was accepted. That it was read
    /// is known, and not when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
    /// The sender's own id of it.
    #[schema(value_type = Option<String>)]
    pub client_message_id: Option<&'a ClientMessageId>,
}

impl<'a> MessageView<'a> {
    /// The message as members of `chat` see it now.
    pub fn of(chat: &Chat, message: &'a Message) -> Self {
        let receiver = chat.shown_of(chat.peer_of(message.sender_id));
        let read = receiver.read_up_to.is_some_and(|up_to| up_to >= message.id);
        let delivered = receiver.delivered_up_to.is_some_and(|up_to| up_to >= message.id);
        Self {
            message_id: message.id,
            chat_id: message.chat_id,
            sender_id: message.sender_id,
            kind: message.kind,
            message: &message.text,
            content: &message.text,
            attachments: &message.attachments,
            reply_to: message.reply_to,
            timestamp: message.id.timestamp(),
            edited_at: message.edited_at,
            deleted: message.deleted,
            status: match (read, delivered) {
                (true, _) => MessageStatus::Read,
                (false, true) => MessageStatus::Delivered,
                (false, false) => MessageStatus::Sent,
            },
            seen_at: read.then(|| message.id.timestamp()),
            client_message_id: message.client_message_id.as_ref(),
        }
    }
}

/// What a user is told of, in the list and on sockets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationView {
    /// Its id, in the list and on sockets the same.
    #[schema(value_type = uuid::Uuid)]
    pub notification_id: MessageId,
    /// What it is about: `new_message`, `welcome` or `notice` (of whoever runs the deployment).
    #[schema(value_type = String, example = "new_message")]
    pub kind: Kind,
    /// A line that says what it is about: who wrote, if the user wants that shown.
    pub header: String,
    /// The beginning of the message, if the user wants it shown; all of a notice.
    pub body: String,
    /// The message's chat; none of what is not about a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub chat_id: Option<ChatId>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub message_id: Option<MessageId>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<Shown> for NotificationView {
    fn from(shown: Shown) -> Self {
        let Shown { notification_id, kind, header, body, chat_id, message_id, created_at } = shown;
        Self { notification_id, kind, header, body, chat_id, message_id, created_at }
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{clock::Instant, watermark::Progress};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn id(millis: u64) -> MessageId {
        MessageId(Instant { millis, counter: 0 }.id(0))
    }

    #[test]
    fn a_message_has_the_contracts_fields_and_its_receivers_progress() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let mut chat = Chat {
            id: ChatId::of_pair(ann, bob),
            members: [ann, bob],
            created_at: Timestamp(0),
            watermarks: Default::default(),
            shown: Default::default(),
        };
        let message = Message {
            id: id(1_706_369_200_007),
            chat_id: chat.id,
            sender_id: ann,
            kind: MessageKind::Text,
            text: "hello".into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: Some(ClientMessageId::parse("c-1".into()).unwrap()),
            edited_at: None,
            deleted: false,
        };
        // What the sender has read says nothing about the receiver.
        chat.shown[0] = chat.shown[0].advanced(Progress::Read, message.id);
        // Nor does what the receiver has done behind a block.
        chat.watermarks[1] = chat.watermarks[1].advanced(Progress::Read, message.id);
        assert_eq!(
            serde_json::to_value(MessageView::of(&chat, &message)).unwrap(),
            json!({
                "message_id": message.id.to_string(), "chat_id": chat.id.to_string(), "sender_id": ann.to_string(),
                "type": "text", "message": "hello", "content": "hello", "attachments": [], "reply_to": null,
                "timestamp": "2024-01-27T15:26:40.007Z", "edited_at": null, "deleted": false, "status": "sent",
                "seen_at": null, "client_message_id": "c-1",
            })
        );
        chat.shown[1] = chat.shown[1].advanced(Progress::Delivered, message.id);
        let view = MessageView::of(&chat, &message);
        assert_eq!((view.status, view.seen_at), (MessageStatus::Delivered, None));
        // It stays where it is when later messages are read.
        for up_to in [message.id, id(1_706_369_201_000)] {
            chat.shown[1] = chat.shown[1].advanced(Progress::Read, up_to);
            let view = MessageView::of(&chat, &message);
            assert_eq!((view.status, view.seen_at), (MessageStatus::Read, Some(message.id.timestamp())));
        }
    }
}
