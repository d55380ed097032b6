//! A Postgres database made for one test on the server of `SENTINEL_TEST_POSTGRES`
//! (`postgres://user:password@host:port/database`), and removed after it, with the role as which services use it.

use std::str::FromStr;

use sentinel_adapters::{credentials::Credentials, postgres::Postgres};
use sentinel_domain::config::{Connection, PostgresConfig};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

/// The database; dropping it removes it from the server.
pub struct Database {
    pub name: String,
    server: String,
    owner: tempfile::TempDir,
    service: tempfile::TempDir,
}

impl Database {
    pub async fn make() -> Self {
        let server = std::env::var("SENTINEL_TEST_POSTGRES")
            .expect("set SENTINEL_TEST_POSTGRES to postgres://user:password@host:port/database of a server for tests");
        let name = format!("test_{}", Uuid::new_v4().simple());
        on_server(&server, &format!("CREATE DATABASE {name}")).await;
        let (user, password) = server["postgres://".len()..].split_once('@').unwrap().0.split_once(':').unwrap();
        let owner = folder(user, password);
        // What needs quotes is quoted.
        let service = folder(&format!("Service_{name}"), "pass'word");
        Self { name, server, owner, service }
    }

    /// Brings the tables to their newest version and lets services in, as `sentinel migrate` does.
    pub async fn migrate(&self) {
        Postgres::migrate(&self.owner()).await.unwrap();
        self.admit().await;
    }

    /// Lets services in.
    pub async fn admit(&self) {
        let service = Credentials::of_folder(self.service.path()).unwrap();
        Postgres::admit(&self.owner(), &service).await.unwrap();
    }

    /// The server's `host:port`.
    pub fn endpoint(&self) -> String {
        let options = PgConnectOptions::from_str(&self.server).unwrap();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    /// How services use it, once it was migrated: as a role that reads and writes rows only.
    pub fn config(&self) -> PostgresConfig {
        self.config_of(&self.service)
    }

    /// How the migration uses it.
    pub fn owner(&self) -> PostgresConfig {
        self.config_of(&self.owner)
    }

    fn config_of(&self, credentials: &tempfile::TempDir) -> PostgresConfig {
        let connection =
            Connection { endpoints: vec![self.endpoint()], credentials: Some(credentials.path().into()), tls: None };
        PostgresConfig { connection, database: self.name.clone(), max_connections: 10 }
    }

    #[allow(dead_code)] // not every test file needs it
    pub fn set_password(&self, password: &str) {
        std::fs::write(self.service.path().join("password"), password).unwrap();
    }

    #[allow(dead_code)] // not every test file needs it
    pub fn password(&self) -> String {
        std::fs::read_to_string(self.service.path().join("password")).unwrap()
    }

    /// Runs a statement in this database.
    #[allow(dead_code)] // not every test file needs it
    pub async fn execute(&self, sql: &str) {
        let options = PgConnectOptions::from_str(&self.server).unwrap().database(&self.name);
        run(&options, sql).await;
    }

    /// A connection to this database, for a transaction that stays open.
    #[allow(dead_code)] // not every test file needs it
    pub async fn connection(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.server).unwrap().database(&self.name);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// A connection to this database as services have it.
    #[allow(dead_code)] // not every test file needs it
    pub async fn service(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.server).unwrap().database(&self.name);
        let Credentials { username, password } = Credentials::of_folder(self.service.path()).unwrap();
        PgConnection::connect_with(&options.username(&username).password(&password)).await.unwrap()
    }

    /// Runs a statement outside of this database.
    #[allow(dead_code)] // not every test file needs it
    pub async fn administer(&self, sql: &str) {
        on_server(&self.server, sql).await;
    }

    /// Ends all connections to this database, as a restart of the server would.
    #[allow(dead_code)] // not every test file needs it
    pub async fn kill_connections(&self) {
        let name = &self.name;
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        on_server(&self.server, &sql).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // The test's own runtime can't wait here.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                on_server(&server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                on_server(&server, &format!("DROP ROLE IF EXISTS \"Service_{name}\"")).await;
            });
        });
        removal.join().unwrap();
    }
}

fn folder(user: &str, password: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("username"), user).unwrap();
    std::fs::write(folder.path().join("password"), password).unwrap();
    folder
}

async fn on_server(server: &str, sql: &str) {
    run(&PgConnectOptions::from_str(server).unwrap(), sql).await;
}

async fn run(options: &PgConnectOptions, sql: &str) {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
