//! `sentinel restore`: makes of an archive of `sentinel backup` a folder that a server begins with.
//!
//! What is unpacked takes its place when all of it is there, the database last: a server never begins with a part.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io::{self, BufReader, IsTerminal as _, Read},
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use crate::embedded::{DATABASE, MEDIA, SEARCH_DATABASE, lock};

/// What is unpacked, until it is whole.
const DRAFT: &str = "restore.draft";

/// Where an archive is.
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// At the standard input.
    Input,
}

/// Fills the folder `data`, and says with what.
pub async fn fill(data: &Path, source: &Source) -> anyhow::Result<String> {
    let _lock = lock(data, Duration::ZERO).await?;
    let draft = data.join(DRAFT);
    // One that was cut short has moved files before the database.
    let goes_on = draft.try_exists().with_context(|| format!("looking for {}", draft.display()))?;
    let own: &[&str] = if goes_on { &[DATABASE] } else { &[DATABASE, MEDIA, SEARCH_DATABASE] };
    for name in own {
        let is_there = data.join(name).try_exists().with_context(|| format!("looking in {}", data.display()))?;
        ensure!(!is_there, "{} has {name} already: name a folder in which no server has begun", data.display());
    }
    remove(&draft)?;
    remove(&data.join(MEDIA))?;
    DirBuilder::new().mode(0o700).create(&draft).with_context(|| format!("making {}", draft.display()))?;
    match source {
        Source::File(path) => unpack(open(path)?, &draft)?,
        Source::Input => {
            ensure!(!io::stdin().is_terminal(), "the archive is no text: write `< FILE` after the command");
            unpack(io::stdin().lock(), &draft)?;
        }
    }
    let put = || -> io::Result<()> {
        rustix::fs::syncfs(File::open(&draft)?)?;
        fs::rename(draft.join(MEDIA), data.join(MEDIA))?;
        fs::rename(draft.join(DATABASE), data.join(DATABASE))?;
        File::open(data)?.sync_all()
    };
    put().with_context(|| format!("moving what was unpacked to {}", data.display()))?;
    remove(&draft)?;
    Ok(format!(
        "{} has what was in the archive. Give the server the keys of that time before it starts",
        data.display()
    ))
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

/// Unpacks an archive, of which the database is the last part: with it, all is there.
fn unpack(archive: impl Read, to: &Path) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(BufReader::new(archive));
    let broken = "reading the archive: it is cut short, or none of `sentinel backup`";
    for entry in archive.entries().context(broken)? {
        let mut entry = entry.context(broken)?;
        let path = entry.path().context(broken)?.into_owned();
        let mut parts = path.components().filter(|part| *part != Component::CurDir);
        let Some(first) = parts.next() else { continue };
        let is_own = [DATABASE, MEDIA].iter().any(|own| first == Component::Normal(OsStr::new(own)));
        let kind = entry.header().entry_type();
        if !is_own || !(kind.is_file() || kind.is_dir()) {
            bail!("the archive is none of `sentinel backup`: it has {}", path.display());
        }
        let failed = || format!("unpacking {}: there is no room, or the archive is cut short", path.display());
        let unpacked = entry.unpack_in(to).with_context(failed)?;
        ensure!(unpacked, "the archive is none of `sentinel backup`: it has {}", path.display());
    }
    let is_whole = to.join(DATABASE).is_file() && to.join(MEDIA).is_dir();
    ensure!(is_whole, "the archive has no {DATABASE} or no {MEDIA}: it is cut short, or none of `sentinel backup`");
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
