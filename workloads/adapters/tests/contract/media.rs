use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    media::{ContentType, Due, Media, MediaState, Picture, Shown, Usage},
    message::Draft,
    ports::{HistoryQuery, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use super::{Stores, all, draft_with_files, is_not_found};

pub const SHOWN: Shown = Shown { size: 7, picture: Some(Picture { width: 4000, height: 3000 }) };

pub fn upload(owner: UserId, size: u64) -> Media {
    Media {
        id: MediaId(Uuid::now_v7()),
        owner,
        filename: "été \"1\".png".into(),
        content_type: ContentType::parse("image/png").unwrap(),
        size,
        sha256: Some([200; 32]),
        state: MediaState::Pending,
        shown: None,
    }
}

/// Seconds in which a store may have a file looked at that is not used any more.
const SOON: i64 = 120;

impl Stores {
    async fn upload(&self, owner: UserId, size: u64) -> Media {
        let media = upload(owner, size);
        self.media.create(media.clone()).await.unwrap();
        media
    }

    /// Sends files to a chat.
    pub async fn show(&self, sender: UserId, chat: ChatId, files: &[MediaId], at: Timestamp) -> MessageId {
        self.chats.append(draft_with_files(chat, sender, files), None, at).await.unwrap().message.id
    }

    /// Whether a file is in a chat, and whether in the one of its owner and another user.
    pub async fn seen(&self, id: MediaId, other: UserId) -> (bool, bool) {
        let in_chat = self.media.is_in_chat(id).await.unwrap();
        let found = self.media.media_for(other, &[id]).await.unwrap();
        if let [(media, _)] = &found[..] {
            let own = self.media.media_for(media.owner, &[id]).await.unwrap();
            assert_eq!(own, [(media.clone(), in_chat)], "its owner sees it as long as it is in any chat");
        }
        (in_chat, found.iter().any(|(_, in_chat)| *in_chat))
    }

    async fn found(&self, id: MediaId) -> Media {
        self.media.media(id).await.unwrap().unwrap()
    }

    /// What is due of some files; others may share the database.
    async fn due_of(&self, ids: &[MediaId], now: Timestamp) -> Vec<Due> {
        let due = self.media.due(now, 10_000).await.unwrap();
        due.into_iter().filter(|due| ids.contains(&due.media)).collect()
    }

    /// The one time at which a file is due soon after `now`.
    async fn due_soon(&self, id: MediaId, now: Timestamp) -> Due {
        let due = self.due_of(&[id], now.plus_seconds(SOON)).await;
        assert!(due.len() == 1 && due[0].at >= now, "{due:?}");
        due[0]
    }
}

pub async fn an_upload_is_ready_once(stores: &Stores) {
    let owner = stores.user().await;
    assert!(is_not_found(stores.media.create(upload(UserId(Uuid::new_v4()), 1)).await));
    let media = stores.upload(owner, 10).await;
    assert_eq!(stores.found(media.id).await, media);
    let plain = Media { sha256: None, ..upload(owner, 3_000_000_000) };
    stores.media.create(plain.clone()).await.unwrap();
    assert_eq!(stores.found(plain.id).await, plain);

    // The bytes may tell that it is something else than it was called.
    let found = ContentType::parse("image/webp").unwrap();
    assert_ne!(found, media.content_type);
    let racing = all((0..8).map(|_| {
        let (stores, id, found) = (stores.clone(), media.id, found.clone());
        async move { stores.media.complete(id, &found, SHOWN).await }
    }));
    assert_eq!(racing.await.iter().filter(|done| done.is_ok()).count(), 1);
    assert!(is_not_found(stores.media.complete(media.id, &found, SHOWN).await));
    assert!(is_not_found(stores.media.complete(MediaId(Uuid::now_v7()), &found, SHOWN).await));
    let ready = Media { state: MediaState::Ready, content_type: found.clone(), shown: Some(SHOWN), ..media.clone() };
    assert_eq!(stores.found(media.id).await, ready);
    let file = Shown { size: 3_000_000_000, picture: None };
    stores.media.complete(plain.id, &plain.content_type, file).await.unwrap();
    assert_eq!(stores.found(plain.id).await.shown, Some(file));

    for _ in 0..2 {
        stores.media.condemn(media.id).await.unwrap();
        assert_eq!(stores.found(media.id).await.state, MediaState::Condemned);
        assert_eq!(stores.found(media.id).await.shown(), None);
    }
    assert!(is_not_found(stores.media.complete(media.id, &found, SHOWN).await));
    for _ in 0..2 {
        stores.media.forget(media.id).await.unwrap();
        assert_eq!(stores.media.media(media.id).await.unwrap(), None);
        stores.media.condemn(media.id).await.unwrap();
    }
    assert_eq!(stores.media.media(media.id).await.unwrap(), None, "what is gone does not come back");
}

pub async fn an_upload_has_one_hash(stores: &Stores) {
    let owner = stores.user().await;
    let announced = stores.upload(owner, 1).await;
    assert_eq!(stores.media.require_hash(announced.id, [1; 32]).await.unwrap(), [200; 32]);
    assert_eq!(stores.found(announced.id).await, announced);

    let open = Media { sha256: None, ..upload(owner, 1) };
    stores.media.create(open.clone()).await.unwrap();
    let racing = all((0..8).map(|number| {
        let (stores, id) = (stores.clone(), open.id);
        async move { stores.media.require_hash(id, [number; 32]).await.unwrap() }
    }));
    let required = racing.await;
    let first = required[0];
    assert!(first[0] < 8 && required.iter().all(|one| *one == first), "{required:?}");
    assert_eq!(stores.found(open.id).await, Media { sha256: Some(first), ..open.clone() });

    stores.media.complete(open.id, &open.content_type, SHOWN).await.unwrap();
    stores.media.condemn(announced.id).await.unwrap();
    for over in [open.id, announced.id, MediaId(Uuid::now_v7())] {
        assert!(is_not_found(stores.media.require_hash(over, first).await));
    }
    assert_eq!(stores.found(open.id).await.sha256, Some(first));
}

pub async fn an_upload_is_completed_or_given_up(stores: &Stores) {
    let owner = stores.user().await;
    let (kept, given_up) = (stores.upload(owner, 10).await, stores.upload(owner, 5).await);
    let again = Timestamp::now().plus_seconds(3600);
    // What it was due for anyway, and then a second time.
    let due = async |id| stores.due_of(&[id], again.plus_seconds(2 * 24 * 3600)).await.len();
    for _ in 0..2 {
        stores.media.give_up(given_up.id, again).await.unwrap();
        assert_eq!(stores.found(given_up.id).await.state, MediaState::Condemned);
        assert!(is_not_found(stores.media.complete(given_up.id, &given_up.content_type, SHOWN).await));
        assert_eq!(stores.media.usage(owner).await.unwrap(), Usage { files: 1, bytes: 10 });
        assert_eq!(stores.media.owned(owner, None, 100).await.unwrap(), std::slice::from_ref(&kept));
        assert_eq!(due(given_up.id).await, 2);
    }
    let seen = stores.due_of(&[given_up.id], again).await;
    assert_eq!(seen, [Due { at: again, media: given_up.id }]);

    stores.media.complete(kept.id, &kept.content_type, SHOWN).await.unwrap();
    let (notes, _) = stores.chats.start_chat(owner, owner, super::NOW).await.unwrap();
    stores.show(owner, notes.id, &[kept.id], Timestamp::now()).await;
    // Until the day is over, and a day after it was sent.
    let before = due(kept.id).await;
    assert!(is_not_found(stores.media.give_up(kept.id, again).await));
    assert_eq!(stores.found(kept.id).await.state, MediaState::Ready);
    assert_eq!(due(kept.id).await, before, "it is shown");
    assert_eq!(stores.media.usage(owner).await.unwrap(), Usage { files: 1, bytes: 10 });
    stores.media.forget(given_up.id).await.unwrap();
    for gone in [given_up.id, MediaId(Uuid::now_v7())] {
        assert!(is_not_found(stores.media.give_up(gone, again).await));
        assert_eq!(stores.media.media(gone).await.unwrap(), None, "what is gone does not come back");
    }
}

pub async fn what_is_given_up_while_it_is_completed_is_given_up(stores: &Stores) {
    let owner = stores.user().await;
    let again = Timestamp::now().plus_seconds(3600);
    for round in 0..10 {
        let upload = stores.upload(owner, 10).await;
        let id = upload.id;
        let racing = all((0..6).map(|number| {
            let (stores, found) = (stores.clone(), upload.content_type.clone());
            async move {
                // Neither is always asked first.
                if (number + round) % 2 == 0 {
                    (true, stores.media.complete(id, &found, SHOWN).await.is_ok())
                } else {
                    (false, stores.media.give_up(id, again).await.is_ok())
                }
            }
        }));
        let racing = racing.await;
        // Complete or not, no message shows it.
        assert!(!racing.contains(&(false, false)), "{racing:?}");
        assert!(racing.iter().filter(|outcome| **outcome == (true, true)).count() <= 1, "{racing:?}");
        assert_eq!(stores.found(id).await.state, MediaState::Condemned, "{racing:?}");
        assert_eq!(stores.due_of(&[id], again).await, [Due { at: again, media: id }]);
    }
    assert_eq!(stores.media.usage(owner).await.unwrap(), Usage::default());
}

pub async fn a_complete_upload_is_given_up_unless_a_message_shows_it(stores: &Stores) {
    let (ann, _, chat) = stores.pair().await;
    let (unsent, sent) = (stores.upload(ann, 10).await, stores.upload(ann, 5).await);
    for upload in [&unsent, &sent] {
        stores.media.complete(upload.id, &upload.content_type, SHOWN).await.unwrap();
    }
    stores.show(ann, chat.id, &[sent.id], Timestamp::now()).await;
    let again = Timestamp::now().plus_seconds(3600);
    for _ in 0..2 {
        stores.media.give_up(unsent.id, again).await.unwrap();
        assert_eq!(stores.found(unsent.id).await.state, MediaState::Condemned);
        assert_eq!(stores.due_of(&[unsent.id], again).await, [Due { at: again, media: unsent.id }]);
        assert!(is_not_found(stores.media.give_up(sent.id, again).await));
        assert_eq!(stores.found(sent.id).await.state, MediaState::Ready);
        for usage in [stores.media.usage(ann).await, stores.media.recount(ann).await] {
            assert_eq!(usage.unwrap(), Usage { files: 1, bytes: 5 });
        }
    }
    let late = stores.chats.append(draft_with_files(chat.id, ann, &[unsent.id]), None, Timestamp::now()).await;
    assert!(matches!(late, Err(StoreError::UnknownAttachment)), "{late:?}");
    let history = stores.chats.history(ann, chat.id, HistoryQuery::Latest, 10).await.unwrap();
    assert_eq!(history.messages.len(), 1, "nothing was written");
}

pub async fn of_sending_and_giving_up_at_once_one_comes_about(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let again = Timestamp::now().plus_seconds(3600);
    for round in 0..10 {
        let upload = stores.upload(ann, 10).await;
        let id = upload.id;
        stores.media.complete(id, &upload.content_type, SHOWN).await.unwrap();
        let racing = all((0..4).map(|number| {
            let stores = stores.clone();
            async move {
                if (number + round) % 2 == 0 {
                    let draft = draft_with_files(chat.id, ann, &[id]);
                    match stores.chats.append(draft, None, Timestamp::now()).await {
                        Err(StoreError::UnknownAttachment) => (true, false),
                        sent => (true, sent.is_ok_and(|sent| sent.message.attachments == [id])),
                    }
                } else {
                    match stores.media.give_up(id, again).await {
                        Err(error) => (false, !is_not_found::<()>(Err(error))),
                        Ok(()) => (false, true),
                    }
                }
            }
        }));
        let racing = racing.await;
        let won = |sender: bool| racing.iter().filter(move |(sends, _)| *sends == sender).map(|(_, won)| *won);
        // All of one kind and none of the other.
        let sent = won(true).all(|won| won);
        assert!(won(true).all(|won| won == sent) && won(false).all(|won| won != sent), "{racing:?}");
        let state = if sent { MediaState::Ready } else { MediaState::Condemned };
        assert_eq!(stores.found(id).await.state, state, "{racing:?}");
        if sent {
            assert_eq!(stores.seen(id, bob).await, (true, true));
        }
        stores.media.condemn(id).await.unwrap();
    }
}

pub async fn a_file_is_shown_in_chats_until_it_is_taken_away(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let (notes, _) = stores.chats.start_chat(ann, ann, super::NOW).await.unwrap();
    let stranger = stores.user().await;
    stores.chats.start_chat(ann, stranger, super::NOW).await.unwrap();
    let media = stores.upload(ann, 10).await;
    assert_eq!(stores.seen(media.id, bob).await, (false, false));
    stores.show(ann, notes.id, &[media.id], Timestamp::now()).await;
    assert_eq!(stores.seen(media.id, bob).await, (true, false));
    for chat in [chat.id, notes.id, chat.id] {
        stores.show(ann, chat, &[media.id], Timestamp::now()).await;
    }
    assert_eq!(stores.seen(media.id, bob).await, (true, true));
    assert_eq!(stores.seen(media.id, stranger).await, (true, false), "it was not sent to that chat");
    // Several at once, in the order that they are asked for; what is not there is left out.
    let unsent = stores.upload(ann, 1).await;
    for (user, sees) in [(ann, true), (bob, true), (stranger, false)] {
        let found = stores.media.media_for(user, &[unsent.id, MediaId(Uuid::now_v7()), media.id]).await.unwrap();
        assert_eq!(found, [(unsent.clone(), false), (stores.found(media.id).await, sees)]);
    }
    let now = Timestamp::now();
    assert!(stores.due_of(&[media.id], now.plus_seconds(SOON)).await.is_empty());
    for _ in 0..2 {
        stores.media.detach(media.id, chat.id, now).await.unwrap();
        assert_eq!(stores.seen(media.id, bob).await, (true, false));
        stores.due_soon(media.id, now).await;
    }
    stores.media.settle(stores.due_soon(media.id, now).await).await.unwrap();
    stores.media.detach(media.id, chat.id, now.plus_seconds(1)).await.unwrap();
    assert!(stores.due_of(&[media.id], now.plus_seconds(1 + SOON)).await.is_empty(), "a repeat changes nothing");
    stores.media.forget(media.id).await.unwrap();
    assert_eq!(stores.seen(media.id, bob).await, (false, false));
}

pub async fn files_are_in_a_chat_as_soon_as_a_message_shows_them_and_not_when_it_was_refused(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let (shown, refused) = (stores.upload(ann, 1).await.id, stores.upload(ann, 1).await.id);
    let both = draft_with_files(chat.id, ann, &[shown, refused]);
    let reply = Draft { reply_to: Some(MessageId(Uuid::now_v7())), ..both.clone() };
    let unknown = stores.chats.append(reply, None, Timestamp::now()).await;
    assert!(matches!(unknown, Err(StoreError::UnknownReply)), "{unknown:?}");
    assert_eq!(stores.seen(shown, bob).await, (false, false));
    stores.show(ann, chat.id, &[shown], Timestamp::now()).await;
    assert_eq!(stores.seen(shown, bob).await, (true, true));

    stores.accounts.block(bob, ann, Timestamp::now()).await.unwrap();
    let blocked = stores.chats.append(both.clone(), None, Timestamp::now()).await;
    assert!(super::is_blocked(blocked));
    let stranger = stores.user().await;
    let elsewhere = Draft { sender_id: stranger, ..both };
    assert!(is_not_found(stores.chats.append(elsewhere, None, Timestamp::now()).await));
    assert_eq!(stores.seen(refused, bob).await, (false, false));
    assert_eq!(stores.seen(shown, bob).await, (true, true), "a message still shows it");
}

pub async fn a_repeat_attaches_nothing(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let (notes, _) = stores.chats.start_chat(ann, ann, super::NOW).await.unwrap();
    let (first, other) = (stores.upload(ann, 1).await.id, stores.upload(ann, 1).await.id);
    let draft = |chat, file| {
        let plain = super::draft_with_id(chat, ann, "", "c1");
        Draft { attachments: vec![file], ..plain }
    };
    let sent = stores.chats.append(draft(chat.id, first), None, Timestamp::now()).await.unwrap().message;
    for (chat, file) in [(chat.id, first), (chat.id, other), (notes.id, first)] {
        let repeat = stores.chats.append(draft(chat, file), None, Timestamp::now()).await.unwrap();
        assert_eq!((repeat.duplicate, repeat.message.id), (true, sent.id));
    }
    assert_eq!(stores.seen(first, bob).await, (true, true));
    assert_eq!(stores.seen(other, bob).await, (false, false));
    // Nor does it bring back what was taken away.
    stores.media.detach(first, chat.id, Timestamp::now()).await.unwrap();
    assert!(stores.chats.append(draft(chat.id, first), None, Timestamp::now()).await.unwrap().duplicate);
    assert_eq!(stores.seen(first, bob).await, (false, false));
}

pub async fn files_of_a_deleted_chat_are_looked_at(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let (notes, _) = stores.chats.start_chat(bob, bob, super::NOW).await.unwrap();
    let (sent, kept, gone) = (stores.upload(bob, 1).await, stores.upload(bob, 1).await, stores.upload(bob, 1).await);
    let (sent, kept, gone, other) = (sent.id, kept.id, gone.id, stores.upload(bob, 1).await.id);
    stores.show(bob, chat.id, &[sent, kept, gone], Timestamp::now()).await;
    stores.show(bob, notes.id, &[kept, other], Timestamp::now()).await;
    stores.media.forget(gone).await.unwrap();
    stores.accounts.delete_account(ann).await.unwrap();
    let soon = Timestamp::now().plus_seconds(SOON);
    for (id, in_chat, due) in [(sent, false, 1), (kept, true, 1), (gone, false, 0), (other, true, 0)] {
        assert_eq!(stores.seen(id, ann).await, (in_chat, false));
        assert_eq!(stores.due_of(&[id], soon).await.len(), due);
    }
}

pub async fn what_is_not_used_is_due(stores: &Stores) {
    let owner = stores.user().await;
    let media = stores.upload(owner, 10).await;
    let at = media.unused_until();
    assert!(stores.due_of(&[media.id], Timestamp(at.0 - 1)).await.is_empty());
    let due = Due { at, media: media.id };
    assert_eq!(stores.due_of(&[media.id], at).await, [due]);
    assert_eq!(stores.due_of(&[media.id], at.plus_seconds(7200)).await, [due]);
    stores.media.settle(due).await.unwrap();
    assert!(stores.due_of(&[media.id], at.plus_seconds(7200)).await.is_empty());
}

pub async fn an_owners_files_count_and_go_together(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let usage = async |owner| stores.media.usage(owner).await.unwrap();
    assert_eq!(usage(ann).await, Usage::default());
    let media = [stores.upload(ann, 10).await, stores.upload(ann, 3_000_000_000).await, stores.upload(ann, 5).await];
    let other = stores.upload(bob, 1).await;
    assert_eq!(usage(ann).await, Usage { files: 3, bytes: 3_000_000_015 });
    let owned =
        async |after: Option<&Media>, limit| stores.media.owned(ann, after.map(|it| it.id), limit).await.unwrap();
    assert_eq!(owned(None, 100).await, media);
    assert_eq!(owned(None, 2).await, media[..2]);
    assert_eq!(owned(Some(&media[1]), 2).await, media[2..]);
    stores.media.condemn(media[0].id).await.unwrap();
    assert_eq!(owned(None, 2).await, media[1..]);
    stores.media.forget(media[0].id).await.unwrap();
    let media = [media[1].clone(), stores.upload(ann, 10).await, media[2].clone()];
    stores.media.condemn(media[2].id).await.unwrap();
    assert_eq!(owned(None, 100).await, media[..2]);
    assert_eq!(usage(ann).await, Usage { files: 2, bytes: 3_000_000_010 });
    let now = Timestamp::now();
    for _ in 0..2 {
        stores.media.condemn_all(ann, now).await.unwrap();
        for one in &media {
            assert_eq!(stores.found(one.id).await.state, MediaState::Condemned);
        }
        assert_eq!(usage(ann).await, Usage::default());
        assert_eq!(owned(None, 100).await, []);
    }
    for one in &media[..2] {
        stores.due_soon(one.id, now).await;
    }
    assert_eq!((stores.found(other.id).await, usage(bob).await), (other, Usage { files: 1, bytes: 1 }));
}
