//! The keyspace of a run: made by the first test, dropped by the last (whose name sorts after all
//! others), or by a later run if this one was cut short.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use scylla::client::{session::Session, session_builder::SessionBuilder};
use sentinel_adapters::cassandra::Cassandra;
use sentinel_domain::config::{CassandraConfig, Connection};
use tokio::sync::OnceCell;

const PREFIX: &str = "sentinel_test_";
/// Age of a keyspace that no run can still be using.
const LEFT_OVER: Duration = Duration::from_hours(1);

/// A keyspace of tests.
pub struct Keyspace {
    config: CassandraConfig,
    _credentials: Option<tempfile::TempDir>,
}

impl Keyspace {
    pub fn config(&self) -> &CassandraConfig {
        &self.config
    }

    /// A session of the test's own, in the keyspace.
    pub async fn session(&self) -> Session {
        let session = self.plain_session().await;
        session.use_keyspace(&self.config.keyspace, true).await.unwrap();
        session
    }

    async fn plain_session(&self) -> Session {
        let mut builder = SessionBuilder::new().known_nodes(&self.config.connection.endpoints);
        if let (Ok(user), Ok(password)) = (variable("_USER"), variable("_PASSWORD")) {
            builder = builder.user(user, password);
        }
        builder.build().await.unwrap()
    }

    pub async fn drop_it(&self) {
        let session = self.plain_session().await;
        session.query_unpaged(format!("DROP KEYSPACE IF EXISTS \"{}\"", self.config.keyspace), ()).await.unwrap();
    }
}

fn variable(suffix: &str) -> Result<String, std::env::VarError> {
    std::env::var(format!("SENTINEL_TEST_CASSANDRA{suffix}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A keyspace that is not made yet.
pub fn named(name: &str) -> Keyspace {
    let endpoint = variable("").expect("SENTINEL_TEST_CASSANDRA must be host:port of a Cassandra for tests");
    let credentials = match (variable("_USER"), variable("_PASSWORD")) {
        (Ok(user), Ok(password)) => {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("username"), user).unwrap();
            std::fs::write(folder.path().join("password"), password).unwrap();
            Some(folder)
        }
        _ => None,
    };
    Keyspace {
        config: CassandraConfig {
            connection: Connection {
                endpoints: vec![endpoint],
                credentials: credentials.as_ref().map(|folder| PathBuf::from(folder.path())),
                tls: None,
            },
            keyspace: format!("{PREFIX}{}_{}_{name}", now(), std::process::id()),
            datacenter: variable("_DATACENTER").unwrap_or_else(|_| "datacenter1".into()),
            replication_factor: 1,
            own_cluster: false,
        },
        _credentials: credentials,
    }
}

type Made = OnceCell<Mutex<Option<Arc<Keyspace>>>>;

static MADE: Made = OnceCell::const_new();
static MADE_THAT_AGES: Made = OnceCell::const_new();

pub async fn of_this_run() -> Arc<Keyspace> {
    made(&MADE, "run").await
}

/// For stores that keep messages for a while: what is too old for one of them is so for all of the keyspace.
pub async fn that_ages_of_this_run() -> Arc<Keyspace> {
    made(&MADE_THAT_AGES, "ages").await
}

async fn made(made: &'static Made, name: &str) -> Arc<Keyspace> {
    let made = made
        .get_or_init(|| async {
            let keyspace = named(name);
            remove_left_overs(&keyspace).await;
            Cassandra::migrate(keyspace.config()).await.unwrap();
            Mutex::new(Some(Arc::new(keyspace)))
        })
        .await;
    Arc::clone(made.lock().unwrap().as_ref().expect("this sorts before the test that drops the keyspace"))
}

async fn remove_left_overs(keyspace: &Keyspace) {
    let session = keyspace.plain_session().await;
    let names = session.query_unpaged("SELECT keyspace_name FROM system_schema.keyspaces", ()).await.unwrap();
    for name in names.into_rows_result().unwrap().rows::<(String,)>().unwrap() {
        let name = name.unwrap().0;
        let made = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()?.parse::<u64>().ok());
        if made.is_some_and(|made| made + LEFT_OVER.as_secs() < now()) {
            session.query_unpaged(format!("DROP KEYSPACE IF EXISTS \"{name}\""), ()).await.unwrap();
        }
    }
}

/// Not a test of behaviour: tests run in the order of their names, so this is the last to begin.
pub async fn drop_after_all() {
    for made in [&MADE, &MADE_THAT_AGES] {
        let Some(made) = made.get() else { continue };
        let Some(keyspace) = made.lock().unwrap().take() else { continue };
        for _ in 0..3000 {
            if Arc::strong_count(&keyspace) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        keyspace.drop_it().await;
    }
}
