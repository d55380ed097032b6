//! What tells that a Secret which is not there was there before: data that only it opens. New keys or credentials would
//! leave that data unreadable, silently.

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::ListParams};
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::{
    answer,
    api::Store,
    build::{Kind, services},
    names::{Component, INSTANCE, MANAGED_BY, MANAGER, Names},
    steps::{
        apply,
        observe::{Observed, is_being_deleted, is_bound},
        plan::{is_claim_of, ordinal_of},
        status::pods,
        validate::ValidChat,
    },
};

/// Why a Secret is not made, or not known.
#[derive(Debug, Error)]
pub enum Error {
    /// The cluster could not be asked.
    #[error("cannot read {kind} {name}")]
    Read {
        /// What is read.
        kind: &'static str,
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The generated keys are gone while their data is still there.
    #[error(
        "Secret {secret} is gone but volume claim {claim} still holds data encrypted with it: restore the Secret from a \
         backup, or write the Secret that has the keys to encryption.keySecret; or, to start afresh without that data, \
         delete StatefulSet {set} if it is there, and then the claim{label}"
    )]
    KeysLost {
        /// The Secret.
        secret: String,
        /// The claim.
        claim: String,
        /// The StatefulSet whose pod uses the claim, and which makes it anew.
        set: String,
        /// How the claim gets labels that it lacks; empty when it has them.
        label: String,
    },
    /// The keys are gone, and the stores of somebody else hold what services have encrypted with them.
    #[error(
        "Secret {secret} is not there but {workload} runs, and its stores hold data encrypted with the keys it has: \
         restore the Secret from a backup, or write the Secret that has them to encryption.keySecret"
    )]
    KeysInUse {
        /// The Secret.
        secret: String,
        /// Workload of a service that was made with keys.
        workload: String,
    },
    /// The generated credentials of a store are gone while its data is still there.
    #[error(
        "Secret {secret} is gone but volume claim {claim} still holds data that it opens: restore the Secret from a \
         backup; or, to start afresh without that data, delete StatefulSet {set} if it is there, and then the claim{label}"
    )]
    CredentialsLost {
        /// The Secret.
        secret: String,
        /// The claim.
        claim: String,
        /// The StatefulSet whose pod uses the claim, and which makes it anew.
        set: String,
        /// How the claim gets labels that it lacks; empty when it has them.
        label: String,
    },
    /// A Secret has the name of a generated one and not its labels, as one that comes from a backup.
    #[error(
        "Secret {secret} is not labelled as the operator's, and {sign}: if it was restored \
         from a backup, run kubectl label secret {secret} {MANAGED_BY}={MANAGER} {INSTANCE}={instance}{label}; do not \
         delete it while it may be the only copy"
    )]
    NotLabelled {
        /// The Secret.
        secret: String,
        /// What tells that there were keys or credentials before.
        sign: String,
        /// What objects of this resource are labelled with.
        instance: String,
        /// How the claim that tells it gets labels that it lacks; empty when it has them.
        label: String,
    },
    /// A claim of somebody else has the name of one that a pod of this resource would use, and write to.
    #[error(
        "volume claim {claim} has the name of one that StatefulSet {set} of this SentinelChat would use, and is somebody \
         else's ({sign}): give the SentinelChat another name"
    )]
    ClaimNotOurs {
        /// The claim.
        claim: String,
        /// The StatefulSet that would use it.
        set: String,
        /// What tells whose it is.
        sign: String,
    },
    /// Claims without labels have the names of those that pods of this resource would use: nothing would be told of them.
    #[error(
        "volume claim {claim} has the name of one that StatefulSet {set} of this SentinelChat would use, and lacks the labels \
         by which the operator sees it: if it is this SentinelChat's, as one that was restored by hand, run {label}; if not, \
         give the SentinelChat another name"
    )]
    ClaimNotLabelled {
        /// The first of them.
        claim: String,
        /// The StatefulSet that would use it.
        set: String,
        /// The command that labels all of them.
        label: String,
    },
}

