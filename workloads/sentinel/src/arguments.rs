//! The command line.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use sentinel_domain::config::{AuthConfig, LimitsConfig, PlatformConfig, PushConfig, RetentionConfig, SearchConfig};

use crate::{backup::Target, restore::Source, web::Site};

/// Private one-to-one chat for Kubernetes.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve roles as a configuration file says (what the operator runs)
    Serve(Serve),
    /// Serve everything in this process, with embedded stores and no cluster
    Standalone(Standalone),
    /// Make or change the tables, topics and indices of profile Distributed to what this version needs; safe to repeat
    Migrate(Migrate),
    /// Look whether the stores of profile Distributed can be used, and tell their versions
    CheckStores(StoresCommand),
    /// Build the search index anew, while the server runs or when it is stopped; exits with 3 when it had to leave out messages
    /// that can't be read
    Reindex(Installation),
    /// Copy what a server of profile Embedded stores, but not its keys, while it runs or when it is stopped
    Backup(Backup),
    /// Make a new server's folder of an archive that `backup` wrote
    Restore(Restore),
    /// Manage keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Say who administers the platform
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Print the API description (OpenAPI 3.1)
    Openapi,
    /// Print the description of the events of sockets (AsyncAPI 3.0)
    Asyncapi,
}

/// A service of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Accounts, sessions and tokens
    Users,
    /// Chats, messages and sockets
    Message,
    /// Who is online
    Presence,
    /// Who is told of what
    Notification,
    /// Finding messages
    Search,
    /// Uploaded files
    Media,
}

impl Role {
    /// Whether its services encrypt or decrypt anything, or show pages whose cursors are made with a key: these alone read
    /// the key-encryption keys.
    pub fn has_keys(self) -> bool {
        match self {
            Self::Users | Self::Message | Self::Notification | Self::Search => true,
            Self::Presence | Self::Media => false,
        }
    }
}

#[derive(Debug, Args)]
pub struct Serve {
    /// What to serve; embedded stores allow one process only, so it serves all that they have
    #[arg(required = true)]
    pub roles: Vec<Role>,
    #[command(flatten)]
    pub config: ConfigFile,
}

#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration, in JSON
    #[arg(long, env = "SENTINEL_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
pub struct StoresCommand {
    #[command(flatten)]
    pub config: ConfigFile,
    /// Where to write what was found of the stores, in JSON; the operator reads it
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub of: StoresCommand,
    /// Folder with folders `postgres` and `cassandra`, each with files `username` and `password`: of these stores services are
    /// let in as that role, which is made or given that password and can read and write rows only
    #[arg(long, value_name = "FOLDER")]
    pub service_credentials: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads and checks the file.
    pub fn read(&self) -> anyhow::Result<PlatformConfig> {
        let path = self.config.display();
        let text = std::fs::read_to_string(&self.config).with_context(|| format!("reading {path}"))?;
        serde_json::from_str(&text).with_context(|| format!("{path} is not a valid configuration"))
    }
}

#[derive(Debug, Args)]
pub struct Standalone {
    /// Where clients connect; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are; a free port of loopback when left out
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    admin_listen: SocketAddr,
    /// Folder of all data and keys; made if need be
    #[arg(long, default_value = "sentinel-data", value_name = "FOLDER")]
    data: PathBuf,
    /// Folder of the built web client, to chat in a browser
    #[arg(long, value_name = "FOLDER")]
    web: Option<PathBuf>,
    /// An origin that browsers may call from, such as `http://localhost:5173` (repeatable)
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// How much one caller may do
    #[arg(long, value_enum, default_value_t = Limits::Default)]
    limits: Limits,
    /// Seconds between SIGTERM and the last socket's close
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    drain: u16,
    /// Seconds after which messages are gone; they are kept when left out
    #[arg(long, value_name = "SECONDS")]
    message_retention: Option<NonZeroU32>,
}

/// Named sets of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Limits {
    /// What a deployment has
    Default,
    /// So high that load and test clients on one address do not meet them
    Tests,
}

