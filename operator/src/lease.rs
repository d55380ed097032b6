//! Leader election by a Lease: one replica works, the others wait.
//!
//! Whether a holder is alive is judged by when this process last saw the Lease change, never by
//! comparing clocks of different machines.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::error::Elapsed;

use crate::{
    answer::{self, describe},
    backoff::jitter,
};

/// How long a holder counts as alive after its last sign.
const DURATION: Duration = Duration::from_secs(15);
/// How often a holder gives a sign.
const RENEW: Duration = Duration::from_secs(4);
/// How long a holder may fail to do so before it stops by itself, before others take over.
const DEADLINE: Duration = Duration::from_secs(10);

/// A candidate for leadership.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Option<(Option<String>, Instant)>,
    /// When this process began to write what it wrote to the Lease last: the others count from when that arrived, which is
    /// never before. An answer may arrive much later.
    renewed: Option<Instant>,
}

impl Candidate {
    /// A candidate for the Lease `name`. `replica` is what people know it by. Two processes may be called the same, so that each
    /// makes a name of its own from it: a Lease in the name of another one is never taken for this one's.
    pub fn new(client: Client, namespace: &str, name: &str, replica: &str) -> Self {
        let identity = format!("{replica}_{}", uuid::Uuid::new_v4());
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity, seen: None, renewed: None }
    }

    /// Waits until this process leads.
    pub async fn acquire(&mut self) {
        loop {
            match tokio::time::timeout(DEADLINE, self.try_hold()).await {
                Ok(Ok(true)) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    return;
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(lease = self.name, error = describe(&error), "cannot get the lease"),
                Err(_) => tracing::warn!(lease = self.name, "the API server does not answer"),
            }
            tokio::time::sleep(jitter(RENEW)).await;
        }
    }

    /// Keeps leading; returns when leadership is lost.
    pub async fn keep(&mut self) {
        let deadline = |candidate: &Self| candidate.renewed.map_or_else(Instant::now, |renewed| renewed + DEADLINE);
        loop {
            let end = deadline(self);
            tokio::time::sleep_until((Instant::now() + RENEW).min(end).into()).await;
            let mut held = self.hold_until(end).await;
            if matches!(held, Ok(Ok(false))) {
                // Somebody changed the Lease in between; the second look tells whether it was taken.
                held = self.hold_until(end).await;
            }
            match held {
                Ok(Ok(false)) => {
                    tracing::error!(lease = self.name, "another replica leads");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(lease = self.name, error = describe(&error), "cannot renew the lease"),
                Ok(Ok(true)) | Err(_) => {}
            }
            if Instant::now() >= deadline(self) {
                tracing::error!(lease = self.name, "the lease could not be renewed in time");
                return;
            }
        }
    }

    /// Lets another replica take over at once, if this one leads or is about to.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
        };
        // Without an answer, the others take over in their time.
        match tokio::time::timeout(RENEW, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(lease = self.name, error = describe(&error), "cannot release the lease"),
            Err(_) => tracing::warn!(lease = self.name, "cannot release the lease: the API server does not answer"),
        }
    }

    /// The same, given up at a time.
    async fn hold_until(&mut self, end: Instant) -> Result<Result<bool, kube::Error>, Elapsed> {
        tokio::time::timeout(end.saturating_duration_since(Instant::now()), self.try_hold()).await
    }

    /// Takes or renews the Lease; false when somebody else holds it.
    async fn try_hold(&mut self) -> Result<bool, kube::Error> {
        let begun = Instant::now();
        let is_held = self.write().await?;
        if is_held {
            self.renewed = Some(begun);
        }
        Ok(is_held)
    }

    async fn write(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None, 0)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let version = lease.metadata.resource_version.clone();
        let changed = self.seen.as_ref().is_none_or(|(seen, _)| *seen != version);
        if changed {
            self.seen = Some((version, Instant::now()));
        }
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        let is_mine = holder == self.identity;
        let is_alive = self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() < DURATION);
        if !holder.is_empty() && !is_mine && is_alive {
            return Ok(false);
        }
        let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        let next = match spec.filter(|_| is_mine) {
            Some(mine) => self.spec(mine.acquire_time.clone(), transitions),
            None => self.spec(None, transitions.saturating_add(1)),
        };
        let next = Lease { spec: Some(next), ..lease.clone() };
        // The version in the metadata makes this fail if somebody else was faster.
        won(self.api.replace(&self.name, &PostParams::default(), &next).await)
    }

    /// What this candidate writes: since when it holds the Lease, now when that is not known, and how often it changed hands.
    fn spec(&self, since: Option<MicroTime>, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: since.or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn won(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if answer::is_conflict(&status) => Ok(false),
        Err(error) => Err(error),
    }
}
