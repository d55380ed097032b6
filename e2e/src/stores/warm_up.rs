//! Java servers start in half the time from an archive of their classes as they lie in memory.
//!
//! Such an archive is written at the end of a run. So each server is started and ended once, on scratch data, when it is
//! new in the cache.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::set::Set;
use super::{Store, lifecycle};
use crate::cluster::process;
use crate::host::lock::Lock;
use crate::host::{folders, log};
use crate::report::Report;

/// Writing the archive takes seconds, more on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Makes the archive of a Java server if it has none.
pub fn ensure(store: Store, report: &Report) -> Result<()> {
    let Some((dist, variable)) = store.engine().java() else { return Ok(()) };
    let archive = dist.folder()?.join("app.jsa");
    if archive.is_file() {
        return Ok(());
    }
    let cache = folders::cache()?;
    let _lock = Lock::take(&cache.join("stores").join(format!(".{}.lock", dist.name)), dist.name)?;
    if archive.is_file() {
        return Ok(());
    }
    report.step(&format!("archived the classes of {}", dist.name), || {
        let folder = cache.join("build").join(format!("{}-warm-up", dist.name));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let set = Set::scratch(folder.clone())?;
        set.choose_ports(store)?;
        let partial = archive.with_extension("partial");
        let ran = run(&set, store, variable, &format!("-XX:ArchiveClassesAtExit={}", partial.display()));
        // Whatever happened, it must not go on.
        process::records(set.state()).values().for_each(process::stop_tree);
        ran?;
        std::fs::rename(&partial, &archive)
            .with_context(|| format!("{} wrote no archive of its classes", dist.name))?;
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    })
}

fn run(set: &Set, store: Store, variable: &str, option: &str) -> Result<()> {
    lifecycle::begin(set, store, |env| add_option(env, variable, option))?;
    lifecycle::wait(set, store)?;
    let record = process::read(set.state(), store.name()).context("its record is missing")?;
    if !process::ask_to_end(&record, store.engine().stop_signal(), PATIENCE) {
        bail!("{} does not end\n{}", store.name(), log::quoted(&set.state().log(store.name())));
    }
    Ok(())
}

/// Adds an option to a variable that may hold others.
fn add_option(env: &mut Vec<(String, String)>, variable: &str, option: &str) {
    match env.iter_mut().find(|(name, _)| name == variable) {
        Some((_, value)) => *value = format!("{value} {option}"),
        None => env.push((variable.to_owned(), option.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_added_to_those_given() {
        let mut env = vec![("A".to_owned(), "-x".to_owned())];
        add_option(&mut env, "A", "-y");
        add_option(&mut env, "B", "-z");
        let expected = [("A", "-x -y"), ("B", "-z")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(env, expected);
    }
}
