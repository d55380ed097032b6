//! Identifiers. All are UUIDs and written in lower case; those made by the [`crate::clock`] sort by time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Visitor};
use uuid::Uuid;

use crate::time::Timestamp;

/// A text that is not a UUID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a UUID such as 0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10")]
pub struct MalformedId;

/// Letters of either case, but always with dashes: other ways to write a UUID are no ids.
fn parse(text: &str) -> Result<Uuid, MalformedId> {
    const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
    Some(text).filter(|text| text.len() == LENGTH).and_then(|text| Uuid::try_parse(text).ok()).ok_or(MalformedId)
}

fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    if deserializer.is_human_readable() { deserializer.deserialize_str(Text) } else { Uuid::deserialize(deserializer) }
}

/// Reads an id from text.
struct Text;

impl Visitor<'_> for Text {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse(text).map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize(deserializer).map(Self)
            }
        }

        impl $name {
            /// The sixteen bytes, in the order in which ids sort.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id that has these sixteen bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;
            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse(text).map(Self)
            }
        }
    };
}

id!(
    /// An account.
    UserId
);
id!(
    /// A conversation of two accounts, or of one with itself.
    ChatId
);
id!(
    /// A message. Its order is the order of messages, in every chat and on every node.
    MessageId
);
id!(
    /// An entry of a user's inbox. The event of a new message has the message's own id.
    EventId
);
id!(
    /// A log-in on one device.
    SessionId
);
id!(
    /// An uploaded file.
    MediaId
);

/// Name space of [`ChatId::of_pair`].
const CHATS: Uuid = Uuid::from_u128(0x5e17_19e1_c4a7_5b0a_9d2e_7f3b_6a10_c0de);

impl ChatId {
    /// The one chat of two accounts, whoever asks first; `a` and `b` may be the same.
    pub fn of_pair(a: UserId, b: UserId) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        let mut pair = [0; 32];
        pair[..16].copy_from_slice(low.as_bytes());
        pair[16..].copy_from_slice(high.as_bytes());
        Self(Uuid::new_v5(&CHATS, &pair))
    }
}

impl MessageId {
    /// When the message was accepted, in milliseconds.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp(crate::clock::Instant::of(self.0).millis.cast_signed())
    }
}

impl EventId {
    /// When the event happened, in milliseconds.
    pub fn timestamp(&self) -> Timestamp {
        MessageId(self.0).timestamp()
    }
}

impl From<MessageId> for EventId {
    fn from(id: MessageId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_chat_whoever_asks() {
        let (a, b) = (UserId(Uuid::new_v4()), UserId(Uuid::new_v4()));
        assert_eq!(ChatId::of_pair(a, b), ChatId::of_pair(b, a));
        assert_ne!(ChatId::of_pair(a, b), ChatId::of_pair(a, a));
    }

    #[test]
    fn upper_case_is_read_and_lower_case_written() {
        let id: UserId = "0192F3A1-7C5E-7B1A-9F00-3D2C5A7E9B10".parse().unwrap();
        assert_eq!(id.to_string(), "0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10");
        assert_eq!("nonsense".parse::<UserId>(), Err(MalformedId));
        assert_eq!(serde_json::from_str::<UserId>("\"0192F3A1-7C5E-7B1A-9F00-3D2C5A7E9B10\"").unwrap(), id);
    }

    #[test]
    fn other_ways_to_write_a_uuid_are_no_ids() {
        for text in [
            "0192f3a17c5e7b1a9f003d2c5a7e9b10",
            "{0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10}",
            "urn:uuid:0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10",
            "0192f3a1-7c5e-7b1a-9f003d2c-5a7e9b10",
            " 192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10",
        ] {
            assert_eq!(text.parse::<UserId>(), Err(MalformedId), "{text}");
            serde_json::from_value::<UserId>(text.into()).unwrap_err();
        }
    }
}
