//! Messages that are too old: nobody sees them, whether they are removed yet or not.

use sentinel_domain::{
    clock::Instant,
    event::InboxBody,
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Draft, Message},
    notice::Notice,
    notification::Notification,
    ports::{HistoryQuery, StoreError},
    retention::MessageRetention,
    time::Timestamp,
    watermark::Progress,
};

use super::{NOW, Stores, draft, draft_with_id, is_not_found, media::upload, message_ids};

const DAY: i64 = 24 * 3600;
/// How long messages are kept by stores of these tests.
pub const KEPT_DAYS: u32 = 20;

/// The rule of these tests.
pub fn kept() -> MessageRetention {
    MessageRetention::seconds(KEPT_DAYS * 24 * 3600)
}

/// A moment of which everything is too old, and a moment later.
pub fn long_ago() -> Timestamp {
    Timestamp::now().plus_seconds(-(i64::from(KEPT_DAYS) + 1) * DAY)
}

impl Stores {
    async fn say_at(&self, draft: Draft, at: Timestamp) -> Message {
        let said = self.chats.append(draft, None, at).await.unwrap();
        assert!(!said.duplicate);
        said.message
    }
}

/// Ann and Bob with three messages of Ann's that are too old, and three that are not.
pub struct Talk {
    pub ann: UserId,
    pub bob: UserId,
    pub chat: ChatId,
    pub old: Vec<MessageId>,
    pub new: Vec<MessageId>,
}

impl Talk {
    pub async fn of(stores: &Stores) -> Self {
        Self::with(stores, stores.user().await).await
    }

    /// With a Bob who is there. A store's ids only rise: what is old comes first.
    async fn with(stores: &Stores, bob: UserId) -> Self {
        let ann = stores.user().await;
        let (chat, _) = stores.chats.start_chat(ann, bob, NOW).await.unwrap();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for number in 0..3 {
            old.push(stores.say_at(draft(chat.id, ann, &format!("old {number}")), long_ago()).await.id);
        }
        for number in 0..3 {
            new.push(stores.say_at(draft(chat.id, ann, &format!("new {number}")), Timestamp::now()).await.id);
        }
        Self { ann, bob, chat: chat.id, old, new }
    }

    /// A page by its ids, and whether there are older and newer ones.
    async fn page(&self, stores: &Stores, query: HistoryQuery, limit: usize) -> (Vec<MessageId>, bool, bool) {
        let page = stores.chats.history(self.bob, self.chat, query, limit).await.unwrap();
        (page.messages.iter().map(|message| message.id).collect(), page.more_before, page.more_after)
    }
}

pub async fn a_history_ends_where_messages_are_too_old(stores: &Stores) {
    let talk = Talk::of(stores).await;
    let [first, second, third] = talk.new[..] else { panic!() };
    let newest_first = vec![third, second, first];
    let page = async |query, limit| talk.page(stores, query, limit).await;
    assert_eq!(page(HistoryQuery::Latest, 10).await, (newest_first.clone(), false, false));
    assert_eq!(page(HistoryQuery::Latest, 3).await, (newest_first.clone(), false, false), "exactly a page");
    assert_eq!(page(HistoryQuery::Latest, 2).await, (vec![third, second], true, false));
    assert_eq!(page(HistoryQuery::Before(second), 2).await, (vec![first], false, true));
    assert_eq!(page(HistoryQuery::Before(first), 2).await, (vec![], false, true));
    assert_eq!(page(HistoryQuery::After(first), 2).await, (vec![third, second], true, false));
    for gone in &talk.old {
        // Places among those that are gone are good, and lead to what is kept.
        assert_eq!(page(HistoryQuery::Before(*gone), 2).await, (vec![], false, true));
        assert_eq!(page(HistoryQuery::After(*gone), 2).await, (vec![second, first], false, true));
        assert_eq!(page(HistoryQuery::After(*gone), 9).await, (newest_first.clone(), false, false));
        assert_eq!(page(HistoryQuery::Around(*gone), 4).await, (vec![second, first], false, true));
        assert!(is_not_found(stores.chats.message(talk.bob, talk.chat, *gone).await));
    }
    assert_eq!(stores.chats.message(talk.bob, talk.chat, first).await.unwrap().text, "new 0");
}

