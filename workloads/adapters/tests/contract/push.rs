use sentinel_domain::{
    ids::{MessageId, SessionId, UserId},
    push::{DEVICES, Device, DeviceId, PushAddress},
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores};

fn device(user_id: UserId, name: &str, token: &str, registered_at: Timestamp) -> Device {
    Device {
        user_id,
        device_id: DeviceId::parse(name).unwrap(),
        session_id: SessionId(Uuid::new_v4()),
        address: PushAddress::Fcm { token: token.into() },
        registered_at,
    }
}

fn token() -> String {
    Uuid::new_v4().to_string()
}

async fn names(stores: &Stores, user: UserId) -> Vec<String> {
    let devices = stores.devices.devices(user).await.unwrap();
    devices.iter().map(|device| device.device_id.as_str().to_owned()).collect()
}

pub async fn devices_are_kept_as_they_were_registered(stores: &Stores) {
    let ann = stores.user().await;
    let phone = device(ann, "phone", &token(), NOW);
    let browser = Device {
        address: PushAddress::WebPush {
            endpoint: format!("https://push.example/{}", token()),
            p256dh: "key".into(),
            auth: "secret".into(),
        },
        ..device(ann, "browser", "", NOW.plus_seconds(1))
    };
    stores.devices.register(phone.clone()).await.unwrap();
    stores.devices.register(browser.clone()).await.unwrap();
    stores.devices.register(browser.clone()).await.unwrap();
    assert_eq!(stores.devices.devices(ann).await.unwrap(), [browser.clone(), phone.clone()]);
    let newer = device(ann, "phone", &token(), NOW.plus_seconds(2));
    stores.devices.register(newer.clone()).await.unwrap();
    assert_eq!(stores.devices.devices(ann).await.unwrap(), [newer, browser]);
    // The old token is nobody's: another may take it, and nothing of hers goes with it.
    let bob = stores.user().await;
    stores.devices.register(Device { user_id: bob, ..phone }).await.unwrap();
    assert_eq!((names(stores, bob).await.len(), names(stores, ann).await.len()), (1, 2));
}

pub async fn who_has_a_device_is_seen_for_many_users_at_once(stores: &Stores) {
    let (ann, bob, eve) = (stores.user().await, stores.user().await, stores.user().await);
    stores.devices.register(device(ann, "phone", &token(), NOW)).await.unwrap();
    stores.devices.register(device(ann, "tablet", &token(), NOW)).await.unwrap();
    stores.devices.register(device(eve, "phone", &token(), NOW)).await.unwrap();
    let reachable = async || stores.devices.reachable(&[ann, bob, eve]).await.unwrap();
    assert_eq!(reachable().await, [ann, eve].into());
    stores.devices.remove(eve, &DeviceId::parse("phone").unwrap()).await.unwrap();
    assert_eq!(reachable().await, [ann].into());
    assert!(stores.devices.reachable(&[]).await.unwrap().is_empty());
}

pub async fn an_address_has_one_owner_who_registered_it_last(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let token = token();
    stores.devices.register(device(ann, "phone", &token, NOW)).await.unwrap();
    stores.devices.register(device(bob, "phone", &token, NOW)).await.unwrap();
    assert_eq!(names(stores, ann).await, [""; 0], "the next user of a device gets nothing of the one before");
    assert_eq!(names(stores, bob).await, ["phone"]);
    stores.devices.register(device(bob, "phone-2", &token, NOW)).await.unwrap();
    assert_eq!(names(stores, bob).await, ["phone-2"]);
}

pub async fn a_device_is_removed_or_forgotten_as_it_was(stores: &Stores) {
    let ann = stores.user().await;
    let (old, new) = (device(ann, "phone", &token(), NOW), device(ann, "phone", &token(), NOW));
    stores.devices.register(old.clone()).await.unwrap();
    stores.devices.register(new.clone()).await.unwrap();
    stores.devices.forget(&old).await.unwrap();
    assert_eq!(names(stores, ann).await, ["phone"], "it has another token by now");
    stores.devices.forget(&new).await.unwrap();
    stores.devices.forget(&new).await.unwrap();
    assert_eq!(names(stores, ann).await, [""; 0]);
    stores.devices.register(new.clone()).await.unwrap();
    stores.devices.remove(stores.user().await, &new.device_id).await.unwrap();
    assert_eq!(names(stores, ann).await, ["phone"], "it is another's");
    stores.devices.remove(ann, &new.device_id).await.unwrap();
    stores.devices.remove(ann, &new.device_id).await.unwrap();
    assert_eq!(names(stores, ann).await, [""; 0]);
}

pub async fn one_user_has_a_bounded_number_of_devices(stores: &Stores) {
    let ann = stores.user().await;
    for number in 0..=DEVICES {
        let at = NOW.plus_seconds(i64::try_from(number).unwrap());
        stores.devices.register(device(ann, &format!("d{number:02}"), &token(), at)).await.unwrap();
    }
    let names = names(stores, ann).await;
    assert_eq!((names.len(), names[0].as_str()), (DEVICES, "d20"));
    assert!(!names.contains(&"d00".to_owned()), "the first one went");
}

pub async fn what_was_pushed_is_remembered_and_never_goes_back(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    // Neighbours may share a write time.
    let sent: Vec<MessageId> = stores.send_many(chat.id, ann, 40).await.into_iter().step_by(10).collect();
    let pushed = || stores.devices.pushed_up_to(bob, chat.id);
    assert_eq!(pushed().await.unwrap(), None);
    for id in [sent[1], sent[0]] {
        stores.devices.set_pushed(bob, chat.id, id).await.unwrap();
    }
    assert_eq!(pushed().await.unwrap(), Some(sent[1]));
    assert_eq!(stores.devices.pushed_up_to(ann, chat.id).await.unwrap(), None);
    stores.devices.set_pushed(bob, chat.id, sent[2]).await.unwrap();
    stores.devices.clear_pushed(bob, chat.id, sent[1]).await.unwrap();
    assert_eq!(pushed().await.unwrap(), Some(sent[2]), "it was not read that far");
    stores.devices.clear_pushed(bob, chat.id, sent[2]).await.unwrap();
    assert_eq!(pushed().await.unwrap(), None);
    stores.devices.set_pushed(bob, chat.id, sent[3]).await.unwrap();
    assert_eq!(pushed().await.unwrap(), Some(sent[3]));
}

pub async fn devices_go_with_their_account(stores: &Stores) {
    let ann = stores.user().await;
    let phone = device(ann, "phone", &token(), NOW);
    stores.devices.register(phone.clone()).await.unwrap();
    stores.accounts.delete_account(ann).await.unwrap();
    assert_eq!(names(stores, ann).await, [""; 0]);
}
