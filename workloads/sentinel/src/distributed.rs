//! Profile Distributed: the services of some roles over stores that other processes share.
//!
//! A process waits at start for the stores that its requests can't do without (Postgres and Cassandra), and for no other:
//! events, routing and search come back by themselves when their stores do.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use clap::ValueEnum as _;
use sentinel_adapters::{
    cassandra::Cassandra,
    credentials::Credentials,
    elasticsearch::Elasticsearch,
    kafka::{KafkaConsumer, KafkaLog},
    keys,
    linked_accounts::LinkedAccounts,
    postgres::Postgres,
    redis::{Redis, RedisPresence},
    s3::S3,
};
use sentinel_domain::{
    clock::HybridClock,
    config::{Connection, PlatformConfig, StoresConfig},
    event::{Fanout, Nobody},
    findings::Findings,
    keyring::{Keyring, Rewrapped},
    nodes::NodeId,
    ports::{AccountReader, EventHandler, StoreError},
    room::Room,
    search::SearchKeys,
    time::Timestamp,
};
use sentinel_message::{Hub, MessageService, Nodes, Replica, RoutedFanout, relay};
use sentinel_notification::{Notifier, Pusher};
use sentinel_search::{Indexer, Reindexed, Reindexer};

use crate::{
    api_docs,
    arguments::Role,
    background::Background,
    expired,
    platform::{Foundation, Platform, Stores, waits_for_another},
    ports::Ports,
};

/// Consumer groups of the platform's events.
const NOTIFICATION_GROUP: &str = "sentinel-notification";
const PUSH_GROUP: &str = "sentinel-push";
const SEARCH_GROUP: &str = "sentinel-search";
/// How often what an interruption left of deletions and blocks is looked for.
const RESUMED_EVERY: Duration = Duration::from_mins(1);
/// How long background work may take to end.
const FAREWELL: Duration = Duration::from_secs(6);

/// The stores of one process, and its work in the background.
pub struct DistributedStores {
    postgres: Postgres,
    cassandra: Cassandra,
    fanout: Arc<RoutedFanout>,
    /// Where search is served.
    index: Option<Room>,
    /// As above.
    reindexer: Option<Arc<Reindexer>>,
    background: Background,
}

impl DistributedStores {
    /// Whether this process may use the stores: not with a clock that is far off.
    pub fn check(&self) -> Result<(), StoreError> {
        self.cassandra.check_clock().map_err(StoreError::unavailable)
    }

    /// What is wrong with the stores' volumes, as far as this process writes to them and they say so.
    pub fn findings(&self) -> Findings {
        let index = self.index.as_ref().map(|room| ("elasticsearch", room));
        Findings::of_rooms([("postgres", &self.postgres.room())].into_iter().chain(index))
    }

    /// What somebody should do about the search index.
    pub fn advice(&self) -> Option<&'static str> {
        self.reindexer.as_ref()?.advice()
    }

    /// Ends the work in the background, then the connections. What is published is sent to other nodes before.
    pub async fn close(mut self) {
        self.background.end(FAREWELL).await;
        self.fanout.flush().await;
        self.cassandra.close();
        self.postgres.close().await;
    }
}

