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
    sqlite::{Begin, LocalPresence, SearchDatabase, SearchRebuild, Sqlite},
};
use sentinel_domain::{
    clock::HybridClock,
    config::{PlatformConfig, SearchMode},
    event::{Fanout, Nobody},
    findings::{self, Findings},
    keyring::{Keyring, Rewrapped},
    ports::{ChatStore, SearchIndex as _},
    search::{Mark, SearchKeys},
};
use sentinel_message::Hub;
use sentinel_notification::{NotificationService, Notifier, Pusher};
use sentinel_search::{Indexer, Reindexed, Reindexer, SearchService};

use crate::{
    api_docs,
    arguments::Role,
    background::Background,
    backup, expired,
    platform::{Foundation, Platform, Stores, waits_for_another},
    ports::Ports,
    restore,
};

/// The database, in the folder of all data.
pub const DATABASE: &str = "sentinel.db";
/// The search index, in the same folder.
pub const SEARCH_DATABASE: &str = "search.db";
/// Folder of uploaded files.
pub const MEDIA: &str = "media";
const LOCK: &str = "sentinel.lock";
/// A server that was told to stop is gone before that.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_RETRIED_EVERY: Duration = Duration::from_millis(100);

/// Consumers of the platform's events.
const NOTIFICATION_CONSUMER: &str = "notification";
const PUSH_CONSUMER: &str = "push";
const SEARCH_CONSUMER: &str = "search";
/// Chats whose notifications are made at the same time: each waits for the disk.
const NOTIFICATIONS_AT_ONCE: usize = 16;
/// How long background work may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Roles that this profile serves: all that have embedded stores.
pub const ROLES: &[Role] = &[Role::Users, Role::Message, Role::Presence, Role::Notification, Role::Search, Role::Media];

/// The embedded stores: the databases, the work in the background, and what keeps other servers off the folder.
pub struct EmbeddedStores {
    sqlite: Sqlite,
    search: SearchDatabase,
    reindexer: Arc<Reindexer>,
    background: Background,
    _lock: File,
}

impl EmbeddedStores {
    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), sentinel_domain::ports::StoreError> {
        self.sqlite.check().await
    }

    /// What is wrong with the volume.
    pub fn findings(&self) -> Findings {
        Findings::of_rooms([(findings::OWN_VOLUME, &self.sqlite.room())])
    }

    /// What somebody should do about the search index.
    pub fn advice(&self) -> Option<&'static str> {
        self.reindexer.advice()
    }

    /// Ends the work in the background, writes out what waits and closes the databases.
    pub async fn close(mut self) {
        self.background.end(FAREWELL).await;
        tokio::task::block_in_place(|| {
            self.search.close();
            self.sqlite.close();
        });
    }
}

/// Opens the databases and builds the services.
pub async fn open(config: Arc<PlatformConfig>) -> anyhow::Result<Platform> {
    let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
    let base = Foundation::load(&config)?;
    let hub = Arc::new(Hub::new());
    let lock = lock(&config.data_dir, LOCK_PATIENCE).await?;
    backup::tidy_up(&config.data_dir)?;
    let store = open_store(&config, keyring.clone(), hub.clone())?;
    restore::tidy_up(&config.data_dir)?;
    let database = Arc::new(store.clone());
    let ports = Ports {
        config: config.clone(),
        base,
        keyring: Some(keyring.clone()),
        accounts: database.clone(),
        sessions: database.clone(),
        chats: database.clone(),
        media: database.clone(),
        notifications: database.clone(),
        devices: database.clone(),
        administration: database.clone(),
        reports: database.clone(),
        mail: database.clone(),
        reindexes: database,
        presence: Arc::new(LocalPresence::new(store.clone())),
        fanout: hub.clone(),
    };
    let mut background = Background::default();
    // Commands such as `sentinel admin revoke` end sessions from another process.
    ports.watch_sessions(Some(hub.clone()), &mut background).await?;

    let notifications = notifications(&store, &ports, &mut background).await?;
    let search = open_search(&config.data_dir)?;
    let (searches, reindexer) = searches(&search, &store, &ports, &mut background).await?;
    let users = ports.users(&mut background)?;
    let files = Arc::new(open_media(&config.data_dir, keyring)?);
    let media = ports.media(files.clone(), Some(files), &mut background);
    let messages = ports.messages(hub, None)?;
    let router = sentinel_users::router(users)
        .merge(sentinel_message::router(messages.clone()))
        .merge(sentinel_presence::router(ports.presences()))
        .merge(sentinel_notification::router(notifications))
        .merge(sentinel_search::router(searches, reindexer.clone()))
        .merge(sentinel_media::router(media.clone()))
        .into();
    let router = api_docs::with_description(router, ROLES)?
        .merge(sentinel_message::socket_router(&messages, None))
        .merge(sentinel_media::files_router(&media));
    let router = ports.layered(router);
    let stores = Stores::Embedded(EmbeddedStores { sqlite: store, search, reindexer, background, _lock: lock });
    Ok(Platform { router, messages: Some(messages), stores })
}

/// The notification service, and what tells it of events.
async fn notifications(
    store: &Sqlite,
    ports: &Ports,
    background: &mut Background,
) -> anyhow::Result<Arc<NotificationService>> {
    let service = ports.notifications()?;
    // Nobody wants to be told of what was before there were notifications.
    let consumer = store.consumer(NOTIFICATION_CONSUMER, None, Begin::Now, NOTIFICATIONS_AT_ONCE).await?;
    background.until_done("notifications", consumer.run(Arc::new(Notifier(service.clone())), background.stop()));
    let consumer = store.consumer(PUSH_CONSUMER, None, Begin::Now, NOTIFICATIONS_AT_ONCE).await?;
    background.until_done("pushes", consumer.run(Arc::new(Pusher(service.clone())), background.stop()));
    Ok(service)
}

