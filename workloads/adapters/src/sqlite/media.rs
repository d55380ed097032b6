//! What is known of uploaded files.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    ids::{ChatId, MediaId, UserId},
    media::{ContentType, Due, Media, MediaState, Picture, Shown, Usage},
    ports::{MediaReader, MediaStore, StoreError},
    retention::Horizon,
    time::Timestamp,
};

use super::{
    Sqlite,
    accounts::require_account,
    failure::Failure,
    rows::{self, execute, exists},
    statements::{
        COMPLETE_MEDIA, CONDEMN_MEDIA, CONDEMN_MEDIA_OF, DELETE_MEDIA, DELETE_MEDIA_CHATS, DELETE_MEDIA_OF_CHAT,
        DETACH_MEDIA, GIVE_UP_MEDIA, INSERT_DUE, INSERT_DUE_OF, INSERT_DUE_OF_CHAT, INSERT_DUE_OF_EXPIRED,
        INSERT_MEDIA, MEDIA, MEDIA_DUE, MEDIA_IS_CONDEMNED, MEDIA_IS_IN_ANY_CHAT, MEDIA_IS_IN_CHAT, MEDIA_OF_OWNER,
        MEDIA_USAGE, PRUNE_MEDIA_OF_CHAT, REQUIRE_MEDIA_HASH, SETTLE_MEDIA,
    },
};

/// How long after a file has lost a chat it is looked at. A message that is about to show it elsewhere, because it was there, is
/// written by then.
const SOON_SECONDS: i64 = 60;

/// The number of a state in the table.
fn code(state: MediaState) -> u8 {
    match state {
        MediaState::Pending => 0,
        MediaState::Ready => 1,
        MediaState::Condemned => 2,
    }
}

/// Numbers that no file reaches are kept as the greatest that the table can have.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

/// A row of `id, owner, filename, content_type, size, sha256, state, shown_size, width, height`.
fn media(row: &Row<'_>) -> rusqlite::Result<Media> {
    let picture = match (row.get(8)?, row.get(9)?) {
        (Some(width), Some(height)) => Some(Picture { width, height }),
        _ => None,
    };
    let shown_size: Option<i64> = row.get(7)?;
    Ok(Media {
        id: MediaId::from_bytes(row.get(0)?),
        owner: UserId::from_bytes(row.get(1)?),
        filename: row.get(2)?,
        content_type: ContentType::parse(row.get_ref(3)?.as_str()?)
            .ok_or_else(|| rows::malformed(3, rusqlite::types::Type::Text))?,
        size: count(row, 4)?,
        sha256: row.get(5)?,
        state: match row.get::<_, u8>(6)? {
            0 => MediaState::Pending,
            1 => MediaState::Ready,
            _ => MediaState::Condemned,
        },
        shown: shown_size.map(|size| Shown { size: size.unsigned_abs(), picture }),
    })
}

fn by_id(db: &Connection, id: MediaId) -> rusqlite::Result<Option<Media>> {
    db.prepare_cached(MEDIA)?.query_row([id.as_bytes()], media).optional()
}

/// Whether some chat shows a file in a message of after `from`.
fn is_in_chat(db: &Connection, id: MediaId, from: Timestamp) -> rusqlite::Result<bool> {
    exists(db, MEDIA_IS_IN_ANY_CHAT, params![id.as_bytes(), from.0])
}

/// Whether such a chat of the caller's shows it.
fn is_in_chat_of(db: &Connection, caller: UserId, media: &Media, from: Timestamp) -> rusqlite::Result<bool> {
    if media.owner == caller {
        return is_in_chat(db, media.id, from);
    }
    let chat = ChatId::of_pair(media.owner, caller);
    exists(db, MEDIA_IS_IN_CHAT, params![media.id.as_bytes(), from.0, chat.as_bytes()])
}

/// Whether a file was given up, or its owner is gone.
pub(super) fn is_condemned(db: &Connection, id: MediaId) -> rusqlite::Result<bool> {
    exists(db, MEDIA_IS_CONDEMNED, params![id.as_bytes(), code(MediaState::Condemned)])
}

/// Hides all files of an owner and has them looked at again.
pub(super) fn condemn_all(db: &Connection, owner: UserId, now: Timestamp) -> Result<(), Failure> {
    execute(db, INSERT_DUE_OF, params![owner.as_bytes(), now.0])?;
    execute(db, CONDEMN_MEDIA_OF, params![owner.as_bytes(), code(MediaState::Condemned)])?;
    Ok(())
}

/// Takes all files away from a chat and has them looked at again.
pub(super) fn leave_chat(db: &Connection, chat: ChatId, now: Timestamp) -> Result<(), Failure> {
    execute(db, INSERT_DUE_OF_CHAT, params![chat.as_bytes(), now.plus_seconds(SOON_SECONDS).0])?;
    execute(db, DELETE_MEDIA_OF_CHAT, [chat.as_bytes()])?;
    Ok(())
}

/// Takes the files away from a chat that only messages show which are too old, and has them looked at again.
pub(super) fn leave_expired(db: &Connection, chat: ChatId, horizon: Horizon, now: Timestamp) -> rusqlite::Result<()> {
    let soon = now.plus_seconds(SOON_SECONDS);
    execute(db, INSERT_DUE_OF_EXPIRED, params![chat.as_bytes(), soon.0, horizon.time().0])?;
    execute(db, PRUNE_MEDIA_OF_CHAT, params![chat.as_bytes(), horizon.time().0])?;
    Ok(())
}