/// Connects to the stores and builds the services of these roles.
pub async fn open(config: Arc<PlatformConfig>, stores: &StoresConfig, roles: &[Role]) -> anyhow::Result<Platform> {
    let keyring = roles.iter().any(|role| role.has_keys()).then(|| keys::load_keyring(&config.keys_dir)).transpose()?;
    let keyring = keyring.map(Arc::new);
    let base = Foundation::load(&config)?;
    let serves = |role| roles.contains(&role);
    let clock = Arc::new(HybridClock::new());
    let pod = std::env::var("POD_NAME").ok();
    let redis = Arc::new(Redis::new(&stores.redis)?);
    let node = NodeId::started(pod.as_deref().unwrap_or("sentinel"));
    let presence = Arc::new(RedisPresence::new(Redis::clone(&redis), node.clone()));
    let nodes = Nodes { node, routes: redis.clone(), bus: redis, clock: clock.clone() };
    let hub = serves(Role::Message).then(|| Arc::new(Hub::new()));
    let fanout = match &hub {
        Some(hub) => RoutedFanout::new(hub.clone(), nodes),
        None => RoutedFanout::without_sockets(nodes),
    };
    let postgres = Postgres::connect(&stores.postgres, fanout.clone()).await?;
    let known: Arc<dyn AccountReader> = Arc::new(postgres.clone());
    let (cluster, keep) = (&stores.cassandra, config.retention.messages());
    let cassandra =
        Cassandra::connect_keeping(cluster, keyring.clone(), clock.clone(), fanout.clone(), known, keep).await?;
    let linked = LinkedAccounts::new(postgres.clone(), Arc::new(cassandra.clone()))
        .with_presence(presence.clone())
        .with_media(Arc::new(cassandra.clone()));
    let mut process = Process {
        ports: Ports {
            config,
            base,
            keyring,
            accounts: Arc::new(linked.clone()),
            sessions: Arc::new(postgres.clone()),
            chats: Arc::new(cassandra.clone()),
            media: Arc::new(cassandra.clone()),
            notifications: Arc::new(cassandra.clone()),
            devices: Arc::new(cassandra.clone()),
            administration: Arc::new(postgres.clone()),
            reports: Arc::new(postgres.clone()),
            mail: Arc::new(postgres.clone()),
            reindexes: Arc::new(postgres.clone()),
            presence,
            fanout: fanout.clone(),
        },
        stores,
        clock,
        cassandra: cassandra.clone(),
        background: Background::default(),
    };

    let hears: Option<Arc<dyn Fanout>> = hub.clone().map(|hub| hub as Arc<dyn Fanout>);
    process.ports.watch_sessions(hears, &mut process.background).await?;
    let mut router = Router::new();
    let (mut messages, mut reindexer, mut index) = (None, None, None);
    if serves(Role::Users) {
        process.background.spawn("what was interrupted", resume(linked));
        router = router.merge(api_docs::with_description(process.users()?, Role::value_variants())?);
    }
    if let Some(hub) = hub {
        let (routes, service) = process.messages(hub, fanout.clone(), pod.as_deref())?;
        router = router.merge(routes);
        messages = Some(service);
    }
    if serves(Role::Presence) {
        router = router.merge(sentinel_presence::router(process.ports.presences()));
    }
    if serves(Role::Notification) {
        router = router.merge(process.notifications()?);
    }
    if serves(Role::Search) {
        let (routes, rebuilds, room) = process.search().await?;
        router = router.merge(routes);
        index = Some(room);
        reindexer = Some(rebuilds);
    }
    if serves(Role::Media) {
        router = router.merge(process.media()?);
    }
    let Process { ports, background, .. } = process;
    let router = ports.layered(router);
    Ok(Platform {
        router,
        messages,
        stores: Stores::Distributed(DistributedStores { postgres, cassandra, fanout, index, reindexer, background }),
    })
}

/// What the services of this process are made of.
struct Process<'a> {
    ports: Ports,
    stores: &'a StoresConfig,
    clock: Arc<HybridClock>,
    cassandra: Cassandra,
    background: Background,
}