impl Error {
    /// Reason for the condition; none when it is the cluster that failed.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Read { source: kube::Error::Api(status), .. } if answer::is_forbidden(status) => Some("Forbidden"),
            Self::Read { .. } => None,
            Self::KeysLost { .. } | Self::KeysInUse { .. } => Some("KeysLost"),
            Self::CredentialsLost { .. } => Some("CredentialsLost"),
            Self::NotLabelled { .. } => Some("SecretNotOurs"),
            Self::ClaimNotOurs { .. } | Self::ClaimNotLabelled { .. } => Some("NotOurs"),
        }
    }
}

/// Where traces are looked for.
pub(super) struct Traces<'a> {
    chat: &'a ValidChat,
    /// What exists.
    pub observed: &'a Observed,
    claims: Api<PersistentVolumeClaim>,
    sets: Api<StatefulSet>,
    /// All claims of the namespace, if they were needed.
    all: OnceCell<Vec<PersistentVolumeClaim>>,
}

/// A volume with data.
struct DataClaim {
    name: String,
    /// Its StatefulSet.
    set: String,
    /// The command that gives it, and others of its StatefulSet, the labels they lack; none when it has them.
    label: Option<String>,
}

impl<'a> Traces<'a> {
    /// Those of `chat`.
    pub(super) fn of(client: &Client, chat: &'a ValidChat, observed: &'a Observed) -> Self {
        let (claims, sets) = (client.clone(), client.clone());
        Self {
            chat,
            observed,
            claims: Api::namespaced(claims, &chat.namespace),
            sets: Api::namespaced(sets, &chat.namespace),
            all: OnceCell::new(),
        }
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

    /// Why a StatefulSet must not be made: its pods would use claims that the operator does not see. Where the StatefulSet is
    /// there, they use them already.
    pub(super) async fn claim_unseen(&self) -> Result<Option<Error>, Error> {
        for component in with_data() {
            if self.observed.get(Kind::StatefulSet, &self.chat.names.workload(component)).is_some() {
                continue;
            }
            let found = self.unseen_claim_of(component).await?;
            if let Some(DataClaim { name: claim, set, label: Some(label) }) = found {
                return Ok(Some(Error::ClaimNotLabelled { claim, set, label }));
            }
        }
        Ok(None)
    }

    /// A volume with messages: they are in the one or the other.
    async fn data_claim(&self) -> Result<Option<DataClaim>, Error> {
        match self.claim_of(Component::Sentinel).await? {
            Some(claim) => Ok(Some(claim)),
            None => self.claim_of(Component::Cassandra).await,
        }
    }

    /// A data volume of a component.
    async fn claim_of(&self, component: Component) -> Result<Option<DataClaim>, Error> {
        let set = self.chat.names.workload(component);
        let there = self.observed.claims.iter().filter(|claim| self.is_there(claim, &set));
        let mut names = there.filter_map(|claim| claim.metadata.name.as_ref());
        if let Some(name) = names.find(|name| is_claim_of(name, &set)) {
            return Ok(Some(DataClaim { name: name.clone(), set, label: None }));
        }
        self.unseen_claim_of(component).await
    }

    /// The first of a component's data volumes that the operator does not see, with what makes it see all of them.
    async fn unseen_claim_of(&self, component: Component) -> Result<Option<DataClaim>, Error> {
        let replicas = self.replicas(component);
        // Another chat may have claims of such names.
        if replicas == 0 {
            return Ok(None);
        }
        let set = self.chat.names.workload(component);
        let mut unseen = Vec::new();
        for claim in self.all_claims().await? {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let Some(ordinal) = ordinal_of(name, &set) else { continue };
            let is_seen = self.observed.claims.iter().any(|seen| seen.metadata.name.as_deref() == Some(name));
            if is_seen || !self.is_there(claim, &set) {
                continue;
            }
            match foreign_label(&self.chat.names, &claim.metadata, component) {
                None => unseen.push((ordinal, name)),
                // No pod would use one of those after it.
                Some(label) if ordinal < replicas => {
                    let sign = format!("it is labelled {label}");
                    return Err(Error::ClaimNotOurs { claim: name.to_owned(), set, sign });
                }
                Some(_) => {}
            }
        }
        unseen.sort_unstable();
        let names: Vec<&str> = unseen.into_iter().map(|(_, name)| name).collect();
        let Some(name) = names.first().map(|name| (*name).to_owned()) else { return Ok(None) };
        if let Some(sign) = self.namesake(&set).await? {
            return Err(Error::ClaimNotOurs { claim: name, set, sign });
        }
        let labels: Vec<String> =
            self.chat.names.selector(component).iter().map(|(label, value)| format!("{label}={value}")).collect();
        let label = format!("kubectl label pvc {} {}", names.join(" "), labels.join(" "));
        Ok(Some(DataClaim { name, set, label: Some(label) }))
    }

    /// Claims are observed by label, which those that somebody restored need not have. Their pods find them by name.
    async fn all_claims(&self) -> Result<&[PersistentVolumeClaim], Error> {
        let list = || async { self.claims.list(&ListParams::default()).await.map(|list| list.items) };
        let all = self.all.get_or_try_init(list).await;
        all.map(Vec::as_slice).map_err(cannot_read("volume claims of namespace", &self.chat.namespace))
    }

    /// Whether what is on a claim is not lost yet. Its deletion cannot be taken back, but waits for the end of the pod, which
    /// serves with what it has read of the Secret until then. A StatefulSet that stays makes the next one.
    fn is_there(&self, claim: &PersistentVolumeClaim, set: &str) -> bool {
        if claim.metadata.deletion_timestamp.is_none() {
            return true;
        }
        let name = claim.metadata.name.as_deref().and_then(|name| name.strip_prefix("data-"));
        let runs = |pod: &Pod| {
            let is_going = pod.metadata.deletion_timestamp.is_some() || pods::has_ended(pod);
            pod.metadata.name.as_deref() == name && !is_going
        };
        let set = self.observed.get(Kind::StatefulSet, set);
        self.observed.pods.iter().any(runs) || (is_bound(claim) && set.is_some_and(|set| !is_being_deleted(set)))
    }

    /// That somebody else has a StatefulSet of that name, and with it the claims that are called after it.
    async fn namesake(&self, set: &str) -> Result<Option<String>, Error> {
        if self.observed.get(Kind::StatefulSet, set).is_some() {
            return Ok(None);
        }
        let found = self.sets.get_metadata_opt(set).await.map_err(cannot_read("StatefulSet", set))?;
        let foreign = found.filter(|found| apply::is_of_another(&found.metadata, &self.chat.names.instance));
        Ok(foreign.map(|_| format!("StatefulSet {set} was not made for this SentinelChat")))
    }

    /// How many pods with data of that component the resource asks for.
    fn replicas(&self, component: Component) -> i32 {
        if component == Component::Sentinel {
            return i32::from(!self.chat.is_distributed());
        }
        let store = Store::ALL.into_iter().find(|store| store.component() == component);
        store.and_then(|store| self.chat.managed(store)).map_or(0, |managed| managed.replicas)
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

/// Components whose pods have data volumes, in some profile.
pub(in crate::steps) fn with_data() -> impl Iterator<Item = Component> {
    [Component::Sentinel].into_iter().chain(Store::ALL.map(Store::component))
}

/// The label of a claim by which another application, or another chat, has it.
pub(in crate::steps) fn foreign_label(names: &Names, claim: &ObjectMeta, component: Component) -> Option<String> {
    let labels = claim.labels.as_ref()?;
    names.selector(component).iter().find_map(|(label, value)| {
        let found = labels.get(label).filter(|found| *found != value)?;
        Some(format!("{label}={found}"))
    })
}

fn cannot_read(kind: &'static str, name: &str) -> impl FnOnce(kube::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Read { kind, name, source }
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
