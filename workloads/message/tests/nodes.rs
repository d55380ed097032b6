//! Several message processes as one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fleet;
mod platform;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use fleet::Fleet;
use platform::{User, client::Client, inboxes::Failing, now};
use sentinel_domain::{
    event::{Fanout, LiveEvent},
    ids::{ChatId, MessageId},
    ports::{AccountStore, ChatReader, SessionStore},
    watermark::Watermarks,
};
use sentinel_http::ended_sessions::EndedSessions;
use serde_json::{Value, json};

/// Ann on node 0, Bob on node 1, and their chat.
struct Pair {
    fleet: Fleet,
    ann: User,
    bob: User,
    chat: String,
}

impl Pair {
    async fn new() -> Self {
        let fleet = Fleet::new().await;
        let (ann, bob) = (fleet.nodes[0].user("ann").await, fleet.nodes[0].user("bob").await);
        let chat = fleet.nodes[0].chat(&ann, &bob).await;
        Self { fleet, ann, bob, chat }
    }

    async fn clients(&self) -> (Client, Client) {
        (self.client(0, &self.ann).await, self.client(1, &self.bob).await)
    }

    /// A socket. Nodes of a fleet share keys, so a token is good on each.
    async fn client(&self, node: usize, user: &User) -> Client {
        Client::of(self.fleet.addresses[node], user).await
    }

    async fn send(&self, client: &mut Client, text: &str) -> Value {
        client.ask("send_message", json!({"chat_id": self.chat, "message": text})).await
    }
}

async fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(client.event("receive_message").await["message"].as_str().unwrap().to_owned());
    }
    texts
}

async fn settled(mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !what() {
        assert!(Instant::now() < deadline, "it takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn messages_reach_the_sockets_of_other_nodes_once_and_in_order() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    let mut desk = pair.client(1, &pair.ann).await;
    let mut acks = Vec::new();
    for n in 0..300 {
        let payload = json!({"chat_id": pair.chat, "message": format!("m{n}")});
        acks.push(ann.emit(json!(["send_message", payload])).await);
    }
    for ack in acks {
        assert_eq!(ann.ack(ack).await["status"], "ok");
    }
    let sent: Vec<String> = (0..300).map(|n| format!("m{n}")).collect();
    assert_eq!(texts(&mut bob, 300).await, sent);
    assert_eq!(texts(&mut desk, 300).await, sent);
    assert!(bob.no_event("receive_message").await && desk.no_event("receive_message").await);
    assert!(ann.no_event("receive_message").await, "the sender's socket gets no echo");
}

#[tokio::test]
async fn an_answer_on_another_node_sorts_after_what_it_answers() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    let mut last = String::new();
    for n in 0..20 {
        let (node, from, to) = if n % 2 == 0 { (0, &mut ann, &mut bob) } else { (1, &mut bob, &mut ann) };
        pair.fleet.act(node);
        pair.send(from, &format!("{n}")).await;
        let message = to.event("receive_message").await;
        assert_eq!(message["message"], n.to_string());
        let id = message["message_id"].as_str().unwrap().to_owned();
        assert!(id > last);
        last = id;
    }
}

#[tokio::test]
async fn typing_receipts_edits_and_deletions_reach_other_nodes() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    let typing = ann.ask("typing", json!({"chat_id": pair.chat, "typing": true})).await;
    assert_eq!(typing, json!({"status": "ok"}));
    let shown = bob.event("typing").await;
    assert_eq!(shown, json!({"chat_id": pair.chat, "user_id": pair.ann.id(), "typing": true, "expires_in": 6}));
    let id = pair.send(&mut ann, "hello").await["message_id"].clone();
    assert_eq!(bob.event("receive_message").await["message_id"], id);
    pair.fleet.act(1);
    bob.ask("message_read", json!({"chat_id": pair.chat, "message_id": id})).await;
    assert_eq!(ann.event("receipt").await["read_up_to"], id);
    assert_eq!(ann.event("message_received").await["message_id"], id);
    pair.fleet.act(0);
    ann.ask("edit_message", json!({"chat_id": pair.chat, "message_id": id, "message": "bye"})).await;
    assert_eq!(bob.event("message_edited").await["message"], "bye");
    ann.ask("delete_message", json!({"chat_id": pair.chat, "message_id": id})).await;
    assert_eq!(bob.event("message_deleted").await["message_id"], id);

    pair.fleet.nodes[0].store.block(pair.bob.id, pair.ann.id, now()).await.unwrap();
    ann.ask("typing", json!({"chat_id": pair.chat, "typing": true})).await;
    assert!(bob.no_event("typing").await);
}

