//! Announcing, completing and giving up uploads.

use axum::http::StatusCode;
use sentinel_domain::{
    ids::{MediaId, UserId},
    media::{BlobKey, BlobPart, InvalidMedia, Media, MediaState, NewUpload, Shown, UPLOAD_SECONDS, disposition},
    ports::{Served, StoreError},
    time::Timestamp,
};
use sentinel_http::{
    problem::{Code, Problem},
    rate::Action,
};
use uuid::Uuid;

use crate::{
    base::BaseUrl,
    check::{Checked, Hash, Refused},
    service::{MediaService, PICTURE_COPIES},
    views::{AnnouncedUpload, BegunUpload, UploadLinkView},
};

/// When what was given up is looked at again, in seconds: its link may have been used until its end, and the bytes of that may
/// take another hour (`UPLOAD_TIMEOUT`).
const LINK_ENDED_SECONDS: i64 = UPLOAD_SECONDS + 3600;

/// What is there of an upload.
enum Put {
    /// It was not put yet, or is gone again.
    Nothing,
    /// So many bytes, which are not as many as were announced.
    Other(u64),
    /// All bytes.
    Bytes(Vec<u8>),
}

impl MediaService {
    /// Notes an upload and says where to put its bytes.
    pub(crate) async fn begin(
        &self,
        caller: UserId,
        announced: AnnouncedUpload,
        base: &BaseUrl,
    ) -> Result<BegunUpload, Problem> {
        self.limits.check(Action::Upload, &caller.to_string())?;
        let AnnouncedUpload { filename, content_type, size, sha256 } = announced;
        let limits = &self.config.limits;
        let new = NewUpload::check(&filename, &content_type, size, sha256.as_deref(), limits)
            .map_err(|error| refused(&error))?;
        let NewUpload { filename, content_type, size, sha256 } = new;
        self.check_quota(caller, size).await?;
        let media = Media {
            id: MediaId(Uuid::now_v7()),
            owner: caller,
            filename,
            content_type,
            size,
            sha256,
            state: MediaState::Pending,
            shown: None,
        };
        let now = Timestamp::now();
        let link = self.blobs.put_link(&base.0, &media, now)?;
        let media_id = media.id;
        self.media.create(media).await?;
        // Of several at once, each found room beside what there was before.
        if let Err(problem) = self.check_quota(caller, 0).await {
            self.media.condemn(media_id).await?;
            return Err(problem);
        }
        metrics::counter!("sentinel_media_uploads_total").increment(1);
        let expires_at = now.plus_seconds(UPLOAD_SECONDS);
        let headers = link.headers.into_iter().collect();
        Ok(BegunUpload { media_id, upload: UploadLinkView { method: "PUT", url: link.url, headers, expires_at } })
    }

    /// Checks that the caller has room for so many further bytes.
    async fn check_quota(&self, caller: UserId, further: u64) -> Result<(), Problem> {
        let limits = &self.config.limits;
        let Err(full) = self.media.usage(caller).await?.check_quota(further, limits) else { return Ok(()) };
        // Before somebody is refused for files that are gone. It takes a look at each, so now and then is enough.
        if self.limits.check(Action::CountFiles, &caller.to_string()).is_err() {
            return Err(refused(&full));
        }
        self.media.recount(caller).await?.check_quota(further, limits).map_err(|full| refused(&full))
    }

    /// Checks what was uploaded and makes what is shown. A repeat gives the same.
    pub(crate) async fn complete(&self, caller: UserId, id: MediaId) -> Result<(Media, Shown), Problem> {
        let media = self.own(caller, id).await?;
        if let Some(shown) = media.shown().copied() {
            return Ok((media, shown));
        }
        if !media.can_be_completed(Timestamp::now()) {
            return Err(Problem::not_found());
        }
        self.limits.check(Action::CompleteUpload, &caller.to_string())?;
        let upload = BlobKey::new(id, BlobPart::Upload);
        // What was taken is what is checked and kept, whatever is put there meanwhile.
        let memory =
            self.memory.take(media.size.saturating_mul(PICTURE_COPIES)).await.ok_or_else(Problem::unavailable)?;
        // A call before this one may have completed it while this one waited.
        if let Some(done) = self.completed(caller, id).await? {
            return Ok(done);
        }
        let checked = match self.put(upload, media.size).await? {
            Put::Nothing => {
                // Or since, as that takes away what was put.
                let detail = "nothing has been uploaded yet; put the bytes where you were told, then complete";
                let missing = || Problem::new(StatusCode::CONFLICT, Code::UploadMissing, detail);
                return self.completed(caller, id).await?.ok_or_else(missing);
            }
            Put::Other(found) => Err(Refused::Size { found, announced: media.size }),
            Put::Bytes(bytes) => self.check(&media, bytes, &memory).await,
        };
        // What is refused stays where it is until a better upload takes its place, as the link is still good, or the day is over:
        // that upload may have come while this was checked, so what would be destroyed here may be that.
        let (hash, checked) = checked.inspect_err(|refusal| {
            if !matches!(refusal, Refused::Interrupted) {
                metrics::counter!("sentinel_media_refused_total").increment(1);
            }
        })?;
        // Another call may have taken other bytes, and both write what is shown to one place. Only the first that are good get
        // there, so that it never changes.
        if media.sha256.is_none() && !self.is_first(id, hash).await? {
            return self.completed(caller, id).await?.ok_or_else(|| Refused::Hash.into());
        }
        let content_type = match &checked {
            Checked::Picture(content_type, _) => content_type.clone(),
            Checked::File(_) => media.content_type,
        };
        let media = Media { content_type, sha256: Some(hash), ..media };
        let shown = self.keep(&media, checked).await?;
        self.settle(caller, media, shown).await
    }

