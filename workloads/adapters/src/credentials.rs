//! User name and password of a store: two files in a folder, usually a mounted Secret.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use sentinel_domain::config::Connection;

/// What a store is told to let this process in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password; never logged.
    pub password: String,
}

/// A credential that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is not there or may not be read.
    #[error("can't read {}; the folder in `credentials` must have the files `username` and `password`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file says nothing.
    #[error("{} is empty", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
}

impl Credentials {
    /// Reads the files of a connection as they are now; `None` when it has no folder.
    pub fn read(connection: &Connection) -> Result<Option<Self>, CredentialsError> {
        connection.credentials.as_deref().map(Self::of_folder).transpose()
    }

    /// Reads the files `username` and `password` of a folder.
    pub fn of_folder(folder: &Path) -> Result<Self, CredentialsError> {
        Ok(Self { username: value(folder, "username")?, password: value(folder, "password")? })
    }
}

/// A file's text without the line break that editors leave at its end.
fn value(folder: &Path, name: &str) -> Result<String, CredentialsError> {
    let path = folder.join(name);
    let text =
        std::fs::read_to_string(&path).map_err(|source| CredentialsError::Unreadable { path: path.clone(), source })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(CredentialsError::Empty { path }) } else { Ok(text.to_owned()) }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(credentials: Option<PathBuf>) -> Connection {
        Connection { endpoints: vec!["db:5432".into()], credentials, tls: None }
    }

    #[test]
    fn both_files_are_read_and_the_password_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("username"), "ann\n").unwrap();
        let missing = Credentials::read(&connection(Some(folder.path().into()))).unwrap_err().to_string();
        assert!(missing.contains("password"), "{missing}");
        std::fs::write(folder.path().join("password"), " pass word \n").unwrap();
        let read = Credentials::read(&connection(Some(folder.path().into()))).unwrap().unwrap();
        assert_eq!((read.username.as_str(), read.password.as_str()), ("ann", " pass word "));
        assert!(!format!("{read:?}").contains("pass"));
        std::fs::write(folder.path().join("password"), "\n").unwrap();
        assert!(matches!(
            Credentials::read(&connection(Some(folder.path().into()))),
            Err(CredentialsError::Empty { path }) if path.ends_with("password")
        ));
        assert_eq!(Credentials::read(&connection(None)).unwrap(), None);
    }
}