#[async_trait]
impl MediaReader for Sqlite {
    async fn media(&self, id: MediaId) -> Result<Option<Media>, StoreError> {
        self.read(move |db| Ok(by_id(db, id)?)).await
    }

    async fn is_in_chat(&self, id: MediaId) -> Result<bool, StoreError> {
        let from = self.horizon().time();
        self.read(move |db| Ok(is_in_chat(db, id, from)?)).await
    }

    async fn media_for(&self, caller: UserId, ids: &[MediaId]) -> Result<Vec<(Media, bool)>, StoreError> {
        let (ids, from) = (ids.to_vec(), self.horizon().time());
        self.read(move |db| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some(media) = by_id(db, id)? {
                    let in_chat = is_in_chat_of(db, caller, &media, from)?;
                    found.push((media, in_chat));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn owned(&self, owner: UserId, after: Option<MediaId>, limit: usize) -> Result<Vec<Media>, StoreError> {
        self.read(move |db| {
            let after = after.map_or([0; 16], |after| *after.as_bytes());
            let mut select = db.prepare_cached(MEDIA_OF_OWNER)?;
            let values = params![owner.as_bytes(), after, code(MediaState::Condemned), number(limit as u64)];
            Ok(select.query_map(values, media)?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

#[async_trait]
impl MediaStore for Sqlite {
    async fn create(&self, media: Media) -> Result<(), StoreError> {
        self.write(move |batch| {
            require_account(batch, media.owner)?;
            let (id, owner) = (media.id.as_bytes(), media.owner.as_bytes());
            let state = code(media.state);
            let content_type = media.content_type.as_str();
            let values = params![id, owner, media.filename, content_type, number(media.size), media.sha256, state];
            execute(batch.db, INSERT_MEDIA, values)?;
            execute(batch.db, INSERT_DUE, params![media.unused_until().0, id])?;
            Ok(())
        })
        .await
    }

    async fn require_hash(&self, id: MediaId, sha256: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.write(move |batch| {
            let values = params![id.as_bytes(), code(MediaState::Pending), sha256];
            let required =
                batch.db.prepare_cached(REQUIRE_MEDIA_HASH)?.query_row(values, |row| row.get(0)).optional()?;
            Ok(required.ok_or(StoreError::NotFound)?)
        })
        .await
    }

    async fn complete(&self, id: MediaId, content_type: &ContentType, shown: Shown) -> Result<(), StoreError> {
        let content_type = content_type.clone();
        self.write(move |batch| {
            let extent = shown.picture.map(|Picture { width, height }| (width, height)).unzip();
            let (from, to) = (code(MediaState::Pending), code(MediaState::Ready));
            let (size, content_type) = (number(shown.size), content_type.as_str());
            let values = params![id.as_bytes(), from, to, size, extent.0, extent.1, content_type];
            match execute(batch.db, COMPLETE_MEDIA, values)? {
                0 => Err(StoreError::NotFound.into()),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn give_up(&self, id: MediaId, again: Timestamp) -> Result<(), StoreError> {
        self.write(move |batch| {
            let (complete, to) = (code(MediaState::Ready), code(MediaState::Condemned));
            let values = params![id.as_bytes(), complete, to, batch.horizon.time().0];
            if execute(batch.db, GIVE_UP_MEDIA, values)? == 0 {
                return Err(StoreError::NotFound.into());
            }
            execute(batch.db, INSERT_DUE, params![again.0, id.as_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn detach(&self, id: MediaId, chat: ChatId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |batch| {
            if execute(batch.db, DETACH_MEDIA, params![id.as_bytes(), chat.as_bytes()])? > 0 {
                execute(batch.db, INSERT_DUE, params![now.plus_seconds(SOON_SECONDS).0, id.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    async fn usage(&self, owner: UserId) -> Result<Usage, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(MEDIA_USAGE)?;
            let usage = select.query_row(params![owner.as_bytes(), code(MediaState::Condemned)], |row| {
                Ok(Usage { files: count(row, 0)?, bytes: count(row, 1)? })
            })?;
            Ok(usage)
        })
        .await
    }

    async fn condemn(&self, id: MediaId) -> Result<(), StoreError> {
        self.write(move |batch| {
            execute(batch.db, CONDEMN_MEDIA, params![id.as_bytes(), code(MediaState::Condemned)])?;
            Ok(())
        })
        .await
    }

    async fn condemn_all(&self, owner: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |batch| condemn_all(batch.db, owner, now)).await
    }

    async fn due_after(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let (at, id) = after.map_or((i64::MIN, [0; 16]), |after| (after.at.0, *after.media.as_bytes()));
        self.read(move |db| {
            let mut select = db.prepare_cached(MEDIA_DUE)?;
            let due = select.query_map(params![now.0, number(limit as u64), at, id], |row| {
                Ok(Due { at: Timestamp(row.get(0)?), media: MediaId::from_bytes(rows::key(row, 1)?) })
            })?;
            Ok(due.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn settle(&self, due: Due) -> Result<(), StoreError> {
        self.write(move |batch| {
            execute(batch.db, SETTLE_MEDIA, params![due.at.0, due.media.as_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn forget(&self, id: MediaId) -> Result<(), StoreError> {
        self.write(move |batch| {
            for sql in [DELETE_MEDIA_CHATS, DELETE_MEDIA] {
                execute(batch.db, sql, [id.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }
}
