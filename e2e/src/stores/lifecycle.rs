//! Starts, stops and removes stores.
//!
//! A store's process is recorded as the parts of a cluster are. Beside that it carries a mark in its environment, so that
//! one whose record was lost with an interrupted run is found too.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::engine::{Engine, Launch};
use super::set::Set;
use super::{Store, unprivileged};
use crate::cluster::process::{self, Record, Spec};
use crate::host::packages::{self, Needed};
use crate::host::{folders, log};
use crate::report::{Outcome, Report};

/// How long a store may take to answer. A busy machine is slow; a dead process is noticed at once.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long a store may take to end in good order.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The mark in a process's environment; its value is the store's folder.
const MARK: &str = "SENTINEL_STORE";
/// Debian's own first cluster would be one that nobody uses.
const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";

/// Starts those that do not run; what runs as it should is left alone.
pub fn up(set: &Set, stores: &[Store], report: &Report) -> Result<()> {
    install(stores, report)?;
    for store in stores.iter().filter(|store| !set.runs(**store)) {
        // One without record would hold the set's port.
        kill_strays(set, *store);
        set.choose_ports(*store)?;
    }
    let (sender, results) = mpsc::channel();
    let mut first_error = None;
    std::thread::scope(|scope| {
        for store in stores {
            let sender = sender.clone();
            scope.spawn(move || {
                let since = Instant::now();
                let result = ensure(set, *store);
                // The receiver outlives the threads.
                let _ = sender.send((*store, since.elapsed(), result));
            });
        }
        drop(sender);
        for (store, took, result) in results {
            let shown = match set.address(store) {
                Ok(address) => format!("{} answers at {address}", store.name()),
                Err(_) => format!("{} answers", store.name()),
            };
            if let Err(error) = report.beside(&shown, took, result) {
                first_error.get_or_insert(error);
            }
        }
    });
    folders::write_changed(&set.exports_file(), set.exports()?)?;
    first_error.map_or(Ok(()), Err)
}

/// Stops stores in good order, or as if their machine had failed. Data and ports stay.
pub fn stop(set: &Set, stores: &[Store], kill: bool, report: &Report) -> Result<()> {
    for store in stores {
        let Some(record) = process::read(set.state(), store.name()).filter(Record::alive) else {
            report.check(&format!("{} stopped", store.name()), || Ok(Outcome::Unchanged))?;
            continue;
        };
        if kill {
            report.step(&format!("{} killed", store.name()), || {
                process::stop_tree(&record);
                Ok(())
            })?;
            continue;
        }
        report.step(&format!("{} stopped", store.name()), || {
            if !process::ask_to_end(&record, store.engine().stop_signal(), STOP_PATIENCE) {
                process::stop_tree(&record);
                report.note(&format!("{} did not end when asked to and was killed", store.name()));
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Ends every process of the set and removes its folder.
pub fn down(set: &Set, report: &Report) -> Result<()> {
    report.step("stopped stores", || {
        process::records(set.state()).values().for_each(process::stop_tree);
        for store in Store::ALL {
            kill_strays(set, store);
        }
        Ok(())
    })?;
    report.step("removed data", || {
        let folder = set.state().folder();
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
    })
}

/// Tells how to run a store that does not run; what a run without record left of it is ended first.
pub fn prepare(set: &Set, store: Store) -> Result<Launch> {
    if !set.runs(store) {
        kill_strays(set, store);
    }
    store.engine().launch(set).with_context(|| format!("cannot set up {}", store.name()))
}

/// Starts a store unless it runs so already; tells whether it did.
pub fn begin(set: &Set, store: Store, launch: Launch) -> Result<bool> {
    let mut env = launch.env;
    env.push((MARK.to_owned(), mark(set, store)));
    let spec = Spec { name: store.name().to_owned(), argv: launch.argv, config: launch.config, network: None, env };
    process::ensure(set.state(), &spec)
}

/// Waits until a store answers; a dead one is noticed at once.
pub fn wait(set: &Set, store: Store) -> Result<()> {
    let since = Instant::now();
    let log = set.state().log(store.name());
    loop {
        let Err(error) = store.engine().answers(set) else { return Ok(()) };
        let name = store.name();
        if !set.runs(store) {
            bail!("{name} ended; {}\n{}", advice(set, store), log::quoted(&log));
        }
        if since.elapsed() > PATIENCE {
            bail!(
                "{name} does not answer after {} s ({error:#}); {}\n{}",
                PATIENCE.as_secs(),
                advice(set, store),
                log::quoted(&log)
            );
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn ensure(set: &Set, store: Store) -> Result<Outcome> {
    let mut launch = prepare(set, store)?;
    launch.argv = unprivileged::wrapped(launch.argv);
    let began = begin(set, store, launch)?;
    wait(set, store)?;
    Ok(if began { Outcome::Done } else { Outcome::Unchanged })
}

fn install(stores: &[Store], report: &Report) -> Result<()> {
    let engines: Vec<&dyn Engine> = stores.iter().map(|store| store.engine()).collect();
    let needed: Vec<Needed> = engines.iter().flat_map(|engine| engine.packages()).copied().collect();
    report.check("programs installed", || {
        unprivileged::check()?;
        if stores.contains(&Store::Postgres) {
            spare_debian_cluster(Path::new(CREATE_CLUSTER))?;
        }
        packages::ensure(&needed)
    })?;
    for engine in &engines {
        engine.install(report)?;
    }
    Ok(())
}

/// Before Debian's package is installed; a file that is there is the machine's own.
fn spare_debian_cluster(file: &Path) -> Result<()> {
    if Path::new("/usr/lib/postgresql").exists() || file.exists() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    folders::write_whole(file, "create_main_cluster = false\n")
}

fn mark(set: &Set, store: Store) -> String {
    set.state().path(store.name()).display().to_string()
}

/// Processes of this store that have no record.
fn kill_strays(set: &Set, store: Store) {
    let mark = format!("{MARK}={}", mark(set, store)).into_bytes();
    let ours = |folder: &Path| {
        std::fs::read(folder.join("environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark))
    };
    process::ids_where(ours).into_iter().for_each(process::kill);
}

fn advice(set: &Set, store: Store) -> String {
    let name = set.state().name();
    format!(
        "repeat `sentinel-e2e stores up --name {name} {}`, or remove the set's data first with \
         `sentinel-e2e stores down --name {name}`",
        store.name()
    )
}
