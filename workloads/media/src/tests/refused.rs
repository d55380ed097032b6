//! Uploads that are refused, or can't be checked: what was put stays until something better takes its place.

use std::fmt::Write as _;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use sentinel_domain::ports::{Blobs, UploadLink};
use tokio::sync::Notify;

use super::*;

/// Blobs of which reading one takes until it is let go on.
struct SlowBlobs {
    blobs: Arc<dyn Blobs>,
    read: Notify,
    go_on: Notify,
}

#[async_trait]
impl Blobs for SlowBlobs {
    fn put_link(&self, base: &str, upload: &Media, now: Timestamp) -> Result<UploadLink, StoreError> {
        self.blobs.put_link(base, upload, now)
    }

    fn get_link(&self, base: &str, key: BlobKey, now: Timestamp, until: Timestamp) -> Result<String, StoreError> {
        self.blobs.get_link(base, key, now, until)
    }

    async fn size(&self, key: BlobKey) -> Result<Option<u64>, StoreError> {
        self.blobs.size(key).await
    }

    async fn get(&self, key: BlobKey) -> Result<Vec<u8>, StoreError> {
        let bytes = self.blobs.get(key).await?;
        self.read.notify_one();
        self.go_on.notified().await;
        Ok(bytes)
    }

    async fn put(&self, key: BlobKey, bytes: Vec<u8>, served: &Served) -> Result<(), StoreError> {
        self.blobs.put(key, bytes, served).await
    }

    async fn delete(&self, key: BlobKey) -> Result<(), StoreError> {
        self.blobs.delete(key).await
    }
}

impl World {
    /// Another process over the same stores, or over other blobs.
    fn process(&self, blobs: Arc<dyn Blobs>) -> MediaService {
        let MediaService { chats, media, files, tokens, limits, config, .. } = &*self.service;
        let (chats, media, files) = (chats.clone(), media.clone(), files.clone());
        MediaService::new(chats, media, blobs, files, tokens.clone(), limits.clone(), config.clone())
    }

    /// Announces a file that has to be just these bytes.
    async fn begin_exactly(&self, content_type: &str, bytes: &[u8]) -> BegunUpload {
        let sha256 = digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let announced = AnnouncedUpload {
            filename: "a".into(),
            content_type: content_type.into(),
            size: bytes.len() as u64,
            sha256: Some(sha256),
        };
        self.service.begin(self.owner, announced, &BaseUrl(BASE.into())).await.unwrap()
    }
}

#[tokio::test]
async fn what_comes_while_what_was_before_is_refused_is_not_lost() {
    let world = World::new().await;
    let upload = world.begin_exactly("text/plain", b"good").await;
    let id = upload.media_id;
    assert_eq!(world.put(&upload, Body::from("evil")).await, (200, None));
    let blobs = world.service.blobs.clone();
    let slow = Arc::new(SlowBlobs { blobs, read: Notify::new(), go_on: Notify::new() });
    let process = world.process(slow.clone());
    let refused = async { process.complete(world.owner, id).await.unwrap_err().code() };
    let better = async {
        slow.read.notified().await;
        assert_eq!(world.put(&upload, Body::from("good")).await, (200, None));
        slow.go_on.notify_one();
    };
    assert_eq!(futures::join!(refused, better).0, "wrong_hash");
    assert_eq!(world.complete(id).await, Ok(4), "nobody has to send it once more");
    assert_eq!(world.service.blobs.get(BlobKey::new(id, BlobPart::Shown)).await.unwrap(), b"good");
}

#[tokio::test]
async fn a_refusal_is_repeated_until_better_bytes_come() {
    let world = World::new().await;
    let upload = world.begin_exactly("text/plain", b"good").await;
    assert_eq!(world.put(&upload, Body::from("evil")).await, (200, None));
    for _ in 0..2 {
        assert_eq!(world.complete(upload.media_id).await, Err((422, "wrong_hash")));
    }
    assert_eq!(world.put(&upload, Body::from("good")).await, (200, None));
    assert_eq!(world.complete(upload.media_id).await, Ok(4));
    assert_eq!(world.objects(upload.media_id).await, 1, "what is shown, and no upload beside it");
}

#[tokio::test]
async fn a_fault_of_ours_throws_no_upload_away() {
    let world = World::new().await;
    let bytes = jpeg_with_exif(&drawing(64, 48), 1);
    let upload = world.begin_exactly("image/jpeg", &bytes).await;
    assert_eq!(world.put(&upload, Body::from(bytes)).await, (200, None));
    let process = world.process(world.service.blobs.clone());
    process.decoding.end();
    let fault = process.complete(world.owner, upload.media_id).await.unwrap_err();
    assert_eq!((fault.status().as_u16(), fault.code()), (500, "internal"));
    let (_, shown) = world.service.complete(world.owner, upload.media_id).await.unwrap();
    assert_eq!(shown.picture, Some(Picture { width: 64, height: 48 }), "the same bytes are taken at the next try");
}