/// As when a write was not answered, and is repeated at another node.
#[tokio::test]
async fn what_is_published_again_is_shown_once() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    let id = id_of(&pair.send(&mut ann, "once").await);
    assert_eq!(texts(&mut bob, 1).await, ["once"]);
    let store = &pair.fleet.nodes[0].store;
    let chat = store.chat(pair.ann.id, ChatId::of_pair(pair.ann.id, pair.bob.id)).await.unwrap();
    let message = store.message(pair.ann.id, chat.id, id).await.unwrap();
    for node in &pair.fleet.routed {
        node.publish(vec![LiveEvent::Message { chat: chat.clone(), message: message.clone(), origin: None }]);
    }
    assert!(bob.no_event("receive_message").await && ann.no_event("receive_message").await);
    ann.ask("delete_message", json!({"chat_id": pair.chat, "message_id": id})).await;
    assert_eq!(bob.event("message_deleted").await["message_id"], json!(id));
    for node in &pair.fleet.routed {
        node.publish(vec![LiveEvent::Deleted { chat: chat.clone(), message_id: id }]);
    }
    assert!(bob.no_event("message_deleted").await);
}

/// The node of his socket has shown him nothing: he has the message by what he loads and syncs at `ready`.
#[tokio::test]
async fn what_is_published_again_is_not_shown_to_who_connected_since() {
    let pair = Pair::new().await;
    let mut ann = pair.client(0, &pair.ann).await;
    let id = id_of(&pair.send(&mut ann, "before").await);
    let mut bob = pair.client(1, &pair.bob).await;
    let store = &pair.fleet.nodes[0].store;
    let chat = store.chat(pair.ann.id, ChatId::of_pair(pair.ann.id, pair.bob.id)).await.unwrap();
    let message = store.message(pair.ann.id, chat.id, id).await.unwrap();
    for node in &pair.fleet.routed {
        node.publish(vec![LiveEvent::Message { chat: chat.clone(), message: message.clone(), origin: None }]);
    }
    pair.send(&mut ann, "after").await;
    assert_eq!(texts(&mut bob, 1).await, ["after"]);
    assert!(bob.no_event("receive_message").await);
}

/// Two devices of Bob, each on a node of its own: the phone says that it got the second message while at the desk he reads
/// it. Each node knows what he had read before, and nothing of the other.
#[tokio::test]
async fn receipts_never_go_back_whichever_comes_first() {
    let pair = Pair::new().await;
    let (mut ann, _bob) = pair.clients().await;
    let first = id_of(&pair.send(&mut ann, "one").await);
    let second = id_of(&pair.send(&mut ann, "two").await);
    let store = &pair.fleet.nodes[0].store;
    let mut chat = store.chat(pair.ann.id, ChatId::of_pair(pair.ann.id, pair.bob.id)).await.unwrap();
    let member = chat.members.iter().position(|member| *member == pair.bob.id).unwrap();
    let mut publish = |node: usize, read: MessageId| {
        chat.shown[member] = Watermarks { delivered_up_to: Some(second), read_up_to: Some(read) };
        let receipt = LiveEvent::Receipt { chat: chat.clone(), user_id: pair.bob.id, blocked: false };
        pair.fleet.routed[node].publish(vec![receipt]);
    };
    publish(1, second);
    let told = ann.event("receipt").await;
    assert_eq!((&told["delivered_up_to"], &told["read_up_to"]), (&json!(second), &json!(second)));
    publish(0, first);
    assert!(ann.no_event("receipt").await, "it says less than what she was told");
    // Both say something new: she is told all of it, not one instead of the other.
    let third = id_of(&pair.send(&mut ann, "three").await);
    chat.shown[member] = Watermarks { delivered_up_to: Some(third), read_up_to: Some(first) };
    let receipt = LiveEvent::Receipt { chat: chat.clone(), user_id: pair.bob.id, blocked: false };
    pair.fleet.routed[0].publish(vec![receipt]);
    let told = ann.event("receipt").await;
    assert_eq!((&told["delivered_up_to"], &told["read_up_to"]), (&json!(third), &json!(second)));
}

