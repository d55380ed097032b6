//! Notifications: who is told of a message, and what of it.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ChatId, MessageId, UserId},
    message::{Chat, Message},
    notice::Notice,
    quiet_hours::QuietHours,
    time::Timestamp,
};

/// Most chats that one user may mute.
pub const MUTED_CHATS: usize = 1000;
/// Seconds after which nobody is pushed a message any more: a day.
const OLD_SECONDS: i64 = 24 * 3600;
/// Most characters of a message that a notification shows.
pub const EXCERPT_CHARACTERS: usize = 120;

/// A notification of a new message, or of what is not about one. Its id is the message's, since a message has one
/// recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Whom it is for.
    pub user_id: UserId,
    /// The message's chat.
    pub chat_id: ChatId,
    /// The message.
    pub message_id: MessageId,
    /// Who wrote it.
    pub sender_id: UserId,
    /// Whether it was read, by itself or with its chat.
    pub read: bool,
    /// What an operator says, in place of a message.
    pub notice: Option<Notice>,
}

/// How a user wants to be notified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Whether notifications show who wrote and what.
    pub show_content: bool,
    /// When nothing is pushed, in the user's own day.
    pub quiet_hours: Option<QuietHours>,
    /// Chats of which the user hears nothing, each until a time; at most [`MUTED_CHATS`].
    pub muted: Vec<MutedChat>,
}

/// A chat of which a user hears nothing for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutedChat {
    /// Which one.
    pub chat_id: ChatId,
    /// Until when, in milliseconds since 1970.
    pub until: i64,
}

impl Preferences {
    /// What tells them from any others: the SHA-256 of what they are as JSON, in hexadecimal digits, as far as it takes.
    pub fn fingerprint(&self) -> String {
        // They are flags, numbers, names and ids: writing them never fails.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let digest = digest(&SHA256, &json);
        hex::encode(&digest.as_ref()[..16])
    }

    /// Whether a chat is muted.
    pub fn mutes(&self, chat: ChatId, now: Timestamp) -> bool {
        self.muted.iter().any(|muted| muted.chat_id == chat && muted.until > now.0)
    }

    /// Whether nothing is pushed now.
    pub fn is_quiet(&self, now: Timestamp) -> bool {
        self.quiet_hours.as_ref().is_some_and(|hours| hours.include(now))
    }
}

/// Why nobody is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A note to oneself.
    OwnNote,
    /// It was deleted.
    Deleted,
    /// The recipient has read it.
    Read,
    /// The recipient muted the chat.
    Muted,
    /// The members have blocked each other.
    Blocked,
    /// It is a time at which the recipient wants no pushes.
    Quiet,
    /// The recipient's devices were told of it, or of a newer message of the chat.
    Pushed,
    /// It was written too long ago.
    Old,
}

impl Silence {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnNote => "own_note",
            Self::Deleted => "deleted",
            Self::Read => "read",
            Self::Muted => "muted",
            Self::Blocked => "blocked",
            Self::Quiet => "quiet_hours",
            Self::Pushed => "pushed",
            Self::Old => "old",
        }
    }
}

/// Who is told of a message, as things are now.
pub fn decide(
    chat: &Chat,
    message: &Message,
    preferences: &Preferences,
    blocked: bool,
    now: Timestamp,
) -> Result<Notification, Silence> {
    let recipient = chat.peer_of(message.sender_id);
    if recipient == message.sender_id {
        Err(Silence::OwnNote)
    } else if message.deleted {
        Err(Silence::Deleted)
    } else if chat.watermarks_of(recipient).read_up_to >= Some(message.id) {
        Err(Silence::Read)
    } else if preferences.mutes(chat.id, now) {
        Err(Silence::Muted)
    } else if blocked {
        Err(Silence::Blocked)
    } else {
        Ok(Notification {
            user_id: recipient,
            chat_id: chat.id,
            message_id: message.id,
            sender_id: message.sender_id,
            read: false,
            notice: None,
        })
    }
}