pub async fn lists_count_and_show_only_what_is_kept(stores: &Stores) {
    let (eve, bob, quiet) = stores.pair().await;
    stores.say_at(draft(quiet.id, eve, "all of it is old"), long_ago()).await;
    let talk = Talk::with(stores, bob).await;
    let listed = stores.chats.chats(talk.bob, None, 10).await.unwrap();
    let of = |chat| listed.iter().find(|one| one.chat.id == chat).unwrap();
    let lively = of(talk.chat);
    assert_eq!((lively.last_message.as_ref().map(|last| last.id), lively.unread), (Some(talk.new[2]), 3));
    assert_eq!((of(quiet.id).last_message.clone(), of(quiet.id).unread), (None, 0));
    let history = stores.chats.history(talk.bob, quiet.id, HistoryQuery::Latest, 10).await.unwrap();
    assert!(history.messages.is_empty() && !history.more_before && !history.more_after);
    // The list can still be paged.
    let first = stores.chats.chats(talk.bob, None, 1).await.unwrap();
    let second = stores.chats.chats(talk.bob, Some(first[0].activity), 1).await.unwrap();
    assert_ne!(first[0].chat.id, second[0].chat.id);
}

pub async fn what_is_too_old_can_not_be_changed(stores: &Stores) {
    let Talk { ann, bob, chat, old, new } = Talk::of(stores).await;
    let now = Timestamp::now();
    assert!(is_not_found(stores.chats.edit(ann, chat, old[0], "changed".into(), now).await));
    assert!(is_not_found(stores.chats.delete(ann, chat, old[0], now).await));
    assert!(is_not_found(stores.chats.advance(bob, chat, Progress::Read, old[2], now).await));
    let answer = Draft { reply_to: Some(old[2]), ..draft(chat, bob, "to what is gone") };
    let refused = stores.chats.append(answer, None, now).await;
    assert!(matches!(refused, Err(StoreError::UnknownReply)), "{refused:?}");
    let answer = Draft { reply_to: Some(new[0]), ..draft(chat, bob, "to what is there") };
    stores.say_at(answer, now).await;
    stores.chats.advance(bob, chat, Progress::Read, new[2], now).await.unwrap();
}

/// What happened to a message in the last moment of its life is over with it: nobody waits to see it.
pub async fn an_event_of_what_is_too_old_is_of_nothing(stores: &Stores) {
    let Talk { bob, chat, old, new, .. } = Talk::of(stores).await;
    let now = Timestamp::now();
    let edited = EventId(Instant { millis: now.0.unsigned_abs(), counter: 0 }.id(0));
    let of = async |message, event| stores.chats.message_of_event(bob, chat, message, event, now).await;
    assert!(of(old[0], edited).await.unwrap().is_none());
    let found = of(new[0], new[0].into()).await.unwrap().unwrap();
    assert_eq!((found.message.id, found.chat.id, found.blocked), (new[0], chat, false));
    let unseen = of(MessageId(edited.0), edited).await;
    assert!(matches!(unseen, Err(StoreError::Unavailable(_))), "{unseen:?}");
}

/// A client that was away for long sends again what it never heard of.
pub async fn a_repeat_of_what_is_too_old_makes_no_second_message(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let again = || draft_with_id(chat.id, ann, "hello", "client-1");
    let first = stores.say_at(again(), long_ago()).await;
    let repeated = stores.chats.append(again(), None, Timestamp::now()).await.unwrap();
    assert!(repeated.duplicate);
    let client = again().client_message_id.unwrap();
    let tombstone = Message::expired(first.id, chat.id, ann, client.clone());
    assert!(tombstone.deleted && tombstone.text.is_empty());
    assert_eq!(repeated.message, tombstone);
    assert_eq!(stores.chats.sent(ann, chat.id, client, None).await.unwrap(), Some(tombstone));
    assert!(stores.chats.history(bob, chat.id, HistoryQuery::Latest, 5).await.unwrap().messages.is_empty());
}

