//! An account that has something everywhere, to look for what is left of it when it is deleted.

use std::collections::BTreeSet;

use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    ids::{MessageId, SessionId, UserId},
    mail::LinkPurpose,
    notice::Notice,
    notification::{MutedChat, Notification, Preferences},
    push::{Device, DeviceId, PushAddress},
    reindex::Reindex,
    session::Session,
    time::Timestamp,
    watermark::Progress,
};
use uuid::Uuid;

use super::{NOW, Stores, administration, draft_with_id, mail, media};

/// What stores of chats keep of `ann`, who writes with `bob`.
#[allow(dead_code)] // not every test file needs it
pub async fn fill_chats(stores: &Stores, ann: UserId, bob: UserId) {
    let (chat, _) = stores.chats.start_chat(ann, bob, NOW).await.unwrap();
    let (notes, _) = stores.chats.start_chat(ann, ann, NOW).await.unwrap();
    stores.send(notes.id, ann, "note").await;
    let own = stores.chats.append(draft_with_id(chat.id, ann, "hello", "1"), None, NOW).await.unwrap().message.id;
    let deleted = stores.send(chat.id, ann, "oops").await.id;
    let answer = stores.send(chat.id, bob, "hi").await.id;
    stores.chats.edit(ann, chat.id, own, "hello!".into(), NOW).await.unwrap();
    stores.chats.delete(ann, chat.id, deleted, NOW).await.unwrap();
    stores.chats.advance(ann, chat.id, Progress::Read, answer, NOW).await.unwrap();
    stores.chats.advance(bob, chat.id, Progress::Read, own, NOW).await.unwrap();

    let id = || MessageId(Uuid::now_v7());
    let of_message = |user_id, sender_id, message_id| {
        let (chat_id, read, notice) = (chat.id, false, None);
        Notification { user_id, chat_id, message_id, sender_id, read, notice }
    };
    let notice = Notice::new("Maintenance", "Tonight.").unwrap();
    for told in [
        of_message(ann, bob, answer),
        of_message(bob, ann, own),
        Notification::welcome(ann, id()),
        Notification::of_notice(ann, id(), notice),
    ] {
        stores.notifications.add(told).await.unwrap();
    }
    for user in [ann, bob] {
        let muted = vec![MutedChat { chat_id: chat.id, until: NOW.0 }];
        stores.notifications.set_preferences(user, &Preferences { muted, ..Preferences::default() }).await.unwrap();
        stores.devices.set_pushed(user, chat.id, answer).await.unwrap();
    }
    let device = Device {
        user_id: ann,
        device_id: DeviceId::parse("phone").unwrap(),
        session_id: SessionId(Uuid::new_v4()),
        address: PushAddress::Fcm { token: Uuid::new_v4().to_string() },
        registered_at: NOW,
    };
    stores.devices.register(device).await.unwrap();
    let (sent, kept) = (media::upload(ann, 10), media::upload(ann, 10));
    for file in [&sent, &kept] {
        stores.media.create(file.clone()).await.unwrap();
    }
    stores.media.complete(sent.id, &sent.content_type, media::SHOWN).await.unwrap();
    stores.show(ann, chat.id, &[sent.id], NOW).await;
}

/// What stores of accounts keep of `ann`, who has to do with `bob`.
#[allow(dead_code)] // not every test file needs it
pub async fn fill_accounts(stores: &Stores, ann: UserId, bob: UserId) {
    for number in 0..2 {
        let session = Session::begin(SessionId(Uuid::new_v4()), ann, "phone".into(), NOW);
        stores.sessions.create_session(session.clone()).await.unwrap();
        if number == 0 {
            stores.sessions.end_session(ann, session.id).await.unwrap();
        }
    }
    stores.accounts.block(ann, bob, NOW).await.unwrap();
    stores.accounts.block(bob, ann, NOW).await.unwrap();
    stores.mail.queue_link(mail::link(ann, LinkPurpose::VerifyEmail)).await.unwrap();
    for new in [administration::report(ann, bob), administration::report(bob, ann)] {
        stores.reports.create_report(new).await.unwrap();
    }
    let entry = AuditEntry::now(AuditAction::PasswordChanged, Some(ann), Some(ann));
    assert!(stores.reindex.begin_reindex(Reindex::now(Some(ann)), Timestamp::now(), Some(entry)).await.unwrap());
}

/// How an id may be written in a row: as it is, and in hexadecimal digits.
#[allow(dead_code)] // not every test file needs it
pub fn spellings(user: UserId) -> [String; 2] {
    [user.0.hyphenated().to_string(), user.0.simple().to_string()]
}

/// Names of tables.
#[allow(dead_code)] // not every test file needs it
pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
