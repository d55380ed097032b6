//! Messages and chats, and what a message may be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ChatId, MediaId, MessageId, UserId},
    time::Timestamp,
    watermark::Watermarks,
};

/// Longest client message id in bytes.
pub const CLIENT_MESSAGE_ID_BYTES: usize = 128;

/// A message that can't be accepted; the text says what to write instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMessage {
    /// Neither text nor attachment.
    #[error("a message needs text or an attachment")]
    Empty,
    /// Longer than the limit, which is given in bytes.
    #[error("a message has at most {0} bytes of text")]
    TooLarge(usize),
    /// See [`ClientMessageId`].
    #[error("a client message id has 1 to 128 printable ASCII characters")]
    ClientMessageId,
}

/// What kind of message a client says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Text alone.
    #[default]
    Text,
    /// A picture.
    Image,
    /// Any other file.
    File,
}

/// The sender's own id of a message: a repeat with the same id returns the first message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientMessageId(String);

impl TryFrom<String> for ClientMessageId {
    type Error = InvalidMessage;
    fn try_from(text: String) -> Result<Self, InvalidMessage> {
        Self::parse(text)
    }
}

impl From<ClientMessageId> for String {
    fn from(id: ClientMessageId) -> Self {
        id.0
    }
}

impl ClientMessageId {
    /// Checks the rule: 1 to 128 printable ASCII characters.
    pub fn parse(text: String) -> Result<Self, InvalidMessage> {
        let valid = (1..=CLIENT_MESSAGE_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(Self(text)) } else { Err(InvalidMessage::ClientMessageId) }
    }

    /// The id as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a message's text against the limit in bytes.
pub fn check_text(text: &str, attachments: usize, limit: usize) -> Result<(), InvalidMessage> {
    if text.len() > limit {
        Err(InvalidMessage::TooLarge(limit))
    } else if attachments == 0 && text.trim().is_empty() {
        Err(InvalidMessage::Empty)
    } else {
        Ok(())
    }
}

/// A message to be written, checked but without id.
#[derive(Clone)]
pub struct Draft {
    /// The chat to write to.
    pub chat_id: ChatId,
    /// Who writes.
    pub sender_id: UserId,
    /// What kind it is.
    pub kind: MessageKind,
    /// What it says.
    pub text: String,
    /// Files that it shows.
    pub attachments: Vec<MediaId>,
    /// The message that it answers; it must be in the same chat.
    pub reply_to: Option<MessageId>,
    /// The sender's own id of it.
    pub client_message_id: Option<ClientMessageId>,
}

impl Draft {
    /// The message that this becomes, new.
    pub fn into_message(self, id: MessageId) -> Message {
        let Self { chat_id, sender_id, kind, text, attachments, reply_to, client_message_id } = self;
        Message {
            id,
            chat_id,
            sender_id,
            kind,
            text,
            attachments,
            reply_to,
            client_message_id,
            edited_at: None,
            deleted: false,
        }
    }
}

/// A message as stored, decrypted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id, which is its place in the order and its time.
    pub id: MessageId,
    /// Its chat.
    pub chat_id: ChatId,
    /// Who wrote it.
    pub sender_id: UserId,
    /// What kind it is.
    pub kind: MessageKind,
    /// What it says now; empty once deleted.
    pub text: String,
    /// Files that it shows.
    pub attachments: Vec<MediaId>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The sender's own id of it.
    pub client_message_id: Option<ClientMessageId>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// Whether only the tombstone is left.
    pub deleted: bool,
}

impl Message {
    /// What it says, or what it shows when it says nothing.
    pub fn gist(&self) -> &str {
        match self.kind {
            MessageKind::Image if self.text.is_empty() => "A picture",
            MessageKind::File if self.text.is_empty() => "A file",
            _ => &self.text,
        }
    }
}

// What people write to each other never gets into a log, not even by accident.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("chat_id", &self.chat_id)
            .field("sender_id", &self.sender_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("chat_id", &self.chat_id).finish_non_exhaustive()
    }
}

/// A chat of two accounts, or of one with itself (then both members are the same).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Its id.
    pub id: ChatId,
    /// Its members, the lower id first.
    pub members: [UserId; 2],
    /// When it was started.
    pub created_at: Timestamp,
    /// How far each member has got, in the order of `members`.
    pub watermarks: [Watermarks; 2],
    /// What the other member may know of it: it stays behind while either blocks the other.
    pub shown: [Watermarks; 2],
}

/// The other of two members; in a chat with oneself, oneself.
pub(crate) fn peer_of([low, high]: [UserId; 2], member: UserId) -> UserId {
    if low == member { high } else { low }
}

impl Chat {
    /// Whether `user` is a member.
    pub fn has(&self, user: UserId) -> bool {
        self.members.contains(&user)
    }

    /// The member that `user` talks to: oneself in a chat with oneself.
    pub fn peer_of(&self, user: UserId) -> UserId {
        peer_of(self.members, user)
    }

    /// How far `user` has got.
    pub fn watermarks_of(&self, user: UserId) -> Watermarks {
        if self.members[0] == user { self.watermarks[0] } else { self.watermarks[1] }
    }

    /// How far `user` has got, as the other member may know it.
    pub fn shown_of(&self, user: UserId) -> Watermarks {
        if self.members[0] == user { self.shown[0] } else { self.shown[1] }
    }

    /// How far each member has got, in the order of `members`, as `viewer` may know it.
    pub fn watermarks_for(&self, viewer: UserId) -> [Watermarks; 2] {
        self.members.map(|member| if member == viewer { self.watermarks_of(member) } else { self.shown_of(member) })
    }

    /// Its members, each once.
    pub fn distinct_members(&self) -> &[UserId] {
        if self.members[0] == self.members[1] { &self.members[..1] } else { &self.members }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn text_is_counted_in_bytes_and_must_say_something() {
        assert_eq!(check_text("é", 0, 1), Err(InvalidMessage::TooLarge(1)));
        assert_eq!(check_text(" \n", 0, 10), Err(InvalidMessage::Empty));
        assert_eq!(check_text("", 1, 10), Ok(()));
        assert_eq!(check_text("é", 0, 2), Ok(()));
    }

    #[test]
    fn client_ids_are_short_and_printable() {
        assert!(ClientMessageId::parse("a-1".into()).is_ok());
        for bad in [String::new(), "a b".into(), "é".into(), "a".repeat(129)] {
            assert_eq!(ClientMessageId::parse(bad), Err(InvalidMessage::ClientMessageId));
        }
    }

    #[test]
    fn a_message_is_not_written_to_logs() {
        let draft = Draft {
            chat_id: ChatId(Uuid::nil()),
            sender_id: UserId(Uuid::nil()),
            kind: MessageKind::Text,
            text: "secret".into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: None,
        };
        assert!(!format!("{draft:?}").contains("secret"));
    }

    #[test]
    fn the_peer_of_a_note_to_oneself_is_oneself() {
        let ann = UserId(Uuid::from_u128(1));
        let chat = Chat {
            id: ChatId::of_pair(ann, ann),
            members: [ann, ann],
            created_at: Timestamp(0),
            watermarks: Default::default(),
            shown: Default::default(),
        };
        assert_eq!(chat.peer_of(ann), ann);
        assert_eq!(chat.distinct_members(), [ann]);
    }
}