/// Whose devices are told of a message, as things are now. `pushed_up_to` is the newest message of the chat of which
/// they were told.
pub fn decide_push(
    chat: &Chat,
    message: &Message,
    preferences: &Preferences,
    blocked: bool,
    pushed_up_to: Option<MessageId>,
    now: Timestamp,
) -> Result<Notification, Silence> {
    let notification = decide(chat, message, preferences, blocked, now)?;
    if pushed_up_to >= Some(message.id) {
        Err(Silence::Pushed)
    } else if preferences.is_quiet(now) {
        Err(Silence::Quiet)
    } else if message.id.timestamp().plus_seconds(OLD_SECONDS) < now {
        Err(Silence::Old)
    } else {
        Ok(notification)
    }
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The account was made.
    Welcome,
    /// A message came.
    NewMessage,
    /// An operator has something to say.
    Notice,
}

/// A notification as clients see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its id.
    pub notification_id: MessageId,
    /// What it is about.
    pub kind: Kind,
    /// A line that says what it is about.
    pub header: String,
    /// The text below it.
    pub body: String,
    /// The message's chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// When it happened.
    pub created_at: Timestamp,
}

impl Shown {
    /// A notification of a message; `content` is who wrote and what, if that may be shown.
    pub fn of_message(message: MessageId, chat: ChatId, content: Option<(&str, &str)>) -> Self {
        let (header, body) = match content {
            Some((from, text)) => (from.to_owned(), excerpt(text)),
            None => ("New message".to_owned(), "You have a new message".to_owned()),
        };
        Self {
            notification_id: message,
            kind: Kind::NewMessage,
            header,
            body,
            chat_id: Some(chat),
            message_id: Some(message),
            created_at: message.timestamp(),
        }
    }

    /// The notification of a new account.
    pub fn welcome(id: MessageId) -> Self {
        Self {
            notification_id: id,
            kind: Kind::Welcome,
            header: "Welcome".to_owned(),
            body: "Your account is ready. Find somebody by name and say hello.".to_owned(),
            chat_id: None,
            message_id: None,
            created_at: id.timestamp(),
        }
    }
}

// It may be what somebody wrote.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("notification_id", &self.notification_id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Notification {
    /// That a new account is welcome. Nobody else writes to a user in that user's own name.
    pub fn welcome(user_id: UserId, id: MessageId) -> Self {
        let chat_id = ChatId::of_pair(user_id, user_id);
        Self { user_id, chat_id, message_id: id, sender_id: user_id, read: false, notice: None }
    }

    /// Whether it is about a message.
    pub fn is_of_message(&self) -> bool {
        self.sender_id != self.user_id
    }

    /// Whether it is [`Self::welcome`].
    pub fn is_welcome(&self) -> bool {
        self.sender_id == self.user_id && self.notice.is_none()
    }

    /// As clients see it; `content` is who wrote and what, if that may be shown.
    pub fn shown(&self, content: Option<(&str, &str)>) -> Shown {
        match &self.notice {
            Some(notice) => Shown::of_notice(self.message_id, notice),
            None if self.is_welcome() => Shown::welcome(self.message_id),
            None => Shown::of_message(self.message_id, self.chat_id, content),
        }
    }
}

