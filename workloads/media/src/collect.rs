//! Destroys what nobody uses: uploads that were not completed or not sent, files of deleted messages and accounts.
//!
//! Any number of processes may do this at the same time: each step may be repeated.

use std::{sync::Arc, time::Duration};

use sentinel_domain::{
    media::{BlobKey, BlobPart, Due, MediaState},
    ports::{Blobs, MediaStore, StoreError},
    time::Timestamp,
};

/// How often it is looked for what is due.
const EVERY: Duration = Duration::from_mins(1);
/// What is looked at before the next look for what is due.
const ROUND: usize = 100;
/// Failures, one after the other, after which a round is given up: the store may be away.
const FAILURES_IN_A_ROW: usize = 10;

/// What [`collect`] works with.
#[derive(Clone)]
pub struct Collector {
    /// What is known of files.
    pub media: Arc<dyn MediaStore>,
    /// Their bytes.
    pub blobs: Arc<dyn Blobs>,
}

/// Destroys what is due, again and again. Ends when it is dropped.
pub async fn collect(collector: Collector) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut place = None;
    loop {
        ticks.tick().await;
        match collector.round(Timestamp::now(), &mut place).await {
            Ok(0) => {}
            Ok(destroyed) => tracing::info!(destroyed, "files that nobody uses are gone"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "files that nobody uses are destroyed later");
            }
        }
    }
}

impl Collector {
    /// Looks at everything that is due; gives how many files it destroyed. What fails holds up nothing else: the first error is
    /// given when all was tried, and the next round tries again. When all fails, the round ends early, and the next one goes
    /// on from that `place`: what never succeeds must not hold up what comes after it.
    pub async fn round(&self, now: Timestamp, place: &mut Option<Due>) -> Result<usize, StoreError> {
        let (mut destroyed, mut failure, mut in_a_row) = (0, None, 0);
        loop {
            let due = self.media.due_after(now, *place, ROUND).await?;
            for one in &due {
                match self.look_at(*one).await {
                    Ok(gone) => {
                        destroyed += usize::from(gone);
                        in_a_row = 0;
                    }
                    Err(error) => {
                        tracing::warn!(file = %one.media, %error, "a file is looked at in a later round");
                        failure = failure.or(Some(error));
                        in_a_row += 1;
                    }
                }
                *place = Some(*one);
                if in_a_row == FAILURES_IN_A_ROW {
                    return failure.map_or(Ok(destroyed), Err);
                }
            }
            if due.len() < ROUND {
                *place = None;
                return failure.map_or(Ok(destroyed), Err);
            }
        }
    }

