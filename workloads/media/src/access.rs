//! Who may see a file: the members of the chats where a message shows it, and its owner, as long as it is about to be sent or
//! shown somewhere.

use std::{collections::BTreeSet, future::ready};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sentinel_domain::{
    ids::{ChatId, MediaId, UserId},
    media::{Media, MediaState, Shown},
    ports::StoreError,
    time::Timestamp,
};

use crate::service::MediaService;

/// Chats that are looked at together.
const CHATS_AT_ONCE: usize = 16;

impl MediaService {
    /// A file that can be shown, if the caller may see it; otherwise [`StoreError::NotFound`], whatever the reason.
    pub(crate) async fn visible(&self, caller: UserId, id: MediaId) -> Result<(Media, Shown), StoreError> {
        self.all_visible(caller, &[id]).await?.pop().ok_or(StoreError::NotFound)
    }

    /// Those of some files that can be shown and the caller may see, in that order.
    pub(crate) async fn all_visible(&self, caller: UserId, ids: &[MediaId]) -> Result<Vec<(Media, Shown)>, StoreError> {
        let found = self.media.media_for(caller, ids).await?;
        let of_others = found.iter().filter(|(media, in_chat)| *in_chat && media.owner != caller);
        // Files that are asked for together are mostly of one chat, which is looked at once.
        let chats = of_others.map(|(media, _)| ChatId::of_pair(media.owner, caller)).collect();
        let joined = self.joined(caller, chats).await?;
        let now = Timestamp::now();
        let visible = found.into_iter().filter_map(|(media, in_chat)| {
            let shown = *media.shown()?;
            let visible = if media.owner == caller {
                media.is_kept(in_chat, now)
            } else {
                in_chat && joined.contains(&ChatId::of_pair(media.owner, caller))
            };
            visible.then_some((media, shown))
        });
        Ok(visible.collect())
    }

    /// The chats that the caller is a member of.
    async fn joined(&self, caller: UserId, chats: BTreeSet<ChatId>) -> Result<BTreeSet<ChatId>, StoreError> {
        let joined = stream::iter(chats).map(|chat| async move {
            match self.chats.chat(caller, chat).await {
                Ok(_) => Ok(Some(chat)),
                Err(StoreError::NotFound) => Ok(None),
                Err(error) => Err(error),
            }
        });
        joined.buffered(CHATS_AT_ONCE).try_filter_map(|chat| ready(Ok(chat))).try_collect().await
    }

    /// A file of the caller's, finished or not.
    pub(crate) async fn own(&self, caller: UserId, id: MediaId) -> Result<Media, StoreError> {
        let media = self.media.media(id).await?;
        media.filter(|media| media.owner == caller && media.state != MediaState::Condemned).ok_or(StoreError::NotFound)
    }
}