impl Standalone {
    /// The configuration that the flags amount to; makes the folder and the missing keys.
    pub fn config(&self) -> anyhow::Result<PlatformConfig> {
        let keys_dir = self.data.join("keys");
        std::fs::create_dir_all(&keys_dir).with_context(|| format!("making {}", keys_dir.display()))?;
        sentinel_adapters::keys::create_missing(&keys_dir)?;
        let limits = match self.limits {
            Limits::Default => LimitsConfig::default(),
            Limits::Tests => LimitsConfig {
                messages_per_second: 1_000_000,
                requests_per_second: 1_000_000,
                logins_per_minute: 1_000_000,
                uploads_per_minute: 1_000_000,
                ..LimitsConfig::default()
            },
        };
        for origin in &self.cors_origin {
            check_origin(origin)?;
        }
        if let Some(folder) = &self.web {
            Site::read(folder, &[]).context("--web")?;
        }
        Ok(PlatformConfig {
            listen: self.listen,
            admin_listen: self.admin_listen,
            data_dir: self.data.clone(),
            keys_dir,
            auth: AuthConfig { cors_origins: self.cors_origin.clone(), ..AuthConfig::default() },
            limits,
            retention: RetentionConfig { message_seconds: self.message_retention },
            drain_seconds: self.drain,
            trusted_proxies: Vec::new(),
            mail: None,
            web_dir: self.web.clone(),
            stores: None,
            message_peers: None,
            push: PushConfig::default(),
            search: SearchConfig::default(),
        })
    }
}

fn check_origin(origin: &str) -> anyhow::Result<()> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    if rest.is_none_or(|host| host.is_empty() || host.contains('/')) {
        bail!("{origin:?} is not an origin: write scheme and host alone, such as https://chat.example.com");
    }
    Ok(())
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub place: Installation,
    /// Folder to make for the copy; `-` writes a tar archive to the standard output
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Put the copy in the place of an earlier one, once it is complete
    #[arg(long)]
    replace: bool,
}

impl Backup {
    /// Where the copy goes.
    pub fn target(&self) -> Target {
        if self.to == Path::new("-") {
            return Target::Archive;
        }
        Target::Folder { path: self.to.clone(), replace: self.replace }
    }
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The folder of the server's data, in which no server has begun
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// The archive; `-` reads it from the standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

impl Restore {
    /// Where the archive is.
    pub fn source(&self) -> Source {
        if self.from == Path::new("-") { Source::Input } else { Source::File(self.from.clone()) }
    }
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Put chat keys, reports' evidence and queued mail under the newest key-encryption key; safe while the server runs
    Rotate(Installation),
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make an account an admin: its tokens get the scope `admin`, and it has to log in again
    Grant(OfAccount),
    /// Make an admin an ordinary account again, and end its sessions
    Revoke(OfAccount),
}

#[derive(Debug, Args)]
pub struct OfAccount {
    /// The account's name
    pub username: String,
    #[command(flatten)]
    pub place: Installation,
}

/// Where a command finds keys and stores.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Installation {
    /// The configuration of `serve`, in JSON
    #[arg(long, env = "SENTINEL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of `standalone`
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

impl Installation {
    /// Whether only the folder is known, and not how a server is configured.
    pub fn is_folder(&self) -> bool {
        self.config.is_none()
    }

    /// The configuration that tells where data and keys are.
    pub fn config(&self) -> anyhow::Result<PlatformConfig> {
        match (&self.config, &self.data) {
            (Some(config), _) => ConfigFile { config: config.clone() }.read(),
            (None, Some(data)) => Ok(of_folder(data)),
            (None, None) => bail!("say where data and keys are: --config or --data"),
        }
    }
}

fn of_folder(data: &Path) -> PlatformConfig {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    PlatformConfig {
        listen: nowhere,
        admin_listen: nowhere,
        data_dir: data.to_owned(),
        keys_dir: data.join("keys"),
        auth: AuthConfig::default(),
        limits: LimitsConfig::default(),
        retention: RetentionConfig::default(),
        drain_seconds: 0,
        trusted_proxies: Vec::new(),
        mail: None,
        web_dir: None,
        stores: None,
        message_peers: None,
        push: PushConfig::default(),
        search: SearchConfig::default(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_origin_with_a_path_is_refused_with_what_to_write() {
        assert!(check_origin("https://chat.example.com").is_ok());
        for bad in ["chat.example.com", "https://chat.example.com/", "https://"] {
            let text = check_origin(bad).unwrap_err().to_string();
            assert!(text.contains("such as https://chat.example.com"), "{text}");
        }
    }
}
