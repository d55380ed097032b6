//! Files that messages show. The store of messages lets them into the chat as it writes the message.

use std::collections::BTreeSet;

use futures::future;
use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    media::{ATTACHMENTS_PER_MESSAGE, InvalidMedia, kind_of_message},
    message::MessageKind,
    ports::StoreError,
    time::Timestamp,
};
use sentinel_http::problem::Problem;

use crate::service::MessageService;

/// Checks that the caller may show these files in a chat; gives what kind of message does.
pub(crate) async fn check(
    service: &MessageService,
    caller: UserId,
    chat: ChatId,
    said: Option<MessageKind>,
    attachments: &[MediaId],
    now: Timestamp,
) -> Result<MessageKind, Problem> {
    let each_once = attachments.iter().collect::<BTreeSet<_>>().len() == attachments.len();
    if attachments.len() > ATTACHMENTS_PER_MESSAGE || !each_once {
        let detail = InvalidMedia::Attachments.to_string();
        return Err(Problem::invalid("attachments", "too_many_attachments", detail));
    }
    if !attachments.is_empty() {
        service.chats.chat(caller, chat).await?;
    }
    let looks = attachments.iter().map(|id| future::try_join(service.media.media(*id), service.media.chats_of(*id)));
    let mut types = Vec::with_capacity(attachments.len());
    for (media, chats) in future::try_join_all(looks).await? {
        let media = media.filter(|media| media.owner == caller && media.can_be_sent(!chats.is_empty(), now));
        types.push(media.ok_or(StoreError::UnknownAttachment)?.content_type);
    }
    kind_of_message(said, &types).map_err(|error| Problem::invalid("type", "wrong_type", error.to_string()))
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
        // Whether it may be changed or deleted is not decided here.
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
