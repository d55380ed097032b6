//! Links to what may be seen.

use sentinel_domain::{
    ids::MediaId,
    media::{BlobKey, BlobPart, LINK_SECONDS, LINK_STEP_SECONDS, Media, Shown},
    ports::StoreError,
    time::Timestamp,
};

use crate::{
    base::BaseUrl,
    service::MediaService,
    views::{CompletedView, DetailsView},
};

/// Links of one time, all good until the same time.
pub(crate) struct Links<'a> {
    service: &'a MediaService,
    base: &'a BaseUrl,
    from: Timestamp,
    pub until: Timestamp,
}

impl MediaService {
    /// Links for a client. Those that are asked for within a quarter of an hour are the same.
    pub(crate) fn links<'a>(&'a self, base: &'a BaseUrl, now: Timestamp) -> Links<'a> {
        let step = LINK_STEP_SECONDS * 1000;
        let from = Timestamp(now.0 - now.0.rem_euclid(step));
        Links { service: self, base, from, until: from.plus_seconds(LINK_STEP_SECONDS + LINK_SECONDS) }
    }
}

impl Links<'_> {
    /// A link to one of a file's objects.
    pub(crate) fn to(&self, media: MediaId, part: BlobPart) -> Result<String, StoreError> {
        self.service.blobs.get_link(&self.base.0, BlobKey::new(media, part), self.from, self.until)
    }

    /// A file with its links.
    pub(crate) fn of(&self, media: &Media, shown: &Shown) -> Result<CompletedView, StoreError> {
        let thumbnail = shown.picture.map(|_| self.to(media.id, BlobPart::Thumbnail)).transpose()?;
        Ok(CompletedView {
            media_id: media.id,
            content_type: media.content_type.as_str().to_owned(),
            size: shown.size,
            width: shown.picture.map(|picture| picture.width),
            height: shown.picture.map(|picture| picture.height),
            url: self.to(media.id, BlobPart::Shown)?,
            thumbnail_url: thumbnail,
        })
    }

    /// A file with its links, its name, and when the links end.
    pub(crate) fn details(&self, media: &Media, shown: &Shown) -> Result<DetailsView, StoreError> {
        let file = self.of(media, shown)?;
        Ok(DetailsView { file, filename: media.filename.clone(), expires_at: self.until })
    }
}
