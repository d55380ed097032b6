//! Notifications and preferences.

use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    notice::Notice,
    notification::{MutedChat, Notification, Preferences},
    quiet_hours::{QuietHours, ZoneName},
};

use super::{NOW, Stores, all, is_not_found};

/// Ann's messages to Bob, each with a notification for him; oldest first.
async fn told(stores: &Stores, count: usize) -> (UserId, UserId, ChatId, Vec<MessageId>) {
    let (ann, bob, chat) = stores.pair().await;
    let mut messages = Vec::new();
    for number in 0..count {
        let message = stores.send(chat.id, ann, &number.to_string()).await;
        stores.notifications.add(notification(bob, ann, chat.id, message.id)).await.unwrap();
        messages.push(message.id);
    }
    (ann, bob, chat.id, messages)
}

fn notification(user_id: UserId, sender_id: UserId, chat_id: ChatId, message_id: MessageId) -> Notification {
    Notification { user_id, chat_id, message_id, sender_id, read: false, notice: None }
}

async fn list(stores: &Stores, user: UserId) -> Vec<(MessageId, bool)> {
    let list = stores.notifications.list(user, None, 100).await.unwrap();
    list.into_iter().map(|one| (one.message_id, one.read)).collect()
}

pub async fn notifications_are_listed_newest_first_and_paged(stores: &Stores) {
    let (ann, bob, chat, messages) = told(stores, 7).await;
    let whole = stores.notifications.list(bob, None, 100).await.unwrap();
    let expected: Vec<_> = messages.iter().rev().map(|id| notification(bob, ann, chat, *id)).collect();
    assert_eq!(whole, expected);
    let (mut before, mut read) = (None, Vec::new());
    loop {
        let page = stores.notifications.list(bob, before, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.message_id);
        read.extend(page);
    }
    assert_eq!(read, expected);
    assert!(list(stores, ann).await.is_empty());
}

pub async fn what_was_read_stays_read_however_often_it_is_added(stores: &Stores) {
    let (ann, bob, chat, messages) = told(stores, 3).await;
    let notifications = &stores.notifications;
    notifications.mark_read(bob, messages[1]).await.unwrap();
    notifications.mark_read(bob, messages[1]).await.unwrap();
    for message in &messages {
        notifications.add(notification(bob, ann, chat, *message)).await.unwrap();
    }
    assert_eq!(list(stores, bob).await, [(messages[2], false), (messages[1], true), (messages[0], false)]);
    assert!(is_not_found(notifications.mark_read(ann, messages[1]).await), "it is another's");
    assert_eq!(list(stores, ann).await, []);
}

pub async fn reading_a_chat_reads_its_notifications_up_to_there(stores: &Stores) {
    let (_, bob, chat, messages) = told(stores, 3).await;
    let eve = stores.user().await;
    let (other, _) = stores.chats.start_chat(eve, bob, NOW).await.unwrap();
    let elsewhere = stores.send(other.id, eve, "elsewhere").await.id;
    stores.notifications.add(notification(bob, eve, other.id, elsewhere)).await.unwrap();
    stores.notifications.mark_chat_read(bob, chat, None, messages[1]).await.unwrap();
    let read = [(elsewhere, false), (messages[2], false), (messages[1], true), (messages[0], true)];
    assert_eq!(list(stores, bob).await, read);
    // One that comes late is no less read: nothing goes back.
    stores.notifications.mark_chat_read(bob, chat, None, messages[0]).await.unwrap();
    assert_eq!(list(stores, bob).await, read);
    // The next is read from where the one before ended.
    stores.notifications.mark_chat_read(bob, chat, Some(messages[1]), messages[2]).await.unwrap();
    let read = [(elsewhere, false), (messages[2], true), (messages[1], true), (messages[0], true)];
    assert_eq!(list(stores, bob).await, read);
}

pub async fn what_is_withdrawn_is_gone(stores: &Stores) {
    let (ann, bob, chat, messages) = told(stores, 3).await;
    let notifications = &stores.notifications;
    notifications.withdraw(bob, messages[1]).await.unwrap();
    notifications.withdraw(bob, messages[1]).await.unwrap();
    notifications.withdraw(ann, messages[0]).await.unwrap();
    assert_eq!(list(stores, bob).await, [(messages[2], false), (messages[0], false)]);
    assert!(is_not_found(notifications.mark_read(bob, messages[1]).await));
    let (other, _) = stores.chats.start_chat(bob, bob, NOW).await.unwrap();
    notifications.withdraw_chat(bob, other.id).await.unwrap();
    notifications.withdraw_chat(bob, chat).await.unwrap();
    assert_eq!(list(stores, bob).await, []);
}

pub async fn what_was_read_and_then_withdrawn_leaves_no_gap(stores: &Stores) {
    let (_, bob, chat, messages) = told(stores, 8).await;
    let notifications = &stores.notifications;
    // Read long after they were written (the messages are of a time long ago), each in one of the two ways.
    notifications.mark_read(bob, messages[6]).await.unwrap();
    notifications.mark_chat_read(bob, chat, None, messages[4]).await.unwrap();
    for withdrawn in [6, 4, 3] {
        notifications.withdraw(bob, messages[withdrawn]).await.unwrap();
        assert!(is_not_found(notifications.mark_read(bob, messages[withdrawn]).await));
    }
    let expected = [(7, false), (5, false), (2, true), (1, true), (0, true)].map(|(n, read)| (messages[n], read));
    assert_eq!(list(stores, bob).await, expected);
    // A page is as long as it was asked for while there are more.
    for limit in 1..=5 {
        let page = notifications.list(bob, None, limit).await.unwrap();
        assert_eq!(page.iter().map(|one| one.message_id).collect::<Vec<_>>(), expected.map(|(id, _)| id)[..limit]);
    }
    notifications.withdraw_chat(bob, chat).await.unwrap();
    assert_eq!(notifications.list(bob, None, 1).await.unwrap(), []);
}

