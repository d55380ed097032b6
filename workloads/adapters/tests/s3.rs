//! Uploaded files on a real S3 server. Needs `SENTINEL_TEST_S3` (`http://host:port`) with `_ACCESS_KEY` and `_SECRET_KEY`.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sentinel_adapters::s3::{S3, S3Error};
use sentinel_domain::{
    config::{Connection, S3Config},
    ids::{MediaId, UserId},
    media::{BlobKey, BlobPart, ContentType, Media, MediaState, disposition},
    ports::{Blobs, Served, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

struct Bucket {
    config: S3Config,
    s3: S3,
    endpoint: String,
    http: reqwest::Client,
    _credentials: tempfile::TempDir,
}

fn variable(suffix: &str) -> String {
    std::env::var(format!("SENTINEL_TEST_S3{suffix}")).expect("SENTINEL_TEST_S3… must say where an S3 for tests is")
}

async fn bucket() -> Bucket {
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("username"), variable("_ACCESS_KEY")).unwrap();
    std::fs::write(credentials.path().join("password"), variable("_SECRET_KEY")).unwrap();
    let endpoint = variable("");
    let config = S3Config {
        connection: Connection {
            endpoints: vec![endpoint.clone()],
            credentials: Some(credentials.path().into()),
            tls: None,
        },
        bucket: format!("test-{}", Uuid::new_v4().simple()),
        region: "us-east-1".into(),
        path_style: true,
        public_endpoint: None,
        cdn_base_url: None,
    };
    S3::migrate(&config).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let s3 = S3::new(&config).unwrap();
    Bucket { config, s3, endpoint, http, _credentials: credentials }
}

fn upload(size: u64) -> Media {
    Media {
        id: MediaId(Uuid::now_v7()),
        owner: UserId(Uuid::new_v4()),
        filename: "page.html".into(),
        content_type: ContentType::parse("text/html").unwrap(),
        size,
        sha256: None,
        state: MediaState::Pending,
        shown: None,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

#[tokio::test]
async fn clients_put_and_get_by_links_and_nobody_without() {
    let bucket = bucket().await;
    let (s3, http) = (&bucket.s3, &bucket.http);
    let media = upload(5);
    let link = s3.put_link(&bucket.endpoint, &media, now()).unwrap();
    let put = async |body: &'static str, kind: &'static str| {
        http.put(&link.url).header("content-type", kind).body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(put("hello!", "text/html").await, 403, "more bytes than announced");
    assert_eq!(put("hello", "image/png").await, 403, "another type than announced");
    let key = BlobKey::new(media.id, BlobPart::Upload);
    assert_eq!(s3.size(key).await.unwrap(), None);
    assert_eq!(put("hello", "text/html").await, 200);
    assert_eq!(s3.size(key).await.unwrap(), Some(5));
    assert_eq!(s3.get(key).await.unwrap(), b"hello");

    let shown = BlobKey::new(media.id, BlobPart::Shown);
    let served = Served { content_type: media.content_type.served().into(), disposition: disposition(&media) };
    for bytes in ["other", "hello"] {
        s3.put(shown, bytes.into(), &served).await.unwrap();
    }
    let get = s3.get_link(&bucket.endpoint, shown, now(), now().plus_seconds(60)).unwrap();
    let answer = http.get(&get).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"page.html\"");
    assert_eq!(answer.text().await.unwrap(), "ell");
    for (wrong, what) in [
        (get.replace("/file?", "/upload?"), "another object"),
        (format!("{}/{}/{shown}", bucket.endpoint, bucket.config.bucket), "no signature"),
        (
            s3.get_link(&bucket.endpoint, shown, now().plus_seconds(-7200), now().plus_seconds(-3600)).unwrap(),
            "its time is over",
        ),
        (
            s3.get_link("http://another.example.com", shown, now(), now().plus_seconds(60))
                .unwrap()
                .replace("http://another.example.com", &bucket.endpoint),
            "another host",
        ),
    ] {
        assert_eq!(http.get(&wrong).send().await.unwrap().status(), 403, "{what}");
    }
    // A gateway hands the host on.
    let through = s3.get_link("http://chat.example.com:81", shown, now(), now().plus_seconds(60)).unwrap();
    let through = through.replace("http://chat.example.com:81", &bucket.endpoint);
    let answer = http.get(&through).header("host", "chat.example.com:81").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_may_be_deleted_again() {
    let bucket = bucket().await;
    let key = BlobKey::new(MediaId(Uuid::now_v7()), BlobPart::Thumbnail);
    let served = Served { content_type: "image/png".into(), disposition: "inline".into() };
    bucket.s3.put(key, vec![7; 300_000], &served).await.unwrap();
    assert_eq!(bucket.s3.size(key).await.unwrap(), Some(300_000));
    for _ in 0..2 {
        bucket.s3.delete(key).await.unwrap();
        assert_eq!(bucket.s3.size(key).await.unwrap(), None);
        assert!(matches!(bucket.s3.get(key).await, Err(StoreError::NotFound)));
    }
}

#[tokio::test]
async fn a_bucket_is_made_once_and_wrong_keys_are_told() {
    let bucket = bucket().await;
    S3::migrate(&bucket.config).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("username"), variable("_ACCESS_KEY")).unwrap();
    std::fs::write(other.path().join("password"), "wrong").unwrap();
    let mut config = bucket.config.clone();
    config.connection.credentials = Some(other.path().into());
    let refused = S3::migrate(&config).await.unwrap_err();
    assert!(matches!(refused, S3Error::Refused { status: 403, .. }), "{refused}");
    let key = BlobKey::new(MediaId(Uuid::now_v7()), BlobPart::Upload);
    assert!(matches!(S3::new(&config).unwrap().size(key).await, Err(StoreError::Unavailable(_))));
    config.connection.endpoints = vec!["http://127.0.0.1:1".into()];
    let unreachable = S3::migrate(&config).await.unwrap_err();
    assert!(unreachable.to_string().contains("127.0.0.1:1 does not answer"), "{unreachable}");
}