    /// Whether bytes with this hash are those of a pending upload that were found good first. From then on no others are taken
    /// for it, also when the call that found them ends there: nobody can tell, and it might write them later.
    async fn is_first(&self, id: MediaId, hash: Hash) -> Result<bool, StoreError> {
        match self.media.require_hash(id, hash).await {
            Ok(required) => Ok(required == hash),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes an upload ready whose bytes are kept, unless it is over meanwhile.
    pub(crate) async fn settle(&self, caller: UserId, media: Media, shown: Shown) -> Result<(Media, Shown), Problem> {
        let id = media.id;
        match self.media.complete(id, &media.content_type, shown).await {
            Ok(()) => {
                self.blobs.delete(BlobKey::new(id, BlobPart::Upload)).await?;
                metrics::counter!("sentinel_media_completed_total").increment(1);
                Ok((Media { state: MediaState::Ready, shown: Some(shown), ..media }, shown))
            }
            Err(StoreError::NotFound) => match self.completed(caller, id).await {
                // By another call.
                Ok(done) => done.ok_or_else(Problem::not_found),
                // Its owner gave it up, or is gone.
                Err(StoreError::NotFound) => {
                    self.remove(id).await?;
                    Err(Problem::not_found())
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Gives up an upload that no message shows, complete or not: its room is free at once. A repeat does nothing more.
    pub(crate) async fn give_up(&self, caller: UserId, id: MediaId) -> Result<(), Problem> {
        // Also what was given up before: its answer may have been lost, or it broke off.
        self.media.media(id).await?.filter(|media| media.owner == caller).ok_or(StoreError::NotFound)?;
        self.limits.check(Action::GiveUpUpload, &caller.to_string())?;
        match self.media.give_up(id, Timestamp::now().plus_seconds(LINK_ENDED_SECONDS)).await {
            Ok(()) => {}
            Err(StoreError::NotFound) => {
                let detail = "a message shows the file; delete the message. If it could not be sent, leave the file: what no \
                              message shows is destroyed a day after it was begun";
                let sent = Problem::new(StatusCode::CONFLICT, Code::UploadSent, detail);
                return Err(self.completed(caller, id).await?.map_or_else(Problem::not_found, |_| sent));
            }
            Err(error) => return Err(error.into()),
        }
        self.remove(id).await?;
        metrics::counter!("sentinel_media_given_up_total").increment(1);
        Ok(())
    }

    /// Destroys all bytes of a file that nobody may see.
    async fn remove(&self, id: MediaId) -> Result<(), StoreError> {
        for part in BlobPart::ALL {
            self.blobs.delete(BlobKey::new(id, part)).await?;
        }
        Ok(())
    }

    /// A file of the caller's and what is shown of it; `None` when it is not complete.
    async fn completed(&self, caller: UserId, id: MediaId) -> Result<Option<(Media, Shown)>, StoreError> {
        let media = self.own(caller, id).await?;
        let shown = media.shown().copied();
        Ok(shown.map(|shown| (media, shown)))
    }

    /// What was put. What is not of the announced size is not even looked at.
    async fn put(&self, upload: BlobKey, announced: u64) -> Result<Put, StoreError> {
        match self.blobs.size(upload).await? {
            None => Ok(Put::Nothing),
            Some(found) if found != announced => Ok(Put::Other(found)),
            Some(_) => match self.blobs.get(upload).await {
                Ok(bytes) => Ok(Put::Bytes(bytes)),
                Err(StoreError::NotFound) => Ok(Put::Nothing),
                Err(error) => Err(error),
            },
        }
    }

    /// Writes what is shown.
    pub(crate) async fn keep(&self, media: &Media, checked: Checked) -> Result<Shown, StoreError> {
        let key = |part| BlobKey::new(media.id, part);
        let served = Served { content_type: media.content_type.served().to_owned(), disposition: disposition(media) };
        match checked {
            Checked::File(bytes) => {
                let size = bytes.len() as u64;
                self.blobs.put(key(BlobPart::Shown), bytes, &served).await?;
                Ok(Shown { size, picture: None })
            }
            Checked::Picture(_, prepared) => {
                let size = prepared.shown.len() as u64;
                self.blobs.put(key(BlobPart::Shown), prepared.shown, &served).await?;
                let small =
                    Served { content_type: prepared.thumbnail_type.to_owned(), disposition: "inline".to_owned() };
                self.blobs.put(key(BlobPart::Thumbnail), prepared.thumbnail, &small).await?;
                Ok(Shown { size, picture: Some(prepared.picture) })
            }
        }
    }
}

fn refused(error: &InvalidMedia) -> Problem {
    let detail = error.to_string();
    match error {
        InvalidMedia::Filename => Problem::invalid("filename", Code::InvalidFilename, detail),
        InvalidMedia::ContentType => Problem::invalid("content_type", Code::InvalidContentType, detail),
        InvalidMedia::Empty => Problem::invalid("size", Code::EmptyFile, detail),
        InvalidMedia::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::FileTooLarge, detail.clone())
            .with_field("size", Code::FileTooLarge, detail),
        InvalidMedia::Quota(_) => Problem::new(StatusCode::FORBIDDEN, Code::QuotaExceeded, detail),
        InvalidMedia::Sha256 => Problem::invalid("sha256", Code::InvalidSha256, detail),
        InvalidMedia::Kind | InvalidMedia::Attachments => Problem::invalid("type", Code::WrongType, detail),
    }
}
