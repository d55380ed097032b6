//! Puts the services together over the embedded stores.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, http::header, routing::get};
use sentinel_adapters::{keys, sqlite::Sqlite};
use sentinel_domain::{
    clock::HybridClock,
    config::PlatformConfig,
    event::{Fanout, LiveEvent},
    keyring::Keyring,
    ports::{AccountStore, ChatStore, SessionStore},
    time::Timestamp,
};
use sentinel_http::{layers, rate::RateLimits, tokens::Tokens};
use sentinel_message::{Hub, MessageService};
use sentinel_users::UsersService;
use utoipa_swagger_ui::SwaggerUi;

use crate::describe;

const DATABASE: &str = "sentinel.db";
const LOCK: &str = "sentinel.lock";
/// A server that was told to stop is gone before that.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_RETRIED_EVERY: Duration = Duration::from_millis(100);
/// Well below the two minutes for which a new signing key is published before it signs.
const KEYS_RELOADED_EVERY: Duration = Duration::from_secs(30);

/// All services in one process.
pub struct Platform {
    /// Everything that clients may call.
    pub router: Router,
    /// The store, to look at its health and to close it.
    pub store: Sqlite,
    /// The message service, to drain its sockets.
    pub messages: Arc<MessageService>,
    _lock: File,
}

impl Platform {
    /// Opens the store and builds the services.
    pub async fn open(config: PlatformConfig) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
        let tokens = Arc::new(Tokens::load(&config.keys_dir, &config.auth)?);
        let limits = Arc::new(RateLimits::new(&config.limits));
        let hub = Arc::new(Hub::new());
        let lock = lock(&config.data_dir, LOCK_PATIENCE).await?;
        let store = open_store(&config.data_dir, keyring.clone(), hub.clone())?;
        let accounts: Arc<dyn AccountStore> = Arc::new(store.clone());
        let sessions: Arc<dyn SessionStore> = Arc::new(store.clone());
        let chats: Arc<dyn ChatStore> = Arc::new(store.clone());

        // Access tokens of sessions that ended before a restart must stay refused until they expire.
        let now = Timestamp::now();
        let since = now.plus_seconds(-i64::from(config.auth.access_token_seconds));
        for session in sessions.ended_since(since).await.context("reading ended sessions")? {
            tokens.revoke_session(session, now);
        }

        tokio::spawn(reload_keys(tokens.clone()));

        let users = UsersService::new(
            accounts.clone(),
            sessions.clone(),
            chats.clone(),
            tokens.clone(),
            keyring.clone(),
            limits.clone(),
            config.clone(),
        )?;
        let messages = MessageService::new(
            accounts,
            sessions,
            chats,
            tokens.clone(),
            keyring,
            limits.clone(),
            config.clone(),
            hub,
            None,
        );
        let router = routes(Arc::new(users), &messages)?;
        let router = layers::apply(router, &config, tokens, limits);
        Ok(Self { router, store, messages, _lock: lock })
    }
}

/// Looks for new signing keys, so that they rotate without a restart.
async fn reload_keys(tokens: Arc<Tokens>) {
    let mut ticks = tokio::time::interval(KEYS_RELOADED_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = tokens.reload() {
            tracing::error!(error = &error as &dyn std::error::Error, "the signing keys stay as they were");
        }
    }
}

/// Keeps other servers away from the folder as long as the file is open: each has parts of the data in memory, and would
/// not hear of a block or a repeated message that the other has taken. One that is about to stop is waited for.
async fn lock(data_dir: &Path, patience: Duration) -> anyhow::Result<File> {
    make_folder(data_dir)?;
    let path = data_dir.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.with_context(|| format!("opening {}", path.display()))?;
    let deadline = Instant::now() + patience;
    let mut waits = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                anyhow::bail!("another server is running on {}", data_dir.display())
            }
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut waits, true) {
                    tracing::warn!(folder = %data_dir.display(), "waiting for another server on the folder to stop");
                }
                tokio::time::sleep(LOCK_RETRIED_EVERY).await;
            }
        }
    }
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))
}

fn open_store(data_dir: &Path, keyring: Arc<Keyring>, fanout: Arc<dyn Fanout>) -> anyhow::Result<Sqlite> {
    make_folder(data_dir)?;
    let path = data_dir.join(DATABASE);
    Sqlite::open(&path, keyring, Arc::new(HybridClock::new()), fanout)
        .with_context(|| format!("opening {}", path.display()))
}

fn routes(users: Arc<UsersService>, messages: &Arc<MessageService>) -> anyhow::Result<Router> {
    let description = describe::openapi().to_json().context("writing the API description")?;
    let description = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) });
    let api: Router = sentinel_users::router(users).merge(sentinel_message::router(messages.clone())).into();
    Ok(api
        .merge(sentinel_message::socket_router(messages))
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .route("/openapi.json", description))
}

/// Re-wraps every chat key under the newest key-encryption key; returns how many were changed.
pub async fn rewrap_keys(config: &PlatformConfig) -> anyhow::Result<usize> {
    struct Nobody;
    impl Fanout for Nobody {
        fn publish(&self, _: Vec<LiveEvent>) {}
    }
    let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
    let store = open_store(&config.data_dir, keyring, Arc::new(Nobody))?;
    let count = store.rewrap_keys().await?;
    store.close();
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_server_has_a_folder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = lock(&data, Duration::ZERO).await.unwrap();
        let refused = lock(&data, Duration::from_millis(150)).await.unwrap_err().to_string();
        assert!(refused.starts_with("another server is running on "), "{refused}");
        let (second, ()) = tokio::join!(lock(&data, LOCK_PATIENCE), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        second.unwrap();
    }
}
