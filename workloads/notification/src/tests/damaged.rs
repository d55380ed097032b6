//! Chats some of whose messages can't be read.

use sentinel_domain::keyring::KeyError;

use super::*;

#[tokio::test]
async fn a_notification_whose_message_can_not_be_read_is_shown_without_it() {
    let mut world = World::new().await;
    let mut sent = Vec::new();
    for number in 0..3 {
        let message = world.send(world.ann, &format!("number {number}")).await;
        world.written(&message).await;
        sent.push(message.id);
    }
    world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({"show_content": true}))).await;
    let flawed = Arc::new(FlawedChats::of(world.store.clone()));
    world.router = routes(&Arc::new(world.service_over(flawed.clone())));
    for error in [(|| KeyError::Corrupt.into()) as fn() -> StoreError, || KeyError::Missing("kek-0002".into()).into()] {
        flawed.damaged.lock().unwrap().insert(sent[1], error);
        let (status, page) = world.call(world.bob, "GET", "/notifications", None).await;
        assert_eq!(status, 200, "{page}");
        let shown = |place: usize| (&page["notifications"][place]["header"], &page["notifications"][place]["body"]);
        assert_eq!(shown(0), (&json!("ann"), &json!("number 2")));
        assert_eq!(shown(1).0, &json!("New message"));
        assert_eq!(shown(2), (&json!("ann"), &json!("number 0")));
        assert!(!page.to_string().contains("number 1"), "{page}");
    }
    flawed.damaged.lock().unwrap().insert(sent[1], || StoreError::unavailable("away"));
    assert!(world.call(world.bob, "GET", "/notifications", None).await.0 >= 500, "what is only away comes later");
}
