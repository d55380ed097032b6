//! Profile Embedded: all services in one process over one database file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sentinel_adapters::{
    files::LocalFiles,
    keys,
    sqlite::{LocalPresence, Sqlite},
};
use sentinel_domain::{
    clock::HybridClock,
    config::PlatformConfig,
    event::{Fanout, Nobody},
    keyring::Keyring,
    ports::{AccountStore, ChatStore, MediaStore, PresenceStore, SessionStore},
};
use sentinel_http::{ended_sessions::EndedSessions, layers};
use sentinel_media::{Collector, MediaService};
use sentinel_message::{Hub, MessageService};
use sentinel_presence::PresenceService;
use sentinel_users::UsersService;
use tokio::task::AbortHandle;

use crate::{
    arguments::Role,
    platform::{Foundation, Platform, Stores},
    routes,
};

const DATABASE: &str = "sentinel.db";
/// Folder of uploaded files.
const MEDIA: &str = "media";
const LOCK: &str = "sentinel.lock";
/// A server that was told to stop is gone before that.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_RETRIED_EVERY: Duration = Duration::from_millis(100);

/// Roles that this profile serves: all that have embedded stores.
pub const ROLES: &[Role] = &[Role::Users, Role::Message, Role::Presence, Role::Media];

/// The embedded stores: the database, and what keeps other servers off its folder.
pub struct EmbeddedStores {
    sqlite: Sqlite,
    collecting: AbortHandle,
    _lock: File,
}

impl EmbeddedStores {
    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), sentinel_domain::ports::StoreError> {
        self.sqlite.check().await
    }

    /// Writes out what waits and closes the database.
    pub fn close(&self) {
        self.collecting.abort();
        self.sqlite.close();
    }
}

/// Opens the database and builds the services.
pub async fn open(config: Arc<PlatformConfig>) -> anyhow::Result<Platform> {
    let base = Foundation::load(&config)?;
    let hub = Arc::new(Hub::new());
    let lock = lock(&config.data_dir, LOCK_PATIENCE).await?;
    let store = open_store(&config.data_dir, base.keyring.clone(), hub.clone())?;
    let accounts: Arc<dyn AccountStore> = Arc::new(store.clone());
    let sessions: Arc<dyn SessionStore> = Arc::new(store.clone());
    let chats: Arc<dyn ChatStore> = Arc::new(store.clone());
    let media: Arc<dyn MediaStore> = Arc::new(store.clone());
    let presence: Arc<dyn PresenceStore> = Arc::new(LocalPresence::new(store.clone()));

    // Access tokens of sessions that ended before a restart must stay refused until they expire.
    let mut ended = EndedSessions::new(sessions.clone(), base.tokens.clone());
    ended.ask().await.context("reading ended sessions")?;

    let Foundation { keyring, tokens, limits } = base;
    let users = UsersService::new(
        accounts.clone(),
        sessions.clone(),
        chats.clone(),
        tokens.clone(),
        keyring.clone(),
        limits.clone(),
        config.clone(),
    )?;
    let presences = PresenceService {
        accounts: accounts.clone(),
        presence: presence.clone(),
        tokens: tokens.clone(),
        limits: limits.clone(),
    };
    let folder = config.data_dir.join(MEDIA);
    let files = LocalFiles::open(&folder, keyring.clone()).with_context(|| format!("opening {}", folder.display()))?;
    let files = Arc::new(files);
    let collector = Collector { media: media.clone(), blobs: files.clone() };
    let collecting = tokio::spawn(sentinel_media::collect(collector)).abort_handle();
    let medias = Arc::new(MediaService::new(
        chats.clone(),
        media.clone(),
        files.clone(),
        Some(files),
        tokens.clone(),
        keyring.clone(),
        limits.clone(),
        config.clone(),
    ));
    let messages = MessageService::new(
        accounts,
        sessions,
        chats,
        media,
        tokens.clone(),
        keyring,
        limits.clone(),
        config.clone(),
        hub,
        None,
        Some(presence),
    );
    let router = sentinel_users::router(Arc::new(users))
        .merge(sentinel_message::router(messages.clone()))
        .merge(sentinel_presence::router(Arc::new(presences)))
        .merge(sentinel_media::router(medias.clone()))
        .into();
    let router = routes::with_description(router, ROLES)?
        .merge(sentinel_message::socket_router(&messages, None))
        .merge(sentinel_media::files_router(&medias));
    let router = layers::apply(router, &config, tokens, limits);
    let stores = Stores::Embedded(EmbeddedStores { sqlite: store, collecting, _lock: lock });
    Ok(Platform { router, messages: Some(messages), stores })
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

/// Re-wraps every chat key under the newest key-encryption key; returns how many were changed.
pub async fn rewrap_keys(config: &PlatformConfig) -> anyhow::Result<usize> {
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
