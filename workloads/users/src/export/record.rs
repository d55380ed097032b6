//! The lines of an export.

use sentinel_domain::{
    account::{Account, Profile},
    audit::AuditEntry,
    ids::{ChatId, MediaId, MessageId, SessionId, UserId},
    media::{Media, MediaState},
    message::{Chat, ClientMessageId, Message, MessageKind},
    notification::{MutedChat, Notification, Preferences, Shown},
    push::Device,
    quiet_hours::QuietHours,
    report::{Report, ReportReason},
    session::Session,
    time::Timestamp,
    watermark::Watermarks,
};
use serde::Serialize;
use uuid::Uuid;

/// One line.
#[derive(Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Record<'a> {
    Account {
        user_id: UserId,
        username: &'a str,
        email: &'a str,
        email_verified: bool,
        display_name: &'a str,
        avatar_url: Option<&'a str>,
        created_at: Timestamp,
    },
    Session {
        id: SessionId,
        device: &'a str,
        created_at: Timestamp,
        refreshed_at: Timestamp,
    },
    PushDevice {
        device_id: &'a str,
        platform: &'static str,
        session_id: SessionId,
        registered_at: Timestamp,
    },
    NotificationPreferences {
        show_content: bool,
        quiet_hours: Option<&'a QuietHours>,
        muted: Vec<Muted>,
    },
    Notification {
        #[serde(flatten)]
        notification: Shown,
        read: bool,
    },
    Report {
        report_id: Uuid,
        user_id: UserId,
        username: &'a str,
        chat_id: Option<ChatId>,
        message_id: Option<MessageId>,
        reason: ReportReason,
        comment: Option<&'a str>,
        /// Whether the admins may read the message. What it said is no more the reporter's than any other message is, and not
        /// here: its author may have deleted it since.
        include_message: bool,
        created_at: Timestamp,
        resolved_at: Option<Timestamp>,
    },
    Audit {
        at: Timestamp,
        action: &'static str,
        address: Option<&'a str>,
    },
    Media {
        media_id: MediaId,
        filename: &'a str,
        content_type: &'a str,
        /// As uploaded.
        size: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        width: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        height: Option<u32>,
        /// Whether it was checked and can be sent and shown.
        complete: bool,
        created_at: Timestamp,
    },
    Block {
        user_id: UserId,
        username: &'a str,
        blocked_at: Timestamp,
    },
    Chat {
        chat_id: ChatId,
        members: [UserId; 2],
        created_at: Timestamp,
        watermarks: [Watermarks; 2],
    },
    Message {
        message_id: MessageId,
        chat_id: ChatId,
        sender_id: UserId,
        r#type: MessageKind,
        message: &'a str,
        attachments: &'a [MediaId],
        reply_to: Option<MessageId>,
        timestamp: Timestamp,
        edited_at: Option<Timestamp>,
        deleted: bool,
        client_message_id: Option<&'a str>,
    },
    End {
        notifications: u64,
        reports: u64,
        audit: u64,
        media: u64,
        chats: u64,
        messages: u64,
    },
}

/// A chat of which the user hears nothing for a time.
#[derive(Serialize)]
pub(super) struct Muted {
    chat_id: ChatId,
    until: Timestamp,
}

impl<'a> Record<'a> {
    pub fn account(account: &'a Account) -> Self {
        Self::Account {
            user_id: account.id,
            username: account.username.as_str(),
            email: account.email.as_str(),
            email_verified: account.email_verified,
            display_name: &account.display_name,
            avatar_url: account.avatar_url.as_deref(),
            created_at: account.created_at,
        }
    }

    pub fn session(session: &'a Session) -> Self {
        Self::Session {
            id: session.id,
            device: &session.device,
            created_at: session.created_at,
            refreshed_at: session.refreshed_at,
        }
    }

    /// A device without its address: whoever has that can disturb it.
    pub fn push_device(device: &'a Device) -> Self {
        Self::PushDevice {
            device_id: device.device_id.as_str(),
            platform: device.address.platform(),
            session_id: device.session_id,
            registered_at: device.registered_at,
        }
    }

    pub fn preferences(preferences: &'a Preferences) -> Self {
        let muted = |chat: &MutedChat| Muted { chat_id: chat.chat_id, until: Timestamp(chat.until) };
        Self::NotificationPreferences {
            show_content: preferences.show_content,
            quiet_hours: preferences.quiet_hours.as_ref(),
            muted: preferences.muted.iter().map(muted).collect(),
        }
    }

    /// A notification; what a message says is with the message.
    pub fn notification(notification: &Notification) -> Self {
        Self::Notification { notification: notification.shown(None), read: notification.read }
    }

    pub fn report(report: &'a Report) -> Self {
        Self::Report {
            report_id: report.id,
            user_id: report.reported.id,
            username: &report.reported.username,
            chat_id: report.message.map(|(chat, _)| chat),
            message_id: report.message.map(|(_, message)| message),
            reason: report.reason,
            comment: report.comment.as_deref(),
            include_message: report.evidence.is_some(),
            created_at: report.created_at,
            resolved_at: report.resolution.as_ref().map(|resolution| resolution.at),
        }
    }

    /// An entry about `user`, without what is an admin's: who it was, from where, and what that one wrote down.
    pub fn audit(entry: &'a AuditEntry, user: UserId) -> Self {
        let anothers = entry.actor.is_some_and(|actor| actor != user);
        Self::Audit {
            at: entry.at,
            action: entry.action.as_str(),
            address: entry.address.as_deref().filter(|_| !anothers),
        }
    }

    pub fn media(media: &'a Media) -> Self {
        let picture = media.shown().and_then(|shown| shown.picture);
        Self::Media {
            media_id: media.id,
            filename: &media.filename,
            content_type: media.content_type.as_str(),
            size: media.size,
            width: picture.map(|picture| picture.width),
            height: picture.map(|picture| picture.height),
            complete: media.state == MediaState::Ready,
            created_at: media.created_at(),
        }
    }

    pub fn block(profile: &'a Profile, blocked_at: Timestamp) -> Self {
        Self::Block { user_id: profile.user_id, username: profile.username.as_str(), blocked_at }
    }

    /// A chat as `user`, one of its members, knows it.
    pub fn chat(chat: &Chat, user: UserId) -> Self {
        Self::Chat {
            chat_id: chat.id,
            members: chat.members,
            created_at: chat.created_at,
            watermarks: chat.watermarks_for(user),
        }
    }

    pub fn message(message: &'a Message) -> Self {
        Self::Message {
            message_id: message.id,
            chat_id: message.chat_id,
            sender_id: message.sender_id,
            r#type: message.kind,
            message: &message.text,
            attachments: &message.attachments,
            reply_to: message.reply_to,
            timestamp: message.id.timestamp(),
            edited_at: message.edited_at,
            deleted: message.deleted,
            client_message_id: message.client_message_id.as_ref().map(ClientMessageId::as_str),
        }
    }
}

/// A record as a line.
pub(super) fn line(record: &Record<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}
