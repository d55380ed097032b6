//! Uploads that are refused, or can't be checked: what was put stays until something better takes its place, and of two that
//! are good the first stays for good.

use std::fmt::Write as _;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use sentinel_domain::{
    account::Username,
    ids::SessionId,
    media::ATTACHMENTS_PER_MESSAGE,
    ports::{Blobs, UploadLink},
};
use sentinel_http::layers;
use tokio::sync::Notify;

use super::*;

#[derive(PartialEq)]
enum Step {
    Read,
    Write,
}

/// Blobs of which one step takes until it is let go on: it was read, or is about to be written.
struct SlowBlobs {
    blobs: Arc<dyn Blobs>,
    slow: Step,
    reached: Notify,
    go_on: Notify,
}

impl SlowBlobs {
    async fn step(&self, step: Step) {
        if step == self.slow {
            self.reached.notify_one();
            self.go_on.notified().await;
        }
    }
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
        self.step(Step::Read).await;
        Ok(bytes)
    }

    async fn put(&self, key: BlobKey, bytes: Vec<u8>, served: &Served) -> Result<(), StoreError> {
        self.step(Step::Write).await;
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

    /// Another process, of which this step is slow, and its blobs.
    fn slow_process(&self, slow: Step) -> (MediaService, Arc<SlowBlobs>) {
        let blobs = self.service.blobs.clone();
        let blobs = Arc::new(SlowBlobs { blobs, slow, reached: Notify::new(), go_on: Notify::new() });
        (self.process(blobs.clone()), blobs)
    }

    /// What is shown of a file.
    async fn shown(&self, id: MediaId) -> Vec<u8> {
        self.service.blobs.get(BlobKey::new(id, BlobPart::Shown)).await.unwrap()
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
    let (process, slow) = world.slow_process(Step::Read);
    let refused = async { process.complete(world.owner, id).await.unwrap_err().code() };
    let better = async {
        slow.reached.notified().await;
        assert_eq!(world.put(&upload, Body::from("good")).await, (200, None));
        slow.go_on.notify_one();
    };
    assert_eq!(futures::join!(refused, better).0, "wrong_hash");
    assert_eq!(world.complete(id).await, Ok(4), "nobody has to send it once more");
    assert_eq!(world.shown(id).await, b"good");
}

#[tokio::test]
async fn what_is_complete_is_not_changed_by_a_call_that_took_other_bytes() {
    let world = World::new().await;
    let upload = world.begin(5).await;
    let id = upload.media_id;
    assert_eq!(world.put(&upload, Body::from("early")).await, (200, None));
    let (process, slow) = world.slow_process(Step::Read);
    let early = async { process.complete(world.owner, id).await.unwrap() };
    let later = async {
        slow.reached.notified().await;
        assert_eq!(world.put(&upload, Body::from("later")).await, (200, None));
        let done = world.service.complete(world.owner, id).await.unwrap();
        slow.go_on.notify_one();
        done
    };
    let (early, later) = futures::join!(early, later);
    assert_eq!(world.shown(id).await, b"later", "what was shown once stays");
    assert_eq!(early, later);
    assert_eq!(world.service.visible(world.owner, id).await.unwrap(), later);
}

#[tokio::test]
async fn what_comes_while_what_was_before_is_kept_does_not_take_its_place() {
    let world = World::new().await;
    let upload = world.begin(5).await;
    let id = upload.media_id;
    assert_eq!(world.put(&upload, Body::from("early")).await, (200, None));
    let (process, slow) = world.slow_process(Step::Write);
    let early = async { process.complete(world.owner, id).await.unwrap() };
    let later = async {
        slow.reached.notified().await;
        assert_eq!(world.put(&upload, Body::from("later")).await, (200, None));
        let refused = world.complete(id).await;
        slow.go_on.notify_one();
        refused
    };
    let (early, refused) = futures::join!(early, later);
    assert_eq!(refused, Err((422, "wrong_hash")));
    assert_eq!(world.shown(id).await, b"early");
    assert_eq!(world.service.complete(world.owner, id).await.unwrap(), early, "from now on all get the same");
    assert_eq!(world.objects(id).await, 1);
}

#[tokio::test]
async fn what_a_process_that_ended_had_found_good_is_kept_by_another() {
    let world = World::new().await;
    let upload = world.begin(5).await;
    let id = upload.media_id;
    assert_eq!(world.put(&upload, Body::from("early")).await, (200, None));
    let (process, slow) = world.slow_process(Step::Write);
    tokio::select! {
        _ = process.complete(world.owner, id) => panic!("it ends before it has written"),
        () = slow.reached.notified() => {}
    }
    // It may be about to write all the same.
    assert_eq!(world.put(&upload, Body::from("later")).await, (200, None));
    assert_eq!(world.complete(id).await, Err((422, "wrong_hash")));
    assert_eq!(world.put(&upload, Body::from("early")).await, (200, None));
    assert_eq!(world.complete(id).await, Ok(5));
    assert_eq!(world.shown(id).await, b"early");
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

#[tokio::test]
async fn an_upload_has_as_many_bytes_as_were_announced_and_these_are_some() {
    let world = World::new().await;
    let empty = AnnouncedUpload { filename: "a".into(), content_type: "text/plain".into(), size: 0, sha256: None };
    let refused = world.service.begin(world.owner, empty, &BaseUrl(BASE.into())).await.err().unwrap();
    assert_eq!((refused.status().as_u16(), refused.code()), (422, "empty_file"));
    let upload = world.begin(4).await;
    for bytes in ["abc", "abcde"] {
        assert_eq!(world.put(&upload, Body::from(bytes)).await, (413, Some("wrong_size".into())), "{bytes}");
    }
    // A store that takes the bytes itself may have taken others.
    let key = BlobKey::new(upload.media_id, BlobPart::Upload);
    world.service.blobs.put(key, b"abc".to_vec(), &PLAIN()).await.unwrap();
    assert_eq!(world.complete(upload.media_id).await, Err((422, "wrong_size")));
    assert_eq!(world.put(&upload, Body::from("abcd")).await, (200, None));
    assert_eq!(world.complete(upload.media_id).await, Ok(4));
}

#[tokio::test]
async fn a_picture_with_too_many_pixels_is_refused() {
    let world = World::new().await;
    let refused = world.upload("image/png", &png_header(20_000, 20_000, 8, 2)).await.unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.code()), (413, "picture_too_large"));
}

