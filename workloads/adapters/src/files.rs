//! The bytes of uploaded files as files of one folder, with links that the platform itself serves.

mod copy;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use sentinel_domain::{
    keyring::Keyring,
    media::{BlobKey, BlobPart, FileLink, Media, UPLOAD_SECONDS},
    ports::{BlobFiles, BlobWriter, Blobs, Served, StoreError, UploadLink},
    time::Timestamp,
};

pub use self::copy::{copy_missing, keep_only};

/// Bytes of names in front of which folders are made, so that no folder gets too many.
const SHARD: usize = 2;
/// What the names of files that are being written begin with.
const DRAFT: &str = ".draft-";

/// Objects in a folder. It belongs to one process.
#[derive(Clone)]
pub struct LocalFiles {
    root: Arc<PathBuf>,
    keyring: Arc<Keyring>,
}

impl LocalFiles {
    /// Uses a folder, making it if need be. What an earlier process did not finish to write is removed.
    pub fn open(root: &Path, keyring: Arc<Keyring>) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(DRAFT) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { root: Arc::new(root.to_owned()), keyring })
    }

    fn folder(&self, key: BlobKey) -> PathBuf {
        let name = key.media.to_string();
        // The beginning of an id is its time, the end is random.
        self.root.join(&name[name.len() - SHARD..]).join(&name)
    }

    fn path(&self, key: BlobKey) -> PathBuf {
        self.folder(key).join(key.part.as_str())
    }

    fn link(&self, base: &str, link: FileLink) -> String {
        let FileLink { key, size, expires } = link;
        let signature = link.sign(&self.keyring);
        let size = size.map(|size| format!("&size={size}")).unwrap_or_default();
        format!("{base}/media/files/{key}?expires={expires}{size}&signature={signature}")
    }
}

/// Runs what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(StoreError::unavailable)?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound,
        _ => StoreError::unavailable(error),
    })
}

/// A file that appears under its name when it is complete.
struct Draft {
    file: Option<File>,
    from: PathBuf,
    to: PathBuf,
}

impl Draft {
    fn begin(root: &Path, to: PathBuf) -> io::Result<Self> {
        let from = root.join(format!("{DRAFT}{}", uuid::Uuid::new_v4().simple()));
        Ok(Self { file: Some(File::create_new(&from)?), from, to })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the draft is closed"))?.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.sync_all()?;
        }
        // The folders that lead to it must be found after a crash too.
        let folders: Vec<&Path> = self.to.ancestors().skip(1).take(3).collect();
        if let Some(folder) = folders.first() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(&self.from, &self.to)?;
        folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already if it was finished.
        let _ = fs::remove_file(&self.from);
    }
}

/// A [`Draft`] that is handed to and fro between threads that may wait.
struct Writer(Option<Draft>);

#[async_trait]
impl BlobWriter for Writer {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(mut draft) = self.0.take() else {
            return Err(StoreError::unavailable("writing failed before"));
        };
        let bytes = bytes.to_vec();
        self.0 = Some(blocking(move || draft.write(&bytes).map(|()| draft)).await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        let Some(draft) = self.0.take() else {
            return Err(StoreError::unavailable("writing failed before"));
        };
        blocking(move || draft.finish()).await
    }
}

#[async_trait]
impl BlobFiles for LocalFiles {
    fn is_good(&self, link: &FileLink, code: &str, now: Timestamp) -> bool {
        link.is_good(&self.keyring, code, now)
    }

    async fn open(&self, key: BlobKey) -> Result<File, StoreError> {
        let path = self.path(key);
        blocking(move || File::open(path)).await
    }

    async fn begin(&self, key: BlobKey) -> Result<Box<dyn BlobWriter>, StoreError> {
        let (root, path) = (self.root.clone(), self.path(key));
        let draft = blocking(move || Draft::begin(&root, path)).await?;
        Ok(Box::new(Writer(Some(draft))))
    }
}

#[async_trait]
impl Blobs for LocalFiles {
    fn put_link(&self, base: &str, upload: &Media, now: Timestamp) -> Result<UploadLink, StoreError> {
        let link = FileLink {
            key: BlobKey::new(upload.id, BlobPart::Upload),
            size: Some(upload.size),
            expires: now.plus_seconds(UPLOAD_SECONDS).seconds(),
        };
        let headers = vec![("content-type", upload.content_type.as_str().to_owned())];
        Ok(UploadLink { url: self.link(base, link), headers })
    }

    fn get_link(&self, base: &str, key: BlobKey, _: Timestamp, until: Timestamp) -> Result<String, StoreError> {
        Ok(self.link(base, FileLink { key, size: None, expires: until.seconds() }))
    }

    async fn size(&self, key: BlobKey) -> Result<Option<u64>, StoreError> {
        let path = self.path(key);
        match blocking(move || fs::metadata(path)).await {
            Ok(found) => Ok(Some(found.len())),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, key: BlobKey) -> Result<Vec<u8>, StoreError> {
        let path = self.path(key);
        blocking(move || fs::read(path)).await
    }

    // How it is served is known where it is served.
    async fn put(&self, key: BlobKey, bytes: Vec<u8>, _: &Served) -> Result<(), StoreError> {
        let (root, path) = (self.root.clone(), self.path(key));
        blocking(move || {
            let mut draft = Draft::begin(&root, path)?;
            draft.write(&bytes)?;
            draft.finish()
        })
        .await
    }

    async fn delete(&self, key: BlobKey) -> Result<(), StoreError> {
        let (folder, path) = (self.folder(key), self.path(key));
        blocking(move || {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Stays as long as there are other parts.
            match fs::remove_dir(folder) {
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                    Err(error)
                }
                _ => Ok(()),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::ids::MediaId;
    use uuid::Uuid;

    use super::*;

    fn served() -> Served {
        Served { content_type: "image/png".into(), disposition: "inline".into() }
    }

    fn files(folder: &Path) -> LocalFiles {
        LocalFiles::open(folder, Arc::new(Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap())).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_there_when_complete_and_gone_when_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let media = MediaId(Uuid::now_v7());
        let (shown, upload) = (BlobKey::new(media, BlobPart::Shown), BlobKey::new(media, BlobPart::Upload));
        assert_eq!(files.size(shown).await.unwrap(), None);
        assert!(matches!(files.get(shown).await, Err(StoreError::NotFound)));
        let mut writer = files.begin(upload).await.unwrap();
        writer.write(b"hel").await.unwrap();
        writer.write(b"lo").await.unwrap();
        assert_eq!(files.size(upload).await.unwrap(), None, "nobody sees half a file");
        writer.finish().await.unwrap();
        files.put(shown, b"cleaned".to_vec(), &served()).await.unwrap();
        files.put(shown, b"clean".to_vec(), &served()).await.unwrap();
        assert_eq!(files.get(upload).await.unwrap(), b"hello");
        assert_eq!(files.get(shown).await.unwrap(), b"clean");
        for key in [upload, shown, shown] {
            files.delete(key).await.unwrap();
        }
        assert_eq!(files.size(shown).await.unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the empty shard is left");
    }

    #[tokio::test]
    async fn what_was_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let key = BlobKey::new(MediaId(Uuid::now_v7()), BlobPart::Upload);
        let mut writer = files.begin(key).await.unwrap();
        writer.write(b"half").await.unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(folder.path().join(".draft-killed"), "half").unwrap();
        self::files(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "what a killed process left is removed");
    }
}
