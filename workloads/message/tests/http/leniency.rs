//! What clients send that is not quite what the routes ask for: who they say they are, both names of a field, no body, an id used
//! before.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    people,
    platform::{Platform, ids},
    send,
};

#[tokio::test]
async fn whoever_says_to_be_another_is_refused_wherever_that_is_said() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let message = send(&platform, &ann, &chat, "hi").await;
    let (one, all) = (format!("/users/chat/{chat}/messages/{message}"), format!("/users/chat/{chat}/messages"));
    let (read, page) = (format!("/users/chat/{chat}/read"), format!("/users/chat/{chat}"));
    for name in ["user_id", "sender_id"] {
        for (method, path, body) in [
            ("PATCH", &one, json!({"message": "x"})),
            ("POST", &all, json!({"message": "x"})),
            ("POST", &read, json!({"message_id": message})),
            ("POST", &"/users/chat".to_owned(), json!({"receiver_id": eve.id})),
            ("POST", &page, json!({})),
        ] {
            let with = |id: Value| {
                let mut body = body.clone();
                body[name] = id;
                Some(body)
            };
            let (status, problem) = platform.call(&ann, method, path, with(json!(bob.id))).await;
            assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{method} {path} {name}");
            assert_eq!(platform.call(&ann, method, path, with(json!("x"))).await.0, 422, "{method} {path} {name}");
            let (status, _) = platform.call(&ann, method, path, with(json!(ann.id))).await;
            assert!((200..300).contains(&status), "{method} {path} {name}");
        }
        for path in [&page, &"/sync".to_owned(), &"/users/chat".to_owned()] {
            let (status, problem) = platform.get(&ann, &format!("{path}?{name}={}", bob.id)).await;
            assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{path} {name}");
            assert_eq!(platform.get(&ann, &format!("{path}?{name}={}", ann.id)).await.0, 200, "{path} {name}");
        }
        let (status, _) = platform.call(&ann, "DELETE", &format!("{one}?{name}={}", bob.id), None).await;
        assert_eq!(status, 403, "{name}");
    }
    assert_eq!(platform.get(&eve, "/users/chat").await.1["chats"][0]["peer"]["username"], "ann");
}

#[tokio::test]
async fn a_message_that_was_got_can_be_changed_and_sent_back() {
    let platform = Platform::new();
    let (ann, _, _, chat) = people(&platform).await;
    let path = format!("/users/chat/{chat}/messages");
    let (_, mut message) = platform.post(&ann, &path, json!({"message": "old"})).await;
    message["message"] = json!("new");
    let one = format!("{path}/{}", message["message_id"].as_str().unwrap());
    let (status, edited) = platform.call(&ann, "PATCH", &one, Some(message)).await;
    assert_eq!((status, &edited["message"], &edited["content"]), (200, &json!("new"), &json!("new")));
    let (_, edited) = platform.call(&ann, "PATCH", &one, Some(json!({"content": "newer"}))).await;
    assert_eq!(edited["message"], "newer", "the seed's name alone");
    let (status, problem) = platform.call(&ann, "PATCH", &one, Some(json!({}))).await;
    let error = &problem["errors"][0];
    assert_eq!((status, &error["field"], &error["code"]), (422, &json!("message"), &json!("missing_field")));
}

#[tokio::test]
async fn an_own_id_is_one_messages_in_all_chats() {
    let platform = Platform::new();
    let (ann, _, eve, chat) = people(&platform).await;
    let body = |text: &str| json!({"message": text, "client_message_id": "c1"});
    let (_, first) = platform.post(&ann, &format!("/users/chat/{chat}/messages"), body("for bob")).await;
    let other = platform.chat(&ann, &eve).await;
    let (status, problem) = platform.post(&ann, &format!("/users/chat/{other}/messages"), body("for eve")).await;
    assert_eq!((status, &problem["code"]), (409, &json!("client_message_id_taken")));
    assert_eq!(platform.get(&eve, &format!("/users/chat/{other}")).await.1["messages"], json!([]));
    let (status, repeat) = platform.post(&ann, &format!("/users/chat/{chat}/messages"), body("other words")).await;
    assert_eq!((status, &repeat["message"]), (200, &first["message"]), "in its own chat it is a repeat");
}

#[tokio::test]
async fn the_seeds_page_needs_no_body() {
    let platform = Platform::new();
    let (ann, _, _, chat) = people(&platform).await;
    let sent = send(&platform, &ann, &chat, "hi").await;
    for kind in [None, Some("application/json")] {
        let request =
            Request::post(format!("/users/chat/{chat}")).header("authorization", format!("Bearer {}", ann.token));
        let request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        let answer = platform.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{kind:?}");
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        let page: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(ids(&page["user_messages"]), std::slice::from_ref(&sent));
    }
}
