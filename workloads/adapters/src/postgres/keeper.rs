//! The pool, and the task that keeps it on an endpoint that takes writes and removes what is old.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sentinel_domain::{room::Room, session::SessionLifetime, time::Timestamp};
use sqlx::{
    Connection as _, PgConnection, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    ACQUIRE, IDLE_TRANSACTION_TIMEOUT, LOCK_TIMEOUT, PostgresError, STATEMENT_TIMEOUT,
    endpoints::{Endpoints, START},
    failure::Failure,
    retention,
};
use crate::outage::Outage;

/// A connection should be there by now; if not, another endpoint may be better.
const SLOW_ACQUIRE: Duration = Duration::from_millis(300);
/// Between two looks at the endpoints.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How often the pool's size is reported, and a full volume looked at.
const REPORT: Duration = Duration::from_secs(10);
/// Before what is old is removed for the first time, so that a server that often restarts gets to it.
const FIRST_SWEEP: Duration = Duration::from_mins(5);
/// Between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_hours(1);

/// The pool with what is known about its endpoints.
pub(super) struct Link {
    pub(super) pool: PgPool,
    pub(super) endpoints: Endpoints,
    pub(super) lifetime: SessionLifetime,
    /// Whether the server's volume takes more.
    pub(super) room: Room,
    suspicion: Notify,
    switched: Arc<Mutex<Instant>>,
}

impl Link {
    /// Waits for an endpoint that takes writes. No connection of the pool is open yet.
    pub(super) async fn open(endpoints: Endpoints) -> Result<Self, PostgresError> {
        let (_, options) = endpoints.wait_for_writable().await?;
        let switched = Arc::new(Mutex::new(Instant::now()));
        let pool = pool(endpoints.max_connections(), options, Arc::clone(&switched));
        let (lifetime, room, suspicion) = (SessionLifetime::default(), Room::default(), Notify::new());
        Ok(Self { pool, endpoints, lifetime, room, suspicion, switched })
    }

    /// The endpoint in use.
    pub(super) fn current(&self) -> usize {
        self.endpoints.current()
    }

    /// A connection; an error after two seconds.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<sqlx::Postgres>, sqlx::Error> {
        let acquire = self.pool.acquire();
        tokio::pin!(acquire);
        let result = tokio::select! {
            result = &mut acquire => result,
            // The pool goes on trying, and takes the other endpoint as soon as one is found.
            () = tokio::time::sleep(SLOW_ACQUIRE) => {
                self.suspect();
                acquire.await
            }
        };
        if result.is_err() {
            self.suspect();
        }
        result
    }

    /// The first connection of a program that starts, with the patience that [`Self::open`] has: on a machine on which
    /// everything starts at once, a server that answered a moment ago may not answer in time.
    pub(super) async fn first(&self) -> Result<PoolConnection<sqlx::Postgres>, PostgresError> {
        let deadline = tokio::time::Instant::now() + START;
        loop {
            match self.acquire().await {
                Err(sqlx::Error::PoolTimedOut) if tokio::time::Instant::now() < deadline => {
                    tracing::debug!("waiting for a first connection to postgres");
                }
                result => return result.map_err(|source| self.endpoints.classify(self.current(), source)),
            }
        }
    }

    /// Asks for a look at the endpoints.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    async fn look(&self, outage: &mut Outage) {
        let before = self.current();
        match self.endpoints.writable().await {
            Ok((place, options)) => {
                if let Some(lasted) = outage.works(Instant::now()) {
                    tracing::info!(seconds = lasted.as_secs(), "a postgres endpoint takes writes again");
                }
                // Credentials may be new even when the endpoint is not.
                self.pool.set_connect_options(options);
                if place != before {
                    *self.switched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    tracing::warn!(place, "another postgres endpoint is used now");
                }
            }
            Err(error) => {
                if outage.fails(Instant::now()) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no postgres endpoint takes writes");
                }
            }
        }
    }

    /// Notes that the server's volume is full.
    pub(super) fn ran_out_of_room(&self) {
        if self.room.ran_out() {
            tracing::error!("the volume of postgres is full: what is to be written is refused until it is larger");
        }
    }

    /// Looks whether there is room again, if there was none: small writes that go through do not prove it.
    async fn look_for_room(&self) {
        if !self.room.is_full() {
            return;
        }
        match self.try_to_write().await.map_err(Failure::from) {
            Err(failure) if failure.is_full() || failure.of_connection() => {}
            Err(failure) => {
                // This user may not try. The next write that is refused tells.
                tracing::debug!(?failure, "whether postgres has room can't be found out");
                self.room.is_back();
            }
            Ok(()) => {
                self.room.is_back();
                tracing::info!("the volume of postgres has room again");
            }
        }
    }

    /// Writes 256 KiB and takes them back.
    async fn try_to_write(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.acquire().await?;
        let mut transaction = connection.begin().await?;
        let some = "CREATE TEMPORARY TABLE room_wanted ON COMMIT DROP AS
            SELECT repeat('x', 1000) FROM generate_series(1, 256)";
        sqlx::query(some).execute(&mut *transaction).await?;
        transaction.rollback().await
    }

    fn report(&self) {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        let busy = self.pool.size().saturating_sub(idle);
        metrics::gauge!("sentinel_postgres_connections", "state" => "idle").set(f64::from(idle));
        metrics::gauge!("sentinel_postgres_connections", "state" => "busy").set(f64::from(busy));
    }
}

/// Serves a pool until `stop`, then closes it.
pub(super) async fn run(link: Arc<Link>, stop: CancellationToken) {
    let mut report = tokio::time::interval(REPORT);
    let mut sweep = tokio::time::interval_at(tokio::time::Instant::now() + FIRST_SWEEP, SWEEP_PAUSE);
    let mut outage = Outage::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = link.suspicion.notified() => {
                link.look(&mut outage).await;
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            _ = report.tick() => {
                link.report();
                link.look_for_room().await;
                // Nobody suspects anything any more when it is over.
                if outage.lasts() {
                    link.look(&mut outage).await;
                }
            }
            _ = sweep.tick() => {
                if let Err(error) = retention::sweep(&link, Timestamp::now()).await {
                    tracing::warn!(?error, "what is old was not removed; it will be tried again in an hour");
                }
            }
        }
    }
    link.pool.close().await;
}

fn pool(max: u32, options: PgConnectOptions, switched: Arc<Mutex<Instant>>) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(ACQUIRE)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .before_acquire(move |_, connection| {
            // Connections to the endpoint before are to a server that no longer takes writes.
            let switched = *switched.lock().unwrap_or_else(PoisonError::into_inner);
            let current = connection.age <= switched.elapsed();
            Box::pin(std::future::ready(Ok(current)))
        })
        .connect_lazy_with(options)
}

/// Bounds what runs on a new connection, and refuses one to a server that takes no writes.
async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let takes_writes: bool = sqlx::query_scalar(
        "SELECT current_setting('transaction_read_only') = 'off'
            FROM (SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
                set_config('idle_in_transaction_session_timeout', $3, false)) AS settings",
    )
    .bind(STATEMENT_TIMEOUT)
    .bind(LOCK_TIMEOUT)
    .bind(IDLE_TRANSACTION_TIMEOUT)
    .fetch_one(connection)
    .await?;
    if takes_writes { Ok(()) } else { Err(sqlx::Error::Configuration("the server takes no writes".into())) }
}
