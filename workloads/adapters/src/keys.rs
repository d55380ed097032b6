//! Key files: a folder, usually a mounted Secret; [`key_file`] has the names.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use sentinel_domain::{
    key_file::{self, FIRST_ENCRYPTION_KEY, FIRST_SIGNING_KEY, KeyFile, VAPID_FILE},
    key_generation,
    keyring::{KEY_BYTES, KeyError, Keyring},
};

/// What is wrong with the key files.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// A file or the folder can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or the folder can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no key-encryption key.
    #[error("{} must hold {KEY_BYTES} random bytes in base64, as `openssl rand -base64 {KEY_BYTES}` prints them", path.display())]
    Malformed {
        /// Which one.
        path: PathBuf,
    },
    /// There is no key-encryption key in the folder.
    #[error("{}: {source}", path.display())]
    Ring {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// A key can't be generated.
    #[error("can't generate a key")]
    Generate(#[source] KeyError),
}

/// Reads every key-encryption key of the folder.
pub fn load_keyring(dir: &Path) -> Result<Keyring, KeyFileError> {
    let (mut keys, mut next) = (BTreeMap::new(), BTreeMap::new());
    for file in names(dir)? {
        let Some(KeyFile::Encryption { name, is_prepared }) = KeyFile::named(&file) else { continue };
        let path = dir.join(&file);
        let text = fs::read(&path).map_err(|source| KeyFileError::Read { path: path.clone(), source })?;
        let key = key_file::encryption_key(&text).ok_or(KeyFileError::Malformed { path })?;
        let ring = if is_prepared { &mut next } else { &mut keys };
        ring.insert(name.to_owned(), key);
    }
    let ring = Keyring::new(keys).map_err(|source| KeyFileError::Ring { path: dir.to_owned(), source })?;
    Ok(ring.with_next(next))
}

/// Makes what a platform without an operator needs and does not have yet: the folder, `kek-0001`, the signing key
/// `jwt-0001.pem` (Ed25519, PKCS #8), and `vapid.pem` for Web Push. Gives the files it made; an existing file is never touched.
pub fn create_missing(dir: &Path) -> Result<Vec<PathBuf>, KeyFileError> {
    let failed = |source| KeyFileError::Write { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let names = names(dir)?;
    let there: Vec<KeyFile<'_>> = names.iter().filter_map(|name| KeyFile::named(name)).collect();
    let mut made = Vec::new();
    if !there.iter().any(|key| matches!(key, KeyFile::Encryption { .. })) {
        let key = key_generation::encryption_key().map_err(KeyFileError::Generate)?;
        made.extend(create(dir, FIRST_ENCRYPTION_KEY, &format!("{key}\n"))?);
    }
    if !there.iter().any(|key| matches!(key, KeyFile::Signing { .. })) {
        let key = key_generation::signing_key().map_err(KeyFileError::Generate)?;
        made.extend(create(dir, FIRST_SIGNING_KEY, &key)?);
    }
    if !there.contains(&KeyFile::Vapid) {
        let key = key_generation::vapid_key().map_err(KeyFileError::Generate)?;
        made.extend(create(dir, VAPID_FILE, &key)?);
    }
    if !made.is_empty() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    }
    Ok(made)
}

fn names(dir: &Path) -> Result<Vec<String>, KeyFileError> {
    let failed = |source| KeyFileError::Read { path: dir.to_owned(), source };
    fs::read_dir(dir)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(failed))
        .collect()
}

/// Makes a file with all its content at once; `None` when somebody else was faster.
fn create(dir: &Path, name: &str, content: &str) -> Result<Option<PathBuf>, KeyFileError> {
    let path = dir.join(name);
    let draft = dir.join(format!(".{name}.{}", uuid::Uuid::new_v4().simple()));
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| KeyFileError::Write { path, source }
    };
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    // A link, unlike a rename, never replaces what is there.
    let linked = written.map_err(failed(&draft)).map(|()| fs::hard_link(&draft, &path));
    let _ = fs::remove_file(&draft);
    match linked? {
        Ok(()) => Ok(Some(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(failed(&path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn what_is_missing_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let made = create_missing(&keys).unwrap();
        assert_eq!(made, [keys.join("kek-0001"), keys.join("jwt-0001.pem"), keys.join("vapid.pem")]);
        assert!(create_missing(&keys).unwrap().is_empty());
        for path in &made {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 3, "drafts are removed");
        assert_eq!(load_keyring(&keys).unwrap().newest(), "kek-0001");
    }

    #[test]
    fn a_file_of_somebody_else_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(create(dir.path(), "kek-0001", "first").unwrap().is_some());
        assert!(create(dir.path(), "kek-0001", "second").unwrap().is_none());
        assert_eq!(fs::read_to_string(dir.path().join("kek-0001")).unwrap(), "first");
    }

    #[test]
    fn the_signing_key_is_one_that_tokens_can_be_signed_with() {
        let dir = tempfile::tempdir().unwrap();
        create_missing(dir.path()).unwrap();
        let pem = fs::read(dir.path().join("jwt-0001.pem")).unwrap();
        jsonwebtoken::EncodingKey::from_ed_pem(&pem).unwrap();
    }

    #[test]
    fn keys_are_read_from_a_mounted_secret() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("..data");
        fs::create_dir(&data).unwrap();
        for name in ["kek-0001", "kek-0002"] {
            fs::write(data.join(name), format!(" {}\r\n", STANDARD.encode([7; KEY_BYTES]))).unwrap();
            symlink(data.join(name), dir.path().join(name)).unwrap();
        }
        assert_eq!(load_keyring(dir.path()).unwrap().newest(), "kek-0002");
    }

    #[test]
    fn a_key_is_known_before_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let write =
            |name: &str, byte: u8| fs::write(dir.path().join(name), STANDARD.encode([byte; KEY_BYTES])).unwrap();
        write("kek-0002.next", 2);
        assert!(load_keyring(dir.path()).unwrap_err().to_string().contains("no key-encryption key"));
        write("kek-0001", 1);
        let prepared = load_keyring(dir.path()).unwrap();
        assert_eq!(prepared.newest(), "kek-0001");
        fs::rename(dir.path().join("kek-0002.next"), dir.path().join("kek-0002")).unwrap();
        let activated = load_keyring(dir.path()).unwrap();
        assert_eq!(activated.newest(), "kek-0002");
        let sealed = activated.seal("mail", b"", b"hello").unwrap();
        assert_eq!(prepared.open("mail", b"", &sealed).unwrap(), b"hello");
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let text = |error: KeyFileError| error.to_string();
        assert!(text(load_keyring(&dir.path().join("none")).unwrap_err()).contains("none"));
        assert!(text(load_keyring(dir.path()).unwrap_err()).contains("no key-encryption key"));
        for bad in ["", "not base64", "c2hvcnQ="] {
            fs::write(dir.path().join("kek-0007"), bad).unwrap();
            assert!(text(load_keyring(dir.path()).unwrap_err()).contains("kek-0007"), "{bad}");
        }
    }
}
