//! Uploads from their announcement to their end, over a real store and real files.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, channel::mpsc, stream};
use sentinel_adapters::{files::LocalFiles, keys, sqlite::Sqlite};
use sentinel_domain::{
    clock::HybridClock,
    config::{LimitsConfig, PlatformConfig},
    event::Nobody,
    ids::{MediaId, UserId},
    media::{BlobKey, BlobPart, Media, Picture, Shown},
    message::{Draft, MessageKind},
    ports::{AccountStore as _, ChatStore as _, MediaStore as _, Served, StoreError},
    time::Timestamp,
};
use sentinel_http::{problem::Problem, rate::RateLimits, tokens::Tokens};
use sentinel_testing::{account, config, draft, upload};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    MediaService,
    base::BaseUrl,
    check::Checked,
    files::files_router_at,
    files_router,
    picture::tests::{drawing, has_place, jpeg_with_exif, png_header},
    receiving::Pace,
    views::{AnnouncedUpload, BegunUpload},
};

mod links;
mod many;
mod refused;

/// Bytes of one account.
const QUOTA: u64 = 30 * 1024 * 1024;
const BASE: &str = "http://127.0.0.1:1";
const PLAIN: fn() -> Served = || Served { content_type: "text/plain".into(), disposition: "attachment".into() };
/// How long something may take that always comes.
const PATIENCE: Duration = Duration::from_mins(1);

struct World {
    service: Arc<MediaService>,
    store: Arc<Sqlite>,
    router: Router,
    owner: UserId,
    folder: tempfile::TempDir,
}

/// Sends the rest of a body.
type Rest = mpsc::Sender<Result<Bytes, std::io::Error>>;

impl World {
    async fn new() -> Self {
        Self::with(5).await
    }

    /// Where a user may begin so many uploads a minute.
    async fn with(uploads_per_minute: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys_dir = folder.path().join("keys");
        keys::create_missing(&keys_dir).unwrap();
        std::fs::write(keys_dir.join("jwt-0001.pem"), sentinel_domain::key_generation::signing_key().unwrap()).unwrap();
        let config = PlatformConfig {
            limits: LimitsConfig { uploads_per_minute, media_quota_bytes: QUOTA, ..LimitsConfig::default() },
            ..config(&keys_dir)
        };
        let keyring = Arc::new(keys::load_keyring(&keys_dir).unwrap());
        let clock = Arc::new(HybridClock::new());
        let store =
            Arc::new(Sqlite::open(&folder.path().join("db"), keyring.clone(), clock, Arc::new(Nobody)).unwrap());
        let files = Arc::new(LocalFiles::open(&folder.path().join("media"), keyring).unwrap());
        let owner = store.create_account(account("ann")).await.unwrap().id;
        let tokens = Arc::new(Tokens::load(&config.keys_dir, &config.auth).unwrap());
        let limits = Arc::new(RateLimits::new(&config.limits));
        let service = Arc::new(MediaService::new(
            store.clone(),
            store.clone(),
            files.clone(),
            Some(files),
            tokens,
            limits,
            Arc::new(config),
        ));
        let router = files_router(&service);
        Self { service, store, router, owner, folder }
    }

    /// Announces an upload of so many bytes.
    async fn begin(&self, size: u64) -> BegunUpload {
        let announced =
            AnnouncedUpload { filename: "a.txt".into(), content_type: "text/plain".into(), size, sha256: None };
        self.service.begin(self.owner, announced, &BaseUrl(BASE.into())).await.unwrap()
    }

    /// Announces what is said to be of this type, puts it and completes it.
    async fn upload(&self, content_type: &str, bytes: &[u8]) -> Result<(Media, Shown), Problem> {
        let announced = AnnouncedUpload {
            filename: "a".into(),
            content_type: content_type.into(),
            size: bytes.len() as u64,
            sha256: None,
        };
        let begun = self.service.begin(self.owner, announced, &BaseUrl(BASE.into())).await.unwrap();
        assert_eq!(self.put(&begun, Body::from(bytes.to_vec())).await, (200, None));
        self.service.complete(self.owner, begun.media_id).await
    }

