//! Files that messages show. The store of messages lets them into the chat as it writes the message.

use std::collections::BTreeSet;

use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    media::{ATTACHMENTS_PER_MESSAGE, ContentType, InvalidMedia, kind_of_message},
    message::MessageKind,
    ports::StoreError,
    time::Timestamp,
};
use sentinel_http::problem::{Code, Problem};

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
        return Err(Problem::invalid("attachments", Code::TooManyAttachments, detail));
    }
    // A message without files waits for nothing here: those that are sent at once are written in their order.
    let types = if attachments.is_empty() { vec![] } else { types_of(service, caller, chat, attachments, now).await? };
    kind_of_message(said, &types).map_err(|error| Problem::invalid("type", Code::WrongType, error.to_string()))
}

/// What the files are, if the caller may show all of them.
async fn types_of(
    service: &MessageService,
    caller: UserId,
    chat: ChatId,
    attachments: &[MediaId],
    now: Timestamp,
) -> Result<Vec<ContentType>, Problem> {
    service.chats.chat(caller, chat).await?;
    let mut found = service.media.media_for(caller, attachments).await?;
    found.retain(|(media, in_chat)| media.owner == caller && media.can_be_sent(*in_chat, now));
    if found.len() != attachments.len() {
        return Err(StoreError::UnknownAttachment.into());
    }
    Ok(found.into_iter().map(|(media, _)| media.content_type).collect())
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
