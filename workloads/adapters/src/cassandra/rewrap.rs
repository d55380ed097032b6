//! Rotation of key-encryption keys.

use futures::StreamExt;
use scylla::client::session::Session;
use sentinel_domain::{
    config::CassandraConfig,
    ids::ChatId,
    keyring::{KeyError, Keyring, Rewrapped, WrappedKey},
    ports::StoreError,
};
use uuid::Uuid;

use super::{CassandraError, Shared, statements::Statements};

/// Samples belong to no chat.
const NO_CHAT: ChatId = ChatId(Uuid::nil());

/// Whether the keyring opens what is in the keyspace: tries the sample of each key-encryption key in use, and leaves one
/// for the newest.
pub(super) async fn check_keys(
    session: &Session,
    statements: &Statements,
    keyring: &Keyring,
    config: &CassandraConfig,
) -> Result<(), CassandraError> {
    let wrong = |source| CassandraError::Keys { keyspace: config.keyspace.clone(), source };
    let answer = |error| CassandraError::Answer(Box::new(error));
    let result = session.execute_unpaged(&statements.keks, ()).await.map_err(Box::new)?;
    let result = result.into_rows_result().map_err(|error| CassandraError::Answer(Box::new(error)))?;
    let mut known = false;
    for row in result.rows::<(String, Vec<u8>)>().map_err(|error| CassandraError::Answer(Box::new(error)))? {
        let (kek, bytes) = row.map_err(answer)?;
        known |= kek == keyring.newest();
        keyring.unwrap_key(NO_CHAT, &WrappedKey { kek, bytes }).map_err(wrong)?;
    }
    if !known {
        let (_, WrappedKey { kek, bytes }) = keyring.new_chat_key(NO_CHAT).map_err(wrong)?;
        session.execute_unpaged(&statements.insert_kek, (kek, bytes)).await.map_err(Box::new)?;
    }
    Ok(())
}

impl Shared {
    /// Wraps all chat keys under the newest key-encryption key.
    pub(super) async fn rewrap_keys(&self) -> Result<Rewrapped, StoreError> {
        let keyring = self.keys.keyring()?;
        let mut total = Rewrapped::default();
        // A chat may have been started under an older key behind the back of a pass.
        while self.rewrap_pass(keyring, &mut total).await? > 0 {}
        let keks: Vec<(String, Vec<u8>)> = self.rows(&self.statements.keks, ()).await?;
        for (kek, _) in keks {
            if kek != keyring.newest() {
                self.write(&self.statements.delete_kek, (kek,)).await?;
            }
        }
        Ok(total)
    }

    /// Gives how many keys it wrapped.
    async fn rewrap_pass(&self, keyring: &Keyring, total: &mut Rewrapped) -> Result<usize, StoreError> {
        self.check_open()?;
        let pager = self.session.execute_iter(self.statements.all_keys.clone(), ()).await;
        let rows = pager.map_err(StoreError::unavailable)?.rows_stream::<(Uuid, Option<String>, Option<Vec<u8>>)>();
        let mut rows = rows.map_err(StoreError::unavailable)?;
        let mut done = 0;
        while let Some(row) = rows.next().await {
            let (chat, Some(kek), Some(bytes)) = row.map_err(StoreError::unavailable)? else { continue };
            let old = WrappedKey { kek, bytes };
            let new = match keyring.rewrap(ChatId(chat), &old) {
                Ok(Some(new)) => new,
                Ok(None) => continue,
                Err(error @ KeyError::Random) => return Err(error.into()),
                Err(error) => {
                    if total.unreadable.insert(ChatId(chat)) {
                        tracing::warn!(%chat, %error, "the key of a chat can't be opened and is left out");
                    }
                    continue;
                }
            };
            // Only what was just read is replaced: the chat may have been deleted, or another process was faster.
            let values = (new.kek, new.bytes, chat, old.kek, old.bytes);
            if self.decide(&self.statements.set_key, values).await? {
                done += 1;
            }
        }
        total.count += done;
        Ok(done)
    }
}
