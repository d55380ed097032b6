//! The services of a process over their ports. A profile fills in the ports; which service needs what is the same for all.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use sentinel_adapters::push::Pushes;
use sentinel_domain::{
    config::PlatformConfig,
    event::Fanout,
    keyring::Keyring,
    ports::{
        AccountStore, AdministrationStore, BlobFiles, Blobs, ChatStore, IndexRebuild, MailStore, MediaStore,
        NotificationStore, PresenceStore, PushDevices, ReindexStore, ReportStore, SearchIndex, SessionStore,
    },
    search::SearchKeys,
};
use sentinel_http::{ended_sessions::EndedSessions, layers};
use sentinel_media::{Collector, MediaService};
use sentinel_message::{Hub, MessageService, MessageStores, RoutedFanout};
use sentinel_notification::{Badges, NotificationService};
use sentinel_presence::PresenceService;
use sentinel_search::{Indexer, Reindexer, SearchService};
use sentinel_users::{UserStores, UsersService, mail::send_queued};

use crate::{background::Background, mail, platform::Foundation};

/// What services are built on.
pub struct Ports {
    /// The configuration.
    pub config: Arc<PlatformConfig>,
    /// Tokens and limits.
    pub base: Foundation,
    /// Of those who open messages.
    pub keyring: Option<Arc<Keyring>>,
    /// Accounts and blocks.
    pub accounts: Arc<dyn AccountStore>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Chats, messages and what clients sync from.
    pub chats: Arc<dyn ChatStore>,
    /// What is known of uploaded files.
    pub media: Arc<dyn MediaStore>,
    /// Notifications, and how users want them.
    pub notifications: Arc<dyn NotificationStore>,
    /// Devices that want pushes.
    pub devices: Arc<dyn PushDevices>,
    /// What admins do, and the audit log.
    pub administration: Arc<dyn AdministrationStore>,
    /// Reports of abuse.
    pub reports: Arc<dyn ReportStore>,
    /// Mailed links, and the queue of mail.
    pub mail: Arc<dyn MailStore>,
    /// Rebuilds of the search index.
    pub reindexes: Arc<dyn ReindexStore>,
    /// Who is connected, and when somebody was last active.
    pub presence: Arc<dyn PresenceStore>,
    /// Where events for open sockets go.
    pub fanout: Arc<dyn Fanout>,
}

impl Ports {
    /// The keys, for a role that has them.
    fn keyring(&self) -> anyhow::Result<Arc<Keyring>> {
        self.keyring.clone().context("this role reads no key-encryption keys")
    }

    /// Has tokens of sessions that ended refused from now on, wherever they end. `hears`: the process's own hub, if it has one.
    pub async fn watch_sessions(
        &self,
        hears: Option<Arc<dyn Fanout>>,
        background: &mut Background,
    ) -> anyhow::Result<()> {
        let mut ended = EndedSessions::new(self.sessions.clone(), self.base.tokens.clone());
        // Access tokens of sessions that ended before a restart must stay refused until they expire.
        ended.ask().await.context("reading ended sessions")?;
        background.spawn("ended sessions", ended.watch(hears));
        Ok(())
    }

    /// The users service, which sends its mail in the background.
    pub fn users(&self, background: &mut Background) -> anyhow::Result<Arc<UsersService>> {
        let Foundation { tokens, limits } = &self.base;
        let mut service = UsersService::new(
            UserStores {
                accounts: self.accounts.clone(),
                sessions: self.sessions.clone(),
                chats: self.chats.clone(),
                media: self.media.clone(),
                devices: self.devices.clone(),
                notifications: self.notifications.clone(),
                notification_lists: self.notifications.clone(),
                preferences: self.notifications.clone(),
                administration: self.administration.clone(),
                reports: self.reports.clone(),
                mail: self.mail.clone(),
                presence: self.presence.clone(),
            },
            tokens.clone(),
            self.keyring()?,
            limits.clone(),
            self.config.clone(),
        )?;
        service.mail = mail::open(&self.config)?;
        let service = Arc::new(service);
        background.until_done("mails", send_queued(service.clone(), background.stop().cancelled_owned()));
        Ok(service)
    }