    /// Puts bytes where an upload was told to; gives the status and the problem's code.
    async fn put(&self, upload: &BegunUpload, body: Body) -> (u16, Option<String>) {
        let path = upload.upload.url.strip_prefix(BASE).unwrap();
        let request = Request::builder().method("PUT").uri(path).body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
        let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        (status, problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned())))
    }

    /// Puts the first two bytes only; gives what sends the rest, and the call that waits for it.
    async fn begin_put(self: &Arc<Self>, upload: &Arc<BegunUpload>) -> (Rest, JoinHandle<(u16, Option<String>)>) {
        let others = self.drafts();
        let (mut sender, body) = mpsc::channel(1);
        let (world, upload) = (self.clone(), upload.clone());
        let call = tokio::spawn(async move { world.put(&upload, Body::from_stream(body)).await });
        sender.send(Ok(Bytes::from_static(b"ab"))).await.unwrap();
        self.drafts_become(others + 1).await;
        (sender, call)
    }

    async fn complete(&self, id: MediaId) -> Result<u64, (u16, &'static str)> {
        let done = self.service.complete(self.owner, id).await;
        done.map(|(_, shown)| shown.size).map_err(|problem| (problem.status().as_u16(), problem.code()))
    }

    async fn give_up(&self, caller: UserId, id: MediaId) -> Result<(), (u16, &'static str)> {
        let done = self.service.give_up(caller, id).await;
        done.map_err(|problem| (problem.status().as_u16(), problem.code()))
    }

    /// Bytes that count against the quota.
    async fn usage(&self) -> u64 {
        self.service.media.usage(self.owner).await.unwrap().bytes
    }

    /// How many objects a file has.
    async fn objects(&self, id: MediaId) -> usize {
        let sizes = BlobPart::ALL.map(|part| self.service.blobs.size(BlobKey::new(id, part)));
        futures::future::join_all(sizes).await.into_iter().filter(|size| size.as_ref().unwrap().is_some()).count()
    }

    /// Files that are being written.
    fn drafts(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path().join("media")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".draft")).count()
    }

    async fn drafts_become(&self, count: usize) {
        let wait = async {
            while self.drafts() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }
}

#[tokio::test]
async fn uploads_that_are_announced_at_once_do_not_get_past_the_quota() {
    let world = World::new().await;
    let announced = || AnnouncedUpload {
        filename: "a.txt".into(),
        content_type: "text/plain".into(),
        size: QUOTA * 2 / 5,
        sha256: None,
    };
    let base = BaseUrl(BASE.into());
    let all = (0..4).map(|_| world.service.begin(world.owner, announced(), &base));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() <= 2);
    let usage = world.service.media.usage(world.owner).await.unwrap();
    assert!(usage.bytes <= QUOTA, "{usage:?}");
    let codes: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err().map(Problem::code)).collect();
    assert!(codes.iter().all(|code| *code == "quota_exceeded"), "{codes:?}");
    // Those that were refused take no room. One file may not have all of it.
    world.begin((QUOTA - usage.bytes).min(QUOTA * 4 / 5)).await;
}

#[tokio::test]
async fn one_body_at_a_time_is_taken_by_a_link() {
    let world = Arc::new(World::new().await);
    let upload = Arc::new(world.begin(4).await);
    let (mut sender, first) = world.begin_put(&upload).await;
    for _ in 0..3 {
        assert_eq!(world.put(&upload, Body::from("wxyz")).await, (409, Some("upload_running".into())));
    }
    assert_eq!(world.drafts(), 1);
    let other = world.begin(4).await;
    assert_eq!(world.put(&other, Body::from("wxyz")).await, (200, None), "another link is free");
    sender.send(Ok(Bytes::from_static(b"cd"))).await.unwrap();
    drop(sender);
    assert_eq!(first.await.unwrap(), (200, None));
    assert_eq!(world.put(&upload, Body::from("wxyz")).await, (200, None), "a better one may follow");
    assert_eq!(world.complete(upload.media_id).await, Ok(4));
    assert_eq!(world.put(&upload, Body::from("wxyz")).await.0, 404, "what is complete takes no bytes");
}

