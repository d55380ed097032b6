//! From what a user wrote to what can be built.
//!
//! The API server has checked the schema's rules already; this step refuses what the schema allows
//! and the operator cannot run, and turns text into values.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use serde_json::json;
use thiserror::Error;

use crate::{
    api::{External, Image, Managed, Profile, SecretRef, SentinelChat, SentinelChatSpec, Store, Upgrades, rules},
    build::digest,
    cluster_dns::ClusterDns,
    image::{self, ImageRef},
    names::Names,
    settings::Settings,
    steps::status::conditions::UPGRADE,
};

/// Revision of the operator's templates. It grows when platforms are to keep what they have until they get another image,
/// and whatever builds that looks at it.
///
/// - 1: every service is given the whole Secret with the keys, and `resources` that are written replace the defaults.
/// - 2: each has its own entries, and those that sign no tokens verify them by the public keys, which images of before
///   do not know; `resources` keep the defaults of what they leave out.
/// - 3: services use the managed Postgres and Cassandra as users that only read and write rows. Pods need to know nothing for
///   that, but the migration makes these users, and that of an image of before does not know how: it ends at an argument that
///   it does not know. Key-encryption keys are given to those who use them; images of before do not start without.
pub const TEMPLATE_REVISION: i32 = 3;

/// Why a resource cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The stores are missing; the API server refuses such a resource, unless it has an older definition.
    #[error(
        "dependencies: write postgres, cassandra, kafka, redis, elasticsearch and s3; profile Distributed needs them"
    )]
    NoDependencies,
    /// The object is not one that the API server would give out.
    #[error("metadata.{0} is missing")]
    Metadata(&'static str),
    /// The name does not fit.
    #[error("metadata.name: write at most {} characters", rules::NAME_MAX)]
    NameTooLong,
    /// A time cannot be read.
    #[error("{field}: {text} is not a time; write for example 15m")]
    Time {
        /// Which field.
        field: &'static str,
        /// What it holds.
        text: String,
    },
    /// A default image of the operator cannot be used.
    #[error("{0}; correct the operator's settings")]
    Image(#[from] image::Error),
}

impl Error {
    /// Reason for the condition.
    pub const REASON: &'static str = "InvalidSpec";
}

/// A resource that can be built.
#[derive(Clone, Debug)]
pub struct ValidChat {
    /// Names of its objects.
    pub names: Names,
    /// Its namespace.
    pub namespace: String,
    /// Reference for the objects that go when it goes.
    pub owner: Option<OwnerReference>,
    /// What the user wrote.
    pub spec: SentinelChatSpec,
    /// Image of the platform.
    pub sentinel_image: ImageRef,
    /// Image of the gateway.
    pub gateway_image: ImageRef,
    /// Images of the stores that the operator runs.
    pub store_images: BTreeMap<Store, ImageRef>,
    /// Whether newer defaults wait for a change of the resource.
    pub upgrade_waits: bool,
    /// How the gateway looks names up.
    pub cluster_dns: Option<ClusterDns>,
    /// Namespace that the operator runs in.
    pub operator_namespace: String,
    /// Templates to use.
    pub template_revision: i32,
    /// Lifetime of access tokens.
    pub access_token: Duration,
    /// Lifetime of refresh tokens.
    pub refresh_token: Duration,
}

impl ValidChat {
    /// Whether there is one workload per service, over real stores.
    pub fn is_distributed(&self) -> bool {
        self.spec.profile == Profile::Distributed
    }

    /// How the operator runs `store`, if it does.
    pub fn managed(&self, store: Store) -> Option<&Managed> {
        self.spec.dependencies.as_ref()?.managed(store)
    }

    /// As whom the migration connects to a `store` of somebody else, if not as services do.
    pub fn migration_secret(&self, store: Store) -> Option<&SecretRef> {
        self.spec.dependencies.as_ref()?.migration_secret(store)
    }

    /// How `store` is reached, if somebody else runs it.
    pub fn external(&self, store: Store) -> Option<&External> {
        self.spec.dependencies.as_ref()?.external(store)
    }
}

/// Checks `chat` and fills in what it leaves to the operator.
pub fn validate(chat: &SentinelChat, settings: &Settings) -> Result<ValidChat, Error> {
    let name = chat.metadata.name.clone().ok_or(Error::Metadata("name"))?;
    if name.len() > rules::NAME_MAX {
        return Err(Error::NameTooLong);
    }
    let spec = chat.spec.clone();
    if spec.profile == Profile::Distributed && spec.dependencies.is_none() {
        return Err(Error::NoDependencies);
    }
    let access_token = time("auth.accessTokenLifetime", &spec.auth.access_token_lifetime)?;
    let refresh_token = time("auth.refreshTokenLifetime", &spec.auth.refresh_token_lifetime)?;

    let status = chat.status.as_ref();
    // A new version of the operator must not roll every platform at once: while the resource is the
    // one that the status is about, its images stay what they were.
    let pinned = spec.upgrades == Upgrades::Pinned && !is_changed(chat);
    let in_use =
        |image: Option<&String>| image.filter(|_| pinned).map(|reference| ImageRef::parse(reference)).transpose();
    let wanted_sentinel = ImageRef::parse(&settings.sentinel_image)?.overridden(&spec.image);
    let wanted_gateway = ImageRef::parse(&settings.gateway_image)?.overridden(&spec.gateway.image);
    let sentinel_image =
        in_use(status.and_then(|s| s.sentinel_image.as_ref()))?.unwrap_or_else(|| wanted_sentinel.clone());
    let gateway_image =
        in_use(status.and_then(|s| s.gateway_image.as_ref()))?.unwrap_or_else(|| wanted_gateway.clone());
    let wanted_stores = store_images(&spec, settings)?;
    let mut store_images = wanted_stores.clone();
    for (store, image) in &mut store_images {
        let told = status.and_then(|s| s.dependencies.iter().find(|d| d.name == store.as_str()));
        if let Some(pinned) = in_use(told.and_then(|d| d.image.as_ref()))? {
            *image = pinned;
        }
    }
    // It goes with the image, because an image of before may not know what newer templates give it: neither Automatic nor
    // another change of the resource makes it know that.
    let image = sentinel_image.to_string();
    let template_revision = status
        .filter(|status| status.sentinel_image.as_ref() == Some(&image))
        .and_then(|status| status.template_revision)
        .unwrap_or(TEMPLATE_REVISION);

    Ok(ValidChat {
        names: Names::new(name),
        namespace: chat.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        owner: chat.controller_owner_ref(&()),
        // Not the revision: it waits for another image, which a resource that names its own may never get.
        upgrade_waits: sentinel_image != wanted_sentinel
            || gateway_image != wanted_gateway
            || store_images != wanted_stores,
        sentinel_image,
        gateway_image,
        store_images,
        cluster_dns: settings.cluster_dns.clone(),
        operator_namespace: settings.operator_namespace.clone(),
        template_revision,
        access_token,
        refresh_token,
        spec,
    })
}

/// The hash of a status whose resource was changed and could not be carried out since.
pub const WAITS: &str = "";

/// Whether the resource is another one than was carried out last. Pausing makes another generation, and newer definitions may
/// add fields to what the hash is of: either of the two tells that it is the same, unless the status says that a change waits.
pub fn is_changed(chat: &SentinelChat) -> bool {
    let Some(status) = &chat.status else { return true };
    let hash = status.spec_hash.as_deref();
    let is_generation = status.observed_generation.is_some() && status.observed_generation == chat.metadata.generation;
    let is_spec = hash == Some(spec_hash(&chat.spec).as_str());
    hash == Some(WAITS) || !is_generation && !is_spec
}

/// Whether the operator would take its own, newer images for `live` on the occasion of being given `changed`.
pub fn takes_newer_images(live: &SentinelChat, changed: &SentinelChat) -> bool {
    let conditions = live.status.iter().flat_map(|status| &status.conditions);
    let waits = conditions.into_iter().any(|condition| condition.type_ == UPGRADE && condition.status == "True");
    waits && spec_hash(&live.spec) != spec_hash(&changed.spec)
}

/// `changed` as the operator would read it once it was written over `live`: with that one's status, which tells what is in use.
#[must_use]
pub fn written_over(live: &SentinelChat, changed: SentinelChat) -> SentinelChat {
    let mut chat = SentinelChat { status: live.status.clone(), ..changed };
    chat.metadata.uid.clone_from(&live.metadata.uid);
    // A file that was written from the cluster has the generation of then.
    let is_same = spec_hash(&live.spec) == spec_hash(&chat.spec);
    chat.metadata.generation = live.metadata.generation.filter(|_| is_same);
    chat
}

/// Hash of what the resource asks for, be it paused or not.
pub fn spec_hash(spec: &SentinelChatSpec) -> String {
    let mut spec = json!(spec);
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("paused");
    }
    digest(&[spec.to_string().as_bytes()])
}

/// Images of the stores that the operator is to run.
fn store_images(spec: &SentinelChatSpec, settings: &Settings) -> Result<BTreeMap<Store, ImageRef>, Error> {
    let Some(dependencies) = &spec.dependencies else { return Ok(BTreeMap::new()) };
    let mut images = BTreeMap::new();
    for store in Store::ALL {
        if let Some(managed) = dependencies.managed(store) {
            let image = ImageRef::parse(settings.store_images.of(store))?;
            let own = managed.image.clone().unwrap_or_else(Image::default);
            images.insert(store, image.overridden(&own));
        }
    }
    Ok(images)
}

fn time(field: &'static str, text: &str) -> Result<Duration, Error> {
    kube::core::Duration::from_str(text)
        .ok()
        .filter(|duration| !duration.is_negative())
        .map(Duration::from)
        .ok_or_else(|| Error::Time { field, text: text.to_owned() })
}
