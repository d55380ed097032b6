//! A process' services, whichever profile they are of.

use std::{sync::Arc, time::Duration};

use axum::Router;
use sentinel_domain::{background::vital, config::PlatformConfig, findings::Findings, ports::StoreError};
use sentinel_http::{rate::RateLimits, tokens::Tokens};
use sentinel_message::MessageService;

use crate::{
    arguments::Role,
    distributed::{self, DistributedStores},
    embedded::{self, EmbeddedStores},
    web::{self, Site},
};

/// Well below the two minutes for which a new signing key is published before it signs.
const KEYS_RELOADED_EVERY: Duration = Duration::from_secs(30);

/// The services of one process.
pub struct Platform {
    /// Everything that clients may call.
    pub router: Router,
    /// The message service, if it is one of them, to drain its sockets.
    pub messages: Option<Arc<MessageService>>,
    /// What they are built on.
    pub stores: Stores,
}

/// What services are built on.
pub enum Stores {
    /// Files of this process.
    Embedded(EmbeddedStores),
    /// Servers that others use too.
    Distributed(DistributedStores),
}

impl Platform {
    /// Opens the stores and builds the services. Embedded stores serve one process only, so it gets every role.
    pub async fn open(config: PlatformConfig, roles: &[Role]) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let mut platform = match &config.stores {
            None => embedded::open(config.clone()).await?,
            Some(stores) => Box::pin(distributed::open(config.clone(), stores, roles)).await?,
        };
        // The gateway sends to `users` whatever belongs to no other service.
        if roles.contains(&Role::Users) {
            platform.router = web::in_front_of(platform.router, site(&config));
        }
        Ok(platform)
    }
}

/// The web client, or in its place a page that says what this is: an image without a web client serves the API all the
/// same.
fn site(config: &PlatformConfig) -> Site {
    let Some(folder) = &config.web_dir else { return Site::start_page() };
    let media = config.stores.as_ref().map(|stores| stores.s3.origins()).unwrap_or_default();
    Site::read(folder, &media).unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "there is no web client to serve");
        Site::start_page()
    })
}

impl Stores {
    /// Whether this process can do its work. An outage of a store that others share does not count: no other process
    /// could do better, and clients shall get an answer that says so. A clock that is far off is this process' own.
    pub async fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(stores) => stores.check().await,
            Self::Distributed(stores) => stores.check(),
        }
    }

    /// What is wrong although this process can do a part of its work.
    pub fn findings(&self) -> Findings {
        match self {
            Self::Embedded(stores) => stores.findings(),
            Self::Distributed(stores) => stores.findings(),
        }
    }

    /// What somebody should do although this process can do its work.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Embedded(stores) => stores.advice(),
            Self::Distributed(stores) => stores.advice(),
        }
    }

    /// Closes everything, once no request is left.
    pub async fn close(self) {
        match self {
            Self::Embedded(stores) => stores.close().await,
            Self::Distributed(stores) => stores.close().await,
        }
    }
}

/// Tells who runs `sentinel reindex` why nothing happens.
pub fn waits_for_another() {
    tracing::info!("another process makes the search index anew; waiting until it is through");
}

/// What every service needs: tokens and limits.
pub struct Foundation {
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Rate limits.
    pub limits: Arc<RateLimits>,
}

impl Foundation {
    /// Reads the key files; new signing keys are found without a restart.
    pub fn load(config: &PlatformConfig) -> anyhow::Result<Self> {
        let tokens = Arc::new(Tokens::load(&config.keys_dir, &config.auth)?);
        tokio::spawn(vital("signing keys", reload_keys(tokens.clone())));
        Ok(Self { tokens, limits: Arc::new(RateLimits::new(&config.limits)) })
    }
}

async fn reload_keys(tokens: Arc<Tokens>) {
    let mut ticks = tokio::time::interval(KEYS_RELOADED_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = tokens.reload() {
            tracing::error!(error = &error as &dyn std::error::Error, "the signing keys stay as they were");
        }
    }
}
