//! The chat that runs on the cluster of `KUBECONFIG`. A cluster without one is a failure, never a skipped test.

#![allow(dead_code)] // each test file uses a part of this

use std::{
    fmt::Debug,
    future::Future,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use sentinel_operator::{
    api::SentinelChat,
    names::{COMPONENT, INSTANCE},
};
use serde_json::Value;

/// Time between two looks at something that changes.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The chat under test.
pub struct Deployed {
    /// Client of the API server.
    pub client: Client,
    /// The resource's namespace.
    pub namespace: String,
    /// The resource's name.
    pub name: String,
}

impl Deployed {
    /// Finds the `SentinelChat` called `SENTINEL_NAME` (`chat`), in `SENTINEL_NAMESPACE` if that is set.
    pub async fn find() -> Self {
        assert!(
            std::env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG must name a cluster with Sentinel on it: `make up` makes one, `make e2e` does all of it"
        );
        let client = Client::try_default().await.expect("a usable KUBECONFIG");
        let name = std::env::var("SENTINEL_NAME").unwrap_or_else(|_| "chat".to_owned());
        let wanted = std::env::var("SENTINEL_NAMESPACE").ok();
        let all = Api::<SentinelChat>::all(client.clone())
            .list(&ListParams::default())
            .await
            .expect("SentinelChats can be listed: are the CRDs installed?");
        let found: Vec<_> = all
            .iter()
            .filter(|chat| chat.name_any() == name)
            .filter_map(ResourceExt::namespace)
            .filter(|namespace| wanted.as_ref().is_none_or(|wanted| wanted == namespace))
            .collect();
        let [namespace] = found.as_slice() else {
            panic!("expected one SentinelChat {name} in {wanted:?}, found it in {found:?}")
        };
        Self { client, namespace: namespace.clone(), name }
    }

    /// [`Deployed::find`], and waits until it is ready.
    pub async fn ready() -> Self {
        let deployed = Self::find().await;
        deployed.wait_ready(Duration::from_mins(2)).await;
        deployed
    }

    /// Its base URL, as the runner made it reachable.
    pub fn url() -> String {
        let url = std::env::var("SENTINEL_URL").expect("SENTINEL_URL must be the gateway's base URL");
        url.trim_end_matches('/').to_owned()
    }

    /// The `SentinelChat` resources of its namespace.
    pub fn chats(&self) -> Api<SentinelChat> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The pods of its namespace.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Name of the one pod that has the data.
    pub fn pod_name(&self) -> String {
        format!("{}-0", self.name)
    }

    /// The stateful sets of its namespace.
    pub fn stateful_sets(&self) -> Api<StatefulSet> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Changes its resource.
    pub async fn change(&self, patch: Value) {
        self.chats()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the SentinelChat can be changed");
    }

    /// The pods of a component, whatever they do.
    pub async fn pods_of(&self, component: &str) -> Vec<Pod> {
        let selector = format!("{INSTANCE}={},{COMPONENT}={component}", self.name);
        self.pods().list(&ListParams::default().labels(&selector)).await.expect("pods can be listed").items
    }

    /// The ready pods of a component.
    pub async fn ready_pods(&self, component: &str) -> Vec<Pod> {
        self.pods_of(component).await.into_iter().filter(is_ready).collect()
    }

    /// Selects what was made for it.
    pub fn selector(&self) -> ListParams {
        ListParams::default().labels(&format!("{INSTANCE}={}", self.name))
    }

    /// Waits until the condition Ready is true for the newest generation.
    pub async fn wait_ready(&self, patience: Duration) {
        eventually("the SentinelChat is Ready", patience, async || {
            let chat = self.chats().get(&self.name).await.map_err(|error| error.to_string())?;
            let status = chat.status.unwrap_or_default();
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            match ready {
                Some(condition)
                    if condition.status == "True" && condition.observed_generation == chat.metadata.generation =>
                {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Waits until the data pod is another than `before` and ready; returns its uid.
    pub async fn wait_replaced(&self, before: &str, patience: Duration) -> String {
        eventually("the pod is replaced", patience, async || {
            let pod = self.pods().get(&self.pod_name()).await.map_err(|error| error.to_string())?;
            let uid = pod.uid().unwrap_or_default();
            if uid != before && is_ready(&pod) { Ok(uid) } else { Err(format!("{uid}: {:?}", pod.status)) }
        })
        .await
    }
}

/// Whether a pod is ready and stays.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Looks until it is so; panics with the last reason when that takes too long.
pub async fn eventually<T, E: Debug, F>(what: &str, patience: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(reason) => assert!(Instant::now() < deadline, "after {patience:?} still not: {what}: {reason:?}"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace").join(path)
}
