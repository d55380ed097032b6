//! Messages and their files: what is written, changed and refused.

use std::task::Poll;

use sentinel_domain::{
    config::LimitsConfig,
    ids::MediaId,
    ports::{AccountStore, MediaReader, MediaStore},
};
use serde_json::{Value, json};

use crate::{
    people,
    platform::{Platform, now},
    send,
};

#[tokio::test]
async fn a_message_is_sent_once_edited_and_deleted_by_its_author() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    let body = json!({"message": "helo", "client_message_id": "c1", "type": "text"});
    let (status, message) = platform.post(&ann, &path, body.clone()).await;
    assert_eq!((status, &message["status"], &message["seen_at"]), (201, &json!("sent"), &Value::Null));
    let (status, repeat) = platform.post(&ann, &path, body).await;
    assert_eq!((status, &repeat), (200, &message));
    let one = format!("{path}/{}", message["message_id"].as_str().unwrap());
    let answer = platform.post(&bob, &path, json!({"message": "?", "reply_to": message["message_id"]})).await.1;
    assert_eq!(answer["reply_to"], message["message_id"]);

    let edited = Some(json!({"message": "hello"}));
    let (status, problem) = platform.call(&bob, "PATCH", &one, edited.clone()).await;
    assert_eq!((status, &problem["code"]), (403, &json!("forbidden")));
    let (status, message) = platform.call(&ann, "PATCH", &one, edited.clone()).await;
    assert_eq!((status, &message["content"], message["edited_at"].is_string()), (200, &json!("hello"), true));
    assert_eq!(platform.call(&bob, "DELETE", &one, None).await.0, 403);
    assert_eq!(platform.call(&ann, "DELETE", &one, None).await, (204, Value::Null));
    assert_eq!(platform.call(&ann, "DELETE", &one, None).await.0, 204);
    assert_eq!(platform.call(&ann, "PATCH", &one, edited).await.0, 409);
    let (_, page) = platform.get(&bob, &format!("/users/chat/{chat}")).await;
    let tombstone = &page["messages"][1];
    assert_eq!((&tombstone["deleted"], &tombstone["message"]), (&json!(true), &json!("")));

    for (user, body, status, code) in [
        (&eve, json!({"message": "x"}), 404, "not_found"),
        (&ann, json!({"message": "x", "sender_id": bob.id}), 403, "forbidden"),
        (&ann, json!({"message": ""}), 422, "empty_message"),
        (&ann, json!({}), 422, "empty_message"),
        (&ann, json!({"message": "x".repeat(16 * 1024 + 1)}), 413, "message_too_large"),
        (&ann, json!({"message": "x", "type": "video"}), 422, "invalid_request"),
        (&ann, json!({"message": "x", "attachments": [bob.id]}), 422, "unknown_attachment"),
        (&ann, json!({"message": "x", "reply_to": bob.id}), 422, "unknown_reply"),
        (&ann, json!({"message": "x", "client_message_id": "a b"}), 422, "invalid_client_message_id"),
    ] {
        let (got, problem) = platform.post(user, &path, body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)));
    }
}

#[tokio::test]
async fn a_caption_can_be_taken_away_but_not_all_that_a_message_says() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    let file = platform.upload(&ann).await;
    let (status, message) = platform.post(&ann, &path, json!({"message": "caption", "attachments": [file]})).await;
    assert_eq!((status, &message["message"]), (201, &json!("caption")));
    let picture = format!("{path}/{}", message["message_id"].as_str().unwrap());
    let text = format!("{path}/{}", send(&platform, &ann, &chat, "text").await);
    let empty = Some(json!({"message": ""}));
    for (user, one) in [(&ann, &text), (&bob, &picture), (&eve, &picture)] {
        let (status, problem) = platform.call(user, "PATCH", one, empty.clone()).await;
        assert_eq!((status, &problem["code"]), (422, &json!("empty_message")));
    }
    let (status, edited) = platform.call(&ann, "PATCH", &picture, empty.clone()).await;
    assert_eq!((status, &edited["message"], &edited["attachments"]), (200, &json!(""), &json!([file])));
    assert!(edited["edited_at"].is_string());
    let (_, page) = platform.get(&bob, &format!("/users/chat/{chat}")).await;
    assert_eq!((&page["messages"][1], &page["messages"][0]["message"]), (&edited, &json!("text")));
    assert_eq!(platform.call(&ann, "PATCH", &picture, Some(json!({"message": "again"}))).await.1["message"], "again");
}

