//! The one binary of the chat platform: every service is a role of it.

mod admin;
mod administer;
mod api_docs;
mod arguments;
mod background;
mod backup;
mod connections;
mod describe;
mod distributed;
mod embedded;
mod expired;
mod inspect;
mod logging;
mod mail;
mod open_files;
mod platform;
mod ports;
mod restore;
mod serve;
mod stop;
mod web;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser as _, ValueEnum as _};
use sentinel_domain::{
    config::{PlatformConfig, StoresConfig},
    keyring::Rewrapped,
};
use sentinel_search::Reindexed;

use crate::arguments::{AdminCommand, Arguments, Command, Installation, KeysCommand, Role};

// Password hashing takes 19 MiB at a time on changing threads, which the system's allocator keeps for each of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a rebuild of the search index that left out messages, and of a rotation that left out chats.
const SOME_SKIPPED: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Every TLS user of the process takes its cryptography from here; a second call is the only failure.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sentinel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let done: anyhow::Result<()> = match arguments.command {
        Command::Serve(serve) => {
            logging::start_json();
            open_files::raise();
            let config = serve.config.read()?;
            runtime()?.block_on(serve::until_stopped(config, &serve.roles, |_| {}))
        }
        Command::Standalone(standalone) => {
            logging::start_plain();
            open_files::raise();
            let config = standalone.config()?;
            runtime()?.block_on(serve::until_stopped(config, embedded::ROLES, |address| {
                println!("Sentinel is ready at http://{address}  (API description: http://{address}/docs)");
            }))
        }
        Command::Migrate(command) => {
            logging::start_json();
            let config = command.of.config.read()?;
            let stores = shared_stores(&config)?;
            let migrate = async || distributed::migrate(stores, command.service_credentials.as_deref()).await;
            run_command(inspect::before(stores, command.of.report.as_deref(), migrate))
        }
        Command::CheckStores(command) => {
            logging::start_json();
            let config = command.config.read()?;
            let stores = shared_stores(&config)?;
            run_command(inspect::only(stores, command.report.as_deref()))
        }
        Command::Backup(command) => {
            eprintln!("{}", backup::make(&command.place.config()?, &command.target())?);
            Ok(())
        }
        Command::Restore(command) => {
            eprintln!("{}", run_command(restore::fill(&command.data, &command.source()))?);
            Ok(())
        }
        Command::Reindex(installation) => return reindex(&installation),
        Command::Keys(KeysCommand::Rotate(installation)) => return rotate_keys(&installation),
        Command::Admin(command) => {
            logging::start_plain();
            let (grant, of) = match command {
                AdminCommand::Grant(of) => (true, of),
                AdminCommand::Revoke(of) => (false, of),
            };
            run_command(administer::set_admin(&of.place.config()?, &of.username, grant))?;
            let became = if grant { "is an admin now" } else { "is no admin any more" };
            println!("{} {became}; the account has to log in again", of.username);
            Ok(())
        }
        Command::Openapi => {
            print(&describe::openapi(Role::value_variants()).to_pretty_json()?)?;
            Ok(())
        }
        Command::Asyncapi => {
            print(&serde_json::to_string_pretty(&describe::asyncapi())?)?;
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Puts what is stored under the newest key-encryption key; what could not be is said, and is an exit code of its own.
fn rotate_keys(installation: &Installation) -> anyhow::Result<ExitCode> {
    logging::start_plain();
    let config = installation.config()?;
    let rewrapped = async {
        match &config.stores {
            Some(stores) => distributed::rewrap_keys(&config, stores).await,
            None => embedded::rewrap_keys(&config).await,
        }
    };
    let rewrapped = run_command(rewrapped).context("putting what is stored under the newest key-encryption key")?;
    let Rewrapped { count, unreadable } = rewrapped;
    println!("{count} chat keys, reports and mails are under the newest key-encryption key now");
    if unreadable.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "sentinel: chats whose key is damaged, or wrapped by a key that is missing: {}. Nobody can read them until their rows \
         are put back from a backup, with the keys of that time, and this is run again:",
        unreadable.len()
    );
    for chat in &unreadable {
        eprintln!("  {chat}");
    }
    Ok(ExitCode::from(SOME_SKIPPED))
}

/// Makes the search index anew; what it left out is said, and is an exit code of its own.
fn reindex(installation: &Installation) -> anyhow::Result<ExitCode> {
    logging::start_plain();
    let config = installation.config()?;
    let rebuilt = async {
        match &config.stores {
            Some(stores) => Box::pin(distributed::reindex(&config, stores)).await,
            None => embedded::reindex(&config, installation.is_folder()).await,
        }
    };
    let Reindexed { messages, skipped } = run_command(rebuilt).context("building the search index anew")?;
    println!("{messages} messages indexed anew");
    if skipped.count == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "sentinel: {} messages can't be read, or the search engine refuses them, and are not found any more; see above why, put \
         back keys that are missing and run this again. The first: {}",
        skipped.count,
        skipped.named()
    );
    Ok(ExitCode::from(SOME_SKIPPED))
}

/// Prints a text that people may read a part of: a reader that has gone has seen enough.
fn print(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn shared_stores(config: &PlatformConfig) -> anyhow::Result<&StoresConfig> {
    config.stores.as_deref().context("the configuration has no `stores`: profile Embedded needs no such command")
}

/// Runs a command until it is done or the process is told to stop. All commands can be repeated.
fn run_command<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime()?.block_on(stop::unless_told(work))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")
}
