//! Links to files: parts of them, and copies that somebody has already.

use axum::http::HeaderMap;
use sentinel_domain::time::Timestamp;

use super::*;

const TEXT: &str = "0123456789";

impl World {
    /// Follows a link to a file; gives the status, the headers and the bytes.
    async fn follow(&self, link: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().uri(link.strip_prefix(BASE).unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn text(&self) -> String {
        let (media, _) = self.upload("text/plain", TEXT.as_bytes()).await.unwrap();
        let base = BaseUrl(BASE.into());
        self.service.links(&base, Timestamp::now()).to(media.id, BlobPart::Shown).unwrap()
    }
}

#[tokio::test]
async fn who_has_a_file_is_not_sent_it_again() {
    let world = World::new().await;
    let (link, other) = (world.text().await, world.text().await);
    let (status, headers, text) = world.follow(&link, &[]).await;
    assert_eq!((status, text.as_str()), (200, TEXT));
    let tag = headers["etag"].to_str().unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let (status, headers, text) = world.follow(&link, &[("if-none-match", tag)]).await;
    assert_eq!((status, headers["etag"].to_str().unwrap(), text.as_str()), (304, tag, ""));
    assert!(headers["cache-control"].to_str().unwrap().contains("immutable"));
    // A copy comes before a part of it.
    assert_eq!(world.follow(&link, &[("if-none-match", tag), ("range", "bytes=0-1")]).await.0, 304);
    let (status, headers, _) = world.follow(&other, &[("if-none-match", tag)]).await;
    assert_eq!(status, 200, "it is another file");
    assert_ne!(headers["etag"].to_str().unwrap(), tag);
}

#[tokio::test]
async fn a_download_goes_on_only_with_the_same_file() {
    let world = World::new().await;
    let link = world.text().await;
    let tag = world.follow(&link, &[]).await.1["etag"].to_str().unwrap().to_owned();
    let rest = async |known: &str| {
        let (status, headers, text) = world.follow(&link, &[("range", "bytes=7-"), ("if-range", known)]).await;
        assert_eq!(headers["etag"].to_str().unwrap(), tag);
        (status, text)
    };
    assert_eq!(rest(&tag).await, (206, "789".to_owned()));
    let weak = format!("W/{tag}");
    for other in ["\"another\"", weak.as_str(), "Wed, 21 Oct 2026 07:28:00 GMT"] {
        assert_eq!(rest(other).await, (200, TEXT.to_owned()), "{other}");
    }
}

#[tokio::test]
async fn a_part_that_the_file_does_not_have_is_refused() {
    let world = World::new().await;
    let link = world.text().await;
    assert_eq!(world.follow(&link, &[("range", "bytes=9-")]).await.2, "9");
    let (status, headers, text) = world.follow(&link, &[("range", "bytes=10-")]).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (416, "bytes */10"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["code"], "invalid_range");
}

#[tokio::test]
async fn of_several_files_those_are_told_that_the_caller_may_see() {
    let world = World::new().await;
    let (ann, bob) = (world.owner, world.store.create_account(account("bob")).await.unwrap().id);
    let eve = world.store.create_account(account("eve")).await.unwrap().id;
    let mut files = Vec::new();
    for _ in 0..3 {
        files.push(world.upload("text/plain", TEXT.as_bytes()).await.unwrap().0.id);
    }
    let now = Timestamp::now();
    let chat = world.store.start_chat(ann, bob, now).await.unwrap().0.id;
    let sent = Draft { kind: MessageKind::File, attachments: vec![files[2], files[0]], ..draft(chat, ann, "") };
    world.store.append(sent, None, now).await.unwrap();
    let unfinished = world.begin(4).await.media_id;
    let asked = [files[2], unfinished, files[1], MediaId(Uuid::now_v7()), files[0]];
    let seen = async |caller| {
        let found = world.service.all_visible(caller, &asked).await.unwrap();
        found.into_iter().map(|(media, _)| media.id).collect::<Vec<_>>()
    };
    assert_eq!(seen(ann).await, [files[2], files[1], files[0]]);
    assert_eq!(seen(bob).await, [files[2], files[0]]);
    assert!(seen(eve).await.is_empty());
}
