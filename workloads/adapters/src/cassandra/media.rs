//! What is known of uploaded files. What decides over a file is written by light-weight transactions: of completing and
//! condemning it at the same time, one comes first.
//!
//! What is complete is given up and sent without either knowing of the other, and sending takes no transaction as long as nobody
//! gives the same file up: who gives it up says so and then looks whether it is let into a chat, who sends it lets it in and
//! then looks whether that is said. So one of them sees the other, at least, and a transaction on what was said decides.
//!
//! A message's files get into its chat twice: before it is written, with rows that end by themselves, so that nobody sees the
//! message and not the files; and in the batch that writes it, for as long as it is kept. What is left of a send that came to
//! nothing ends, and the file is looked at after that.

use std::{
    future::ready,
    sync::atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream, try_join};
use scylla::{DeserializeRow, value::MaybeUnset};
use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    media::{ContentType, Due, Media, MediaState, Picture, Shown, UNUSED_SECONDS, Usage},
    message::Message,
    ports::{MediaReader, MediaStore, StoreError},
    retention::Horizon,
    time::Timestamp,
};
use uuid::Uuid;

use super::{Cassandra, Shared, batch::Writes, history::row_limit, times::write_time};

const HOUR_MILLIS: i64 = 3600 * 1000;
const MICROS: i64 = 1000;
/// When to look at a file that is about to lose a chat or its owner: noted before, so that an interruption leaves it to be
/// looked at, and not at once, so that nobody looks and settles it before that.
pub(super) const SOON_SECONDS: i64 = 60;
/// How long a file is in a chat for a message that is about to be written, in seconds: a day. A send ends within seconds, but
/// what a node has taken of its batch may be written when the node is back.
const SENDING_SECONDS: i32 = 24 * 3600;
/// How long after that the file is looked at, at the earliest: clocks differ, and who saw the file there sends it within that.
const SENT_BY_SECONDS: i64 = 3600;
/// How long it is seen what came of giving up a complete file, in seconds: two days. One that is not sent is gone after a day.
const LEAVING_SECONDS: i32 = 2 * 24 * 3600;
/// That a file is given up, or stays because it is being sent, is not decided yet.
const LEAVING: i8 = 0;
const STAYS: i8 = 1;
const LEFT: i8 = 2;
/// Files that are read at the same time for one caller.
const FILES_AT_ONCE: usize = 16;
/// Chats of a file that are looked at at the same time until one shows it.
const CHATS_AT_ONCE: i32 = 16;
/// Files of an owner that are looked at at the same time.
const COUNTED_AT_ONCE: i32 = 64;
/// Hours back that a process looks through once it starts, for what was due while nobody looked: 14 days.
const LOOKED_BACK: i64 = 14 * 24;
/// Hours for which something may still become due that lie in the past: clocks differ.
const LATE_HOURS: i64 = 2;

/// The first hour that a process has not seen empty after its time was over.
pub(super) struct DueFrom(AtomicI64);

impl DueFrom {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

#[derive(DeserializeRow)]
struct Row {
    media_id: Uuid,
    owner: Uuid,
    filename: String,
    content_type: String,
    size: i64,
    sha256: Option<Vec<u8>>,
    state: i8,
    shown_size: Option<i64>,
    width: Option<i32>,
    height: Option<i32>,
}

impl Row {
    fn media(self) -> Result<Media, StoreError> {
        let malformed = || StoreError::unreadable("a row of media is malformed");
        let picture = match (self.width, self.height) {
            (Some(width), Some(height)) => Some(Picture { width: width.unsigned_abs(), height: height.unsigned_abs() }),
            _ => None,
        };
        Ok(Media {
            id: MediaId(self.media_id),
            owner: UserId(self.owner),
            filename: self.filename,
            content_type: ContentType::parse(&self.content_type).ok_or_else(malformed)?,
            size: self.size.unsigned_abs(),
            sha256: self.sha256.map(<[u8; 32]>::try_from).transpose().map_err(|_| malformed())?,
            state: match self.state {
                0 => MediaState::Pending,
                1 => MediaState::Ready,
                _ => MediaState::Condemned,
            },
            shown: self.shown_size.map(|size| Shown { size: size.unsigned_abs(), picture }),
        })
    }
}

fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// When a file was sent for the first time at the latest.
fn first_sent_by(id: MediaId) -> Timestamp {
    MessageId(id.0).timestamp().plus_seconds(UNUSED_SECONDS)
}

/// The hour since 1970 of a moment.
fn hour_of(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR_MILLIS)
}

