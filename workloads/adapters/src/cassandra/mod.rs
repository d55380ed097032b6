//! Cassandra: chats, messages, watermarks, inboxes and the outbox of profile Distributed.
//!
//! Any number of processes write at the same time. What is written names its write time, which follows from the id of the
//! event that wrote it: so the newest event wins whatever the order of arrival, and a write whose fate is unknown may be
//! repeated. Reads and writes need a quorum of the data centre. Light-weight transactions are used where a chat gets or
//! loses its key, and for leases; sending needs none.

mod append;
mod attempts;
mod batch;
mod chat;
mod chats;
mod connection;
mod error;
mod history;
mod inbox;
mod inbox_bodies;
mod inspect;
mod links;
mod list;
mod media;
mod messages;
mod notifications;
mod order;
mod outbox;
mod partitions;
mod push;
mod receipts;
mod retention;
mod rewrap;
mod role;
mod scan;
mod schema;
mod start;
mod statements;
mod times;
mod unanswered;
mod wall;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use scylla::{
    client::session::Session, deserialize::row::DeserializeRow, serialize::row::SerializeRow,
    statement::prepared::PreparedStatement,
};
use sentinel_domain::{
    background::vital,
    clock::HybridClock,
    config::CassandraConfig,
    event::Fanout,
    keyring::{Keyring, Rewrapped},
    ports::{AccountReader, StoreError},
    retention::{Horizon, MessageRetention},
    time::Timestamp,
};
use tokio::sync::Semaphore;

use self::{
    batch::Writes,
    connection::Purpose,
    media::DueFrom,
    order::{Order, Turns},
    partitions::Listed,
    retention::Noted,
    statements::Statements,
    wall::Wall,
};
pub use self::{error::CassandraError, retention::Dropped, wall::ClockOff};
use crate::{chat_keys::KeyCache, credentials::Credentials};

/// The store of chats. Clones share one session.
#[derive(Clone)]
pub struct Cassandra {
    shared: Arc<Shared>,
}

struct Shared {
    session: Session,
    statements: Box<Statements>,
    keys: KeyCache,
    order: Arc<Order>,
    turns: Turns,
    starts: Turns,
    listed: Listed,
    due_from: DueFrom,
    accounts: Arc<dyn AccountReader>,
    messages: MessageRetention,
    noted: Noted,
    wall: Wall,
    /// Turns of those who follow what came of a write.
    followed: Arc<Semaphore>,
    closed: AtomicBool,
}

/// The store was closed.
#[derive(Debug, thiserror::Error)]
#[error("the store of chats is closed")]
struct Closed;

impl Cassandra {
    /// Makes the keyspace if need be and brings its tables to this program's version. Safe to repeat and to run at the
    /// same time elsewhere.
    pub async fn migrate(config: &CassandraConfig) -> Result<(), CassandraError> {
        if config.own_cluster {
            role::ensure(config).await?;
        }
        let session = connection::open(config, Purpose::Migrate).await?;
        schema::migrate(&session, config).await
    }

    /// Lets services in as a role of their own, which reads and writes the rows of the keyspace and changes nothing else: makes
    /// it, or gives it this password. Safe to repeat.
    pub async fn admit(config: &CassandraConfig, service: &Credentials) -> Result<(), CassandraError> {
        let session = connection::open(config, Purpose::Migrate).await?;
        role::admit(&session, config, service).await
    }

    /// Connects and refuses tables of another version than this program's, chats whose keys are not in `keyring`, and a clock
    /// that is far off. A process that neither reads messages nor starts chats needs no keys. Waits up to twenty seconds for a
    /// cluster that is just starting. `accounts` is asked whether the members of a new chat exist. Messages are kept for ever.
    pub async fn connect(
        config: &CassandraConfig,
        keyring: impl Into<Option<Arc<Keyring>>>,
        clock: Arc<HybridClock>,
        fanout: Arc<dyn Fanout>,
        accounts: Arc<dyn AccountReader>,
    ) -> Result<Self, CassandraError> {
        Self::connect_keeping(config, keyring, clock, fanout, accounts, MessageRetention::FOREVER).await
    }