fn id_of(sent: &Value) -> MessageId {
    serde_json::from_value(sent["message_id"].clone()).unwrap()
}

#[tokio::test]
async fn what_a_lost_letter_said_is_shown_once_the_gap_is_noticed() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    pair.send(&mut ann, "before").await;
    assert_eq!(texts(&mut bob, 1).await, ["before"]);
    pair.fleet.bus.lose(true);
    pair.send(&mut ann, "lost").await;
    assert!(bob.no_event("receive_message").await);
    pair.fleet.bus.lose(false);
    pair.send(&mut ann, "after").await;
    assert_eq!(texts(&mut bob, 2).await, ["after", "lost"]);
    assert!(bob.no_event("receive_message").await, "nothing is shown twice");
    // The repair also looked into the inbox of a socket that has everything.
    let mut late = pair.client(1, &pair.bob).await;
    pair.fleet.bus.interrupt(now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(late.no_event("receive_message").await && bob.no_event("receive_message").await);
}

#[tokio::test]
async fn a_sender_that_could_not_send_tells_all_nodes_to_look() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    pair.fleet.bus.go_away();
    assert_eq!(pair.send(&mut ann, "dropped").await["status"], "ok");
    assert!(bob.no_event("receive_message").await);
    // Back before the receiver noticed anything: no interruption is reported.
    pair.fleet.bus.away.store(false, Ordering::SeqCst);
    assert_eq!(texts(&mut bob, 1).await, ["dropped"]);
    assert!(bob.no_event("receive_message").await);
}

/// A socket does not wait for its lease for long; what happens before the lease is there it must get all the same.
#[tokio::test]
async fn what_was_said_before_a_late_lease_is_shown_once_it_is_there() {
    let pair = Pair::new().await;
    let mut ann = pair.client(0, &pair.ann).await;
    pair.fleet.bus.holding_leases.store(true, Ordering::SeqCst);
    let mut bob = pair.client(1, &pair.bob).await;
    assert_eq!(pair.send(&mut ann, "early").await["status"], "ok");
    assert!(bob.no_event("receive_message").await);
    pair.fleet.bus.holding_leases.store(false, Ordering::SeqCst);
    assert_eq!(texts(&mut bob, 1).await, ["early"]);
    assert!(bob.no_event("receive_message").await, "nothing is shown twice");
}

/// As when Redis needed the memory: it answers all the time, and nobody is told that a message went nowhere.
#[tokio::test]
async fn what_was_said_while_a_lease_was_lost_is_shown_once_that_is_noticed() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    pair.fleet.bus.forget_routes();
    assert_eq!(pair.send(&mut ann, "to nobody").await["status"], "ok");
    assert!(bob.no_event("receive_message").await);
    // Renewing is what finds it, here for one more socket.
    let mut late = pair.client(1, &pair.bob).await;
    assert_eq!(texts(&mut bob, 1).await, ["to nobody"]);
    pair.send(&mut ann, "to both").await;
    assert_eq!(texts(&mut bob, 1).await, ["to both"]);
    assert_eq!(texts(&mut late, 1).await, ["to both"], "it came later, and syncs");
}

#[tokio::test]
async fn what_waits_to_be_sent_can_be_waited_for() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    pair.fleet.bus.holding_letters.store(true, Ordering::SeqCst);
    let before = pair.fleet.bus.sent();
    assert_eq!(pair.send(&mut ann, "last words").await["status"], "ok");
    assert_eq!(pair.fleet.bus.sent(), before);
    let bus = pair.fleet.bus.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        bus.holding_letters.store(false, Ordering::SeqCst);
    });
    pair.fleet.routed[0].flush().await;
    assert!(pair.fleet.bus.sent() > before);
    assert_eq!(texts(&mut bob, 1).await, ["last words"]);
    pair.fleet.bus.holding_letters.store(true, Ordering::SeqCst);
    pair.send(&mut ann, "never").await;
    let began = Instant::now();
    pair.fleet.routed[0].flush().await;
    assert!(began.elapsed() < Duration::from_secs(10), "a bus that hangs is not waited for");
}