    async fn look_at(&self, due: Due) -> Result<bool, StoreError> {
        let id = due.media;
        let media = self.media.media(id).await?;
        let in_use = match &media {
            Some(media) if media.state == MediaState::Ready => {
                // A file that a message lost may not have been sent to anybody else yet.
                self.media.is_in_chat(id).await?
            }
            _ => false,
        };
        if in_use {
            // Its link for uploading was good for a while after it was completed.
            self.blobs.delete(BlobKey::new(id, BlobPart::Upload)).await?;
        } else {
            self.media.condemn(id).await?;
            for part in BlobPart::ALL {
                self.blobs.delete(BlobKey::new(id, part)).await?;
            }
            self.media.forget(id).await?;
        }
        self.media.settle(due).await?;
        Ok(!in_use && media.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sentinel_adapters::{files::LocalFiles, sqlite::Sqlite};
    use sentinel_domain::{
        clock::HybridClock,
        event::Nobody,
        ids::{ChatId, MediaId, UserId},
        keyring::Keyring,
        media::Shown,
        message::{Draft, MessageKind},
        ports::{AccountStore, ChatStore, Served},
    };
    use sentinel_testing::{account, draft, upload};

    use super::*;

    struct World {
        collector: Collector,
        accounts: Arc<dyn AccountStore>,
        chats: Arc<dyn ChatStore>,
        owner: UserId,
        peer: UserId,
        folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let keyring = Arc::new(Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap());
            let (path, clock) = (folder.path().join("db"), Arc::new(HybridClock::new()));
            let store = Arc::new(Sqlite::open(&path, keyring.clone(), clock, Arc::new(Nobody)).unwrap());
            let blobs = Arc::new(LocalFiles::open(&folder.path().join("media"), keyring).unwrap());
            let owner = store.create_account(account("ann")).await.unwrap().id;
            let peer = store.create_account(account("bob")).await.unwrap().id;
            let collector = Collector { media: store.clone(), blobs };
            Self { collector, accounts: store.clone(), chats: store, owner, peer, folder }
        }

        /// A file with its bytes, which is ready when `ready`.
        async fn file(&self, ready: bool) -> MediaId {
            let media = upload(self.owner);
            let (id, content_type) = (media.id, media.content_type.clone());
            self.collector.media.create(media).await.unwrap();
            let served = Served { content_type: "text/plain".into(), disposition: "attachment".into() };
            for part in BlobPart::ALL {
                self.collector.blobs.put(BlobKey::new(id, part), vec![1], &served).await.unwrap();
            }
            if ready {
                self.collector.media.complete(id, &content_type, Shown { size: 1, picture: None }).await.unwrap();
            }
            id
        }

        /// A file that can't be destroyed, because a folder is in its place.
        async fn stuck_file(&self) -> (MediaId, PathBuf) {
            let stuck = self.file(false).await;
            let (key, id) = (BlobKey::new(stuck, BlobPart::Upload).to_string(), stuck.to_string());
            let path = self.folder.path().join("media").join(&id[id.len() - 2..]).join(key);
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir(&path).unwrap();
            (stuck, path)
        }

        /// The owner's chat with a peer.
        async fn chat(&self, peer: UserId) -> ChatId {
            self.chats.start_chat(self.owner, peer, Timestamp::now()).await.unwrap().0.id
        }

        /// Sends files.
        async fn send(&self, chat_id: ChatId, attachments: Vec<MediaId>) {
            let files = Draft { kind: MessageKind::File, attachments, ..draft(chat_id, self.owner, "") };
            self.chats.append(files, None, Timestamp::now()).await.unwrap();
        }

        /// A round from the beginning.
        async fn round(&self, now: Timestamp) -> Result<usize, StoreError> {
            self.collector.round(now, &mut None).await
        }

        async fn parts(&self, id: MediaId) -> usize {
            let mut parts = 0;
            for part in BlobPart::ALL {
                parts += usize::from(self.collector.blobs.size(BlobKey::new(id, part)).await.unwrap().is_some());
            }
            parts
        }
    }

    #[tokio::test]
    async fn what_is_not_sent_in_a_day_is_destroyed_and_what_is_stays() {
        let world = World::new().await;
        let (unfinished, unsent, sent) = (world.file(false).await, world.file(true).await, world.file(true).await);
        world.send(world.chat(world.peer).await, vec![sent]).await;
        let now = Timestamp::now();
        assert_eq!(world.round(now.plus_seconds(23 * 3600)).await.unwrap(), 0);
        assert_eq!(world.parts(unfinished).await, 3);
        assert_eq!(world.round(now.plus_seconds(25 * 3600)).await.unwrap(), 2);
        for gone in [unfinished, unsent] {
            assert_eq!(world.parts(gone).await, 0);
            assert_eq!(world.collector.media.media(gone).await.unwrap(), None);
        }
        assert_eq!(world.parts(sent).await, 2, "the upload itself is not needed");
        assert_eq!(world.round(now.plus_seconds(50 * 3600)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_comes_after_an_upload_was_given_up_is_destroyed_when_its_link_has_ended() {
        let world = World::new().await;
        let (given_up, other, now) = (world.file(false).await, world.file(false).await, Timestamp::now());
        let ended = now.plus_seconds(4000);
        world.collector.media.give_up(given_up, ended).await.unwrap();
        assert_eq!(world.round(now.plus_seconds(3999)).await.unwrap(), 0);
        assert_eq!(world.round(ended).await.unwrap(), 1);
        assert_eq!(world.collector.media.media(given_up).await.unwrap(), None);
        assert_eq!((world.parts(given_up).await, world.parts(other).await), (0, 3), "the other has its day");
        // The bytes of a call that began just before the link ended took very long.
        let served = Served { content_type: "text/plain".into(), disposition: "attachment".into() };
        world.collector.blobs.put(BlobKey::new(given_up, BlobPart::Upload), vec![1], &served).await.unwrap();
        assert_eq!(world.round(now.plus_seconds(25 * 3600)).await.unwrap(), 1);
        assert_eq!((world.parts(given_up).await, world.parts(other).await), (0, 0));
    }

    #[tokio::test]
    async fn what_comes_by_a_link_after_its_file_was_destroyed_goes_at_the_end_of_the_day() {
        let world = World::new().await;
        let [deleted, owned] = [world.file(true).await, world.file(true).await];
        let (notes, now) = (world.chat(world.owner).await, Timestamp::now());
        world.send(notes, vec![deleted, owned]).await;
        world.collector.media.detach(deleted, notes, now).await.unwrap();
        assert_eq!(world.round(now.plus_seconds(120)).await.unwrap(), 1);
        world.accounts.delete_account(world.owner).await.unwrap();
        assert_eq!(world.round(now.plus_seconds(240)).await.unwrap(), 1);
        // Their links are good for the rest of the hour.
        let served = Served { content_type: "text/plain".into(), disposition: "attachment".into() };
        for late in [deleted, owned] {
            assert_eq!(world.parts(late).await, 0);
            world.collector.blobs.put(BlobKey::new(late, BlobPart::Upload), vec![1], &served).await.unwrap();
        }
        world.round(now.plus_seconds(25 * 3600)).await.unwrap();
        assert_eq!((world.parts(deleted).await, world.parts(owned).await), (0, 0));
    }

    #[tokio::test]
    async fn a_file_goes_with_the_last_message_that_showed_it_and_with_its_owner() {
        let world = World::new().await;
        let (shown, owned) = (world.file(true).await, world.file(true).await);
        let (chat, notes) = (world.chat(world.peer).await, world.chat(world.owner).await);
        for chat in [chat, notes] {
            world.send(chat, vec![shown, owned]).await;
        }
        let now = Timestamp::now();
        world.collector.media.detach(shown, chat, now).await.unwrap();
        let soon = now.plus_seconds(120);
        assert_eq!(world.round(soon).await.unwrap(), 0);
        assert_eq!(world.parts(shown).await, 2);
        world.collector.media.detach(shown, notes, now).await.unwrap();
        // Not at once: another message may be about to show it.
        assert_eq!(world.round(now).await.unwrap(), 0);
        assert_eq!(world.round(soon).await.unwrap(), 1);
        assert_eq!((world.parts(shown).await, world.parts(owned).await), (0, 3));
        world.accounts.delete_account(world.owner).await.unwrap();
        assert_eq!(world.round(Timestamp::now()).await.unwrap(), 1);
        assert_eq!(world.parts(owned).await, 0);
    }

    #[tokio::test]
    async fn as_many_as_end_a_round_hold_up_none_for_good() {
        let world = World::new().await;
        for _ in 0..FAILURES_IN_A_ROW {
            world.stuck_file().await;
        }
        let other = world.file(false).await;
        let (later, mut place) = (Timestamp::now().plus_seconds(25 * 3600), None);
        assert!(world.collector.round(later, &mut place).await.is_err(), "it is told");
        assert_eq!(world.parts(other).await, 3, "the store may be away");
        assert_eq!(world.collector.round(later, &mut place).await.unwrap(), 1);
        assert_eq!(world.parts(other).await, 0);
        assert!(world.collector.round(later, &mut place).await.is_err(), "those before it are tried again");
    }

    #[tokio::test]
    async fn a_file_that_can_not_be_destroyed_holds_up_no_other() {
        let world = World::new().await;
        let ((stuck, path), other) = (world.stuck_file().await, world.file(false).await);
        let later = Timestamp::now().plus_seconds(25 * 3600);
        assert!(world.round(later).await.is_err(), "it is told");
        assert_eq!(world.collector.media.media(other).await.unwrap(), None);
        assert_eq!(world.parts(other).await, 0);
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(world.round(later).await.unwrap(), 1);
        assert_eq!(world.parts(stuck).await, 0);
    }
}