#[tokio::test]
async fn a_refused_message_leaves_no_file_in_the_chat() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    let (shown, file) = (platform.upload(&ann).await, platform.upload(&ann).await);
    assert_eq!(platform.post(&ann, &path, json!({"message": "", "attachments": [shown]})).await.0, 201);
    let both = json!([shown, file]);
    let refusals = [(json!({"attachments": both, "reply_to": bob.id}), 422), (json!({"attachments": both}), 403)];
    for (body, status) in refusals {
        if status == 403 {
            platform.store.block(bob.id, ann.id, now()).await.unwrap();
        }
        assert_eq!(platform.post(&ann, &path, body).await.0, status);
        assert!(!platform.store.is_in_chat(file).await.unwrap(), "{status}");
        assert!(platform.store.is_in_chat(shown).await.unwrap(), "a message still shows it");
    }
}

/// Polls a future so many times and drops it when it would go on; tells whether it came to its end before.
async fn dropped_after(polls: usize, work: impl Future) -> bool {
    let (mut work, mut left) = (std::pin::pin!(work), polls);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|_| true)
    })
    .await
}

#[tokio::test]
async fn a_send_that_ends_anywhere_attaches_its_file_only_to_a_message_that_exists() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    for polls in 1..100 {
        let file = platform.upload(&ann).await;
        let body = json!({"attachments": [file], "client_message_id": format!("c{polls}")});
        // As when the client goes away, or the process ends.
        let ended = dropped_after(polls, platform.post(&ann, &path, body.clone())).await;
        // What the store has taken it does; this comes after that.
        platform.store.unblock(ann.id, bob.id).await.unwrap();
        let (_, page) = platform.get(&bob, &format!("/users/chat/{chat}")).await;
        let shown = page["messages"].as_array().unwrap().iter().any(|one| one["attachments"] == json!([file]));
        assert_eq!(platform.store.is_in_chat(file).await.unwrap(), shown, "after {polls} polls");
        // The client sends again.
        let (status, repeat) = platform.post(&ann, &path, body).await;
        assert_eq!((status, &repeat["attachments"]), (if shown { 200 } else { 201 }, &json!([file])));
        assert!(platform.store.is_in_chat(file).await.unwrap());
        if ended {
            return;
        }
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn a_repeat_shows_what_the_first_message_did_and_attaches_nothing() {
    let platform = Platform::new();
    let (ann, _, _, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    let (file, other) = (platform.upload(&ann).await, platform.upload(&ann).await);
    let body = |file: MediaId| json!({"message": "", "attachments": [file], "client_message_id": "c1"});
    let (status, message) = platform.post(&ann, &path, body(file)).await;
    assert_eq!((status, &message["attachments"]), (201, &json!([file])));
    for repeated in [file, other] {
        assert_eq!(platform.post(&ann, &path, body(repeated)).await, (200, message.clone()));
    }
    assert!(!platform.store.is_in_chat(other).await.unwrap());

    let one = format!("{path}/{}", message["message_id"].as_str().unwrap());
    assert_eq!(platform.call(&ann, "DELETE", &one, None).await.0, 204);
    for collected in [false, true] {
        if collected {
            platform.store.condemn(file).await.unwrap();
            platform.store.forget(file).await.unwrap();
        }
        let (status, repeat) = platform.post(&ann, &path, body(file)).await;
        assert_eq!((status, &repeat["message_id"], &repeat["deleted"]), (200, &message["message_id"], &json!(true)));
        assert!(!platform.store.is_in_chat(file).await.unwrap());
    }
}

#[tokio::test]
async fn senders_are_limited() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 1, ..LimitsConfig::default() });
    let (ann, _, _, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    let mut answers = Vec::new();
    // Counted, for on a slow machine some more come in while these are written.
    while answers.len() < 40 && answers.last().is_none_or(|(status, _)| *status == 201) {
        answers.push(platform.post(&ann, &path, json!({"message": "x"})).await);
    }
    let (status, problem) = answers.pop().unwrap();
    assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")));
    assert!(answers.len() >= 10, "{} were taken", answers.len());
}
