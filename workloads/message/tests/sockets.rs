//! The Socket.IO edge, packet by packet.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "sockets/limits.rs"]
mod limits;
mod platform;

use platform::{ORIGIN, Platform, client::Client, ids, now, without};
use sentinel_domain::{
    event::{Fanout, LiveEvent},
    ids::{ChatId, MessageId},
    notification::Shown,
    ports::{AccountStore, SessionStore},
    time::Timestamp,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_socket_is_refused_with_a_message_and_a_code() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let long_ago = Timestamp(now().0 - 3_600_000);
    let expired = platform.tokens.issue(ann.id, ann.session, &ann.name, long_ago).unwrap().token;
    let cases = [
        (json!({}), "missing_token"),
        (json!({"token": 5}), "missing_token"),
        (json!([ann.token]), "missing_token"),
        (json!({"token": "nonsense"}), "invalid_token"),
        (json!({"token": expired}), "token_expired"),
    ];
    for (auth, code) in cases {
        let mut client = Client::open(address, None).await.unwrap();
        let refusal = client.join(auth).await.unwrap_err();
        assert_eq!(refusal["data"], json!({"code": code}));
        assert!(!refusal["message"].as_str().unwrap().is_empty());
        assert_eq!(refusal.as_object().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_socket_that_joins_is_told_who_it_is() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let mut client = Client::open(address, None).await.unwrap();
    client.join(json!({"token": ann.token})).await.unwrap();
    let ready = client.event("ready").await;
    assert_eq!((&ready["user_id"], &ready["session_id"]), (&json!(ann.id), &json!(ann.session)));
    assert_eq!(ready["limits"]["message_bytes"], 16 * 1024);
    let page = client.ask("sync", json!({"since": ready["sync_token"]})).await;
    assert_eq!(
        without(&page, &["next"]),
        without(&json!({"status": "ok", "events": [], "more": false, "reset": false}), &[])
    );
}

#[tokio::test]
async fn pages_of_other_origins_get_no_socket() {
    let platform = Platform::new();
    let address = platform.listen().await;
    for (origin, allowed) in [
        (None, true),
        (Some(ORIGIN.to_owned()), true),
        (Some(format!("http://{address}")), true),
        (Some("https://evil.example".to_owned()), false),
        (Some("null".to_owned()), false),
        (Some(format!("{ORIGIN}.evil.example")), false),
    ] {
        let opened = Client::open(address, origin.as_deref()).await;
        assert_eq!(opened.as_ref().err(), if allowed { None } else { Some(&403) }, "{origin:?}");
    }
}

#[tokio::test]
async fn a_message_reaches_every_device_but_the_one_that_sent_it() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let mut phone = Client::of(address, &ann).await;
    let mut laptop = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;

    let chat = phone.ask("start_private_chat", json!({"receiver_id": bob.id})).await;
    assert_eq!(
        (&chat["status"], &chat["created"], &chat["peer"]["username"]),
        (&json!("ok"), &json!(true), &json!("bob"))
    );
    let chat_id = &chat["chat_id"];
    assert_eq!(phone.event("private_chat_room_created").await, *chat_id);
    // Each of the devices can tell who the peer is, also those of whoever started it.
    for client in [&mut bobs, &mut laptop, &mut phone] {
        let mut started = client.event("chat_started").await;
        let members = started.as_object_mut().unwrap().remove("members").unwrap();
        assert_eq!(started, json!({"chat_id": chat_id, "by": ann.id}));
        assert_eq!(members.as_array().unwrap().len(), 2);
        assert!([ann.id, bob.id].iter().all(|id| members.as_array().unwrap().contains(&json!(id))), "{members}");
    }
    let again = bobs.ask("start_private_chat", json!({"receiver_id": ann.id})).await;
    assert_eq!((&again["chat_id"], &again["created"]), (chat_id, &json!(false)));

    let send = json!({"chat_id": chat_id, "message": "hello", "client_message_id": "c1"});
    let sent = phone.ask("send_message", send.clone()).await;
    assert_eq!(
        without(&sent, &["message_id", "timestamp"]),
        without(&json!({"status": "ok", "client_message_id": "c1", "duplicate": false}), &[])
    );
    for device in [&mut laptop, &mut bobs] {
        let message = device.event("receive_message").await;
        assert_eq!((&message["message_id"], &message["message"]), (&sent["message_id"], &json!("hello")));
        assert_eq!((&message["content"], &message["status"]), (&json!("hello"), &json!("sent")));
    }
    assert!(phone.no_event("receive_message").await);

    let repeat = phone.ask("send_message", send).await;
    assert_eq!((&repeat["message_id"], &repeat["duplicate"]), (&sent["message_id"], &json!(true)));
    assert!(bobs.no_event("receive_message").await);

    // Over HTTP there is no socket that sent it.
    let path = format!("/users/chat/{}/messages", chat_id.as_str().unwrap());
    platform.post(&ann, &path, json!({"message": "over http"})).await;
    for device in [&mut phone, &mut laptop, &mut bobs] {
        assert_eq!(device.event("receive_message").await["message"], "over http");
    }
}

#[tokio::test]
async fn edits_deletions_and_receipts_are_seen_by_both() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;
    let sent = anns.ask("send_message", json!({"chat_id": chat, "message": "helo"})).await;
    let one = json!({"chat_id": chat, "message_id": sent["message_id"]});

    let edit = json!({"chat_id": chat, "message_id": sent["message_id"], "message": "hello"});
    assert_eq!(bobs.ask("edit_message", edit.clone()).await["code"], "forbidden");
    assert_eq!(anns.ask("edit_message", edit.clone()).await, json!({"status": "ok"}));
    let edited = bobs.event("message_edited").await;
    assert_eq!((&edited["message"], edited["edited_at"].is_string()), (&json!("hello"), true));

    assert_eq!(bobs.ask("message_delivered", one.clone()).await, json!({"status": "ok"}));
    let receipt = json!({
        "chat_id": chat, "user_id": bob.id, "delivered_up_to": sent["message_id"], "read_up_to": null,
    });
    assert_eq!(anns.event("receipt").await, receipt);
    assert_eq!(anns.event("message_received").await["receiver_id"], json!(bob.id));
    assert_eq!(bobs.event("receipt").await, receipt);
    assert_eq!(bobs.ask("message_read", one.clone()).await, json!({"status": "ok"}));
    assert_eq!(anns.event("receipt").await["read_up_to"], sent["message_id"]);

    assert_eq!(bobs.ask("delete_message", one.clone()).await["code"], "forbidden");
    assert_eq!(anns.ask("delete_message", one.clone()).await, json!({"status": "ok"}));
    assert_eq!(bobs.event("message_deleted").await, one);
    assert_eq!(anns.ask("edit_message", edit).await["code"], "message_deleted");
}