#[tokio::test]
async fn an_owner_sends_as_many_files_at_once_as_a_message_has() {
    let world = Arc::new(World::with(100).await);
    let mut running = Vec::new();
    for _ in 0..ATTACHMENTS_PER_MESSAGE {
        running.push(world.begin_put(&Arc::new(world.begin(4).await)).await);
    }
    let one_more = world.begin(4).await;
    assert_eq!(world.put(&one_more, Body::from("wxyz")).await, (429, Some("too_many_uploads".into())));
    let (mut sender, first) = running.pop().unwrap();
    sender.send(Ok(Bytes::from_static(b"cd"))).await.unwrap();
    drop(sender);
    assert_eq!(first.await.unwrap(), (200, None));
    assert_eq!(world.put(&one_more, Body::from("wxyz")).await, (200, None));
}

/// Without it no link leads anywhere.
#[tokio::test]
async fn who_does_not_say_which_host_is_called_begins_no_upload() {
    let world = World::new().await;
    let service = &world.service;
    let (router, _) = crate::router(service.clone()).split_for_parts();
    let router = layers::apply(router, &service.config, service.tokens.clone(), service.limits.clone());
    let (session, name) = (SessionId(Uuid::new_v4()), Username::parse("ann").unwrap());
    let token = service.tokens.issue(world.owner, session, &name, Timestamp::now()).unwrap().token;
    let begin = async |host: Option<&str>| {
        let mut request = Request::post("/media/uploads").header("authorization", format!("Bearer {token}"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let announced = r#"{"filename":"a.txt","content_type":"text/plain","size":4}"#;
        let request = request.header("content-type", "application/json").body(Body::from(announced)).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status, body["code"].as_str().map(str::to_owned))
    };
    for host in [None, Some("a/b")] {
        assert_eq!(begin(host).await, (400, Some("invalid_host".into())), "{host:?}");
    }
    assert_eq!(begin(Some("chat.example.com")).await, (201, None));
}
