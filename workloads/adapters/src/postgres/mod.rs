//! Postgres: accounts, sessions, blocks and what processes must agree on, of profile Distributed.
//!
//! What concerns the chats of an account is only noted here; [`crate::linked_accounts`] carries it to the chat store.

mod accounts;
mod administration;
mod blocks;
mod deletion;
mod endpoints;
mod error;
mod failure;
mod inspect;
mod keeper;
mod mail;
mod reindex;
mod reports;
mod retention;
mod rewrap;
mod role;
mod rows;
mod schema;
mod sessions;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sentinel_domain::{
    background::vital,
    config::PostgresConfig,
    event::{Fanout, LiveEvent},
    ports::StoreError,
    room::Room,
};
use sqlx::{ConnectOptions, Connection, PgConnection, pool::PoolConnection, postgres::PgPoolOptions};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::error::PostgresError;
use self::{endpoints::Endpoints, failure::Failure, keeper::Link};
use crate::credentials::Credentials;

/// How long a caller waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long the server works on one statement, in its own notation; a caller that hangs there for long is worse off
/// than one that hears it has to come again.
const STATEMENT_TIMEOUT: &str = "5s";
/// How long a statement waits for another transaction's lock.
const LOCK_TIMEOUT: &str = "4s";
/// How long a transaction may stand still before the server ends it.
const IDLE_TRANSACTION_TIMEOUT: &str = "10s";
/// How long work on a connection may take; the server has given up by then, unless it is gone.
const WORK: Duration = Duration::from_secs(7);

/// The users' store. Clones share one pool; dropping the last one ends it.
#[derive(Clone)]
pub struct Postgres {
    link: Arc<Link>,
    fanout: Arc<dyn Fanout>,
    _keeper: Arc<DropGuard>,
}

impl Postgres {
    /// Connects to the endpoint that takes writes and refuses tables of another version than this program's. Waits up
    /// to ten seconds for a server that is just starting. Ends of sessions and changes of blocks are published to
    /// `fanout`.
    pub async fn connect(config: &PostgresConfig, fanout: Arc<dyn Fanout>) -> Result<Self, PostgresError> {
        let endpoints = Endpoints::new(config.clone())?;
        let link = Arc::new(Link::open(endpoints).await?);
        let mut connection = link.first().await?;
        schema::check(&mut connection).await?;
        drop(connection);
        let stop = CancellationToken::new();
        tokio::spawn(vital("the pool of postgres", keeper::run(Arc::clone(&link), stop.clone())));
        Ok(Self { link, fanout, _keeper: Arc::new(stop.drop_guard()) })
    }

    /// Brings the database's tables to this program's version. Safe to repeat and to run at the same time elsewhere.
    pub async fn migrate(config: &PostgresConfig) -> Result<(), PostgresError> {
        let endpoints = Endpoints::new(config.clone())?;
        let (place, options) = endpoints.wait_for_writable().await?;
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE).connect_with(options).await;
        let pool = pool.map_err(|source| endpoints.classify(place, source))?;
        schema::migrate(&pool).await?;
        pool.close().await;
        Ok(())
    }

    /// Lets services in as a role of their own, which reads and writes rows and changes nothing else: makes it, or gives it this
    /// password. To be called once the tables are there. Safe to repeat and to run at the same time elsewhere.
    pub async fn admit(config: &PostgresConfig, service: &Credentials) -> Result<(), PostgresError> {
        let endpoints = Endpoints::new(config.clone())?;
        let (place, options) = endpoints.wait_for_writable().await?;
        // One of the statements has the password in it.
        let connection = PgConnection::connect_with(&options.disable_statement_logging()).await;
        let mut connection = connection.map_err(|source| endpoints.classify(place, source))?;
        role::admit(&mut connection, service)
            .await
            .map_err(|source| PostgresError::ServiceRole { role: service.username.clone(), source })?;
        connection.close().await.ok();
        Ok(())
    }

    /// A quick statement, for readiness.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.run(|db| {
            Box::pin(async move {
                sqlx::query("SELECT 1").execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// Whether the volume of the server takes more.
    pub fn room(&self) -> Room {
        self.link.room.clone()
    }

    /// Closes all connections after what runs on them. Later calls are refused.
    pub async fn close(&self) {
        self.link.pool.close().await;
    }

    /// Runs one statement, or several that need not be one step.
    async fn run<T: Send>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Failure>> + Send,
    ) -> Result<T, StoreError> {
        Ok(bounded(&self.link, work).await?)
    }

    /// Runs a transaction to its end, even if the caller goes away, and then publishes the events that it gives.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(T, Vec<LiveEvent>), Failure>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let (link, fanout) = (Arc::clone(&self.link), Arc::clone(&self.fanout));
        let task = tokio::spawn(async move {
            let (result, events) = bounded(&link, |db| {
                Box::pin(async move {
                    let mut transaction = db.begin().await?;
                    // An error drops the transaction, which undoes it.
                    let done = work(&mut transaction).await?;
                    transaction.commit().await?;
                    Ok(done)
                })
            })
            .await?;
            if !events.is_empty() {
                fanout.publish(events);
            }
            Ok(result)
        });
        task.await.map_err(StoreError::unavailable)?
    }
}

/// Runs `work` on a connection of the pool for a bounded time.
async fn bounded<T: Send>(
    link: &Link,
    work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    let mut connection: PoolConnection<sqlx::Postgres> = link.acquire().await?;
    let result = tokio::time::timeout(WORK, work(&mut connection)).await.unwrap_or(Err(Failure::TimedOut));
    if let Err(failure) = &result {
        if failure.of_connection() {
            // It must not go back to the pool, where the next caller would have to find out.
            connection.close_on_drop();
        }
        if failure.of_endpoint() {
            link.suspect();
        }
        if failure.is_full() {
            link.ran_out_of_room();
        }
    }
    result
}
