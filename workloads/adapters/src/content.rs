//! What a message says, as bytes to be sealed: a format byte, the number of attachments, their ids, then the text.

use sentinel_domain::{
    ids::{MediaId, MessageId},
    keyring::KeyError,
    message::{Chat, MessageKind},
};

use crate::chat_keys::OpenKey;

const FORMAT: u8 = 1;
const ID_BYTES: usize = 16;

/// Text and attachments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) attachments: Vec<MediaId>,
}

/// Encrypts what the `version`th form of a message says.
pub(crate) fn seal(
    key: &OpenKey,
    chat: &Chat,
    message: MessageId,
    version: u32,
    text: &str,
    attachments: &[MediaId],
) -> Result<Vec<u8>, KeyError> {
    key.seal(chat.id, message, version, &encode(text, attachments))
}

/// Decrypts what [`seal`] made.
pub(crate) fn open(
    key: &OpenKey,
    chat: &Chat,
    message: MessageId,
    version: u32,
    sealed: &[u8],
) -> Result<Content, KeyError> {
    let plain = key.open(chat.id, message, version, sealed)?;
    decode(&plain).ok_or(KeyError::Corrupt)
}

fn encode(text: &str, attachments: &[MediaId]) -> Vec<u8> {
    // Services bound the number of attachments far below this; what does not fit is cut, not wrapped around.
    let count = u16::try_from(attachments.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(3 + attachments.len() * ID_BYTES + text.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&count.to_be_bytes());
    for id in attachments.iter().take(usize::from(count)) {
        bytes.extend_from_slice(id.as_bytes());
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Content> {
    let (&[format, high, low], rest) = bytes.split_first_chunk()?;
    let (ids, text) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])) * ID_BYTES)?;
    if format != FORMAT {
        return None;
    }
    let (ids, _) = ids.as_chunks();
    Some(Content {
        text: String::from_utf8(text.to_vec()).ok()?,
        attachments: ids.iter().map(|id| MediaId::from_bytes(*id)).collect(),
    })
}

/// The number that stands for a kind in the table.
pub(crate) fn kind_code(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 0,
        MessageKind::Image => 1,
        MessageKind::File => 2,
    }
}

/// The kind that a number stands for.
pub(crate) fn kind_of(code: u8) -> MessageKind {
    match code {
        1 => MessageKind::Image,
        2 => MessageKind::File,
        _ => MessageKind::Text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn content_survives(text in ".*", ids in prop::collection::vec(any::<u128>(), 0..5)) {
            let attachments: Vec<MediaId> = ids.into_iter().map(|id| MediaId(Uuid::from_u128(id))).collect();
            let content = decode(&encode(&text, &attachments));
            prop_assert_eq!(content, Some(Content { text, attachments }));
        }

        #[test]
        fn nonsense_is_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }
    }
}