    /// The message service, with the sockets of `hub`. `routed`: the way to other nodes, where there are several.
    pub fn messages(&self, hub: Arc<Hub>, routed: Option<Arc<RoutedFanout>>) -> anyhow::Result<Arc<MessageService>> {
        let Foundation { tokens, limits } = &self.base;
        let stores = MessageStores {
            accounts: self.accounts.clone(),
            sessions: self.sessions.clone(),
            chats: self.chats.clone(),
            inboxes: self.chats.clone(),
            media: self.media.clone(),
            preferences: self.notifications.clone(),
            presence: Some(self.presence.clone()),
        };
        let keyring = self.keyring()?;
        let config = self.config.clone();
        Ok(MessageService::new(stores, tokens.clone(), keyring, limits.clone(), config, hub, routed))
    }

    /// The presence service.
    pub fn presences(&self) -> Arc<PresenceService> {
        Arc::new(PresenceService {
            accounts: self.accounts.clone(),
            presence: self.presence.clone(),
            tokens: self.base.tokens.clone(),
            limits: self.base.limits.clone(),
        })
    }

    /// The notification service. What it tells of comes from events, which the profile's log has.
    pub fn notifications(&self) -> anyhow::Result<Arc<NotificationService>> {
        Ok(Arc::new(NotificationService {
            accounts: self.accounts.clone(),
            sessions: self.sessions.clone(),
            chats: self.chats.clone(),
            notifications: self.notifications.clone(),
            devices: self.devices.clone(),
            pushes: Arc::new(Pushes::load(&self.config)?),
            administration: self.administration.clone(),
            fanout: self.fanout.clone(),
            badges: Badges::default(),
            limits: self.base.limits.clone(),
            tokens: self.base.tokens.clone(),
            keyring: self.keyring()?,
            config: self.config.clone(),
        }))
    }

    /// What words are put into the search index with.
    pub fn search_keys(&self) -> anyhow::Result<Arc<SearchKeys>> {
        let keyring = self.keyring()?;
        Ok(Arc::new(SearchKeys::of(self.config.search.mode, &keyring)))
    }

    /// The search service.
    pub fn searches(&self, index: Arc<dyn SearchIndex>, keys: Arc<SearchKeys>) -> anyhow::Result<Arc<SearchService>> {
        let Foundation { tokens, limits } = &self.base;
        let (chats, keyring) = (self.chats.clone(), self.keyring()?);
        Ok(Arc::new(SearchService::new(chats, index, keys, tokens.clone(), keyring, limits.clone())))
    }

    /// What makes the search index anew, in the background, from what `source` reads. `alone`: no other process writes to it.
    pub fn reindexer(
        &self,
        index: Arc<dyn IndexRebuild>,
        source: Arc<Indexer>,
        alone: bool,
        background: &mut Background,
    ) -> Arc<Reindexer> {
        let reindexer = Arc::new(Reindexer::new(self.reindexes.clone(), index, source, alone));
        let rebuilds = reindexer.clone();
        background.spawn("search indexes made anew", async move { rebuilds.work().await });
        reindexer
    }

    /// The media service, with what destroys files that nobody uses. `files`: the blobs, where they are files of this process.
    pub fn media(
        &self,
        blobs: Arc<dyn Blobs>,
        files: Option<Arc<dyn BlobFiles>>,
        background: &mut Background,
    ) -> Arc<MediaService> {
        let collector = Collector { media: self.media.clone(), blobs: blobs.clone() };
        background.spawn("media that nobody uses", sentinel_media::collect(collector));
        let Foundation { tokens, limits } = &self.base;
        let (chats, media, config) = (self.chats.clone(), self.media.clone(), self.config.clone());
        Arc::new(MediaService::new(chats, media, blobs, files, tokens.clone(), limits.clone(), config))
    }

    /// The routes of all services, behind what each request goes through.
    pub fn layered(self, router: Router) -> Router {
        let Foundation { tokens, limits } = self.base;
        layers::apply(router, &self.config, tokens, limits)
    }
}