/// The write time of what is written now.
pub(super) fn micros(now: Timestamp) -> i64 {
    now.0.saturating_mul(MICROS)
}

#[async_trait]
impl MediaReader for Cassandra {
    async fn media(&self, id: MediaId) -> Result<Option<Media>, StoreError> {
        let rows: Vec<Row> = self.shared.rows(&self.shared.statements.media, (id.0,)).await?;
        rows.into_iter().next().map(Row::media).transpose()
    }

    async fn is_in_chat(&self, id: MediaId) -> Result<bool, StoreError> {
        Ok(self.shared.is_shown(id).await? || self.shared.is_being_sent(id).await?)
    }

    async fn media_for(&self, caller: UserId, ids: &[MediaId]) -> Result<Vec<(Media, bool)>, StoreError> {
        // Each has a partition of its own.
        let found = stream::iter(ids.to_vec()).map(|id| async move {
            let Some(media) = self.media(id).await? else { return Ok(None) };
            let in_chat = if media.owner == caller {
                self.is_in_chat(id).await?
            } else {
                self.shared.is_in(id, ChatId::of_pair(media.owner, caller)).await?
            };
            Ok::<_, StoreError>(Some((media, in_chat)))
        });
        found.buffered(FILES_AT_ONCE).try_filter_map(|found| ready(Ok(found))).try_collect().await
    }

    async fn owned(&self, owner: UserId, after: Option<MediaId>, limit: usize) -> Result<Vec<Media>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after.map_or(Uuid::nil(), |after| after.0));
        while found.len() < limit {
            let values = (owner.0, after, i32::try_from(limit - found.len()).unwrap_or(i32::MAX));
            let ids: Vec<(Uuid,)> = self.shared.rows(&self.shared.statements.owned_media_after, values).await?;
            let Some((last,)) = ids.last() else { break };
            after = *last;
            let page = try_join_all(ids.iter().map(|(id,)| self.media(MediaId(*id)))).await?;
            // It leaves its owner's list a moment after it was condemned.
            found.extend(page.into_iter().flatten().filter(|media| media.state != MediaState::Condemned));
        }
        Ok(found)
    }
}

#[async_trait]
impl MediaStore for Cassandra {
    async fn create(&self, media: Media) -> Result<(), StoreError> {
        let shared = &self.shared;
        if shared.accounts.profiles(&[media.owner]).await?.is_empty() {
            return Err(StoreError::NotFound);
        }
        // An interruption leaves at most something that is looked at and not found.
        shared.note_due(Due { at: media.unused_until(), media: media.id }).await?;
        let (id, owner, size) = (media.id.0, media.owner.0, big(media.size));
        let sha256 = MaybeUnset::from_option(media.sha256.map(Vec::from));
        let values = (id, owner, media.filename, media.content_type.as_str(), size, sha256);
        shared.decide(&shared.statements.insert_media, values).await?;
        shared.write(&shared.statements.insert_owned, (owner, id, size, micros(Timestamp::now()))).await
    }

    async fn require_hash(&self, id: MediaId, sha256: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.shared.decide(&self.shared.statements.require_media_hash, (sha256.as_slice(), id.0)).await?;
        let media = self.media(id).await?.filter(|media| media.state == MediaState::Pending);
        media.and_then(|media| media.sha256).ok_or(StoreError::NotFound)
    }