impl Process<'_> {
    /// Gives the events of the log to a handler until the process stops.
    fn consume(&mut self, group: &'static str, handler: Arc<dyn EventHandler>) -> anyhow::Result<()> {
        let consumer = KafkaConsumer::open(&self.stores.kafka, group, handler)?;
        self.background.until_done(group, consumer.run(self.background.stop()));
        Ok(())
    }

    fn users(&mut self) -> anyhow::Result<Router> {
        let folder = self.ports.config.keys_dir.display();
        anyhow::ensure!(
            self.ports.base.tokens.can_sign(),
            "{folder} has public keys only, and users signs tokens: put jwt-0001.pem there"
        );
        Ok(sentinel_users::router(self.ports.users(&mut self.background)?).into())
    }

    fn messages(
        &mut self,
        hub: Arc<Hub>,
        fanout: Arc<RoutedFanout>,
        pod: Option<&str>,
    ) -> anyhow::Result<(Router, Arc<MessageService>)> {
        let replica = Replica::of(&self.ports.config, pod)?;
        let service = self.ports.messages(hub, Some(fanout))?;
        let log = KafkaLog::open(&self.stores.kafka)?;
        let stop = self.background.stop();
        let relay = relay(Arc::new(self.cassandra.clone()), Arc::new(log), self.clock.clone(), stop);
        self.background.until_done("the relay of the outbox", relay);
        self.background.spawn("messages past their time", expired::drop_messages(self.cassandra.clone()));
        let router: Router = sentinel_message::router(service.clone()).into();
        Ok((router.merge(sentinel_message::socket_router(&service, replica)), service))
    }

    fn notifications(&mut self) -> anyhow::Result<Router> {
        let service = self.ports.notifications()?;
        self.consume(NOTIFICATION_GROUP, Arc::new(Notifier(service.clone())))?;
        self.consume(PUSH_GROUP, Arc::new(Pusher(service.clone())))?;
        Ok(sentinel_notification::router(service).into())
    }

    async fn search(&mut self) -> anyhow::Result<(Router, Arc<Reindexer>, Room)> {
        let keys = self.ports.search_keys()?;
        let index = Arc::new(Elasticsearch::open(&self.stores.elasticsearch).await.context("connecting to search")?);
        let service = self.ports.searches(index.clone(), keys.clone())?;
        let cassandra = self.cassandra.clone();
        self.background.spawn("terms past their time", expired::forget(index.clone(), move || cassandra.horizon()));
        let indexer = Indexer::new(self.ports.chats.clone(), index.clone(), keys);
        let indexer = Arc::new(indexer.with_scan(Arc::new(self.cassandra.clone())));
        self.consume(SEARCH_GROUP, indexer.clone())?;
        let room = index.room();
        // Others may write to the index with other keys while pods are made anew, so somebody has to say when.
        let reindexer = self.ports.reindexer(index, indexer, false, &mut self.background);
        Ok((sentinel_search::router(service, reindexer.clone()).into(), reindexer, room))
    }

    fn media(&mut self) -> anyhow::Result<Router> {
        let blobs = Arc::new(S3::new(&self.stores.s3)?);
        Ok(sentinel_media::router(self.ports.media(blobs, None, &mut self.background)).into())
    }
}

/// Finishes deletions and blocks that an interruption left half done.
async fn resume(accounts: LinkedAccounts) {
    let mut ticks = tokio::time::interval(RESUMED_EVERY);
    loop {
        ticks.tick().await;
        match accounts.resume(Timestamp::now()).await {
            Ok(0) => {}
            Ok(done) => tracing::info!(done, "finished what was interrupted"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was interrupted waits for the next round"
            ),
        }
    }
}

/// Makes or changes the tables, topics and indices of all stores to what this program needs, and lets services in as roles of
/// their own where `services` has a folder with credentials for them. Safe to repeat.
pub async fn migrate(stores: &StoresConfig, services: Option<&Path>) -> anyhow::Result<()> {
    Postgres::migrate(&stores.postgres).await?;
    tracing::info!("postgres has its tables");
    if let Some(role) = role_of_services(services, "postgres", &stores.postgres.connection)? {
        Postgres::admit(&stores.postgres, &role).await?;
        tracing::info!(role = role.username, "postgres lets services in");
    }
    Cassandra::migrate(&stores.cassandra).await?;
    tracing::info!("cassandra has its tables");
    if let Some(role) = role_of_services(services, "cassandra", &stores.cassandra.connection)? {
        Cassandra::admit(&stores.cassandra, &role).await?;
        tracing::info!(role = role.username, "cassandra lets services in");
    }
    KafkaLog::migrate(&stores.kafka).await?;
    tracing::info!("kafka has its topics");
    Elasticsearch::migrate(&stores.elasticsearch).await?;
    tracing::info!("elasticsearch has its index");
    S3::migrate(&stores.s3).await?;
    tracing::info!("s3 has its bucket");
    Ok(())
}

