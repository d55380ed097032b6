//! The keyspace of a run: made by the first test, dropped by the last (whose name sorts after all
//! others), or by the next run if that one was not among those that were asked for, or one was cut short.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use scylla::client::{session::Session, session_builder::SessionBuilder};
use sentinel_adapters::{cassandra::Cassandra, credentials::Credentials};
use sentinel_domain::config::{CassandraConfig, Connection};
use tokio::sync::OnceCell;

const PREFIX: &str = "sentinel_test_";
/// Age of a keyspace that no run can still be using.
const LEFT_OVER: Duration = Duration::from_hours(1);

/// A keyspace of tests.
pub struct Keyspace {
    config: CassandraConfig,
    owner: CassandraConfig,
    /// Of the owner and of services, where the cluster asks for some.
    credentials: Option<(tempfile::TempDir, tempfile::TempDir)>,
}

impl Keyspace {
    /// How services use it, once it was migrated: as a role that reads and writes rows only.
    pub fn config(&self) -> &CassandraConfig {
        &self.config
    }

    /// How the migration uses it.
    pub fn owner(&self) -> &CassandraConfig {
        &self.owner
    }

    /// Brings the tables to their newest version and lets services in, as `sentinel migrate` does.
    pub async fn migrate(&self) {
        Cassandra::migrate(&self.owner).await.unwrap();
        self.admit().await;
    }

    /// Lets services in.
    pub async fn admit(&self) {
        if let Some((_, service)) = &self.credentials {
            Cassandra::admit(&self.owner, &Credentials::of_folder(service.path()).unwrap()).await.unwrap();
        }
    }

    /// A session of the test's own, in the keyspace.
    pub async fn session(&self) -> Session {
        let session = self.plain_session().await;
        session.use_keyspace(&self.config.keyspace, true).await.unwrap();
        session
    }

    /// A session as services have it.
    pub async fn session_of_service(&self) -> Session {
        let (_, service) = self.credentials.as_ref().expect("SENTINEL_TEST_CASSANDRA_USER and _PASSWORD");
        let Credentials { username, password } = Credentials::of_folder(service.path()).unwrap();
        let builder = SessionBuilder::new().known_nodes(&self.config.connection.endpoints);
        let session = builder.user(username, password).build().await.unwrap();
        session.use_keyspace(&self.config.keyspace, true).await.unwrap();
        session
    }

    /// Writes another password for services, which the cluster does not know yet.
    pub fn set_password(&self, password: &str) {
        let (_, service) = self.credentials.as_ref().expect("SENTINEL_TEST_CASSANDRA_USER and _PASSWORD");
        std::fs::write(service.path().join("password"), password).unwrap();
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
        remove(&session, &self.config.keyspace, self.credentials.is_some()).await;
    }
}

/// Drops a keyspace and the role of its services, which is called like it.
async fn remove(session: &Session, keyspace: &str, has_roles: bool) {
    session.query_unpaged(format!("DROP KEYSPACE IF EXISTS \"{keyspace}\""), ()).await.unwrap();
    if has_roles {
        session.query_unpaged(format!("DROP ROLE IF EXISTS '{keyspace}'"), ()).await.unwrap();
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
    let keyspace = format!("{PREFIX}{}_{}_{name}", now(), std::process::id());
    let credentials = match (variable("_USER"), variable("_PASSWORD")) {
        // What needs quotes is quoted.
        (Ok(user), Ok(password)) => Some((folder(&user, &password), folder(&keyspace, "pass'word"))),
        _ => None,
    };
    let config = |credentials: Option<&tempfile::TempDir>| CassandraConfig {
        connection: Connection {
            endpoints: vec![endpoint.clone()],
            credentials: credentials.map(|folder| PathBuf::from(folder.path())),
            tls: None,
        },
        keyspace: keyspace.clone(),
        datacenter: variable("_DATACENTER").unwrap_or_else(|_| "datacenter1".into()),
        replication_factor: 1,
        own_cluster: false,
    };
    let (owner, service) = credentials.as_ref().map(|(owner, service)| (owner, service)).unzip();
    Keyspace { config: config(service), owner: config(owner), credentials }
}

fn folder(user: &str, password: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("username"), user).unwrap();
    std::fs::write(folder.path().join("password"), password).unwrap();
    folder
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
            keyspace.migrate().await;
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
        if is_left_over(&name, &keyspace.config.connection.endpoints[0]) {
            remove(&session, &name, keyspace.credentials.is_some()).await;
        }
    }
}

/// Whether a keyspace was made by a run that is over: by its age, or because its process is not there any more. Others can
/// only use a Cassandra of this machine if they run here.
fn is_left_over(name: &str, endpoint: &str) -> bool {
    let Some((made, process)) = name.strip_prefix(PREFIX).and_then(|rest| {
        let (made, rest) = rest.split_once('_')?;
        Some((made.parse::<u64>().ok()?, rest.split_once('_')?.0.parse::<u32>().ok()?))
    }) else {
        return false;
    };
    let is_here = endpoint.starts_with("127.") || endpoint.starts_with("localhost:");
    let is_over = Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists();
    made + LEFT_OVER.as_secs() < now() || is_here && is_over
}

#[test]
fn keyspaces_of_runs_that_are_over_are_left_over() {
    let named = |made: u64, process: u32| format!("{PREFIX}{made}_{process}_run");
    let (here, there, nobody) = ("127.0.0.1:9042", "cassandra.example.com:9042", u32::MAX);
    assert!(!is_left_over(&named(now(), std::process::id()), here));
    assert!(is_left_over(&named(now(), nobody), here));
    assert!(!is_left_over(&named(now(), nobody), there), "its process may run elsewhere");
    assert!(is_left_over(&named(now() - 2 * LEFT_OVER.as_secs(), nobody), there));
    assert!(!is_left_over("sentinel", here) && !is_left_over("sentinel_test_data", here));
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
