//! What tells that a Secret which is not there was there before: data that only it opens. New keys or credentials would
//! leave that data unreadable, silently.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client};

use super::{
    dereference::Error,
    observe::{Observed, is_being_deleted},
    plan::is_claim_of,
    validate::ValidChat,
};
use crate::{api::Store, build::services, names::Component, providers};

/// Where traces are looked for.
pub(super) struct Traces<'a> {
    chat: &'a ValidChat,
    /// What exists.
    pub observed: &'a Observed,
    claims: Api<PersistentVolumeClaim>,
}

/// A volume with data.
struct DataClaim {
    name: String,
    /// Its StatefulSet.
    set: String,
    /// The command that gives it the labels it lacks; none when it has them.
    label: Option<String>,
}

impl<'a> Traces<'a> {
    /// Those of `chat`.
    pub(super) fn of(client: &Client, chat: &'a ValidChat, observed: &'a Observed) -> Self {
        Self { chat, observed, claims: Api::namespaced(client.clone(), &chat.namespace) }
    }

    /// Why keys must not be made; none when nothing is encrypted yet.
    pub(super) async fn keys_lost(&self) -> Result<Option<Error>, Error> {
        let secret = self.chat.names.keys();
        if let Some(DataClaim { name: claim, set, label }) = self.data_claim().await? {
            return Ok(Some(Error::KeysLost { secret, claim, set, label: unseen(label) }));
        }
        let workload = service_with_keys(self.chat, self.observed);
        Ok(workload.map(|workload| Error::KeysInUse { secret, workload }))
    }

    /// Why credentials of a store must not be made; none when they open nothing yet.
    pub(super) async fn credentials_lost(&self, store: Store) -> Result<Option<Error>, Error> {
        let secret = self.chat.names.credentials(store);
        let found = self.claim_of(store.component()).await?;
        Ok(found.map(|DataClaim { name: claim, set, label }| Error::CredentialsLost {
            secret,
            claim,
            set,
            label: unseen(label),
        }))
    }

    /// Why a Secret without labels that has the name of the keys must not be taken for somebody else's.
    pub(super) async fn keys_not_labelled(&self) -> Result<Option<Error>, Error> {
        let secret = self.chat.names.keys();
        if let Some(claim) = self.data_claim().await? {
            return Ok(Some(self.not_labelled(secret, claim)));
        }
        let workload = service_with_keys(self.chat, self.observed);
        let instance = self.chat.names.instance.clone();
        let sign = workload.map(|workload| format!("{workload} runs with keys"));
        Ok(sign.map(|sign| Error::NotLabelled { secret, sign, instance, label: String::new() }))
    }

    /// The same of the credentials of a store.
    pub(super) async fn credentials_not_labelled(&self, store: Store) -> Result<Option<Error>, Error> {
        let found = self.claim_of(store.component()).await?;
        Ok(found.map(|claim| self.not_labelled(self.chat.names.credentials(store), claim)))
    }

    /// A volume with messages: they are in the one or the other.
    async fn data_claim(&self) -> Result<Option<DataClaim>, Error> {
        match self.claim_of(Component::Sentinel).await? {
            Some(claim) => Ok(Some(claim)),
            None => self.claim_of(Component::Cassandra).await,
        }
    }

    /// A data volume of a component. What is in one that is being deleted is lost: a deletion cannot be taken back.
    async fn claim_of(&self, component: Component) -> Result<Option<DataClaim>, Error> {
        let set = self.chat.names.workload(component);
        let is_staying = |claim: &&PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_none();
        let staying = self.observed.claims.iter().filter(is_staying);
        let mut names = staying.filter_map(|claim| claim.metadata.name.as_ref());
        if let Some(name) = names.find(|name| is_claim_of(name, &set)) {
            return Ok(Some(DataClaim { name: name.clone(), set, label: None }));
        }
        // Another chat may have a claim of that name.
        if !self.is_used(component) {
            return Ok(None);
        }
        // Claims are listed by label, which one that somebody restored need not have. Its pod finds it by its name.
        let name = providers::first_claim_name(&set);
        let found =
            self.claims.get_opt(&name).await.map_err(|source| Error::ReadClaim { name: name.clone(), source })?;
        Ok(found.as_ref().filter(is_staying).map(|_| {
            let labels: Vec<String> =
                self.chat.names.selector(component).iter().map(|(label, value)| format!("{label}={value}")).collect();
            let label = format!("kubectl label pvc {name} {}", labels.join(" "));
            DataClaim { name, set, label: Some(label) }
        }))
    }

    /// Whether the resource asks for a StatefulSet of that component.
    fn is_used(&self, component: Component) -> bool {
        let mut stores = Store::ALL.into_iter().filter(|store| self.chat.managed(*store).is_some());
        let is_own = component == Component::Sentinel && !self.chat.is_distributed();
        is_own || stores.any(|store| store.component() == component)
    }

    fn not_labelled(&self, secret: String, claim: DataClaim) -> Error {
        Error::NotLabelled {
            secret,
            sign: format!("volume claim {} holds data", claim.name),
            instance: self.chat.names.instance.clone(),
            label: claim.label.map(|label| format!(", and {label}")).unwrap_or_default(),
        }
    }
}

/// What else to do about a claim without labels, whatever is done about its Secret.
fn unseen(label: Option<String>) -> String {
    label.map(|label| format!("; it lacks the labels by which the operator sees it: {label}")).unwrap_or_default()
}

/// A service that has keys, where the volumes with messages are somebody else's: it was made when there were keys.
fn service_with_keys(chat: &ValidChat, observed: &Observed) -> Option<String> {
    chat.external(Store::Cassandra)?;
    let live = |service: &services::Service| observed.get(service.kind(), &chat.names.workload(service.component));
    // One that goes with an earlier resource of that name tells nothing about this one.
    let stays = |service: &&services::Service| live(service).is_some_and(|live| !is_being_deleted(live));
    services::of(chat).iter().find(stays).map(|service| chat.names.workload(service.component))
}