#[tokio::test]
async fn the_seeds_receive_message_counts_as_delivered() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;
    let sent = anns.ask("send_message", json!({"chat_id": chat, "message": "hello"})).await;
    let received = json!({"sender_id": ann.id, "receiver_id": bob.id});
    assert_eq!(bobs.ask("receive_message", received).await, json!({"status": "ok"}));
    assert_eq!(anns.event("receipt").await["delivered_up_to"], sent["message_id"]);
    let foreign = json!({"sender_id": ann.id, "receiver_id": ann.id});
    assert_eq!(bobs.ask("receive_message", foreign).await["code"], "forbidden");
}

#[tokio::test]
async fn typing_is_relayed_to_the_peer_unless_one_blocks_the_other() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;
    let typing = json!({"chat_id": chat, "typing": true});
    assert_eq!(anns.ask("typing", typing.clone()).await, json!({"status": "ok"}));
    let expected = json!({"chat_id": chat, "user_id": ann.id, "typing": true, "expires_in": 6});
    assert_eq!(bobs.event("typing").await, expected);
    platform.store.block(bob.id, ann.id, now()).await.unwrap();
    assert_eq!(anns.ask("typing", typing.clone()).await, json!({"status": "ok"}));
    assert!(bobs.no_event("typing").await);
    assert_eq!(bobs.ask("typing", typing.clone()).await, json!({"status": "ok"}));
    assert!(anns.no_event("typing").await, "whoever blocks is not seen either");
    assert_eq!(anns.ask("send_message", json!({"chat_id": chat, "message": "?"})).await["code"], "blocked");
    platform.store.unblock(bob.id, ann.id).await.unwrap();
    anns.ask("typing", typing.clone()).await;
    assert_eq!(bobs.event("typing").await, expected);
    let mut eves = Client::of(address, &platform.user("eve").await).await;
    assert_eq!(eves.ask("typing", typing).await["code"], "not_found");
}