/// A loss that began before a socket joined: it was told where to sync from, so it lacks nothing from before.
#[tokio::test]
async fn a_socket_is_not_cut_off_for_what_happened_before_it_joined() {
    let pair = Pair::new().await;
    let mut ann = pair.client(0, &pair.ann).await;
    let mut acks = Vec::new();
    for n in 0..1100 {
        let payload = json!({"chat_id": pair.chat, "message": format!("m{n}")});
        acks.push(ann.emit(json!(["send_message", payload])).await);
    }
    for ack in acks {
        assert_eq!(ann.ack(ack).await["status"], "ok");
    }
    let mut bob = pair.client(1, &pair.bob).await;
    let inboxes = &pair.fleet.nodes[1].inboxes;
    for round in 1..=2 {
        let before = inboxes.asked_for(pair.bob.id);
        pair.fleet.bus.interrupt(now().plus_seconds(-3600));
        settled(|| inboxes.asked_for(pair.bob.id) > before).await;
        assert!(bob.no_event("receive_message").await, "round {round}");
        assert_eq!(bob.ask("heartbeat", json!({"active": true})).await["status"], "ok");
        assert_eq!(inboxes.asked_for(pair.bob.id), before + 1, "one page is enough");
    }
}

#[tokio::test]
async fn an_inbox_that_can_not_be_read_makes_nobody_read_the_others_again() {
    let pair = Pair::new().await;
    let carol = pair.fleet.nodes[0].user("carol").await;
    let _sockets = [pair.client(1, &pair.ann).await, pair.client(1, &pair.bob).await, pair.client(1, &carol).await];
    let inboxes = &pair.fleet.nodes[1].inboxes;
    inboxes.fail(pair.bob.id, Failing::Damaged);
    inboxes.fail(carol.id, Failing::Away);
    pair.fleet.bus.interrupt(now());
    // It is tried again every some seconds as long as it may be there again.
    let deadline = Instant::now() + Duration::from_secs(20);
    while inboxes.asked_for(carol.id) < 3 {
        assert!(Instant::now() < deadline, "it takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((inboxes.asked_for(pair.ann.id), inboxes.asked_for(pair.bob.id)), (1, 1));
}

#[tokio::test]
async fn chatting_goes_on_while_the_bus_is_away() {
    let pair = Pair::new().await;
    let mut ann = pair.client(0, &pair.ann).await;
    let away_since = now();
    pair.fleet.bus.go_away();
    let began = Instant::now();
    let mut bob = pair.client(1, &pair.bob).await;
    assert!(began.elapsed() < Duration::from_secs(2), "joining took {:?}", began.elapsed());
    for n in 0..3 {
        assert_eq!(pair.send(&mut ann, &format!("m{n}")).await["status"], "ok");
    }
    // Late, by a look into the inbox.
    let deadline = Instant::now() + Duration::from_secs(8);
    let mut texts = Vec::new();
    while texts.len() < 3 && Instant::now() < deadline {
        if !bob.no_event("receive_message").await {
            texts.push(bob.event("receive_message").await["message"].clone());
        }
    }
    assert_eq!(texts, ["m0", "m1", "m2"]);
    pair.fleet.bus.come_back(away_since);
    settled(|| pair.fleet.bus.holds(pair.bob.id) == 1).await;
    pair.send(&mut ann, "m3").await;
    assert_eq!(bob.event("receive_message").await["message"], "m3");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bob.no_event("receive_message").await, "nothing is shown twice");
}

#[tokio::test]
async fn a_lease_is_there_before_a_socket_is_ready_and_goes_with_the_last_one() {
    let pair = Pair::new().await;
    assert_eq!(pair.fleet.bus.holds(pair.bob.id), 0);
    let first = pair.client(1, &pair.bob).await;
    assert_eq!(pair.fleet.bus.holds(pair.bob.id), 1);
    let second = pair.client(1, &pair.bob).await;
    let third = pair.client(0, &pair.bob).await;
    assert_eq!(pair.fleet.bus.holds(pair.bob.id), 2);
    drop(first);
    drop(third);
    settled(|| pair.fleet.bus.holds(pair.bob.id) == 1).await;
    drop(second);
    settled(|| pair.fleet.bus.holds(pair.bob.id) == 0).await;
}

#[tokio::test]
async fn a_log_out_ends_sockets_and_tokens_on_every_node() {
    let pair = Pair::new().await;
    let mut bob = pair.client(1, &pair.bob).await;
    let mut other = pair.fleet.nodes[0].log_in(pair.bob.id, &pair.bob.name).await;
    let tokens = pair.fleet.nodes[1].tokens.clone();
    other.token = tokens.issue(other.id, other.session, &other.name, now()).unwrap().token;
    let mut stays = pair.client(1, &other).await;
    let watch = EndedSessions::new(pair.fleet.accounts.clone(), tokens.clone());
    let watch = tokio::spawn(watch.watch(Some(pair.fleet.hubs[1].clone())));
    pair.fleet.accounts.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    pair.fleet.accounts.away.store(false, Ordering::SeqCst);
    let began = Instant::now();
    pair.fleet.act(0);
    pair.fleet.nodes[0].store.end_session(pair.bob.id, pair.bob.session).await.unwrap();
    assert!(bob.end().await, "the socket is told to stay away");
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    tokens.verify(&pair.bob.token, now()).unwrap_err();
    assert_eq!(stays.ask("heartbeat", json!({"active": true})).await["status"], "ok");
    watch.abort();
}

#[tokio::test]
async fn typing_asks_no_accounts_and_a_block_still_cuts_it_at_once() {
    let pair = Pair::new().await;
    let (mut ann, mut bob) = pair.clients().await;
    pair.fleet.accounts.away.store(true, Ordering::SeqCst);
    let typing = json!({"chat_id": pair.chat, "typing": true});
    ann.ask("typing", typing.clone()).await;
    assert_eq!(bob.event("typing").await["user_id"], pair.ann.id());
    // The store behind both: what is away is the way to it by the accounts.
    let store = &pair.fleet.nodes[0].store;
    store.block(pair.bob.id, pair.ann.id, now()).await.unwrap();
    ann.ask("typing", typing.clone()).await;
    assert!(bob.no_event("typing").await);
    store.unblock(pair.bob.id, pair.ann.id).await.unwrap();
    ann.ask("typing", typing).await;
    bob.event("typing").await;
}

#[tokio::test]
async fn chatting_goes_on_while_accounts_and_sessions_are_away() {
    let pair = Pair::new().await;
    let carol = pair.fleet.nodes[0].user("carol").await;
    pair.fleet.nodes[0].chat(&pair.ann, &carol).await;
    // What was seen before is remembered.
    let (mut ann, mut bob) = pair.clients().await;
    ann.ask("start_private_chat", json!({"receiver_id": pair.bob.id()})).await;
    let watch = json!({"user_ids": [pair.bob.id()]});
    assert_eq!(ann.ask("presence_subscribe", watch.clone()).await["presence"][0]["status"], "online");
    pair.fleet.accounts.away.store(true, Ordering::SeqCst);

    let mut desk = pair.client(1, &pair.ann).await;
    assert_eq!(pair.send(&mut ann, "hello").await["status"], "ok");
    assert_eq!(texts(&mut bob, 1).await, ["hello"]);
    assert_eq!(texts(&mut desk, 1).await, ["hello"]);
    ann.ask("presence_unsubscribe", watch.clone()).await;
    assert_eq!(ann.ask("presence_subscribe", watch.clone()).await["presence"][0]["status"], "online");
    let unknown = desk.ask("presence_subscribe", watch).await;
    assert_eq!(unknown["presence"][0]["status"], "offline", "node 1 can't tell whether there is a block");
    let again = ann.ask("start_private_chat", json!({"receiver_id": pair.bob.id()})).await;
    assert_eq!((&again["chat_id"], &again["peer"]["username"]), (&json!(pair.chat), &json!("bob")));
    let (status, chats) = pair.fleet.nodes[0].get(&pair.ann, "/users/chat").await;
    let names: Vec<_> = chats["chats"].as_array().unwrap().iter().map(|chat| &chat["peer"]["username"]).collect();
    assert_eq!((status, names), (200, vec![&json!("bob"), &json!("carol")]));
    // Node 1 never saw either.
    let (status, chats) = pair.fleet.nodes[1].get(&pair.ann, "/users/chat").await;
    assert_eq!((status, chats["chats"].as_array().unwrap().len()), (200, 2));
    assert_eq!(chats["chats"][0]["peer"]["user_id"], pair.bob.id());
}
