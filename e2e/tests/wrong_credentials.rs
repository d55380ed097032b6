//! Stores that refuse the credentials are named with the field to change, by the platform's own look at them, and are used
//! once the Secret is right. The stores of the chat under test serve as stores of somebody else.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod deployed;
mod trial;

use std::{collections::BTreeMap, time::Duration};

use deployed::{Deployed, eventually};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use trial::Trial;

/// From the resource to the condition: a pod has to start, and to look.
const TOLD: Duration = Duration::from_mins(1);
const HEALED: Duration = Duration::from_mins(3);
const WRONG: &str = "trial-postgres";

#[tokio::test]
async fn a_wrong_password_is_told_with_the_secret_that_has_it() {
    let deployed = Deployed::ready().await;
    // The stores let in what belongs to their chat only.
    deployed.change(json!({ "spec": { "networkPolicy": { "enabled": false } } })).await;
    deployed.wait_ready(TOLD).await;
    let secrets: Api<Secret> = Api::namespaced(deployed.client.clone(), &deployed.namespace);
    let _ = secrets.delete(WRONG, &DeleteParams::default()).await;
    let own = |store: &str| format!("{}-{store}-credentials", deployed.name);
    let right =
        secrets.get(&own("postgres")).await.expect("the credentials of the chat's store").data.expect("entries");
    let wrong = Secret {
        metadata: kube::core::ObjectMeta { name: Some(WRONG.into()), ..Default::default() },
        data: Some(right.clone()),
        string_data: Some(BTreeMap::from([("password".into(), "wrong".into())])),
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &wrong).await.expect("a Secret can be made");
    let own = ["cassandra", "redis", "kafka", "s3"].map(|store| (store, own(store)));
    let named: Vec<(&str, &str)> =
        own.iter().map(|(store, secret)| (*store, secret.as_str())).chain([("postgres", WRONG)]).collect();
    let host = format!("{}-{{store}}.{}.svc", deployed.name, deployed.namespace);
    let trial = Trial::make(&deployed, "trial-credentials", &trial::stores_at(&host, &named)).await;

    let told = trial.reason("DependenciesReady", "StoreRefused", TOLD).await;
    assert!(told.message.contains("dependencies.postgres.external.secret"), "{}", told.message);
    assert!(told.message.contains(WRONG) && !told.message.contains("cassandra: "), "{}", told.message);
    println!("told: {}", told.message);

    let mended = json!({ "data": { "password": right["password"] } });
    secrets.patch(WRONG, &PatchParams::default(), &Patch::Merge(mended)).await.expect("the Secret can be changed");
    trial.condition("SchemaMigrated", "True", HEALED).await;
    eventually("the versions of the stores are told", HEALED, async || {
        let chat = deployed.chats().get("trial-credentials").await.map_err(|error| error.to_string())?;
        let stores = chat.status.unwrap_or_default().dependencies;
        let known = |name: &str| stores.iter().any(|store| store.name == name && store.version.is_some());
        let all = ["postgres", "cassandra", "redis", "elasticsearch"].iter().all(|name| known(name));
        let versions: Vec<_> = stores.iter().map(|store| (store.name.clone(), store.version.clone())).collect();
        if !all {
            return Err(format!("{versions:?}"));
        }
        println!("versions: {versions:?}");
        Ok(())
    })
    .await;
    trial.end().await;
    secrets.delete(WRONG, &DeleteParams::default()).await.expect("the Secret can be deleted");
    deployed.change(json!({ "spec": { "networkPolicy": { "enabled": true } } })).await;
    deployed.wait_ready(TOLD).await;
}
