//! What somebody deletes or changes by hand, the operator puts back.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod deployed;

use std::time::Duration;

use deployed::{Deployed, eventually};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use sentinel_operator::names::Names;
use serde_json::json;

const PATIENCE: Duration = Duration::from_mins(1);
/// More than the connections that the gateway keeps open.
const AT_ONCE: usize = 64;

#[tokio::test]
async fn deleted_and_changed_objects_come_back() {
    let deployed = Deployed::ready().await;
    let names = Names::new(&deployed.name);
    let services: Api<Service> = Api::namespaced(deployed.client.clone(), &deployed.namespace);
    let configs: Api<ConfigMap> = Api::namespaced(deployed.client.clone(), &deployed.namespace);
    let deployments: Api<Deployment> = Api::namespaced(deployed.client.clone(), &deployed.namespace);

    let service = services.get(&names.sentinel()).await.expect("the platform's Service");
    services.delete(&names.sentinel(), &DeleteParams::default()).await.expect("a Service can be deleted");
    eventually("the deleted Service is back", PATIENCE, async || match services.get(&names.sentinel()).await {
        Ok(back) if back.uid() != service.uid() => Ok(()),
        other => Err(format!("{:?}", other.map(|service| service.uid()))),
    })
    .await;

    let by_hand = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
    let config = configs.get(&names.config()).await.expect("the platform's ConfigMap");
    let (key, text) = config.data.as_ref().and_then(|data| data.iter().next()).expect("some configuration");
    let change = json!({"data": {key: "changed by hand"}});
    configs.patch(&names.config(), &by_hand, &Patch::Merge(&change)).await.expect("a ConfigMap can be changed");
    eventually("the changed ConfigMap is as it was", PATIENCE, async || {
        let now = configs.get(&names.config()).await.map_err(|error| error.to_string())?;
        let back = now.data.as_ref().and_then(|data| data.get(key));
        if back == Some(text) { Ok(()) } else { Err(format!("{back:?}")) }
    })
    .await;

    let replicas = |deployment: &Deployment| deployment.spec.replicas;
    let gateway = deployments.get(&names.gateway()).await.expect("the gateway's Deployment");
    let change = json!({"spec": {"replicas": replicas(&gateway).unwrap_or(1) + 1}});
    deployments.patch(&names.gateway(), &by_hand, &Patch::Merge(&change)).await.expect("a Deployment can be changed");
    eventually("the gateway has its replicas again", PATIENCE, async || {
        let now = deployments.get(&names.gateway()).await.map_err(|error| error.to_string())?;
        if replicas(&now) == replicas(&gateway) { Ok(()) } else { Err(format!("{:?}", replicas(&now))) }
    })
    .await;

    deployed.wait_ready(PATIENCE).await;
    // Several at once, so that the gateway has to open connections to wherever the platform's Service is now.
    let url = format!("{}/openapi.json", Deployed::url());
    let once = async || match reqwest::get(&url).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(answer.status().to_string()),
        Err(error) => Err(error.to_string()),
    };
    eventually("the chat answers through its gateway", PATIENCE, async || {
        futures::future::join_all((0..AT_ONCE).map(|_| once())).await.into_iter().collect::<Result<Vec<()>, _>>()
    })
    .await;
}