#[tokio::test]
async fn whatever_comes_is_acknowledged_and_the_connection_kept() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut client = Client::of(address, &ann).await;
    let code_of = |ack: Value| {
        assert_eq!(ack["status"], "error");
        assert!(ack["detail"].is_string());
        ack["code"].as_str().unwrap().to_owned()
    };
    for (packet, code) in [
        (json!(["no_such_event", {}]), "unknown_event"),
        (json!(["presence_subscribe"]), "malformed"),
        (json!(["presence_subscribe", {"user_ids": "all"}]), "malformed"),
        (json!(["presence_unsubscribe", {"user_ids": ["x"]}]), "malformed"),
        (json!(["heartbeat", {"active": "yes"}]), "malformed"),
        (json!(["send_message"]), "malformed"),
        (json!(["send_message", "text"]), "malformed"),
        (json!(["send_message", [chat, "text"]]), "malformed"),
        (json!(["send_message", {"chat_id": chat, "message": "x"}, 1]), "malformed"),
        (json!(["send_message", {"chat_id": "x", "message": "x"}]), "malformed"),
        (json!(["send_message", {"chat_id": chat, "message": 5}]), "malformed"),
        (json!(["send_message", {"chat_id": chat, "message": "x", "type": "video"}]), "malformed"),
        (json!(["send_message", {"chat_id": chat, "message": " "}]), "empty_message"),
        (json!(["send_message", {"chat_id": chat, "message": "x", "sender_id": bob.id}]), "forbidden"),
        (json!(["send_message", {"chat_id": chat, "message": "x", "user_id": bob.id}]), "forbidden"),
        (
            json!(["edit_message", {"chat_id": chat, "message_id": chat, "message": "x", "user_id": bob.id}]),
            "forbidden",
        ),
        (json!(["message_read", {"chat_id": chat, "message_id": chat, "sender_id": bob.id}]), "forbidden"),
        (json!(["start_private_chat", {"receiver_id": bob.id, "user_id": bob.id}]), "forbidden"),
        (json!(["typing", {"chat_id": chat, "typing": true, "user_id": bob.id}]), "forbidden"),
        (json!(["sync", {"user_id": bob.id}]), "forbidden"),
        (json!(["typing", {"chat_id": chat, "typing": true, "user_id": "x"}]), "malformed"),
        (json!(["edit_message", {"chat_id": chat, "message_id": chat}]), "malformed"),
        (json!(["send_message", {"chat_id": bob.id, "message": "x"}]), "not_found"),
        (json!(["send_message", {"chat_id": chat, "message": "x", "reply_to": bob.id}]), "unknown_reply"),
        (json!(["send_message", {"chat_id": chat, "message": "x", "attachments": [bob.id]}]), "unknown_attachment"),
        (
            json!(["send_message", {"chat_id": chat, "message": "x", "client_message_id": ""}]),
            "invalid_client_message_id",
        ),
        (json!(["send_message", {"chat_id": chat, "message": "\u{1}".repeat(16 * 1024 + 1)}]), "message_too_large"),
        (json!(["start_private_chat", {"receiver_id": chat}]), "not_found"),
        (json!(["message_read", {"chat_id": chat, "message_id": bob.id}]), "not_found"),
        (json!(["sync", {"since": "forged"}]), "invalid_cursor"),
        (json!(["sync", {"limit": 101}]), "out_of_range"),
        (json!(["reauthenticate", {"token": "x"}]), "invalid_token"),
        (json!(["heartbeat", 5]), "malformed"),
    ] {
        let id = client.emit(packet.clone()).await;
        assert_eq!(code_of(client.ack(id).await), code, "{}", packet[0]);
    }
    client.send(r#"451-/chat,900["send_message",{"_placeholder":true,"num":0}]"#).await;
    client.send_binary(vec![1, 2, 3]).await;
    assert_eq!(code_of(client.ack(900).await), "malformed");
    for heartbeat in [json!(["heartbeat"]), json!(["heartbeat", {"active": true}])] {
        let id = client.emit(heartbeat).await;
        assert_eq!(client.ack(id).await, json!({"status": "ok"}));
    }
    let widest = "\u{1}".repeat(16 * 1024);
    assert_eq!(client.ask("send_message", json!({"chat_id": chat, "message": widest})).await["status"], "ok");
}

