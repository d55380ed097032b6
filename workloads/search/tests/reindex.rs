//! Making the index anew: who may ask for it, how far it is, and what an interruption does to it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod platform;

use std::{sync::Arc, time::Duration};

use platform::{Platform, User};
use sentinel_domain::{
    audit::AuditAction,
    config::SearchMode,
    ids::{ChatId, UserId},
    ports::{AdministrationStore, ReindexStore, SearchIndex},
    reindex::{REINDEX_ATTEMPTS, Reindex, ReindexFailure, Skipped},
    search::{Mark, SearchKeys, Term},
    time::Timestamp,
};
use sentinel_search::{Indexer, ReindexError, Reindexer};
use serde_json::{Value, json};

/// For what happens within seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(1);

async fn pair(platform: &Platform) -> (User, User, ChatId) {
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    (ann, bob, chat)
}

/// Asks until the last rebuild is in this state.
async fn until(platform: &Platform, admin: &User, state: &str) -> Value {
    let ask = async {
        loop {
            let (status, body) = platform.get(admin, "/admin/reindex").await;
            assert_eq!(status, 200, "{body}");
            if body["last"]["state"] == state {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ask).await.unwrap()
}

fn work(platform: &Platform) -> tokio::task::JoinHandle<()> {
    let reindexer = platform.reindexer.clone();
    tokio::spawn(async move { reindexer.work().await })
}

/// Another process over the same stores.
fn another(platform: &Platform, keys: SearchKeys) -> Reindexer {
    let indexer = Indexer::new(Arc::new(platform.store.clone()), platform.index.clone(), Arc::new(keys));
    Reindexer::new(Arc::new(platform.store.clone()), platform.index.clone(), Arc::new(indexer), false)
}

#[tokio::test]
async fn an_admin_starts_a_rebuild_and_sees_how_far_it_is() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    for text in ["one fish", "two fish", "red fish"] {
        platform.say(chat, &ann, text).await;
    }
    for method in ["GET", "POST"] {
        let (status, body) = platform.ask(method, Some(&ann), "/admin/reindex").await;
        assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{method}");
        assert_eq!(platform.ask(method, None, "/admin/reindex").await.0, 401, "{method}");
    }
    let (_, body) = platform.get(&root, "/admin/reindex").await;
    assert_eq!(body, json!({ "mode": "Blind", "needed": false, "advice": null, "last": null }));

    let hold = platform.index.gate.lock().await;
    let (status, begun) = platform.ask("POST", Some(&root), "/admin/reindex").await;
    let last = &begun["last"];
    assert_eq!((status, &last["state"], &last["started_by"]), (202, &json!("waiting"), &json!(root.id)), "{begun}");
    let work = work(&platform);
    let running = until(&platform, &root, "running").await;
    assert_eq!((&running["last"]["attempts"], &running["last"]["ended_at"]), (&json!(1), &Value::Null));
    let (status, refused) = platform.ask("POST", Some(&root), "/admin/reindex").await;
    assert_eq!((status, &refused["code"]), (409, &json!("reindex_running")), "{refused}");
    assert_eq!(platform.texts(&bob, "q=fish").await, ["red fish", "two fish", "one fish"], "meanwhile");
    // It tells every few seconds how far it is.
    let told = async {
        while platform.get(&root, "/admin/reindex").await.1["last"]["messages_total"] != 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    drop(hold);
    let done = until(&platform, &root, "done").await;
    let last = &done["last"];
    assert_eq!((&last["reindex_id"], &last["messages_done"]), (&begun["last"]["reindex_id"], &json!(3)), "{done}");
    assert!(last["ended_at"].as_str().unwrap().ends_with('Z') && last["failure"].is_null(), "{done}");
    assert_eq!(last["messages_total"], 3, "{done}");
    assert_eq!(platform.texts(&bob, "q=fish").await, ["red fish", "two fish", "one fish"]);

    let log = platform.store.audit_log(None, None, 10).await.unwrap();
    let entries: Vec<_> = log.iter().map(|entry| (entry.action, entry.actor, entry.note.clone())).collect();
    let id = last["reindex_id"].as_str().unwrap().to_owned();
    assert_eq!(entries, [(AuditAction::ReindexStarted, Some(root.id), Some(id))]);
    assert_eq!(log[0].address.as_deref(), Some("192.0.2.1"));
    work.abort();
}

#[tokio::test]
async fn a_rebuild_that_fails_is_told_and_may_begin_again() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    platform.say(chat, &ann, "still here").await;
    *platform.index.breaks.lock().unwrap() = true;
    let work = work(&platform);
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    let failed = until(&platform, &root, "failed").await;
    assert_eq!(failed["last"]["failure"], "store_unavailable", "{failed}");
    assert_eq!(platform.texts(&bob, "q=still").await, ["still here"]);
    *platform.index.breaks.lock().unwrap() = false;
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    until(&platform, &root, "done").await;
    work.abort();
}

#[tokio::test]
async fn a_rebuild_that_broke_off_is_told_until_another_is_through() {
    let platform = Platform::new();
    let root = platform.admin("root").await;
    *platform.index.half_made.lock().unwrap() = true;
    let (_, told) = platform.get(&root, "/admin/reindex").await;
    assert_eq!(told["needed"], true, "{told}");
    assert!(told["advice"].as_str().unwrap().contains("is not through"), "{told}");
    *platform.index.half_made.lock().unwrap() = false;
    assert_eq!(platform.get(&root, "/admin/reindex").await.1["needed"], false);
}

#[tokio::test]
async fn a_rebuild_goes_on_after_messages_that_can_not_be_read_and_says_so() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    let mut said = Vec::new();
    for text in ["one fish", "two fish", "red fish"] {
        said.push(platform.say(chat, &ann, text).await);
    }
    *platform.index.unread.lock().unwrap() = vec![said[1]];
    let work = work(&platform);
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    let told = until(&platform, &root, "incomplete").await;
    let last = &told["last"];
    let expected = (&json!(2), &json!(1), &json!([said[1]]), &Value::Null);
    let counts = (&last["messages_done"], &last["messages_skipped"], &last["first_skipped"], &last["failure"]);
    assert_eq!(counts, expected, "{told}");
    assert_eq!(platform.texts(&bob, "q=fish").await, ["red fish", "one fish"]);
    // The next one begins without what the last one left out.
    platform.index.unread.lock().unwrap().clear();
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    let done = until(&platform, &root, "done").await;
    assert_eq!((&done["last"]["messages_skipped"], &done["last"]["first_skipped"]), (&json!(0), &json!([])), "{done}");
    work.abort();
}

