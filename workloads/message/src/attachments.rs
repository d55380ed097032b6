//! Files that messages show. A file is let into the chat before the message is written, so no member ever sees a message
//! whose file is not to be had; it is taken back when the message is not written. Only a send of which nobody knows whether
//! it was written leaves it there, for the client to send again.

use std::collections::BTreeSet;

use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    media::{ATTACHMENTS_PER_MESSAGE, InvalidMedia, kind_of_message},
    message::MessageKind,
    ports::{Appended, StoreError},
    time::Timestamp,
};
use sentinel_http::problem::Problem;

use crate::service::MessageService;

/// What was attached for a message that is about to be written.
pub(crate) struct Attached {
    /// What kind of message shows the files.
    pub kind: MessageKind,
    chat: ChatId,
    /// The files that no message of the chat showed before.
    new: Vec<MediaId>,
}

/// Lets the members of a chat see the caller's files.
pub(crate) async fn attach(
    service: &MessageService,
    caller: UserId,
    chat: ChatId,
    said: Option<MessageKind>,
    attachments: &[MediaId],
    now: Timestamp,
) -> Result<Attached, Problem> {
    let each_once = attachments.iter().collect::<BTreeSet<_>>().len() == attachments.len();
    if attachments.len() > ATTACHMENTS_PER_MESSAGE || !each_once {
        let detail = InvalidMedia::Attachments.to_string();
        return Err(Problem::invalid("attachments", "too_many_attachments", detail));
    }
    let (mut types, mut new) = (Vec::with_capacity(attachments.len()), Vec::new());
    if !attachments.is_empty() {
        service.chats.chat(caller, chat).await?;
    }
    for id in attachments {
        let media = service.media.media(*id).await?.filter(|media| media.owner == caller);
        let chats = service.media.chats_of(*id).await?;
        let media = media.filter(|media| media.can_be_sent(!chats.is_empty(), now)).ok_or_else(unknown)?;
        if !chats.contains(&chat) {
            new.push(*id);
        }
        types.push(media.content_type);
    }
    let kind =
        kind_of_message(said, &types).map_err(|error| Problem::invalid("type", "wrong_type", error.to_string()))?;
    for id in attachments {
        service.media.attach(*id, chat, now).await?;
    }
    Ok(Attached { kind, chat, new })
}

impl Attached {
    /// Takes the new files away from the chat again if nothing came of the message, or another one that was there before.
    /// The caller is answered what the store said, also when this fails.
    pub(crate) async fn settle(self, service: &MessageService, outcome: &Result<Appended, StoreError>, now: Timestamp) {
        let unshown: Vec<MediaId> = match outcome {
            Ok(appended) if !appended.duplicate => return,
            // It may have been written.
            Err(StoreError::Unavailable(_)) => return,
            Ok(Appended { message, .. }) if message.chat_id == self.chat => {
                self.new.into_iter().filter(|id| !message.attachments.contains(id)).collect()
            }
            // The first message may be in another chat.
            Ok(_) | Err(_) => self.new,
        };
        for id in unshown {
            if let Err(error) = service.media.detach(id, self.chat, now).await {
                tracing::warn!(error = &error as &dyn std::error::Error, media = %id, "a file that no message shows stays");
            }
        }
    }
}

fn unknown() -> Problem {
    Problem::invalid("attachments", "unknown_attachment", "there is no such completed upload of yours")
}

/// The files that a message of the caller shows.
pub(crate) async fn of(
    service: &MessageService,
    caller: UserId,
    chat: ChatId,
    message: MessageId,
) -> Result<Vec<MediaId>, Problem> {
    match service.chats.message(caller, chat, message).await {
        Ok(message) if message.sender_id == caller => Ok(message.attachments),
        // Whether it may be deleted is not decided here.
        Ok(_) | Err(StoreError::NotFound) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the files of a deleted message away from its chat; one that no other chat shows is destroyed.
pub(crate) async fn release(
    service: &MessageService,
    chat: ChatId,
    attachments: &[MediaId],
    now: Timestamp,
) -> Result<(), Problem> {
    for id in attachments {
        service.media.detach(*id, chat, now).await?;
    }
    Ok(())
}
