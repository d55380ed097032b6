//! Registering devices.

use super::*;

fn fcm(id: &str, token: &str) -> Value {
    json!({"device_id": id, "platform": "fcm", "token": token})
}

#[tokio::test]
async fn devices_are_registered_moved_and_removed() {
    let world = World::new().await;
    let devices = "/notifications/devices";
    let count = async |user| world.service.devices.devices(user).await.unwrap().len();
    assert_eq!(world.call(world.bob, "POST", devices, Some(fcm("phone", "t1"))).await.0, 204);
    let browser = json!({"device_id": "firefox", "platform": "webpush", "subscription": {
        "endpoint": "https://push.example/1", "expirationTime": null, "keys": {"p256dh": "k", "auth": "a"},
    }});
    assert_eq!(world.call(world.bob, "POST", devices, Some(browser)).await.0, 204);
    assert_eq!(count(world.bob).await, 2);
    // Somebody else logs in on the phone.
    assert_eq!(world.call(world.ann, "POST", devices, Some(fcm("phone", "t1"))).await.0, 204);
    assert_eq!((count(world.bob).await, count(world.ann).await), (1, 1));
    assert_eq!(world.call(world.bob, "DELETE", "/notifications/devices/phone", None).await.0, 204);
    assert_eq!(count(world.ann).await, 1, "it is hers now");
    for _ in 0..2 {
        assert_eq!(world.call(world.ann, "DELETE", "/notifications/devices/phone", None).await.0, 204);
    }
    assert_eq!(count(world.ann).await, 0);
    let (status, key) = world.call(world.ann, "GET", "/notifications/vapid", None).await;
    assert_eq!((status, key), (200, json!({"public_key": "the-key"})));
}

#[tokio::test]
async fn an_endpoint_spelled_otherwise_is_the_same_device() {
    let world = World::new().await;
    let browser = |id: &str, endpoint: &str| {
        let subscription = json!({"endpoint": endpoint, "keys": {"p256dh": "k", "auth": "a"}});
        Some(json!({"device_id": id, "platform": "webpush", "subscription": subscription}))
    };
    for (user, endpoint) in [(world.bob, "https://push.example/1"), (world.ann, "https://push.example/1#2")] {
        assert_eq!(world.call(user, "POST", "/notifications/devices", browser("firefox", endpoint)).await.0, 204);
    }
    assert_eq!(world.service.devices.devices(world.bob).await.unwrap().len(), 0);
    assert_eq!(world.service.devices.devices(world.ann).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_pushed_to_is_refused_by_field() {
    let world = World::new().await;
    let webpush = |subscription: Value| json!({"device_id": "d", "platform": "webpush", "subscription": subscription});
    let cases = [
        (json!({"device_id": "a b", "platform": "fcm", "token": "t"}), "device_id", "malformed"),
        (json!({"device_id": "d", "platform": "fcm"}), "token", "missing"),
        (json!({"device_id": "d", "platform": "fcm", "token": "bad"}), "token", "malformed"),
        (json!({"device_id": "d", "platform": "webpush"}), "subscription", "missing"),
        (
            webpush(json!({"endpoint": "https://10.0.0.1/", "keys": {"p256dh": "k", "auth": "a"}})),
            "subscription.endpoint",
            "endpoint_not_allowed",
        ),
        // An array is no object, though it has the fields in their order.
        (webpush(json!(["https://push.example/1", {"p256dh": "k", "auth": "a"}])), "subscription", "invalid_field"),
        (
            webpush(json!({"endpoint": "https://push.example/1", "keys": ["k", "a"]})),
            "subscription.keys",
            "invalid_field",
        ),
    ];
    for (body, field, code) in cases {
        let (status, problem) = world.call(world.bob, "POST", "/notifications/devices", Some(body)).await;
        assert_eq!(status, 422, "{problem}");
        assert_eq!((&problem["errors"][0]["field"], &problem["errors"][0]["code"]), (&json!(field), &json!(code)));
    }
    for body in [json!({"device_id": "d", "platform": "pigeon"}), json!({"platform": "fcm"})] {
        let status = world.call(world.bob, "POST", "/notifications/devices", Some(body)).await.0;
        assert!((400..500).contains(&status));
    }
    assert_eq!(world.service.devices.devices(world.bob).await.unwrap().len(), 0);
}

#[tokio::test]
async fn devices_are_not_changed_without_end() {
    let world = World::new().await;
    for n in 0..120 {
        let path = format!("/notifications/devices/made-up-{n}");
        assert_eq!(world.call(world.bob, "DELETE", &path, None).await.0, 204, "{n}");
    }
    assert_eq!(world.call(world.bob, "DELETE", "/notifications/devices/made-up", None).await.0, 429);
    assert_eq!(world.call(world.bob, "POST", "/notifications/devices", Some(fcm("phone", "t1"))).await.0, 429);
    assert_eq!(world.call(world.ann, "POST", "/notifications/devices", Some(fcm("phone", "t1"))).await.0, 204);
}