/// The first characters of a text, on one line.
pub fn excerpt(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        for character in word.chars() {
            if short.chars().count() == EXCERPT_CHARACTERS {
                short.push('…');
                return short;
            }
            short.push(character);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{message::MessageKind, watermark::Watermarks};

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn message_id(n: u128) -> MessageId {
        MessageId(Uuid::from_u128(n))
    }

    fn chat(low: UserId, high: UserId, read: Option<MessageId>) -> Chat {
        let marks = Watermarks { delivered_up_to: read, read_up_to: read };
        Chat {
            id: ChatId::of_pair(low, high),
            members: [low, high],
            created_at: Timestamp(0),
            watermarks: [Watermarks::default(), marks],
            shown: [Watermarks::default(), marks],
        }
    }

    fn message(chat: &Chat, sender_id: UserId, id: u128) -> Message {
        Message {
            id: message_id(id),
            chat_id: chat.id,
            sender_id,
            kind: MessageKind::Text,
            text: "hi".into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: None,
            edited_at: None,
            deleted: false,
        }
    }

    #[test]
    fn the_recipient_is_told_unless_there_is_a_reason_not_to() {
        let (ann, bob, now) = (user(1), user(2), Timestamp(1_000));
        let open = Preferences::default();
        let unread = chat(ann, bob, Some(message_id(4)));
        let new = message(&unread, ann, 5);
        let told = decide(&unread, &new, &open, false, now).unwrap();
        assert_eq!((told.user_id, told.sender_id, told.message_id), (bob, ann, new.id));

        let read = chat(ann, bob, Some(new.id));
        assert_eq!(decide(&read, &new, &open, false, now), Err(Silence::Read));
        assert_eq!(decide(&unread, &new, &open, true, now), Err(Silence::Blocked));
        let deleted = Message { deleted: true, ..new.clone() };
        assert_eq!(decide(&unread, &deleted, &open, false, now), Err(Silence::Deleted));
        let mute =
            |until| Preferences { muted: vec![MutedChat { chat_id: unread.id, until }], ..Preferences::default() };
        assert_eq!(decide(&unread, &new, &mute(1_001), false, now), Err(Silence::Muted));
        assert!(decide(&unread, &new, &mute(1_000), false, now).is_ok(), "the time is over");
        let own = chat(ann, ann, None);
        assert_eq!(decide(&own, &message(&own, ann, 5), &open, false, now), Err(Silence::OwnNote));
    }

    #[test]
    fn devices_are_told_once_not_at_night_and_not_of_what_is_old() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let unread = chat(ann, bob, None);
        let new = message(&unread, ann, 5);
        let (open, now) = (Preferences::default(), new.id.timestamp().plus_seconds(3));
        let push = |preferences: &Preferences, pushed, at| decide_push(&unread, &new, preferences, false, pushed, at);
        let older = MessageId(Uuid::from_u128(new.id.0.as_u128() - 1));
        assert!(push(&open, None, now).is_ok() && push(&open, Some(older), now).is_ok());
        assert_eq!(push(&open, Some(new.id), now), Err(Silence::Pushed));
        assert_eq!(push(&open, None, now.plus_seconds(OLD_SECONDS)), Err(Silence::Old));
        let all_day = QuietHours { from_minute: 0, to_minute: 1439, utc_offset_minutes: 0, time_zone: None };
        let night = Preferences { quiet_hours: Some(all_day), ..Preferences::default() };
        assert_eq!(push(&night, None, now), Err(Silence::Quiet));
        assert_eq!(
            decide_push(&unread, &new, &open, true, None, now),
            Err(Silence::Blocked),
            "as for any notification"
        );
    }

    #[test]
    fn clients_see_whole_notifications_without_what_they_lack() {
        let (id, chat) = (MessageId(Uuid::from_u128(3)), ChatId(Uuid::from_u128(4)));
        let json = serde_json::to_value(Shown::of_message(id, chat, None)).unwrap();
        assert_eq!((&json["kind"], &json["header"]), (&"new_message".into(), &"New message".into()));
        assert_eq!((&json["chat_id"], &json["message_id"]), (&chat.to_string().into(), &id.to_string().into()));
        let json = serde_json::to_value(Shown::welcome(id)).unwrap();
        assert_eq!((&json["kind"], json.get("chat_id")), (&"welcome".into(), None));
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("two\n  lines"), "two lines");
        let long = excerpt(&"ä".repeat(500));
        assert_eq!(long.chars().count(), EXCERPT_CHARACTERS + 1);
        assert!(long.ends_with('…'));
    }
}