pub async fn notices_are_kept_with_their_text_among_the_others(stores: &Stores) {
    let (ann, bob, chat, messages) = told(stores, 2).await;
    let notices = [("Maintenance", "Tonight,\nfrom ten."), ("Done", "Thank you \u{1f64f}")];
    let notices = notices.map(|(header, body)| {
        Notification::of_notice(bob, MessageId(uuid::Uuid::now_v7()), Notice::new(header, body).unwrap())
    });
    for notice in &notices {
        stores.notifications.add(notice.clone()).await.unwrap();
    }
    let mut expected = vec![notification(bob, ann, chat, messages[0]), notification(bob, ann, chat, messages[1])];
    expected.extend(notices.clone());
    expected.sort_by_key(|one| std::cmp::Reverse(one.message_id));
    assert_eq!(stores.notifications.list(bob, None, 100).await.unwrap(), expected);
    let [first, second] = &notices;
    let after_first = expected.iter().skip_while(|one| one.message_id >= first.message_id).cloned().collect::<Vec<_>>();
    assert_eq!(stores.notifications.list(bob, Some(first.message_id), 100).await.unwrap(), after_first);

    // No chat is theirs: they are read by themselves, once, and stay when chats go.
    let notes = stores.chats.start_chat(bob, bob, NOW).await.unwrap().0;
    stores.notifications.mark_chat_read(bob, notes.id, None, second.message_id).await.unwrap();
    stores.notifications.withdraw_chat(bob, chat).await.unwrap();
    stores.notifications.mark_read(bob, first.message_id).await.unwrap();
    stores.notifications.add(first.clone()).await.unwrap();
    let kept = [second.clone(), Notification { read: true, ..first.clone() }];
    assert_eq!(stores.notifications.list(bob, None, 100).await.unwrap(), kept);
    assert_eq!(list(stores, ann).await, []);
    stores.accounts.delete_account(bob).await.unwrap();
    assert_eq!(list(stores, bob).await, []);
}

pub async fn preferences_are_kept_whole(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let notifications = &stores.notifications;
    assert_eq!(notifications.preferences(ann).await.unwrap(), Preferences::default());
    // With a time zone, and as older versions write them.
    for time_zone in [ZoneName::parse("America/Argentina/ComodRivadavia"), None] {
        let wanted = Preferences {
            show_content: true,
            quiet_hours: Some(QuietHours { from_minute: 1300, to_minute: 400, utc_offset_minutes: 60, time_zone }),
            muted: vec![MutedChat { chat_id: chat.id, until: NOW.0 }],
        };
        notifications.set_preferences(ann, &wanted).await.unwrap();
        assert_eq!(notifications.preferences(ann).await.unwrap(), wanted);
        assert_eq!(notifications.preferences(bob).await.unwrap(), Preferences::default());
    }
    notifications.set_preferences(ann, &Preferences::default()).await.unwrap();
    assert_eq!(notifications.preferences(ann).await.unwrap(), Preferences::default());
}

pub async fn preferences_are_replaced_only_by_who_knows_them(stores: &Stores) {
    let (ann, bob, _) = stores.pair().await;
    let hours = |from_minute| Preferences {
        quiet_hours: Some(QuietHours { from_minute, to_minute: 400, utc_offset_minutes: 0, time_zone: None }),
        ..Preferences::default()
    };
    // Nobody has said anything yet; then what somebody said.
    for known in [Preferences::default(), hours(9)] {
        stores.notifications.set_preferences(bob, &known).await.unwrap();
        for (user, known) in [(ann, &Preferences::default()), (bob, &known)] {
            let before = stores.notifications.preferences(user).await.unwrap();
            let racing = all((0..4).map(|number| {
                let (stores, known) = (stores.clone(), known.clone());
                async move { stores.notifications.replace_preferences(user, &known, &hours(number)).await.unwrap() }
            }));
            let done: Vec<bool> = racing.await;
            let won = done.iter().position(|done| *done);
            assert_eq!(done.iter().filter(|done| **done).count(), usize::from(before == *known), "{done:?}");
            let now = stores.notifications.preferences(user).await.unwrap();
            assert_eq!(now, won.map_or(before, |won| hours(u16::try_from(won).unwrap())));
        }
    }
}

pub async fn a_deleted_account_leaves_none(stores: &Stores) {
    let (_, bob, _, messages) = told(stores, 2).await;
    let wanted = Preferences { show_content: true, ..Preferences::default() };
    stores.notifications.set_preferences(bob, &wanted).await.unwrap();
    assert_eq!(list(stores, bob).await.len(), messages.len());
    stores.accounts.delete_account(bob).await.unwrap();
    assert_eq!(list(stores, bob).await, []);
    assert_eq!(stores.notifications.preferences(bob).await.unwrap(), Preferences::default());
}
