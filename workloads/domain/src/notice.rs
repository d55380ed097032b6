//! Notices: what whoever runs the deployment has to say to one user or to all.

use std::fmt;

use uuid::Uuid;

use crate::{
    ids::{ChatId, MessageId, UserId},
    notification::{Kind, Notification, Shown},
    push::Alert,
    visible::{is_plain_line, is_plain_text},
};

/// Most characters of a notice's header.
pub const NOTICE_HEADER_CHARACTERS: usize = 100;
/// Most characters of a notice's body.
pub const NOTICE_BODY_CHARACTERS: usize = 1000;
/// Most accounts that one request tells.
pub const NOTICE_RECIPIENTS: usize = 500;
/// The chat of what is not about a message. No chat has this id, so reading none reads it.
pub const NO_CHAT: ChatId = ChatId(Uuid::nil());

/// What an operator says. It is nobody's private word and is stored as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    header: String,
    body: String,
}

/// A text that can't be a notice.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field} must have 1 to {most} characters and no control or invisible characters{lines}")]
pub struct InvalidNotice {
    /// Which part of it.
    pub field: &'static str,
    most: usize,
    lines: &'static str,
}

impl Notice {
    /// A notice with these texts, without the space around them.
    pub fn new(header: &str, body: &str) -> Result<Self, InvalidNotice> {
        let header = part("header", header, NOTICE_HEADER_CHARACTERS, false)?;
        let body = part("body", body, NOTICE_BODY_CHARACTERS, true)?;
        Ok(Self { header, body })
    }

    /// What a store has kept of one.
    pub fn kept(header: String, body: String) -> Self {
        Self { header, body }
    }

    /// A line that says what it is about.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The text below it.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What a push shows: the text goes through other companies' services only if that is wanted.
    pub fn alert(&self, content: bool) -> Alert {
        if content {
            Alert { header: self.header.clone(), body: crate::notification::excerpt(&self.body) }
        } else {
            Alert { header: "New notice".to_owned(), body: "There is a notice for you".to_owned() }
        }
    }
}

fn part(field: &'static str, text: &str, most: usize, lines: bool) -> Result<String, InvalidNotice> {
    let text = text.trim();
    let fits = (1..=most).contains(&text.chars().count());
    if fits && (if lines { is_plain_text(text) } else { is_plain_line(text) }) {
        return Ok(text.to_owned());
    }
    Err(InvalidNotice { field, most, lines: if lines { " but line feeds" } else { "" } })
}

// It may say something about the one user that it is for.
impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").finish_non_exhaustive()
    }
}

impl Notification {
    /// That there is a notice.
    pub fn of_notice(user_id: UserId, id: MessageId, notice: Notice) -> Self {
        Self { user_id, chat_id: NO_CHAT, message_id: id, sender_id: user_id, read: false, notice: Some(notice) }
    }
}

impl Shown {
    /// The notification of a notice.
    pub fn of_notice(id: MessageId, notice: &Notice) -> Self {
        Self {
            notification_id: id,
            kind: Kind::Notice,
            header: notice.header.clone(),
            body: notice.body.clone(),
            chat_id: None,
            message_id: None,
            created_at: id.timestamp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_a_line_and_a_text_of_bounded_length() {
        let notice = Notice::new(" Maintenance\n", "Tonight,\nfrom ten. ").unwrap();
        assert_eq!((notice.header(), notice.body()), ("Maintenance", "Tonight,\nfrom ten."));
        let long = |count| "ä".repeat(count);
        assert!(Notice::new(&long(100), &long(1000)).is_ok());
        for (header, body, field) in [
            ("", "b", "header"),
            (" ", "b", "header"),
            ("two\nlines", "b", "header"),
            (&long(101), "b", "header"),
            ("h", "", "body"),
            ("h", "a\u{7}b", "body"),
            ("pay\u{202e}pal", "b", "header"),
            ("h", "a\u{200b}b", "body"),
            ("h", &long(1001), "body"),
        ] {
            assert_eq!(Notice::new(header, body).unwrap_err().field, field, "{header:?} {body:?}");
        }
        let why = Notice::new("h", "").unwrap_err().to_string();
        assert_eq!(why, "body must have 1 to 1000 characters and no control or invisible characters but line feeds");
    }

    #[test]
    fn it_is_whole_in_lists_and_left_out_of_pushes_unless_wanted() {
        let notice = Notice::new("Maintenance", "secret\nplan").unwrap();
        let id = MessageId(Uuid::from_u128(3));
        let json = serde_json::to_value(Shown::of_notice(id, &notice)).unwrap();
        assert_eq!(
            (&json["kind"], &json["body"], json.get("chat_id")),
            (&"notice".into(), &"secret\nplan".into(), None)
        );
        assert_eq!(notice.alert(true), Alert { header: "Maintenance".into(), body: "secret plan".into() });
        assert!(!notice.alert(false).body.contains("secret"));
        assert!(!format!("{:?}", Notification::of_notice(UserId(Uuid::nil()), id, notice)).contains("secret"));
    }
}