    /// As [`Cassandra::connect`], with messages kept for as long as `messages` says: the same in all processes. What was once
    /// too old for one of them stays so for all.
    pub async fn connect_keeping(
        config: &CassandraConfig,
        keyring: impl Into<Option<Arc<Keyring>>>,
        clock: Arc<HybridClock>,
        fanout: Arc<dyn Fanout>,
        accounts: Arc<dyn AccountReader>,
        messages: MessageRetention,
    ) -> Result<Self, CassandraError> {
        let session = connection::open(config, Purpose::Use).await?;
        schema::check(&session, config).await?;
        let statements = Box::pin(Statements::prepare(&session)).await.map_err(Box::new)?;
        let keyring = keyring.into();
        if let Some(keyring) = &keyring {
            rewrap::check_keys(&session, &statements, keyring, config).await?;
        }
        let shared = Shared {
            session,
            statements,
            keys: KeyCache::new(keyring),
            order: Arc::new(Order::new(clock, fanout)),
            turns: Turns::new(),
            starts: Turns::new(),
            listed: Listed::new(),
            due_from: DueFrom::new(),
            accounts,
            messages,
            noted: Noted::nothing(),
            wall: Wall::new(),
            followed: Arc::new(Semaphore::new(unanswered::FOLLOWED_AT_ONCE)),
            closed: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        shared.compare_clocks().await?;
        // Before the first answer, so that nothing comes back that was gone.
        shared.note_horizon().await.map_err(CassandraError::Horizon)?;
        tokio::spawn(vital("what is too old", retention::keep_noting(Arc::downgrade(&shared))));
        tokio::spawn(vital("the clocks of cassandra", wall::keep_comparing(Arc::downgrade(&shared))));
        Ok(Self { shared })
    }

    /// A quick read, for readiness.
    pub async fn check(&self) -> Result<(), StoreError> {
        let found: Vec<(String,)> = self.shared.rows(&self.shared.statements.check, ()).await?;
        if found.is_empty() { Err(StoreError::unavailable("cassandra does not know itself")) } else { Ok(()) }
    }

    /// Whether the clock here is near enough to those of the store's nodes: if not, every call is refused.
    pub fn check_clock(&self) -> Result<(), ClockOff> {
        self.shared.wall.check()
    }

    /// Wraps every chat key anew that is not under the newest key-encryption key. Safe to repeat, and while other processes
    /// serve.
    pub async fn rewrap_keys(&self) -> Result<Rewrapped, StoreError> {
        self.shared.rewrap_keys().await
    }

    /// Refuses later calls; what is on its way ends by itself.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed() {
            return Err(StoreError::unavailable(Closed));
        }
        self.wall.check().map_err(StoreError::unavailable)
    }

    /// What is too old now, as far as the clock here can say.
    fn horizon(&self) -> Horizon {
        let noted = self.noted.horizon();
        if self.wall.check().is_ok() { self.messages.horizon(Timestamp::now()).max(noted) } else { noted }
    }

    /// All rows of a statement that has few.
    async fn rows<R: for<'r> DeserializeRow<'r, 'r>>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, StoreError> {
        self.check_open()?;
        let result = self.session.execute_unpaged(statement, values).await.map_err(StoreError::unavailable)?;
        let rows = result.into_rows_result().map_err(StoreError::unavailable)?;
        rows.rows::<R>().map_err(StoreError::unavailable)?.collect::<Result<_, _>>().map_err(StoreError::unreadable)
    }

    /// As [`Shared::rows`], of a partition to which its user, or others, can add at will. When the replicas answer that they
    /// can't read it, because it is damaged or has too many tombstones, it can't be read: that is no outage, during which
    /// everybody else would wait.
    async fn rows_of_user<R: for<'r> DeserializeRow<'r, 'r>>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, StoreError> {
        self.rows(statement, values).await.map_err(|error| match error {
            StoreError::Unavailable(source) if error::is_read_failure(&*source) => StoreError::Unreadable(source),
            error => error,
        })
    }

    /// Writes one row.
    async fn write(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<(), StoreError> {
        self.check_open()?;
        self.session.execute_unpaged(statement, values).await.map(|_| ()).map_err(StoreError::unavailable)
    }

    /// Tries a light-weight transaction; tells whether it did what it says.
    async fn decide(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<bool, StoreError> {
        self.check_open()?;
        let result = self.session.execute_unpaged(statement, values).await.map_err(StoreError::unavailable)?;
        schema::applied(result).map_err(StoreError::unavailable)
    }

    /// Writes a batch.
    async fn put(&self, writes: &Writes) -> Result<(), StoreError> {
        self.check_open()?;
        writes.send(&self.session).await?;
        self.listed.add(&writes.opened);
        Ok(())
    }
}

/// Runs to its end even if the caller goes away.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work).await.map_err(StoreError::unavailable)?
}