    async fn complete(&self, id: MediaId, content_type: &ContentType, shown: Shown) -> Result<(), StoreError> {
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        let (width, height) = shown.picture.map(|picture| (side(picture.width), side(picture.height))).unzip();
        let (width, height) = (MaybeUnset::from_option(width), MaybeUnset::from_option(height));
        let values = (content_type.as_str(), big(shown.size), width, height, id.0);
        let done = self.shared.decide(&self.shared.statements.complete_media, values).await?;
        done.then_some(()).ok_or(StoreError::NotFound)
    }

    async fn give_up(&self, id: MediaId, again: Timestamp) -> Result<(), StoreError> {
        let shared = &self.shared;
        let decided = shared.decide(&shared.statements.give_up_media, (id.0,)).await?;
        let Media { owner, state, .. } = self.media(id).await?.ok_or(StoreError::NotFound)?;
        // Otherwise an earlier call may have broken off after it had decided.
        let complete = !decided && state == MediaState::Ready;
        if complete && !self.leave(id).await? {
            return Err(StoreError::NotFound);
        }
        // Not before: what is complete and stays has its day. After an interruption it is looked at at the end of that.
        shared.note_due(Due { at: again, media: id }).await?;
        if complete { shared.condemn(owner, id).await } else { shared.leave_owner(owner, id).await }
    }

    async fn detach(&self, id: MediaId, chat: ChatId, now: Timestamp) -> Result<(), StoreError> {
        let shared = &self.shared;
        if let (false, None) = try_join!(shared.is_listed(id, chat), shared.sending_to(id, chat))? {
            return Ok(());
        }
        shared.note_due(Due { at: now.plus_seconds(SOON_SECONDS), media: id }).await?;
        // The message gave it the time of its id, which the clock here may be behind.
        let written = shared.attached(id, chat).await?.map_or(0, |(_, written)| written);
        shared.take_away(id, chat, micros(Timestamp::now()).max(written)).await
    }

    async fn usage(&self, owner: UserId) -> Result<Usage, StoreError> {
        let rows: Vec<(i64, Option<i64>)> = self.shared.rows(&self.shared.statements.media_usage, (owner.0,)).await?;
        let (files, bytes) = rows.first().copied().unwrap_or_default();
        Ok(Usage { files: files.unsigned_abs(), bytes: bytes.unwrap_or_default().unsigned_abs() })
    }

    async fn recount(&self, owner: UserId) -> Result<Usage, StoreError> {
        let (mut usage, mut after) = (Usage::default(), Uuid::nil());
        loop {
            let values = (owner.0, after, COUNTED_AT_ONCE);
            let ids: Vec<(Uuid,)> = self.shared.rows(&self.shared.statements.owned_media_after, values).await?;
            let Some((last,)) = ids.last() else { return Ok(usage) };
            after = *last;
            let files = try_join_all(ids.iter().map(|(id,)| self.media(MediaId(*id)))).await?;
            for ((id,), file) in ids.iter().zip(files) {
                match file.filter(|file| file.state != MediaState::Condemned) {
                    Some(file) => {
                        usage = Usage { files: usage.files + 1, bytes: usage.bytes.saturating_add(file.size) };
                    }
                    // A replica that was away for long has brought it back.
                    None => self.shared.leave_owner(owner, MediaId(*id)).await?,
                }
            }
        }
    }

    async fn condemn(&self, id: MediaId) -> Result<(), StoreError> {
        let Some(media) = self.media(id).await? else { return Ok(()) };
        self.shared.condemn(media.owner, id).await
    }

    async fn condemn_all(&self, owner: UserId, now: Timestamp) -> Result<(), StoreError> {
        let owned: Vec<(Uuid,)> = self.shared.rows(&self.shared.statements.owned_media, (owner.0,)).await?;
        for (id,) in owned {
            self.shared.note_due(Due { at: now.plus_seconds(SOON_SECONDS), media: MediaId(id) }).await?;
            self.shared.condemn(owner, MediaId(id)).await?;
        }
        Ok(())
    }