#[tokio::test]
async fn a_thousand_events_at_once_are_each_acknowledged_and_kept_in_order() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;
    for n in 0..1000 {
        anns.emit(json!(["send_message", {"chat_id": chat, "message": n.to_string()}])).await;
    }
    let mut acknowledged = Vec::new();
    for n in 1..=1000 {
        let (id, ack) = anns.any_ack().await;
        assert_eq!((id, &ack["status"]), (n, &json!("ok")));
        acknowledged.push(ack["message_id"].as_str().unwrap().to_owned());
    }
    assert!(acknowledged.is_sorted());
    for n in 0..1000 {
        assert_eq!(bobs.event("receive_message").await["message"], n.to_string());
    }
    let (_, page) = platform.get(&ann, &format!("/users/chat/{chat}?limit=100")).await;
    let newest: Vec<String> = acknowledged.iter().rev().take(100).cloned().collect();
    assert_eq!(ids(&page["messages"]), newest);
}

/// A file has to be let into the chat before its message is written; what was sent after it must not be written first.
#[tokio::test]
async fn a_message_with_a_file_keeps_its_place_among_others() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;
    let mut sends = Vec::new();
    for n in 0..30 {
        let files = if n % 3 == 1 { vec![platform.upload(&ann).await] } else { vec![] };
        sends.push(json!({"chat_id": chat, "message": n.to_string(), "attachments": files}));
    }
    for send in sends {
        anns.emit(json!(["send_message", send])).await;
    }
    for n in 0..30 {
        assert_eq!(anns.any_ack().await.1["status"], "ok", "{n}");
        assert_eq!(bobs.event("receive_message").await["message"], n.to_string());
    }
}

#[tokio::test]
async fn notifications_come_in_their_namespace_to_the_user_concerned_until_the_session_ends() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let mut nobody = Client::open(address, None).await.unwrap().in_namespace("/notifications");
    assert_eq!(nobody.join(json!({})).await.unwrap_err()["data"], json!({"code": "missing_token"}));

    let mut anns = Client::open(address, None).await.unwrap().in_namespace("/notifications");
    let mut bobs = Client::open(address, None).await.unwrap().in_namespace("/notifications");
    anns.join(json!({"token": ann.token})).await.unwrap();
    bobs.join(json!({"token": bob.token})).await.unwrap();
    let mut chatting = Client::of(address, &bob).await;
    let (id, chat) = (MessageId(uuid::Uuid::now_v7()), ChatId::of_pair(ann.id, bob.id));
    let shown = Shown::of_message(id, chat, Some(("ann", "hello\nyou")));
    platform.hub.publish(vec![LiveEvent::Notification { user_id: bob.id, shown }]);
    assert_eq!(
        bobs.event("notification").await,
        json!({
            "notification_id": id, "kind": "new_message", "header": "ann", "body": "hello you",
            "chat_id": chat, "message_id": id, "created_at": id.timestamp(),
        })
    );
    assert_eq!(bobs.event("new_message").await, json!({"header": "ann", "body": "hello you"}));
    platform.hub.publish(vec![LiveEvent::NotificationRead { user_id: bob.id, notification_id: id }]);
    assert_eq!(bobs.event("notification_read").await, json!({"notification_id": id}));
    for client in [&mut anns, &mut chatting] {
        assert!(client.no_event("notification").await && client.no_event("notification_read").await);
    }
    let refused = bobs.ask("send_message", json!({"chat_id": chat, "message": "no"})).await;
    assert_eq!(refused["code"], "unknown_event");
    assert_eq!(bobs.ask("reauthenticate", json!({"token": bob.token})).await["status"], "ok");
    platform.store.end_session(bob.id, bob.session).await.unwrap();
    assert!(bobs.end().await);
}
