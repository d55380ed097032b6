//! `sentinel backup`: a copy of what profile Embedded stores, beside the server that serves from it.
//!
//! Files are copied before the database and after it, and then those removed that the copied database does not know: so
//! nothing that is sent or deleted meanwhile leaves a message without its file, or a file that nobody would ever remove.
//! The search index is not in a copy: a server without one makes it from the messages. Keys are not, either.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use sentinel_adapters::{files, sqlite};
use sentinel_domain::config::PlatformConfig;

use crate::embedded::{DATABASE, MEDIA};

/// Held while a copy is made, so that what is left of one that was cut short can be told from one that is being made.
const LOCK: &str = "backup.lock";
/// What an archive is made of.
const DRAFT: &str = "backup.draft";
/// What SQLite may have beside a database that it was about to write.
const JOURNAL: &str = "sentinel.db-journal";
/// What a copy leaves free on its volume, which may be the server's.
const SPARE: u64 = 64 << 20;

/// Where a copy goes.
pub enum Target {
    /// Into a folder that is made.
    Folder {
        /// Which one.
        path: PathBuf,
        /// Whether it takes the place of an earlier copy.
        replace: bool,
    },
    /// To the standard output, as a tar archive.
    Archive,
}

/// Makes a copy, and says what is in it.
pub fn make(config: &PlatformConfig, target: &Target) -> anyhow::Result<String> {
    ensure!(config.stores.is_none(), "profile Distributed has its data in its stores: see docs/backup.md");
    let data = &config.data_dir;
    let database = data.join(DATABASE);
    let is_there = database.try_exists().with_context(|| format!("looking for {}", database.display()))?;
    ensure!(is_there, "there is no {}: name the folder of a server, or its configuration", database.display());
    let _lock = lock(data)?;
    let copied = match target {
        Target::Folder { path, replace } => into_folder(data, path, *replace)?,
        Target::Archive => {
            ensure!(!io::stdout().is_terminal(), "the archive is no text: write `> FILE` after the command");
            into_archive(data)?
        }
    };
    Ok(format!("{copied}. Its keys are not in it: keep a copy of {} elsewhere", config.keys_dir.display()))
}

/// Removes what an archive that was cut short has left.
pub fn tidy_up(data: &Path) -> anyhow::Result<()> {
    let draft = data.join(DRAFT);
    if !draft.exists() {
        return Ok(());
    }
    // One that is being made is left alone.
    let Ok(_lock) = lock(data) else { return Ok(()) };
    remove(&draft)
}

fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.with_context(|| format!("opening {}", path.display()))?;
    file.try_lock().with_context(|| format!("another backup of {} is being made", data.display()))?;
    Ok(file)
}

fn into_folder(data: &Path, path: &Path, replace: bool) -> anyhow::Result<String> {
    let shown = path.display();
    let earlier = path.try_exists().with_context(|| format!("looking for {shown}"))?;
    if earlier {
        ensure!(replace, "{shown} exists: name another folder, or put the copy in its place with --replace");
        check_is_copy(path)?;
    }
    let beside = |ending: &str| {
        let mut name = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
        name.push(ending);
        path.with_file_name(name)
    };
    let (draft, old) = (beside(".draft"), beside(".old"));
    let copied = in_draft(data, &draft)?;
    if earlier {
        // Of one that was cut short when its copy was in place.
        remove(&old)?;
    }
    let moved = || -> io::Result<()> {
        if earlier {
            fs::rename(path, &old)?;
        }
        fs::rename(&draft, path)?;
        File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
    };
    moved().with_context(|| format!("moving {} to {shown}", draft.display()))?;
    remove(&old)?;
    Ok(format!("{copied} are in {shown}"))
}

/// Whatever else is in a folder must not be removed with it.
fn check_is_copy(path: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("reading {}", path.display()))?.file_name();
        if ![DATABASE, JOURNAL, MEDIA].iter().any(|own| name == **own) {
            bail!("{} is no earlier copy: it has {}; name another folder", path.display(), name.display());
        }
    }
    Ok(())
}

fn into_archive(data: &Path) -> anyhow::Result<String> {
    let draft = data.join(DRAFT);
    let written = in_draft(data, &draft).and_then(|copied| {
        let mut archive = tar::Builder::new(io::BufWriter::new(io::stdout().lock()));
        archive.follow_symlinks(false);
        // The database last: an archive that has it is whole.
        archive
            .append_dir_all(MEDIA, draft.join(MEDIA))
            .and_then(|()| archive.append_path_with_name(draft.join(DATABASE), DATABASE))
            .and_then(|()| archive.into_inner()?.flush())
            .context("writing the archive to the standard output")?;
        Ok(format!("{copied} are in the archive"))
    });
    remove(&draft)?;
    written
}

/// Makes a copy in a new folder; one that fails leaves nothing.
fn in_draft(data: &Path, draft: &Path) -> anyhow::Result<String> {
    remove(draft)?;
    let made = DirBuilder::new().mode(0o700).create(draft);
    made.with_context(|| format!("making {}", draft.display()))?;
    let copied = copy(data, draft);
    if copied.is_err() {
        remove(draft)?;
    }
    copied
}

fn copy(data: &Path, to: &Path) -> anyhow::Result<String> {
    check_room(data, to)?;
    let (database, media, own) = (data.join(DATABASE), data.join(MEDIA), to.join(MEDIA));
    let copy_files = || files::copy_missing(&media, &own).with_context(|| format!("copying {}", media.display()));
    copy_files()?;
    let known = sqlite::copy(&database, &to.join(DATABASE))?;
    copy_files()?;
    let kept = || -> io::Result<usize> {
        fs::create_dir_all(&own)?;
        let kept = files::keep_only(&own, &known)?;
        // Links and folders, too, must be found after a crash.
        rustix::fs::syncfs(File::open(to)?)?;
        Ok(kept)
    };
    let kept = kept().with_context(|| format!("completing {}", own.display()))?;
    Ok(format!("the database and {kept} uploaded files"))
}

/// A server whose volume is filled by a copy refuses what it is sent.
fn check_room(data: &Path, to: &Path) -> anyhow::Result<()> {
    let database = data.join(DATABASE);
    let size = |path: &Path| fs::metadata(path).map(|found| found.len());
    let needed = size(&database).with_context(|| format!("looking for {}", database.display()))?
        + size(&data.join(format!("{DATABASE}-wal"))).unwrap_or(0);
    let volume = rustix::fs::statvfs(to).with_context(|| format!("looking for room for {}", to.display()))?;
    let free = volume.f_bavail * volume.f_frsize;
    ensure!(
        free >= needed + SPARE,
        "the copy of the database may take {} MiB, {} more have to stay free, and the volume of {} has {}: make room, or name \
         a folder on another volume",
        needed >> 20,
        SPARE >> 20,
        to.display(),
        free >> 20
    );
    Ok(())
}

/// Removes a copy, or what there is of one; nothing when there is none.
fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.try_exists().with_context(|| format!("looking for {}", folder.display()))? {
        return Ok(());
    }
    check_is_copy(folder)?;
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}
