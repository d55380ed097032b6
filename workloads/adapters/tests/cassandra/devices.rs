//! Push devices that processes change whose clocks differ.

use futures::{StreamExt, stream};
use sentinel_domain::{
    ids::{SessionId, UserId},
    notification::Preferences,
    ports::StoreError,
    push::{Device, DeviceId, PushAddress},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{World, contract::Stores, keyspace};

fn phone(user_id: UserId, token: &str) -> Device {
    Device {
        user_id,
        device_id: DeviceId::parse("phone").unwrap(),
        session_id: SessionId(Uuid::new_v4()),
        address: PushAddress::Fcm { token: token.into() },
        registered_at: Timestamp::now(),
    }
}

/// Writes a device anew as a process does whose clock is half a minute ahead.
async fn ahead(device: &Device) {
    let session = keyspace::of_this_run().await.session().await;
    let at = Timestamp::now().plus_seconds(30).0 * 1000;
    let (user, id) = (device.user_id.0, device.device_id.as_str());
    let json = serde_json::to_string(&device.address).unwrap();
    let row = "INSERT INTO push_devices (user_id, device_id, session_id, registered_at, address)
        VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    let values = (user, id, device.session_id.0, device.registered_at.0, json, at);
    session.query_unpaged(row, values).await.unwrap();
    let address = "INSERT INTO push_addresses (fingerprint, user_id, device_id) VALUES (?, ?, ?) USING TIMESTAMP ?";
    session.query_unpaged(address, (device.address.fingerprint().to_vec(), user, id, at)).await.unwrap();
}

async fn devices(stores: &Stores, user: UserId) -> Vec<Device> {
    stores.devices.devices(user).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_change_of_a_device_counts_whichever_clock_was_ahead() {
    let stores = World::fresh().node().await.stores;
    let (ann, bob) = (stores.user().await, stores.user().await);
    let token = Uuid::new_v4().to_string();
    let first = phone(ann, &token);
    ahead(&first).await;
    assert_eq!(devices(&stores, ann).await, std::slice::from_ref(&first));

    stores.devices.remove(ann, &first.device_id).await.unwrap();
    assert_eq!(devices(&stores, ann).await, [], "it does not come back");
    assert!(stores.devices.reachable(&[ann]).await.unwrap().is_empty());
    stores.devices.register(first.clone()).await.unwrap();
    assert_eq!(devices(&stores, ann).await, std::slice::from_ref(&first), "removed and registered again");

    let replaced = phone(ann, &Uuid::new_v4().to_string());
    stores.devices.register(replaced.clone()).await.unwrap();
    assert_eq!(devices(&stores, ann).await, std::slice::from_ref(&replaced));
    ahead(&replaced).await;
    stores.devices.forget(&replaced).await.unwrap();
    assert_eq!(devices(&stores, ann).await, []);

    ahead(&first).await;
    let second = phone(bob, &token);
    stores.devices.register(second.clone()).await.unwrap();
    assert_eq!((devices(&stores, ann).await, devices(&stores, bob).await), (vec![], vec![second.clone()]));
    stores.devices.register(first.clone()).await.unwrap();
    assert_eq!((devices(&stores, ann).await, devices(&stores, bob).await), (vec![first], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_clock_wrote_that_was_ahead_goes_with_the_account() {
    let stores = World::fresh().node().await.stores;
    let (ann, bob) = (stores.user().await, stores.user().await);
    let device = phone(ann, &Uuid::new_v4().to_string());
    ahead(&device).await;
    let session = keyspace::of_this_run().await.session().await;
    let wanted = Preferences { show_content: true, ..Preferences::default() };
    let write = "UPDATE notification_preferences USING TIMESTAMP ? SET preferences = ? WHERE user_id = ?";
    let at = Timestamp::now().plus_seconds(30).0 * 1000;
    session.query_unpaged(write, (at, serde_json::to_string(&wanted).unwrap(), ann.0)).await.unwrap();
    stores.accounts.delete_account(ann).await.unwrap();
    assert_eq!(devices(&stores, ann).await, []);
    assert_eq!(stores.notifications.preferences(ann).await.unwrap(), Preferences::default());
    let next = Device { user_id: bob, ..device };
    stores.devices.register(next.clone()).await.unwrap();
    assert_eq!(devices(&stores, bob).await, [next], "another may have the address at once");
}

/// Names can be made up without end: each row would be in the way of reads long after it ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removing_what_is_no_device_writes_nothing() {
    let stores = World::fresh().node().await.stores;
    let ann = stores.user().await;
    let device = phone(ann, &Uuid::new_v4().to_string());
    stores.devices.register(device.clone()).await.unwrap();
    for n in 0..50 {
        stores.devices.remove(ann, &DeviceId::parse(&format!("made-up-{n}")).unwrap()).await.unwrap();
    }
    let session = keyspace::of_this_run().await.session().await;
    let select = "SELECT device_id FROM push_devices WHERE user_id = ?";
    let rows = session.query_unpaged(select, (ann.0,)).await.unwrap().into_rows_result().unwrap();
    let left: Vec<String> = rows.rows::<(String,)>().unwrap().map(|row| row.unwrap().0).collect();
    assert_eq!(left, ["phone"]);
    assert_eq!(devices(&stores, ann).await, [device]);
}

/// One user's rows that no replica can read cost that user's pushes, and nobody else's. Needs a `tombstone_failure_threshold`
/// of ten thousand, as that of `stores up` has.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_user_whose_rows_fail_is_told_from_a_store_that_is_away() {
    let stores = World::fresh().node().await.stores;
    let (ann, bob) = (stores.user().await, stores.user().await);
    stores.devices.register(phone(bob, &Uuid::new_v4().to_string())).await.unwrap();
    let session = keyspace::of_this_run().await.session().await;
    let delete = session.prepare("DELETE FROM push_devices WHERE user_id = ? AND device_id = ?").await.unwrap();
    let deleted = stream::iter(0..10_500).map(|n| session.execute_unpaged(&delete, (ann.0, format!("d{n}"))));
    let deleted: Vec<_> = deleted.buffer_unordered(256).collect().await;
    assert!(deleted.iter().all(Result::is_ok));
    let found = stores.devices.devices(ann).await;
    assert!(matches!(found, Err(StoreError::Unreadable(_))), "{found:?}");
    assert!(stores.devices.reachable(&[ann, bob]).await.unwrap().contains(&bob));
    stores.accounts.delete_account(ann).await.unwrap();
    assert_eq!(devices(&stores, ann).await, [], "what can't be read can be deleted");
}
