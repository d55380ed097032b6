//! Who may see a file: the members of the chats where a message shows it, and its owner, as long as it is about to be sent or
//! shown somewhere.

use sentinel_domain::{
    ids::{MediaId, UserId},
    media::{Media, MediaState, Shown},
    ports::StoreError,
    time::Timestamp,
};

use crate::service::MediaService;

impl MediaService {
    /// A file that can be shown, if the caller may see it; otherwise [`StoreError::NotFound`], whatever the reason.
    pub(crate) async fn visible(&self, caller: UserId, id: MediaId) -> Result<(Media, Shown), StoreError> {
        let media = self.media.media(id).await?.ok_or(StoreError::NotFound)?;
        let shown = *media.shown().ok_or(StoreError::NotFound)?;
        let visible = if media.owner == caller {
            media.is_kept(!self.media.chats_of(id).await?.is_empty(), Timestamp::now())
        } else {
            self.is_shown_to(caller, id).await?
        };
        if visible { Ok((media, shown)) } else { Err(StoreError::NotFound) }
    }

    async fn is_shown_to(&self, caller: UserId, id: MediaId) -> Result<bool, StoreError> {
        for chat in self.media.chats_of(id).await? {
            match self.chats.chat(caller, chat).await {
                Ok(_) => return Ok(true),
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// A file of the caller's, finished or not.
    pub(crate) async fn own(&self, caller: UserId, id: MediaId) -> Result<Media, StoreError> {
        let media = self.media.media(id).await?;
        media.filter(|media| media.owner == caller && media.state != MediaState::Condemned).ok_or(StoreError::NotFound)
    }
}