#[tokio::test]
async fn all_who_complete_an_upload_at_once_get_the_same() {
    let world = Arc::new(World::new().await);
    // So large that not all are checked at once.
    let size = 25 * 1024 * 1024;
    let upload = world.begin(size).await;
    assert_eq!(world.put(&upload, Body::from(vec![0; usize::try_from(size).unwrap()])).await, (200, None));
    let held = world.service.memory.take(u64::MAX).await.unwrap();
    let all: Vec<_> = (0..4)
        .map(|_| {
            let (world, id) = (world.clone(), upload.media_id);
            tokio::spawn(async move { world.complete(id).await })
        })
        .collect();
    // Each has found it pending before the first completes it.
    for _ in 0..20 {
        world.service.own(world.owner, upload.media_id).await.unwrap();
    }
    drop(held);
    for one in all {
        assert_eq!(one.await.unwrap(), Ok(size));
    }
}

#[tokio::test]
async fn what_is_given_up_frees_its_room_and_its_bytes_at_once() {
    let world = World::new().await;
    let (size, bob) = (QUOTA * 4 / 5, UserId(Uuid::new_v4()));
    let first = world.begin(size).await;
    assert_eq!(world.put(&first, Body::from(vec![0; usize::try_from(size).unwrap()])).await, (200, None));
    let second = AnnouncedUpload { filename: "a".into(), content_type: "text/plain".into(), size, sha256: None };
    let refused = world.service.begin(world.owner, second, &BaseUrl(BASE.into())).await;
    assert_eq!(refused.err().unwrap().code(), "quota_exceeded");
    for (caller, id) in [(bob, first.media_id), (world.owner, MediaId(Uuid::now_v7()))] {
        assert_eq!(world.give_up(caller, id).await, Err((404, "not_found")));
    }
    assert_eq!((world.usage().await, world.objects(first.media_id).await), (size, 1));

    world.give_up(world.owner, first.media_id).await.unwrap();
    assert_eq!((world.usage().await, world.objects(first.media_id).await), (0, 0));
    let second = world.begin(size).await;
    world.give_up(world.owner, first.media_id).await.expect("a repeat answers the same");
    assert_eq!((world.usage().await, world.objects(second.media_id).await), (size, 0));
    assert_eq!(world.complete(first.media_id).await, Err((404, "not_found")));
    assert_eq!(world.put(&first, Body::from("late")).await.0, 404);
    assert!(matches!(world.service.visible(world.owner, first.media_id).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn what_is_complete_is_given_up_as_long_as_no_message_shows_it() {
    let world = World::new().await;
    let [unsent, sent] = [world.begin(4).await.media_id, world.begin(4).await.media_id];
    for id in [unsent, sent] {
        world.service.blobs.put(BlobKey::new(id, BlobPart::Upload), b"wxyz".to_vec(), &PLAIN()).await.unwrap();
        world.complete(id).await.unwrap();
    }
    let notes = world.store.start_chat(world.owner, world.owner, Timestamp::now()).await.unwrap().0.id;
    let message = |id| Draft { kind: MessageKind::File, attachments: vec![id], ..draft(notes, world.owner, "") };
    world.store.append(message(sent), None, Timestamp::now()).await.unwrap();
    for id in [unsent, sent] {
        assert_eq!(world.give_up(UserId(Uuid::new_v4()), id).await, Err((404, "not_found")));
    }
    assert_eq!(world.give_up(world.owner, sent).await, Err((409, "upload_sent")));
    world.service.visible(world.owner, sent).await.unwrap();
    assert_eq!((world.usage().await, world.objects(sent).await), (8, 1));
    for _ in 0..2 {
        world.give_up(world.owner, unsent).await.unwrap();
        assert!(matches!(world.service.visible(world.owner, unsent).await, Err(StoreError::NotFound)));
        assert_eq!((world.usage().await, world.objects(unsent).await), (4, 0));
    }
    // Who was told a moment before that it may be sent is too late.
    let late = world.store.append(message(unsent), None, Timestamp::now()).await;
    assert!(matches!(late, Err(StoreError::UnknownAttachment)), "{late:?}");
}

#[tokio::test]
async fn bytes_that_come_for_what_was_given_up_leave_nothing() {
    let world = Arc::new(World::new().await);
    let upload = Arc::new(world.begin(4).await);
    let (mut sender, running) = world.begin_put(&upload).await;
    world.give_up(world.owner, upload.media_id).await.unwrap();
    sender.send(Ok(Bytes::from_static(b"cd"))).await.unwrap();
    drop(sender);
    assert_eq!(running.await.unwrap(), (404, Some("not_found".into())));
    assert_eq!(world.put(&upload, Body::from("wxyz")).await.0, 404);
    world.drafts_become(0).await;
    assert_eq!(world.objects(upload.media_id).await, 0);
}

#[tokio::test]
async fn who_completes_what_is_given_up_meanwhile_leaves_nothing() {
    let world = Arc::new(World::new().await);
    // So large that it waits for memory.
    let size = 25 * 1024 * 1024;
    let upload = world.begin(size).await;
    let bytes = vec![0; usize::try_from(size).unwrap()];
    assert_eq!(world.put(&upload, Body::from(bytes.clone())).await, (200, None));
    let media = world.service.own(world.owner, upload.media_id).await.unwrap();
    let held = world.service.memory.take(u64::MAX).await.unwrap();
    let completing = {
        let (world, id) = (world.clone(), upload.media_id);
        tokio::spawn(async move { world.complete(id).await })
    };
    for _ in 0..20 {
        world.service.own(world.owner, upload.media_id).await.unwrap();
    }
    world.give_up(world.owner, upload.media_id).await.unwrap();
    drop(held);
    assert_eq!(completing.await.unwrap(), Err((404, "not_found")));
    assert_eq!(world.objects(upload.media_id).await, 0);
    // And when it was checked already.
    world.service.keep(&media, Checked::File(bytes)).await.unwrap();
    assert_eq!(world.objects(upload.media_id).await, 1);
    let shown = Shown { size, picture: None };
    assert_eq!(world.service.settle(world.owner, media, shown).await.err().unwrap().status().as_u16(), 404);
    assert_eq!(world.objects(upload.media_id).await, 0);
}

#[tokio::test]
async fn an_owner_gives_up_a_bounded_number_of_times_a_minute() {
    let world = World::new().await;
    let upload = world.begin(4).await;
    for _ in 0..10 {
        world.give_up(world.owner, upload.media_id).await.unwrap();
    }
    assert_eq!(world.give_up(world.owner, upload.media_id).await, Err((429, "rate_limited")));
}

#[tokio::test]
async fn an_owner_begins_a_bounded_number_of_uploads_a_minute() {
    let world = World::new().await;
    let refused = async |owner: UserId| {
        let announced =
            AnnouncedUpload { filename: "a.txt".into(), content_type: "text/plain".into(), size: 4, sha256: None };
        world.service.begin(owner, announced, &BaseUrl(BASE.into())).await.err()
    };
    for _ in 0..5 {
        assert!(refused(world.owner).await.is_none());
    }
    let problem = refused(world.owner).await.unwrap();
    assert_eq!((problem.status().as_u16(), problem.code(), problem.limit()), (429, "rate_limited", Some("upload")));
    let bob = world.store.create_account(account("bob")).await.unwrap().id;
    assert!(refused(bob).await.is_none(), "others go on");
}

#[tokio::test]
async fn a_body_that_breaks_off_frees_its_link() {
    let world = Arc::new(World::new().await);
    let upload = Arc::new(world.begin(4).await);
    let (_sender, first) = world.begin_put(&upload).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(world.put(&upload, Body::from("wxyz")).await, (200, None));
    world.drafts_become(0).await;
}

#[tokio::test]
async fn an_owner_completes_a_bounded_number_of_times_a_minute() {
    let world = World::new().await;
    let upload = world.begin(4).await;
    for _ in 0..10 {
        assert_eq!(world.complete(upload.media_id).await, Err((409, "upload_missing")));
    }
    assert_eq!(world.complete(upload.media_id).await, Err((429, "rate_limited")));
}

#[tokio::test]
async fn a_file_that_no_message_shows_any_more_is_nobodys() {
    let world = World::new().await;
    let (ann, bob) = (world.owner, UserId(Uuid::new_v4()));
    let two_days_ago = Timestamp::now().plus_seconds(-2 * 24 * 3600);
    let id = MediaId(sentinel_domain::clock::Instant { millis: two_days_ago.0.unsigned_abs(), counter: 0 }.id(1));
    let (store, media) = (&world.store, Media { id, ..upload(ann) });
    store.create(media.clone()).await.unwrap();
    store.complete(id, &media.content_type, Shown { size: 1, picture: None }).await.unwrap();
    let notes = store.start_chat(ann, ann, two_days_ago).await.unwrap().0.id;
    let sent = Draft { kind: MessageKind::File, attachments: vec![id], ..draft(notes, ann, "") };
    store.append(sent, None, two_days_ago).await.unwrap();
    world.service.visible(ann, id).await.unwrap();
    assert!(matches!(world.service.visible(bob, id).await, Err(StoreError::NotFound)));
    store.detach(id, notes, Timestamp::now()).await.unwrap();
    assert!(matches!(world.service.visible(ann, id).await, Err(StoreError::NotFound)));
    // One that may still be sent is its owner's.
    let fresh = world.begin(4).await;
    assert_eq!(world.put(&fresh, Body::from("wxyz")).await, (200, None));
    world.complete(fresh.media_id).await.unwrap();
    world.service.visible(ann, fresh.media_id).await.unwrap();
}

#[tokio::test]
async fn a_picture_that_goes_by_another_name_is_cleaned_and_is_what_it_is() {
    let world = World::new().await;
    let bytes = jpeg_with_exif(&drawing(640, 480), 1);
    assert!(has_place(&bytes));
    for name in ["application/octet-stream", "image/heic", "application/x-foo"] {
        let (media, shown) = world.upload(name, &bytes).await.unwrap();
        assert_eq!(media.content_type.as_str(), "image/jpeg", "{name}");
        assert_eq!(shown.picture, Some(Picture { width: 640, height: 480 }));
        assert!(!has_place(&world.service.blobs.get(BlobKey::new(media.id, BlobPart::Shown)).await.unwrap()), "{name}");
        assert_eq!(world.service.visible(world.owner, media.id).await.unwrap(), (media, shown));
    }
    // What can't be cleaned is not passed on.
    let broken = world.upload("application/octet-stream", &bytes[..20]).await.unwrap_err();
    assert_eq!((broken.status().as_u16(), broken.code()), (422, "broken_picture"));
    // It only begins with the same letters.
    let (note, shown) = world.upload("application/octet-stream", b"GIF is a format of pictures").await.unwrap();
    assert_eq!((note.content_type.as_str(), shown.picture), ("application/octet-stream", None));
}

#[tokio::test]
async fn bytes_that_come_too_slowly_are_cut_off_and_leave_their_place_to_others() {
    let mut world = World::new().await;
    let upload = world.begin(1000).await;
    let pace = Pace { pause: PATIENCE, grace: PATIENCE, bytes_per_second: 1000 };
    let cut = (408, Some("upload_too_slow".into()));
    // Nothing more comes.
    world.router = files_router_at(&world.service, Pace { pause: Duration::from_millis(100), ..pace });
    let stuck = stream::iter([Ok::<_, std::io::Error>("ab")]).chain(stream::pending());
    assert_eq!(world.put(&upload, Body::from_stream(stuck)).await, cut);
    // Something comes again and again, but hardly any.
    world.router = files_router_at(&world.service, Pace { grace: Duration::from_millis(200), ..pace });
    let drops = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>("a"), ()))
    });
    assert_eq!(world.put(&upload, Body::from_stream(drops)).await, cut);
    world.drafts_become(0).await;
    assert_eq!(world.put(&upload, Body::from(vec![b'a'; 1000])).await, (200, None));
}
