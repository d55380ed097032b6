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

use anyhow::{Context as _, anyhow, bail, ensure};

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
    check_is_new(data, &draft)?;
    // The draft last: it tells that the files are of an archive.
    remove(&data.join(MEDIA))?;
    remove(&draft)?;
    DirBuilder::new().mode(0o700).create(&draft).with_context(|| format!("making {}", draft.display()))?;
    let unpacked = match source {
        Source::File(path) => open(path).and_then(|archive| unpack(archive, &draft)),
        Source::Input if io::stdin().is_terminal() => {
            Err(anyhow!("the archive is no text: write `< FILE` after the command"))
        }
        Source::Input => unpack(io::stdin().lock(), &draft),
    };
    if unpacked.is_err() {
        remove(&draft)?;
    }
    unpacked?;
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

/// Refuses a folder that has anything of a server. SQLite would add to a database what it finds beside it, of whichever
/// database that is.
fn check_is_new(data: &Path, draft: &Path) -> anyhow::Result<()> {
    let mut names: Vec<String> = Vec::new();
    for database in [DATABASE, SEARCH_DATABASE] {
        names.extend(["", "-wal", "-shm", "-journal"].map(|part| format!("{database}{part}")));
    }
    // A restore that was ended between its two moves has left the files of its archive, and the database in the draft.
    if !is_there(&draft.join(DATABASE))? || is_there(&draft.join(MEDIA))? {
        names.push(MEDIA.into());
    }
    for name in names {
        let is_there = is_there(&data.join(&name))?;
        ensure!(!is_there, "{} has {name} already: name a folder in which no server has begun", data.display());
    }
    Ok(())
}

/// Refuses a folder that a restore has left without a database: a server would begin anew beside the files of the archive.
pub fn check_whole(data: &Path) -> anyhow::Result<()> {
    let draft = data.join(DRAFT);
    ensure!(
        is_there(&data.join(DATABASE))? || !is_there(&draft)?,
        "a restore into {} is not done, or was cut short: run `sentinel restore` again, or remove {} and {} to begin without it",
        data.display(),
        draft.display(),
        data.join(MEDIA).display()
    );
    Ok(())
}

/// Removes what a restore that was ended after its last move has left.
pub fn tidy_up(data: &Path) -> anyhow::Result<()> {
    remove(&data.join(DRAFT))
}

fn is_there(path: &Path) -> anyhow::Result<bool> {
    path.try_exists().with_context(|| format!("looking for {}", path.display()))
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
