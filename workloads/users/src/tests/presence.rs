//! What becomes of presence when sessions and accounts end.

use std::time::Duration;

use async_trait::async_trait;
use sentinel_domain::{
    event::Origin,
    ids::UserId,
    nodes::NodeId,
    ports::{PresenceListener, PresenceStore, RollCall, StoreError},
    presence::{Presence, PresenceStatus},
    time::Timestamp,
};
use serde_json::json;

use super::{
    app::{App, Client, PASSWORD},
    stores::Memory,
};

#[async_trait]
impl PresenceStore for Memory {
    fn lease_seconds(&self) -> u32 {
        45
    }

    async fn touch(&self, user: UserId, device: Origin, _: bool, _: Timestamp) -> Result<(), StoreError> {
        self.up()?.present.push((user, device));
        Ok(())
    }

    async fn heartbeat(&self, user: UserId, device: Origin, now: Timestamp) -> Result<(), StoreError> {
        self.touch(user, device, true, now).await
    }

    async fn renew(&self, _: &[(UserId, Origin, bool)]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn drop(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        self.up()?.present.retain(|it| *it != (user, device));
        Ok(())
    }

    async fn forget_device(&self, user: UserId, device: Origin) -> Result<(), StoreError> {
        PresenceStore::drop(self, user, device).await
    }

    async fn beat(&self) -> Result<Option<RollCall>, StoreError> {
        Ok(None)
    }

    async fn mark_gone(&self, _: &[NodeId]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, StoreError> {
        let offline = |&user_id| Presence { user_id, status: PresenceStatus::Offline, last_active: None };
        Ok(users.iter().map(offline).collect())
    }

    async fn forget(&self, user: UserId) -> Result<(), StoreError> {
        self.up()?.present.retain(|(who, _)| *who != user);
        Ok(())
    }

    async fn watch(&self, _: Box<dyn PresenceListener>) {}
}

/// Says over HTTP that the client is in use, as the presence service would.
async fn is_in_use(app: &App, client: &Client) -> (UserId, Origin) {
    let sessions = app.get("/sessions", client).await.body["sessions"].as_array().unwrap().clone();
    let current = sessions.iter().find(|session| session["current"] == true).unwrap();
    let device = Origin::of_session(serde_json::from_value(current["id"].clone()).unwrap());
    let user = client.id.parse().unwrap();
    app.memory.heartbeat(user, device, Timestamp::now()).await.unwrap();
    (user, device)
}

async fn becomes(app: &App, expected: &[(UserId, Origin)]) {
    let same = async {
        while app.memory.data().present != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), same).await.expect("presence follows");
}

#[tokio::test]
async fn an_ended_session_is_no_device_of_its_user_any_more() {
    let app = App::new();
    let first = app.register("ann").await;
    let (second, third) = (app.login("ann").await, app.login("ann").await);
    let mut devices = Vec::new();
    for client in [&first, &second, &third] {
        devices.push(is_in_use(&app, client).await);
    }
    assert_eq!(app.call("POST", "/logout", Some(&third.access), None).await.status, 204);
    becomes(&app, &devices[..2]).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "battery staple" });
    assert_eq!(app.call("POST", "/password", Some(&first.access), Some(body)).await.status, 204);
    becomes(&app, &devices[..1]).await;
}

#[tokio::test]
async fn a_deleted_account_is_not_present() {
    let app = App::new();
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    is_in_use(&app, &ann).await;
    app.memory.touch(ann.id.parse().unwrap(), Origin(1), true, Timestamp::now()).await.unwrap();
    let bobs = is_in_use(&app, &bob).await;
    let deleted = app.call("DELETE", "/me", Some(&ann.access), Some(json!({ "password": PASSWORD }))).await;
    assert_eq!(deleted.status, 204);
    becomes(&app, &[bobs]).await;
}
