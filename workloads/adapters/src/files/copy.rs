//! A copy of the folder beside the process that it belongs to. Files are never changed, only made and removed, so a hard
//! link is a copy that takes no room.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sentinel_domain::ids::MediaId;

/// Copies the files of `from` that `to` does not have, by links where both are on one volume.
pub fn copy_missing(from: &Path, to: &Path) -> io::Result<()> {
    for shard in folders(from)? {
        for media in folders(&shard)? {
            let Ok(place) = media.strip_prefix(from) else { continue };
            for part in entries(&media)? {
                copy_part(&part, &to.join(place))?;
            }
        }
    }
    Ok(())
}

/// Removes what is of no file in `known`, and says how many of them are there.
pub fn keep_only(root: &Path, known: &BTreeSet<MediaId>) -> io::Result<usize> {
    let mut kept = 0;
    for shard in folders(root)? {
        for media in folders(&shard)? {
            let id = media.file_name().and_then(|name| name.to_str()?.parse::<MediaId>().ok());
            if id.is_some_and(|id| known.contains(&id)) {
                kept += 1;
            } else {
                fs::remove_dir_all(&media)?;
            }
        }
    }
    Ok(kept)
}

fn copy_part(from: &Path, folder: &Path) -> io::Result<()> {
    let Some(name) = from.file_name() else { return Ok(()) };
    let to = folder.join(name);
    if to.try_exists()? {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    if fs::hard_link(from, &to).is_ok() {
        return Ok(());
    }
    // Another volume, or one that knows no links.
    match fs::copy(from, &to) {
        Ok(_) => File::open(&to)?.sync_all(),
        // Removed meanwhile, as nobody may see it any more.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What is in a folder; nothing when it is gone.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The folders in a folder: beside them are files that are being written.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn put(root: &Path, id: MediaId, part: &str) {
        let id = id.to_string();
        let folder = root.join(&id[id.len() - 2..]).join(&id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(part), part).unwrap();
    }

    fn parts(root: &Path) -> usize {
        let media = folders(root).unwrap().into_iter().flat_map(|shard| folders(&shard).unwrap());
        media.map(|media| entries(&media).unwrap().len()).sum()
    }

    #[test]
    fn a_copy_has_what_its_database_knows_and_keeps_it_when_the_original_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("media"), folder.path().join("copy"));
        let [before, meanwhile, unknown] = [(); 3].map(|()| MediaId(Uuid::now_v7()));
        copy_missing(&from, &to).unwrap();
        for id in [before, unknown] {
            put(&from, id, "file");
        }
        fs::write(from.join(".draft-1"), "half").unwrap();
        copy_missing(&from, &to).unwrap();
        put(&from, before, "thumbnail");
        put(&from, meanwhile, "file");
        copy_missing(&from, &to).unwrap();
        assert_eq!(keep_only(&to, &BTreeSet::from([before, meanwhile])).unwrap(), 2);
        fs::remove_dir_all(&from).unwrap();
        assert_eq!((parts(&to), entries(&to).unwrap().len() - folders(&to).unwrap().len()), (3, 0));
    }
}
