use sentinel_domain::{
    event::{InboxBody, LiveEvent},
    ids::SessionId,
    ports::HistoryQuery,
    session::Session,
    watermark::Progress,
};
use uuid::Uuid;

use super::{NOW, Stores, draft, draft_with_id, is_not_found, message_ids, new_account};

pub async fn an_account_goes_with_all_that_is_its_own(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let (notes, _) = stores.chats.start_chat(ann, ann, NOW).await.unwrap();
    stores.send(notes.id, ann, "note").await;
    let message = stores.send(chat.id, ann, "hello").await;
    stores.accounts.block(ann, bob, NOW).await.unwrap();
    let session = Session::begin(SessionId(Uuid::new_v4()), ann, String::new(), NOW);
    stores.sessions.create_session(session.clone()).await.unwrap();
    stores.fanout.take();
    stores.accounts.delete_account(ann).await.unwrap();

    let live = stores.fanout.take();
    let ended =
        |event: &LiveEvent| matches!(event, LiveEvent::SessionEnded { session_id } if *session_id == session.id);
    let gone = |event: &LiveEvent| matches!(event, LiveEvent::ChatDeleted { chat } if chat.has(ann));
    assert_eq!((live.iter().filter(|e| ended(e)).count(), live.iter().filter(|e| gone(e)).count()), (1, 2));
    assert!(stores.accounts.account(ann).await.unwrap().is_none());
    assert!(stores.sessions.session(session.id).await.unwrap().is_none());
    assert!(is_not_found(stores.sessions.create_session(session).await), "nobody can log in to it");
    assert!(stores.chats.chats(ann, None, 10).await.unwrap().is_empty());
    assert!(stores.sync(ann, None, 10).await.is_empty());
    assert!(!stores.accounts.blocked_between(ann, bob).await.unwrap());
    for user in [ann, bob] {
        assert!(is_not_found(stores.chats.chat(user, chat.id).await));
        assert!(is_not_found(stores.chats.history(user, chat.id, HistoryQuery::Latest, 10).await));
        assert!(is_not_found(stores.chats.append(draft(chat.id, user, "hi"), None, NOW).await));
        assert!(is_not_found(stores.chats.advance(user, chat.id, Progress::Read, message.id, NOW).await));
    }
    assert!(is_not_found(stores.accounts.delete_account(ann).await));
}

pub async fn the_peer_hears_of_it(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let eve = stores.user().await;
    let (other, _) = stores.chats.start_chat(bob, eve, NOW).await.unwrap();
    let message = stores.chats.append(draft_with_id(chat.id, bob, "hello", "1"), None, NOW).await.unwrap().message;
    stores.chats.edit(bob, chat.id, message.id, "hello!".into(), NOW).await.unwrap();
    stores.chats.advance(ann, chat.id, Progress::Read, message.id, NOW).await.unwrap();
    let kept = stores.send(other.id, bob, "still here").await.id;
    stores.accounts.delete_account(ann).await.unwrap();
    let events = stores.sync(bob, None, 2).await;
    assert_eq!(message_ids(&events), [kept], "nothing of the chat is left");
    let last = &events.last().unwrap().body;
    assert_eq!(*last, InboxBody::ChatDeleted { chat_id: chat.id });
    assert!(events.iter().all(|event| !matches!(event.body, InboxBody::Edited(_) | InboxBody::Receipt { .. })));
    let list = stores.chats.chats(bob, None, 10).await.unwrap();
    assert_eq!(list.iter().map(|summary| summary.chat.id).collect::<Vec<_>>(), [other.id]);
    let again = stores.chats.append(draft_with_id(other.id, bob, "new", "1"), None, NOW).await.unwrap();
    assert!(!again.duplicate, "the id's message is gone");
}

pub async fn a_name_is_free_again(stores: &Stores) {
    let ann = stores.account().await;
    stores.accounts.delete_account(ann.id).await.unwrap();
    let next = new_account(ann.username.as_str(), ann.email.as_str());
    assert_ne!(stores.accounts.create_account(next).await.unwrap().id, ann.id);
}
