//! What tells that a Secret which is not there was there before: data that only it opens. New keys or credentials would
//! leave that data unreadable, silently.

use super::{
    dereference::Error,
    observe::{Observed, is_being_deleted},
    plan::is_claim_of,
    validate::ValidChat,
};
use crate::{api::Store, build::services, names::Component};

/// A volume with data.
struct DataClaim {
    name: String,
    /// Its StatefulSet.
    set: String,
}

/// A volume with messages: they are in the one or the other.
fn data_claim(chat: &ValidChat, observed: &Observed) -> Option<DataClaim> {
    let parts = [Component::Sentinel, Component::Cassandra];
    parts.into_iter().find_map(|component| claim_of(chat, component, observed))
}

/// A data volume of a component. What is in one that is being deleted is lost: a deletion cannot be taken back.
fn claim_of(chat: &ValidChat, component: Component, observed: &Observed) -> Option<DataClaim> {
    let set = chat.names.workload(component);
    let staying = observed.claims.iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
    let name = staying.filter_map(|claim| claim.metadata.name.as_ref()).find(|name| is_claim_of(name, &set))?.clone();
    Some(DataClaim { name, set })
}

/// A service that has keys, where the volumes with messages are somebody else's: it was made when there were keys.
fn service_with_keys(chat: &ValidChat, observed: &Observed) -> Option<String> {
    chat.external(Store::Cassandra)?;
    let live = |service: &services::Service| observed.get(service.kind(), &chat.names.workload(service.component));
    // One that goes with an earlier resource of that name tells nothing about this one.
    let stays = |service: &&services::Service| live(service).is_some_and(|live| !is_being_deleted(live));
    services::of(chat).iter().find(stays).map(|service| chat.names.workload(service.component))
}

/// Why keys must not be made; none when nothing is encrypted yet.
pub(super) fn keys_lost(chat: &ValidChat, observed: &Observed) -> Option<Error> {
    let secret = chat.names.keys();
    if let Some(claim) = data_claim(chat, observed) {
        return Some(Error::KeysLost { secret, claim: claim.name, set: claim.set });
    }
    service_with_keys(chat, observed).map(|workload| Error::KeysInUse { secret, workload })
}

/// Why credentials of a store must not be made; none when they open nothing yet.
pub(super) fn credentials_lost(chat: &ValidChat, store: Store, observed: &Observed) -> Option<Error> {
    let claim = claim_of(chat, store.component(), observed)?;
    Some(Error::CredentialsLost { secret: chat.names.credentials(store), claim: claim.name, set: claim.set })
}

/// Why a Secret without labels that has the name of the keys must not be taken for somebody else's.
pub(super) fn keys_not_labelled(chat: &ValidChat, observed: &Observed) -> Option<Error> {
    let sign = data_claim(chat, observed).map(|claim| holds_data(&claim));
    let sign = sign.or_else(|| Some(format!("{} runs with keys", service_with_keys(chat, observed)?)))?;
    Some(not_labelled(chat, chat.names.keys(), sign))
}

/// The same of the credentials of a store.
pub(super) fn credentials_not_labelled(chat: &ValidChat, store: Store, observed: &Observed) -> Option<Error> {
    let claim = claim_of(chat, store.component(), observed)?;
    Some(not_labelled(chat, chat.names.credentials(store), holds_data(&claim)))
}

fn holds_data(claim: &DataClaim) -> String {
    format!("volume claim {} holds data", claim.name)
}

fn not_labelled(chat: &ValidChat, secret: String, sign: String) -> Error {
    Error::NotLabelled { secret, sign, instance: chat.names.instance.clone() }
}
