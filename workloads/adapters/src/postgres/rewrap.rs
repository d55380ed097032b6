//! Rotation of key-encryption keys: what is sealed under one itself.

use sentinel_domain::{
    keyring::{Keyring, WrappedKey},
    mail::MAIL,
    ports::StoreError,
    report::EVIDENCE,
};
use uuid::Uuid;

use super::Postgres;

/// Rows of one question.
const STEP: i64 = 256;

/// Purpose, what is under an older key, and how it is replaced unless somebody else did.
const SEALED: [(&str, &str, &str); 2] = [
    (
        EVIDENCE,
        "SELECT id, kek, evidence FROM reports WHERE kek <> $1 AND id > $2 ORDER BY id LIMIT $3",
        "UPDATE reports SET kek = $2, evidence = $3 WHERE id = $1 AND kek = $4",
    ),
    (
        MAIL,
        "SELECT id, kek, sealed FROM mail_queue WHERE kek <> $1 AND id > $2 ORDER BY id LIMIT $3",
        "UPDATE mail_queue SET kek = $2, sealed = $3 WHERE id = $1 AND kek = $4",
    ),
];

impl Postgres {
    /// Puts every report's evidence and queued mail under the newest key-encryption key that is not; gives their number.
    /// Safe to repeat, and while services run.
    pub async fn reseal(&self, keyring: &Keyring) -> Result<usize, StoreError> {
        let mut done = 0;
        for (purpose, select, update) in SEALED {
            let mut after = Uuid::nil();
            loop {
                let found = self.sealed(select, keyring.newest().to_owned(), after).await?;
                let Some((last, _)) = found.last() else { break };
                after = *last;
                for (id, sealed) in found {
                    match keyring.reseal(purpose, id.as_bytes(), &sealed) {
                        Ok(Some(anew)) => {
                            self.replace(update, id, sealed.kek, anew).await?;
                            done += 1;
                        }
                        Ok(None) => {}
                        // Lost before; the others need not be.
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(%id, kind = purpose, error, "can't be sealed anew");
                        }
                    }
                }
            }
        }
        Ok(done)
    }

    async fn sealed(
        &self,
        select: &'static str,
        newest: String,
        after: Uuid,
    ) -> Result<Vec<(Uuid, WrappedKey)>, StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query_as(select).bind(newest).bind(after).bind(STEP);
                let rows: Vec<(Uuid, String, Vec<u8>)> = select.fetch_all(db).await?;
                Ok(rows.into_iter().map(|(id, kek, bytes)| (id, WrappedKey { kek, bytes })).collect())
            })
        })
        .await
    }

    async fn replace(
        &self,
        update: &'static str,
        id: Uuid,
        before: String,
        anew: WrappedKey,
    ) -> Result<(), StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                sqlx::query(update).bind(id).bind(anew.kek).bind(anew.bytes).bind(before).execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}
