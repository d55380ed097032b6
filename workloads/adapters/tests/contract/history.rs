use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    ports::{HistoryPage, HistoryQuery},
};

use super::Stores;

fn ids(page: &HistoryPage) -> Vec<MessageId> {
    page.messages.iter().map(|message| message.id).collect()
}

async fn page(stores: &Stores, user: UserId, chat: ChatId, query: HistoryQuery, limit: usize) -> HistoryPage {
    let page = stores.chats.history(user, chat, query, limit).await.unwrap();
    assert!(page.messages.len() <= limit);
    page
}

pub async fn messages_of_one_millisecond_page_without_gap_or_repeat(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let mut sent = stores.send_many(chat.id, ann, 45).await;
    sent.reverse();
    for size in 1..=46 {
        let mut listed = Vec::new();
        let mut query = HistoryQuery::Latest;
        loop {
            let page = page(stores, bob, chat.id, query, size).await;
            assert_eq!(page.more_after, !listed.is_empty());
            listed.extend(ids(&page));
            if !page.more_before {
                break;
            }
            query = HistoryQuery::Before(page.messages.last().unwrap().id);
        }
        assert_eq!(listed, sent, "backwards by {size}");

        let mut newest = sent[44];
        let mut listed = vec![newest];
        loop {
            let page = page(stores, bob, chat.id, HistoryQuery::After(newest), size).await;
            assert!(page.more_before);
            listed.splice(0..0, ids(&page));
            if !page.more_after {
                break;
            }
            newest = page.messages[0].id;
        }
        assert_eq!(listed, sent, "forwards by {size}");
    }
}

pub async fn pages_tell_what_is_beyond(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let empty = page(stores, bob, chat.id, HistoryQuery::Latest, 5).await;
    assert!(empty.messages.is_empty() && !empty.more_before && !empty.more_after);
    let sent = stores.send_many(chat.id, ann, 4).await;
    let all = page(stores, bob, chat.id, HistoryQuery::Latest, 4).await;
    assert_eq!((all.messages.len(), all.more_before), (4, false), "exactly a page");
    let before = page(stores, bob, chat.id, HistoryQuery::Before(sent[0]), 4).await;
    assert!(before.messages.is_empty() && !before.more_before && before.more_after);
    let after = page(stores, bob, chat.id, HistoryQuery::After(sent[3]), 4).await;
    assert!(after.messages.is_empty() && after.more_before && !after.more_after);
    let middle = page(stores, bob, chat.id, HistoryQuery::Before(sent[2]), 1).await;
    assert_eq!((ids(&middle), middle.more_before, middle.more_after), (vec![sent[1]], true, true));
    let oldest = page(stores, bob, chat.id, HistoryQuery::After(sent[0]), 1).await;
    assert_eq!(ids(&oldest), [sent[1]], "those nearest to it");
}

pub async fn around_a_message(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 9).await;
    for limit in 1..=12 {
        for (place, id) in sent.iter().enumerate() {
            let page = page(stores, bob, chat.id, HistoryQuery::Around(*id), limit).await;
            let found = ids(&page);
            assert!(found.contains(id) && found.is_sorted_by(|a, b| a > b));
            let newer = found.iter().filter(|other| *other > id).count();
            assert!(newer <= limit / 2 + 1);
            let first = sent.iter().position(|other| other == found.last().unwrap()).unwrap();
            assert_eq!((page.more_before, page.more_after), (first > 0, place + newer < 8));
            assert_eq!(found.len(), place + newer + 1 - first, "no gap");
        }
    }
}