/// The search service, and what keeps its index in step with the messages or makes it anew.
async fn searches(
    search: &SearchDatabase,
    store: &Sqlite,
    ports: &Ports,
    background: &mut Background,
) -> anyhow::Result<(Arc<SearchService>, Arc<Reindexer>)> {
    let keys = ports.search_keys()?;
    let index = Arc::new(search.clone());
    let indexer = Arc::new(Indexer::new(ports.chats.clone(), index.clone(), keys.clone()));
    let consumer = store.consumer(SEARCH_CONSUMER, Some(search.id()), Begin::Everything, 1).await?;
    background.until_done("search", consumer.run(indexer.clone(), background.stop()));
    let messages = store.clone();
    background.spawn("terms past their time", expired::forget(index.clone(), move || messages.horizon()));
    let rebuild = Arc::new(SearchRebuild::new(search.clone(), store.clone()));
    // After a change of keys or of the mode, it makes the index anew by itself.
    let reindexer = ports.reindexer(rebuild, indexer, true, background);
    Ok((ports.searches(index, keys)?, reindexer))
}

/// Keeps other servers away from the folder as long as the file is open: each has parts of the data in memory, and would
/// not hear of a block or a repeated message that the other has taken. One that is about to stop is waited for.
pub async fn lock(data_dir: &Path, patience: Duration) -> anyhow::Result<File> {
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

fn open_store(config: &PlatformConfig, keyring: Arc<Keyring>, fanout: Arc<dyn Fanout>) -> anyhow::Result<Sqlite> {
    make_folder(&config.data_dir)?;
    restore::check_whole(&config.data_dir)?;
    let path = config.data_dir.join(DATABASE);
    Sqlite::open_keeping(&path, keyring, Arc::new(HybridClock::new()), fanout, config.retention.messages())
        .with_context(|| format!("opening {}", path.display()))
}

fn open_media(data_dir: &Path, keyring: Arc<Keyring>) -> anyhow::Result<LocalFiles> {
    let folder = data_dir.join(MEDIA);
    LocalFiles::open(&folder, keyring).with_context(|| format!("opening {}", folder.display()))
}

fn open_search(data_dir: &Path) -> anyhow::Result<SearchDatabase> {
    let path = data_dir.join(SEARCH_DATABASE);
    SearchDatabase::open(&path).with_context(|| {
        format!("opening {}; without this file, the next start makes a new one from the messages", path.display())
    })
}

/// Writes the search index anew from the messages as they are now. A server may run meanwhile. `by_folder`: the configuration is
/// made from a folder's name and may not be the server's.
pub async fn reindex(config: &PlatformConfig, by_folder: bool) -> anyhow::Result<Reindexed> {
    let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
    let store = open_store(config, keyring.clone(), Arc::new(Nobody))?;
    let search = open_search(&config.data_dir)?;
    if by_folder {
        check_mode(&search, config.search.mode).await?;
    }
    let chats: Arc<dyn ChatStore> = Arc::new(store.clone());
    let keys = Arc::new(SearchKeys::of(config.search.mode, &keyring));
    let source = Arc::new(Indexer::new(chats, Arc::new(search.clone()), keys));
    let rebuild = Arc::new(SearchRebuild::new(search.clone(), store.clone()));
    let reindexer = Reindexer::new(Arc::new(store.clone()), rebuild, source, false);
    let reindexed = reindexer.run_now(waits_for_another).await?;
    search.close();
    store.close();
    Ok(reindexed)
}

/// Refuses an index of which some is written in another mode: a server with a configuration of its own did that.
async fn check_mode(search: &SearchDatabase, mode: SearchMode) -> anyhow::Result<()> {
    let marks = search.marks().await?.unwrap_or_default();
    let plain = mode == SearchMode::Plaintext;
    anyhow::ensure!(
        marks.iter().all(|mark| (*mark == Mark::PLAIN) == plain),
        "the search index was written in another search mode than that of `standalone`; give the server's configuration: \
         `sentinel reindex --config FILE`"
    );
    Ok(())
}

/// Puts chat keys, evidence and queued mail under the newest key-encryption key.
pub async fn rewrap_keys(config: &PlatformConfig) -> anyhow::Result<Rewrapped> {
    let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
    let store = open_store(config, keyring, Arc::new(Nobody))?;
    let rewrapped = store.rewrap_keys().await?;
    store.close();
    Ok(rewrapped)
}

/// The accounts, for a command beside the server.
pub fn administered(config: &PlatformConfig) -> anyhow::Result<Sqlite> {
    let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
    open_store(config, keyring, Arc::new(Nobody))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_index_of_another_mode_is_not_made_anew_by_the_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        let search = open_search(folder.path()).unwrap();
        let blind = Mark([1; 8]);
        for mode in [SearchMode::Blind, SearchMode::Plaintext] {
            check_mode(&search, mode).await.unwrap();
        }
        search.add_marks(vec![blind]).await.unwrap();
        check_mode(&search, SearchMode::Blind).await.unwrap();
        search.add_marks(vec![Mark::PLAIN]).await.unwrap();
        let refused = check_mode(&search, SearchMode::Blind).await.unwrap_err().to_string();
        assert!(refused.contains("--config FILE"), "{refused}");
    }

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