#[tokio::test]
async fn the_command_line_is_told_what_was_left_out() {
    let platform = Platform::new();
    let (ann, _, chat) = pair(&platform).await;
    let (first, _) = (platform.say(chat, &ann, "one").await, platform.say(chat, &ann, "two").await);
    *platform.index.unread.lock().unwrap() = vec![first];
    let command = another(&platform, SearchKeys::new(&platform.keyring)).run_now(|| ()).await.unwrap();
    assert_eq!((command.messages, command.skipped), (1, Skipped { count: 1, first: vec![first] }));
}

#[tokio::test]
async fn a_rebuild_goes_on_in_another_process_and_is_given_up_in_the_end() {
    let platform = Platform::new();
    let (ann, _, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    platform.say(chat, &ann, "here").await;
    // A process took it, and was killed.
    let new = Reindex::now(Some(root.id));
    assert!(platform.store.begin_reindex(new.clone(), Timestamp(0), None).await.unwrap());
    platform.store.take_reindex(Timestamp::now(), Timestamp::now()).await.unwrap().unwrap();
    let (_, left) = platform.get(&root, "/admin/reindex").await;
    assert_eq!((&left["last"]["state"], &left["last"]["attempts"]), (&json!("running"), &json!(1)));
    let running = work(&platform);
    let done = until(&platform, &root, "done").await;
    let last = &done["last"];
    assert_eq!((&last["attempts"], &last["messages_done"]), (&json!(2), &json!(1)), "{done}");
    running.abort();
    let _ = running.await;

    assert!(platform.store.begin_reindex(Reindex::now(None), Timestamp(0), None).await.unwrap());
    for _ in 0..REINDEX_ATTEMPTS {
        platform.store.take_reindex(Timestamp::now(), Timestamp::now()).await.unwrap().unwrap();
    }
    let running = work(&platform);
    let failed = until(&platform, &root, "failed").await;
    assert_eq!(failed["last"]["failure"], ReindexFailure::Interrupted.as_str(), "{failed}");
    running.abort();
}

#[tokio::test]
async fn the_command_line_waits_for_another_rebuild_and_does_its_own() {
    let platform = Platform::new();
    let (ann, _, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    platform.say(chat, &ann, "here").await;
    let hold = platform.index.gate.lock().await;
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    let work = work(&platform);
    let running = until(&platform, &root, "running").await;
    let command = another(&platform, SearchKeys::of(SearchMode::Plaintext, &platform.keyring));
    let (waits, waited) = tokio::sync::oneshot::channel();
    let command = tokio::spawn(async move { command.run_now(move || waits.send(()).unwrap()).await });
    tokio::time::timeout(PATIENCE, waited).await.unwrap().unwrap();
    drop(hold);
    let reindexed = tokio::time::timeout(PATIENCE, command).await.unwrap().unwrap().unwrap();
    assert_eq!((reindexed.messages, reindexed.skipped.count), (1, 0));
    let (_, after) = platform.get(&root, "/admin/reindex").await;
    assert_ne!(after["last"]["reindex_id"], running["last"]["reindex_id"]);
    assert_eq!((&after["last"]["state"], &after["last"]["started_by"]), (&json!("done"), &Value::Null), "{after}");
    let log = platform.store.audit_log(None, None, 10).await.unwrap();
    assert_eq!(log.iter().map(|entry| entry.actor).collect::<Vec<Option<UserId>>>(), [None, Some(root.id)]);
    work.abort();
}

#[tokio::test]
async fn who_lost_a_rebuild_to_another_stops() {
    let platform = Platform::new();
    let (ann, _, chat) = pair(&platform).await;
    platform.say(chat, &ann, "here").await;
    let hold = platform.index.gate.lock().await;
    let slow = another(&platform, SearchKeys::new(&platform.keyring));
    let slow = tokio::spawn(async move { slow.run_now(|| ()).await });
    let taken = async {
        // As if it had not been able to say for half a minute that it is at it.
        let later = Timestamp::now().plus_seconds(3_600);
        while platform.store.take_reindex(later, later.plus_seconds(60)).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.unwrap();
    let stopped = tokio::time::timeout(PATIENCE, slow).await.unwrap().unwrap();
    assert!(matches!(stopped, Err(ReindexError::TakenOver)), "{stopped:?}");
    drop(hold);
}

#[tokio::test]
async fn an_index_that_was_written_in_another_way_is_told_and_answers_all_the_same() {
    let platform = Platform::in_mode(SearchMode::Plaintext);
    let (ann, bob, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    // Before the mode was changed.
    let blind = SearchKeys::new(&platform.keyring);
    let old = platform.write(chat, &ann, "old whale").await;
    let before = Indexer::new(
        Arc::new(platform.store.clone()),
        platform.index.clone(),
        Arc::new(SearchKeys::new(&platform.keyring)),
    );
    let change = sentinel_domain::outbox::Change::Written { message_id: old.id, sender_id: ann.id };
    let event = platform.event(&ann, chat, change).await;
    sentinel_domain::ports::EventHandler::handle(&before, &[event]).await.unwrap();
    assert_eq!(*platform.index.marks.lock().unwrap(), [blind.mark()]);
    platform.say(chat, &ann, "new whale").await;
    assert_eq!(platform.texts(&bob, "q=whal").await, ["new whale", "old whale"]);

    let work = work(&platform);
    let (_, told) = platform.get(&root, "/admin/reindex").await;
    assert_eq!((&told["mode"], &told["needed"]), (&json!("Plaintext"), &json!(true)), "{told}");
    assert!(told["advice"].as_str().unwrap().contains("POST /admin/reindex"), "{told}");
    let shown = async {
        while platform.reindexer.advice().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.unwrap();
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    until(&platform, &root, "done").await;
    assert_eq!(platform.get(&root, "/admin/reindex").await.1["needed"], false);
    assert_eq!(platform.texts(&bob, "q=whal").await, ["new whale", "old whale"]);
    let all = platform.index.terms();
    assert!(all.contains(&Term::Plain("word:whale".into())));
    assert!(all.iter().all(|term| matches!(term, Term::Plain(_))), "{all:?}");
    work.abort();
}

#[tokio::test]
async fn an_index_with_terms_of_a_lost_key_refuses_to_answer() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let root = platform.admin("root").await;
    platform.index.add_marks(vec![Mark([9; 8])]).await.unwrap();
    platform.say(chat, &ann, "whale").await;
    let (status, body) = platform.get(&bob, "/search/messages?q=whale").await;
    assert_eq!((status, &body["code"]), (503, &json!("search_outdated")), "{body}");
    let (_, told) = platform.get(&root, "/admin/reindex").await;
    assert!(told["advice"].as_str().unwrap().contains("put the key back"), "{told}");
    let work = work(&platform);
    assert_eq!(platform.ask("POST", Some(&root), "/admin/reindex").await.0, 202);
    until(&platform, &root, "done").await;
    let answered = async {
        while platform.get(&bob, "/search/messages?q=whale").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    assert_eq!(platform.texts(&bob, "q=whale").await, ["whale"]);
    work.abort();
}

#[tokio::test]
async fn both_modes_give_the_same_answers() {
    let texts = [
        "Meet me at the Café de Flore",
        "STRASSE or Straße",
        "東京都に住む",
        "ภาษาไทย",
        "great 👍🏽!",
        "안녕하세요",
        "We go to New York, new in York.",
        "İstanbul",
        "so\u{ad}ft",
        "x",
        "👩\u{200d}👧 and 🇩🇪",
    ];
    let queries = [
        "cafe",
        "FLORE meet",
        "meet flo",
        "caf flore",
        "\"new york\"",
        "\"york to\"",
        "strasse",
        "京都",
        "都京",
        "東",
        "ษา",
        "👍",
        "👎",
        "세요",
        "istan",
        "soft",
        "x",
        "🇩🇪",
        "new york we",
        "m",
        "go",
        "\"go",
        "word:cafe",
        "prefix:ca",
    ];
    let mut answers = Vec::new();
    for mode in [SearchMode::Blind, SearchMode::Plaintext] {
        let platform = Platform::in_mode(mode);
        let (ann, bob, chat) = pair(&platform).await;
        for text in texts {
            platform.say(chat, &ann, text).await;
        }
        let mut found = Vec::new();
        for query in queries {
            let query = query.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
            let (status, page) = platform.get(&bob, &format!("/search/messages?q={query}")).await;
            let hits = page["hits"].as_array().cloned().unwrap_or_default();
            let hits: Vec<_> =
                hits.iter().map(|hit| (hit["message"]["message"].clone(), hit["highlights"].clone())).collect();
            found.push((status, hits));
        }
        answers.push(found);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].iter().filter(|(status, hits)| *status == 200 && !hits.is_empty()).count() >= 15);
}
