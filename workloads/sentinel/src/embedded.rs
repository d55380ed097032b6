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
    push::Pushes,
    sqlite::{Begin, LocalPresence, SearchDatabase, SearchRebuild, Sqlite},
};
use sentinel_domain::{
    background::vital,
    clock::HybridClock,
    config::{PlatformConfig, SearchMode},
    event::{Fanout, Nobody},
    findings::{self, Findings},
    keyring::{Keyring, Rewrapped},
    ports::{AccountStore, ChatStore, MediaStore, PresenceStore, SearchIndex as _, SessionStore},
    search::{Mark, SearchKeys},
};
use sentinel_http::{ended_sessions::EndedSessions, layers};
use sentinel_media::{Collector, MediaService};
use sentinel_message::{Hub, MessageService, MessageStores};
use sentinel_notification::{Badges, NotificationService, Notifier, Pusher};
use sentinel_presence::PresenceService;
use sentinel_search::{Indexer, Reindexed, Reindexer, SearchService};
use sentinel_users::{UserStores, UsersService, mail::send_queued};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    api_docs,
    arguments::Role,
    backup, expired, mail,
    platform::{Foundation, Platform, Stores, waits_for_another},
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
    stop: CancellationToken,
    work: JoinSet<()>,
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
        self.stop.cancel();
        let ended = async { while self.work.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::warn!("some work in the background did not end in time");
        }
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
    let accounts: Arc<dyn AccountStore> = Arc::new(store.clone());
    let sessions: Arc<dyn SessionStore> = Arc::new(store.clone());
    let chats: Arc<dyn ChatStore> = Arc::new(store.clone());
    let presence: Arc<dyn PresenceStore> = Arc::new(LocalPresence::new(store.clone()));

    // Access tokens of sessions that ended before a restart must stay refused until they expire.
    let mut ended = EndedSessions::new(sessions.clone(), base.tokens.clone());
    ended.ask().await.context("reading ended sessions")?;
    // Commands such as `sentinel admin revoke` end sessions from another process.
    let watch = ended.watch(Some(hub.clone()));

    let Foundation { tokens, limits } = base;
    let (stop, mut work) = (CancellationToken::new(), JoinSet::new());
    let notifications = Arc::new(NotificationService {
        accounts: accounts.clone(),
        sessions: sessions.clone(),
        chats: chats.clone(),
        notifications: Arc::new(store.clone()),
        devices: Arc::new(store.clone()),
        pushes: Arc::new(Pushes::load(&config)?),
        administration: Arc::new(store.clone()),
        fanout: hub.clone(),
        badges: Badges::default(),
        limits: limits.clone(),
        tokens: tokens.clone(),
        keyring: keyring.clone(),
        config: config.clone(),
    });
    // Nobody wants to be told of what was before there were notifications.
    let consumer = store.consumer(NOTIFICATION_CONSUMER, None, Begin::Now, NOTIFICATIONS_AT_ONCE).await?;
    work.spawn(vital("notifications", consumer.run(Arc::new(Notifier(notifications.clone())), stop.clone())));
    let consumer = store.consumer(PUSH_CONSUMER, None, Begin::Now, NOTIFICATIONS_AT_ONCE).await?;
    work.spawn(vital("pushes", consumer.run(Arc::new(Pusher(notifications.clone())), stop.clone())));
    let search = open_search(&config.data_dir)?;
    let search_keys = Arc::new(SearchKeys::of(config.search.mode, &keyring));
    let index = Arc::new(search.clone());
    let indexer = Arc::new(Indexer::new(chats.clone(), index.clone(), search_keys.clone()));
    let consumer = store.consumer(SEARCH_CONSUMER, Some(search.id()), Begin::Everything, 1).await?;
    work.spawn(vital("search", consumer.run(indexer.clone(), stop.clone())));
    let messages = store.clone();
    let forget = expired::forget(index.clone(), move || messages.horizon());
    work.spawn(vital("terms past their time", until(stop.clone(), forget)));
    let rebuild = Arc::new(SearchRebuild::new(search.clone(), store.clone()));
    // After a change of keys or of the mode, it makes the index anew by itself.
    let reindexer = Arc::new(Reindexer::new(Arc::new(store.clone()), rebuild, indexer, true));
    let rebuilds = {
        let reindexer = reindexer.clone();
        async move { reindexer.work().await }
    };
    work.spawn(vital("search indexes made anew", until(stop.clone(), rebuilds)));
    work.spawn(vital("ended sessions", until(stop.clone(), watch)));
    let searches =
        SearchService::new(chats.clone(), index, search_keys, tokens.clone(), keyring.clone(), limits.clone());
    let mut users = UsersService::new(
        UserStores {
            accounts: accounts.clone(),
            sessions: sessions.clone(),
            chats: chats.clone(),
            media: Arc::new(store.clone()),
            devices: Arc::new(store.clone()),
            notifications: Arc::new(store.clone()),
            notification_lists: Arc::new(store.clone()),
            preferences: Arc::new(store.clone()),
            administration: Arc::new(store.clone()),
            reports: Arc::new(store.clone()),
            mail: Arc::new(store.clone()),
            presence: presence.clone(),
        },
        tokens.clone(),
        keyring.clone(),
        limits.clone(),
        config.clone(),
    )?;
    users.mail = mail::open(&config)?;
    let users = Arc::new(users);
    work.spawn(vital("mails", send_queued(users.clone(), stop.clone().cancelled_owned())));
    let presences = PresenceService {
        accounts: accounts.clone(),
        presence: presence.clone(),
        tokens: tokens.clone(),
        limits: limits.clone(),
    };
    let media: Arc<dyn MediaStore> = Arc::new(store.clone());
    let folder = config.data_dir.join(MEDIA);
    let files = LocalFiles::open(&folder, keyring.clone()).with_context(|| format!("opening {}", folder.display()))?;
    let files = Arc::new(files);
    let collector = Collector { media: media.clone(), blobs: files.clone() };
    work.spawn(vital("media that nobody uses", until(stop.clone(), sentinel_media::collect(collector))));
    let medias = Arc::new(MediaService::new(
        chats.clone(),
        media.clone(),
        files.clone(),
        Some(files),
        tokens.clone(),
        limits.clone(),
        config.clone(),
    ));
    let messages = MessageService::new(
        MessageStores {
            accounts,
            sessions,
            chats,
            inboxes: Arc::new(store.clone()),
            media,
            preferences: Arc::new(store.clone()),
            presence: Some(presence),
        },
        tokens.clone(),
        keyring,
        limits.clone(),
        config.clone(),
        hub,
        None,
    );
    let router = sentinel_users::router(users)
        .merge(sentinel_message::router(messages.clone()))
        .merge(sentinel_presence::router(Arc::new(presences)))
        .merge(sentinel_notification::router(notifications))
        .merge(sentinel_search::router(Arc::new(searches), reindexer.clone()))
        .merge(sentinel_media::router(medias.clone()))
        .into();
    let router = api_docs::with_description(router, ROLES)?
        .merge(sentinel_message::socket_router(&messages, None))
        .merge(sentinel_media::files_router(&medias));
    let router = layers::apply(router, &config, tokens, limits);
    let stores = Stores::Embedded(EmbeddedStores { sqlite: store, search, reindexer, stop, work, _lock: lock });
    Ok(Platform { router, messages: Some(messages), stores })
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

fn open_search(data_dir: &Path) -> anyhow::Result<SearchDatabase> {
    let path = data_dir.join(SEARCH_DATABASE);
    SearchDatabase::open(&path).with_context(|| {
        format!("opening {}; without this file, the next start makes a new one from the messages", path.display())
    })
}

/// Does something until it is told to stop.
async fn until(stop: CancellationToken, work: impl Future<Output = ()> + Send) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
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