    async fn due_after(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let last = hour_of(now);
        let from = &self.shared.due_from.0;
        let mut first = from.load(Ordering::Relaxed).max(last - LOOKED_BACK);
        if let Some(after) = after {
            first = first.max(hour_of(after.at));
        }
        // Of what comes after others nobody knows whether those are gone.
        let (mut found, mut all_empty) = (Vec::new(), after.is_none());
        for hour in first..=last {
            let (at, id) = match after.filter(|after| hour_of(after.at) == hour) {
                Some(after) => (after.at.0, after.media.0),
                None => (i64::MIN, Uuid::nil()),
            };
            let values = (hour, at, id, now.0, row_limit(limit - found.len()));
            let rows: Vec<(i64, Uuid)> = self.shared.rows(&self.shared.statements.media_due, values).await?;
            all_empty &= rows.is_empty();
            if all_empty && hour < last - LATE_HOURS {
                from.fetch_max(hour + 1, Ordering::Relaxed);
            }
            found.extend(rows.into_iter().map(|(at, id)| Due { at: Timestamp(at), media: MediaId(id) }));
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn settle(&self, due: Due) -> Result<(), StoreError> {
        let values = (micros(Timestamp::now()), hour_of(due.at), due.at.0, due.media.0);
        self.shared.write(&self.shared.statements.delete_due, values).await
    }

    async fn forget(&self, id: MediaId) -> Result<(), StoreError> {
        let at = micros(Timestamp::now());
        let chats: Vec<(Uuid,)> = self.shared.rows(&self.shared.statements.chats_of_media, (id.0,)).await?;
        for (chat,) in chats {
            self.shared.write(&self.shared.statements.delete_chat_media, (at, chat, id.0)).await?;
            self.shared.write(&self.shared.statements.delete_attached, (at, chat, id.0)).await?;
        }
        self.shared.write(&self.shared.statements.delete_sending_of_media, (at, id.0)).await?;
        self.shared.write(&self.shared.statements.delete_media_chats, (at, id.0)).await?;
        self.shared.decide(&self.shared.statements.delete_media, (id.0,)).await.map(|_| ())
    }
}

impl Cassandra {
    /// Decides that a complete file is given up, unless it is in a chat, or is let into one meanwhile; gives whether it is.
    async fn leave(&self, id: MediaId) -> Result<bool, StoreError> {
        let shared = &self.shared;
        match shared.leaving(id).await? {
            Some(LEFT) => return Ok(true),
            Some(LEAVING) => {}
            Some(_) => return Ok(false),
            None => {
                if self.is_in_chat(id).await? {
                    return Ok(false);
                }
                // If somebody else does so at the same time, that is just as good.
                shared.decide(&shared.statements.begin_leaving, (id.0, LEAVING_SECONDS)).await?;
            }
        }
        // From here on, who lets it in sees that.
        let outcome = if self.is_in_chat(id).await? { STAYS } else { LEFT };
        shared.end_leaving(id, outcome).await.map(|decided| decided == LEFT)
    }
}

impl Shared {
    /// What came of giving up a complete file; `None` when nobody has tried.
    async fn leaving(&self, id: MediaId) -> Result<Option<i8>, StoreError> {
        let rows: Vec<(Option<i8>,)> = self.rows(&self.statements.leaving, (id.0,)).await?;
        Ok(rows.first().and_then(|(outcome,)| *outcome))
    }

    /// Decides what comes of giving up a file, unless it is decided; gives what is.
    async fn end_leaving(&self, id: MediaId, outcome: i8) -> Result<i8, StoreError> {
        if self.decide(&self.statements.end_leaving, (LEAVING_SECONDS, outcome, id.0)).await? {
            return Ok(outcome);
        }
        Ok(self.leaving(id).await?.unwrap_or(STAYS))
    }

    async fn note_due(&self, due: Due) -> Result<(), StoreError> {
        let values = (hour_of(due.at), due.at.0, due.media.0, micros(Timestamp::now()));
        self.write(&self.statements.insert_due, values).await
    }

    /// Lets the members of a chat see the files of a message that is about to be written, for a day.
    /// [`StoreError::UnknownAttachment`] when one of them was given up, or is before it is let in.
    pub(super) async fn let_in(&self, files: &[MediaId], chat: ChatId, now: Timestamp) -> Result<(), StoreError> {
        let let_in = async |id: MediaId| {
            let seen = Timestamp::now();
            // First, so that whatever is let in is looked at when that has ended.
            let ended = seen.plus_seconds(i64::from(SENDING_SECONDS) + SENT_BY_SECONDS);
            self.note_due(Due { at: ended, media: id }).await?;
            let values = (id.0, chat.0, now.0, micros(seen), SENDING_SECONDS);
            self.write(&self.statements.insert_sending, values).await?;
            let outcome = match self.leaving(id).await? {
                Some(LEAVING) => self.end_leaving(id, STAYS).await?,
                outcome => outcome.unwrap_or(STAYS),
            };
            if outcome == LEFT { Err(StoreError::UnknownAttachment) } else { Ok(()) }
        };
        try_join_all(files.iter().map(|id| let_in(*id))).await.map(drop)
    }

    /// Adds to a message that its files are in its chat. The time is the message's: written again, it brings nothing back that
    /// was taken away since.
    pub(super) fn add_attached(&self, writes: &mut Writes, message: &Message, now: Timestamp) {
        let (chat, at) = (message.chat_id.0, write_time(message.id.0));
        // Not before the message, whose clock may be ahead: as long as it is kept, so are its files.
        let shown_at = message.id.timestamp().0.max(now.0);
        for media in &message.attachments {
            writes.add(&self.statements.insert_attached, (chat, media.0, shown_at, at));
            writes.add(&self.statements.insert_chat_media, (chat, media.0, at));
            writes.add(&self.statements.attach_media, (media.0, chat, at));
        }
    }

    /// Whether a chat shows a file, or is about to.
    async fn is_in(&self, id: MediaId, chat: ChatId) -> Result<bool, StoreError> {
        let horizon = self.horizon();
        let (listed, sending) = try_join!(self.is_listed(id, chat), self.sending_to(id, chat))?;
        let sending = sending.is_some_and(|at| horizon.keeps_since(at));
        Ok(sending || (listed && self.keeps_attached(id, chat, horizon).await?))
    }

    /// Whether some chat shows a file.
    async fn is_shown(&self, id: MediaId) -> Result<bool, StoreError> {
        let (horizon, mut after) = (self.horizon(), Uuid::nil());
        loop {
            let values = (id.0, after, CHATS_AT_ONCE);
            let chats: Vec<(Uuid,)> = self.rows(&self.statements.chats_of_media_after, values).await?;
            let Some((last,)) = chats.last() else { return Ok(false) };
            after = *last;
            let kept = chats.iter().map(|(chat,)| self.keeps_attached(id, ChatId(*chat), horizon));
            if try_join_all(kept).await?.contains(&true) {
                return Ok(true);
            }
        }
    }

    /// Whether some chat is about to show a file, or was a short time ago.
    async fn is_being_sent(&self, id: MediaId) -> Result<bool, StoreError> {
        let (horizon, mut after) = (self.horizon(), Uuid::nil());
        loop {
            let values = (id.0, after, CHATS_AT_ONCE);
            let chats: Vec<(Uuid, Option<i64>)> = self.rows(&self.statements.sending_after, values).await?;
            let Some((last, _)) = chats.last() else { return Ok(false) };
            after = *last;
            if chats.iter().any(|(_, at)| horizon.keeps_since(Timestamp(at.unwrap_or_default()))) {
                return Ok(true);
            }
        }
    }

    /// Since when a message that shows a file is or was about to be written to a chat.
    async fn sending_to(&self, id: MediaId, chat: ChatId) -> Result<Option<Timestamp>, StoreError> {
        let rows: Vec<(Option<i64>,)> = self.rows(&self.statements.sending_to, (id.0, chat.0)).await?;
        Ok(rows.first().map(|(at,)| Timestamp(at.unwrap_or_default())))
    }

    /// Whether a message of a chat shows a file, be it too old.
    async fn is_listed(&self, id: MediaId, chat: ChatId) -> Result<bool, StoreError> {
        let rows: Vec<(Uuid,)> = self.rows(&self.statements.chat_of_media, (id.0, chat.0)).await?;
        Ok(!rows.is_empty())
    }

    /// When a file was last sent to a chat, and the write time of that. While processes of the version before run, which do
    /// not note it, `None`.
    async fn attached(&self, id: MediaId, chat: ChatId) -> Result<Option<(Timestamp, i64)>, StoreError> {
        let found: Vec<(Option<i64>, Option<i64>)> = self.rows(&self.statements.attached, (chat.0, id.0)).await?;
        Ok(found.first().and_then(|(at, written)| Some((Timestamp((*at)?), (*written)?))))
    }

    /// Whether a file that a chat lists was sent there since the horizon.
    async fn keeps_attached(&self, id: MediaId, chat: ChatId, horizon: Horizon) -> Result<bool, StoreError> {
        if horizon == Horizon::NONE {
            return Ok(true);
        }
        let attached = self.attached(id, chat).await?.map_or_else(|| first_sent_by(id), |(at, _)| at);
        Ok(horizon.keeps_since(attached))
    }

    async fn take_away(&self, id: MediaId, chat: ChatId, at: i64) -> Result<(), StoreError> {
        self.write(&self.statements.delete_sending, (at, id.0, chat.0)).await?;
        self.write(&self.statements.detach_media, (at, id.0, chat.0)).await?;
        self.write(&self.statements.delete_chat_media, (at, chat.0, id.0)).await?;
        self.write(&self.statements.delete_attached, (at, chat.0, id.0)).await
    }

    /// Takes a file away from a chat where all that shows it is too old, if that is so, and has it looked at again at `due`;
    /// gives whether it did. It looks only at files that are so old themselves that few of them can be kept.
    pub(super) async fn leave_expired(
        &self,
        id: MediaId,
        chat: ChatId,
        horizon: Horizon,
        due: Timestamp,
    ) -> Result<bool, StoreError> {
        if horizon.keeps_since(first_sent_by(id)) {
            return Ok(false);
        }
        // What is sent again meanwhile stays, because it is written later. Of what was sent before that was noted, the note
        // is older than the rest, and the time in it is not.
        let written = match self.attached(id, chat).await? {
            Some((at, _)) if horizon.keeps_since(at) => return Ok(false),
            Some((at, written)) => written.max(micros(at)),
            None => micros(horizon.time()),
        };
        self.note_due(Due { at: due, media: id }).await?;
        self.take_away(id, chat, written).await?;
        Ok(true)
    }

    /// Takes all files away from a chat, with the write time `at`, and has them looked at again.
    pub(super) async fn leave_chat(&self, chat: ChatId, now: Timestamp, at: i64) -> Result<(), StoreError> {
        let files: Vec<(Uuid,)> = self.rows(&self.statements.media_of_chat, (chat.0,)).await?;
        for (id,) in files {
            self.note_due(Due { at: now.plus_seconds(SOON_SECONDS), media: MediaId(id) }).await?;
            self.take_away(MediaId(id), chat, at).await?;
        }
        self.write(&self.statements.delete_attached_of_chat, (at, chat.0)).await?;
        self.write(&self.statements.delete_media_of_chat, (at, chat.0)).await
    }

    /// Hides a file; it leaves its owner's list last.
    async fn condemn(&self, owner: UserId, id: MediaId) -> Result<(), StoreError> {
        self.decide(&self.statements.condemn_media, (id.0,)).await?;
        self.leave_owner(owner, id).await
    }

    /// Takes a file out of its owner's list, where it takes room.
    async fn leave_owner(&self, owner: UserId, id: MediaId) -> Result<(), StoreError> {
        let values = (micros(Timestamp::now()), owner.0, id.0);
        self.write(&self.statements.delete_owned, values).await
    }
}