pub async fn sync_says_nothing_of_what_is_too_old(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let mut old = Vec::new();
    for number in 0..4 {
        old.push(stores.say_at(draft(chat.id, ann, &number.to_string()), long_ago()).await.id);
    }
    // Changes of the time when it was not: the stores of the test do not know that time, so a younger one is edited.
    let edited = stores.say_at(draft(chat.id, ann, "young"), Timestamp::now()).await.id;
    stores.chats.edit(ann, chat.id, edited, "edited".into(), Timestamp::now()).await.unwrap();
    let taken_back = stores.say_at(draft(chat.id, ann, "taken back"), Timestamp::now()).await.id;
    stores.chats.delete(ann, chat.id, taken_back, Timestamp::now()).await.unwrap();
    for (since, started) in [(None, true), (Some(old[1].into()), false)] {
        for size in [1, 2, 100] {
            let events = stores.sync(bob, since.clone(), size).await;
            assert_eq!(message_ids(&events), [edited, taken_back]);
            let starts = events.iter().filter(|event| matches!(event.body, InboxBody::ChatStarted { .. })).count();
            assert_eq!(starts, usize::from(started));
            assert!(events.iter().any(|event| matches!(&event.body, InboxBody::Edited(one) if one.id == edited)));
            let deleted = InboxBody::Deleted { chat_id: chat.id, message_id: taken_back };
            assert!(events.iter().any(|event| event.body == deleted));
        }
    }
}

pub async fn a_file_is_seen_as_long_as_the_last_message_that_shows_it(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let (notes, _) = stores.chats.start_chat(ann, ann, NOW).await.unwrap();
    let media = upload(ann, 10);
    stores.media.create(media.clone()).await.unwrap();
    stores.show(ann, chat.id, &[media.id], long_ago()).await;
    assert_eq!(stores.seen(media.id, bob).await, (false, false));
    stores.show(ann, notes.id, &[media.id], Timestamp::now()).await;
    assert_eq!(stores.seen(media.id, bob).await, (true, false));
    stores.show(ann, chat.id, &[media.id], Timestamp::now()).await;
    assert_eq!(stores.seen(media.id, bob).await, (true, true), "it was sent again");
    stores.media.detach(media.id, chat.id, Timestamp::now()).await.unwrap();
    assert_eq!(stores.seen(media.id, bob).await, (true, false));
}

pub async fn notifications_end_with_the_messages_that_they_are_about(stores: &Stores) {
    let Talk { ann, bob, chat, old, new } = Talk::of(stores).await;
    for message_id in old.iter().chain(&new) {
        let about = |user_id, sender_id| Notification {
            user_id,
            chat_id: chat,
            message_id: *message_id,
            sender_id,
            read: false,
            notice: None,
        };
        stores.notifications.add(about(bob, ann)).await.unwrap();
    }
    // What is not about a message has a time of its own.
    let notice = Notice::kept("Maintenance".into(), "On Sunday".into());
    let at = MessageId(sentinel_domain::clock::Instant { millis: long_ago().0.unsigned_abs(), counter: 1 }.id(7));
    stores.notifications.add(Notification::of_notice(bob, at, notice)).await.unwrap();
    let expected: Vec<MessageId> = new.iter().rev().copied().chain([at]).collect();
    for page in [1, 2, 100] {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let found = stores.notifications.list(bob, before, page).await.unwrap();
            let Some(last) = found.last() else { break };
            before = Some(last.message_id);
            listed.extend(found.iter().map(|one| one.message_id));
        }
        assert_eq!(listed, expected, "by {page}");
    }
}