/// The role as which services use a store, if it is not the one of the connection.
fn role_of_services(
    folder: Option<&Path>,
    store: &str,
    connection: &Connection,
) -> anyhow::Result<Option<Credentials>> {
    let Some(folder) = folder.map(|folder| folder.join(store)).filter(|folder| folder.is_dir()) else {
        return Ok(None);
    };
    let role = Credentials::of_folder(&folder)?;
    // It would be deprived of its rights.
    anyhow::ensure!(
        Credentials::read(connection)?.is_some_and(|own| own.username != role.username),
        "services need a role of {store} of their own: write another name into {}/username",
        folder.display()
    );
    Ok(Some(role))
}

/// Puts chat keys, evidence and queued mail under the newest key-encryption key.
pub async fn rewrap_keys(config: &PlatformConfig, stores: &StoresConfig) -> anyhow::Result<Rewrapped> {
    let (postgres, cassandra, keyring) = chats(config, stores).await?;
    let mut rewrapped = cassandra.rewrap_keys().await?;
    rewrapped.count += postgres.reseal(&keyring).await?;
    postgres.close().await;
    Ok(rewrapped)
}

/// Writes the search index anew from the messages, beside the one in use, and swaps them. Searches and sends go on meanwhile.
pub async fn reindex(config: &PlatformConfig, stores: &StoresConfig) -> anyhow::Result<Reindexed> {
    let (postgres, cassandra, keyring) = chats(config, stores).await?;
    let index = Elasticsearch::connect(&stores.elasticsearch).await?;
    let keys = Arc::new(SearchKeys::of(config.search.mode, &keyring));
    let source = Indexer::new(Arc::new(cassandra.clone()), Arc::new(index.clone()), keys);
    let source = Arc::new(source.with_scan(Arc::new(cassandra)));
    let reindexer = Reindexer::new(Arc::new(postgres.clone()), Arc::new(index), source, false);
    let reindexed = reindexer.run_now(waits_for_another).await?;
    postgres.close().await;
    Ok(reindexed)
}

/// The accounts, for a command beside the services.
pub async fn administered(stores: &StoresConfig) -> anyhow::Result<Postgres> {
    Ok(Postgres::connect(&stores.postgres, Arc::new(Nobody)).await?)
}

/// The chats, for a command that nobody chats through.
async fn chats(config: &PlatformConfig, stores: &StoresConfig) -> anyhow::Result<(Postgres, Cassandra, Arc<Keyring>)> {
    let keyring = Arc::new(keys::load_keyring(&config.keys_dir)?);
    let nobody: Arc<dyn Fanout> = Arc::new(Nobody);
    let postgres = Postgres::connect(&stores.postgres, nobody.clone()).await?;
    let (clock, known) = (Arc::new(HybridClock::new()), Arc::new(postgres.clone()));
    let (cluster, keep) = (&stores.cassandra, config.retention.messages());
    let cassandra = Cassandra::connect_keeping(cluster, keyring.clone(), clock, nobody, known, keep).await?;
    Ok((postgres, cassandra, keyring))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn services_get_a_role_of_their_own_where_one_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let write = |place: &str, name: &str| {
            let place = folder.path().join(place);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("username"), name).unwrap();
            fs::write(place.join("password"), "p").unwrap();
            place
        };
        let connection = Connection { endpoints: Vec::new(), credentials: Some(write("owner", "sentinel")), tls: None };
        let services = folder.path().join("services");
        let role = || role_of_services(Some(&services), "postgres", &connection);
        assert!(role_of_services(None, "postgres", &connection).unwrap().is_none());
        assert!(role().unwrap().is_none(), "none of this store");
        write("services/postgres", "sentinel_service");
        assert_eq!(role().unwrap().unwrap().username, "sentinel_service");
        write("services/postgres", "sentinel");
        let told = role().unwrap_err().to_string();
        assert!(told.contains("another name into") && told.contains("services/postgres/username"), "{told}");
    }
}
