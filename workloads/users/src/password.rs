//! Password hashing: argon2id with OWASP's parameters, on at most as many threads as there are cores, and as there is memory for.

use std::{sync::Arc, thread};

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash,
};
use sentinel_domain::{
    account::{PASSWORD_HASH_MIB, PASSWORD_HASHES},
    keyring::random_bytes,
};
use sentinel_http::problem::Problem;
use tokio::sync::Semaphore;

/// Memory in KiB, passes and lanes (OWASP Password Storage Cheat Sheet).
const MEMORY_KIB: u32 = PASSWORD_HASH_MIB * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes that may wait for each thread: about half a second of work.
const QUEUE_PER_THREAD: usize = 16;

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait already.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash function refused, or a stored hash is not one.
    #[error("the password could not be hashed")]
    Hash(#[source] password_hash::Error),
    /// The parameters are not possible.
    #[error("the parameters of argon2 are wrong")]
    Parameters(#[source] argon2::Error),
    /// The system gave no random bytes, or the hashing thread died.
    #[error("password hashing failed")]
    Failed,
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        if !matches!(error, PasswordError::Busy) {
            tracing::error!(error = &error as &dyn std::error::Error, "a password could not be checked");
            return Self::internal();
        }
        metrics::counter!("sentinel_password_queue_full_total").increment(1);
        Self::unavailable()
    }
}

/// What checking a password found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is the password.
    pub matches: bool,
    /// Whether it was hashed with other parameters than today's.
    pub outdated: bool,
}

/// The bounded pool.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A hash that no password has.
    dummy: String,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Passwords {
    /// A pool with today's parameters.
    pub fn new() -> Result<Self, PasswordError> {
        Self::on(thread::available_parallelism().map_or(1, usize::from))
    }

    /// A pool for so many cores.
    fn on(cores: usize) -> Result<Self, PasswordError> {
        // Without a limit of CPU these are all cores of the machine.
        let threads = cores.min(PASSWORD_HASHES);
        Self::sized(threads, threads * (1 + QUEUE_PER_THREAD))
    }

    fn sized(threads: usize, places: usize) -> Result<Self, PasswordError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(PasswordError::Parameters)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobodys = random_bytes::<32>().map_err(|_| PasswordError::Failed)?;
        let dummy = hash(&argon2, &nobodys)?;
        Ok(Self { argon2, dummy, running: Arc::new(Semaphore::new(threads)), places: Arc::new(Semaphore::new(places)) })
    }

    /// Hashes a new password into PHC form.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, password.as_bytes())).await
    }

    /// Checks a password. Without a stored hash it takes the same time and never matches.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<Verdict, PasswordError> {
        let argon2 = self.argon2.clone();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.clone());
        let verdict = self.run(move || verify(&argon2, password.as_bytes(), &stored)).await?;
        Ok(Verdict { matches: verdict.matches && known, outdated: verdict.outdated && known })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PasswordError::Failed)?;
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even when the client went away.
            let _held = (place, turn);
            work()
        });
        task.await.map_err(|_| PasswordError::Failed)?
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, PasswordError> {
    let salt = random_bytes::<16>().map_err(|_| PasswordError::Failed)?;
    Ok(argon2.hash_password_with_salt(password, &salt).map_err(PasswordError::Hash)?.to_string())
}

fn verify(argon2: &Argon2<'_>, password: &[u8], stored: &str) -> Result<Verdict, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(|error| PasswordError::Hash(error.into()))?;
    let matches = match argon2.verify_password(password, &stored) {
        Ok(()) => true,
        Err(password_hash::Error::PasswordInvalid) => false,
        Err(error) => return Err(PasswordError::Hash(error)),
    };
    Ok(Verdict { matches, outdated: is_outdated(argon2, &stored) })
}

fn is_outdated(argon2: &Argon2<'_>, stored: &PasswordHash) -> bool {
    let same = |params: Params| {
        let today = argon2.params();
        (params.m_cost(), params.t_cost(), params.p_cost()) == (today.m_cost(), today.t_cost(), today.p_cost())
    };
    stored.algorithm != ARGON2ID_IDENT || !Params::try_from(stored).is_ok_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only_and_nobody_has_none() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verdict = |matches| Verdict { matches, outdated: false };
        assert_eq!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap(), verdict(true));
        assert_eq!(passwords.verify("wrong horse".into(), Some(hash)).await.unwrap(), verdict(false));
        assert_eq!(passwords.verify("wrong horse".into(), None).await.unwrap(), verdict(false));
    }

    #[tokio::test]
    async fn hashes_with_older_parameters_match_and_are_known_as_such() {
        let older = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8 * 1024, 1, 1, None).unwrap());
        let stored = hash(&older, b"correct horse").unwrap();
        let passwords = Passwords::new().unwrap();
        let verdict = passwords.verify("correct horse".into(), Some(stored)).await.unwrap();
        assert_eq!(verdict, Verdict { matches: true, outdated: true });
    }

    #[test]
    fn no_machine_has_so_many_cores_that_the_memory_does_not_last() {
        for (cores, threads) in [(1, 1), (2, 2), (8, 8), (96, 8)] {
            let passwords = Passwords::on(cores).unwrap();
            assert_eq!(passwords.running.available_permits(), threads, "{cores} cores");
            assert_eq!(passwords.places.available_permits(), threads * 17, "{cores} cores");
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_instead_of_growing() {
        let passwords = Passwords::sized(1, 2).unwrap();
        let places = Arc::clone(&passwords.places).acquire_many_owned(2).await.unwrap();
        assert!(matches!(passwords.hash("correct horse".into()).await, Err(PasswordError::Busy)));
        drop(places);
        assert!(passwords.hash("correct horse".into()).await.is_ok());
        assert_eq!(Problem::from(PasswordError::Busy).status().as_u16(), 503);
    }

    #[tokio::test]
    async fn a_stored_hash_that_is_none_is_our_fault() {
        let passwords = Passwords::new().unwrap();
        let error = passwords.verify("correct horse".into(), Some("plain".into())).await.unwrap_err();
        assert_eq!(Problem::from(error).status().as_u16(), 500);
    }
}
