//! What goes when its time is over, and what stays.

use sentinel_domain::{
    ids::{MediaId, MessageId, UserId},
    media::Due,
    message::{ClientMessageId, Draft},
    notification::Notification,
    ports::{
        AccountStore, ChatReader, ChatStore, HistoryQuery, Inboxes, MediaReader, MediaStore, NotificationReader,
        NotificationSink, ReportStore, SessionStore,
    },
    report::{NewReport, ReportReason},
    session::Session,
};
use sentinel_testing::{draft, session};
use uuid::Uuid;

use super::*;
use crate::sqlite::{
    Sqlite,
    statements::INSERT_DEAD_LETTER,
    tests::{account, open},
};

const DAY_SECONDS: i64 = 24 * 3600;
const START: Timestamp = Timestamp(1_750_000_000_000);

#[tokio::test]
async fn what_is_old_goes_and_what_is_not_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let sqlite = open(&path);
    let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
    let idle = account(&sqlite, "idle").await;
    let (chat, _) = sqlite.start_chat(ann, bob, START).await.unwrap();
    let send = async |number: u32, now: Timestamp| {
        let client_message_id = ClientMessageId::parse(number.to_string()).ok();
        let draft = Draft { client_message_id, ..draft(chat.id, ann, &number.to_string()) };
        sqlite.append(draft, None, now).await.unwrap()
    };
    let edit = async |message, now: Timestamp| {
        sqlite.edit(ann, chat.id, message, "edited".into(), now).await.unwrap();
        sqlite.inbox_head(bob, now).await.unwrap().up_to()
    };
    // More than one step of each kind.
    let (mut sent, mut edits) = (Vec::new(), Vec::new());
    for number in 0..STEP + 20 {
        sent.push(send(number, START).await.message.id);
    }
    for message in &sent {
        edits.push(edit(*message, START).await);
    }
    let kept = edit(sent[0], START.plus_seconds(20 * DAY_SECONDS)).await;
    let session = |refreshed_at| Session { created_at: START, refreshed_at, ..session(ann) };
    let (stale, fresh) = (session(START), session(START.plus_seconds(30 * DAY_SECONDS)));
    sqlite.create_session(stale).await.unwrap();
    sqlite.create_session(fresh.clone()).await.unwrap();

    let mut db = Connection::open(&path).unwrap();
    let now = START.plus_seconds(INBOX_SECONDS + 10);
    round(&mut db, Some(10 * DAY_SECONDS), MessageRetention::FOREVER, now).unwrap();

    let client = |since: EventId| sqlite.inbox(bob, Some(since.into()), 100);
    assert!(client(edits[3]).await.unwrap().reset, "something after it is gone");
    let up_to_date = client(*edits.last().unwrap()).await.unwrap();
    assert!(!up_to_date.reset, "nothing after it is gone");
    assert_eq!(up_to_date.events.iter().map(|event| event.id).collect::<Vec<_>>(), [kept]);
    assert!(!sqlite.inbox(bob, None, 100).await.unwrap().reset);
    let head = sqlite.inbox_head(idle, now).await.unwrap();
    assert!(!sqlite.inbox(idle, Some(head), 10).await.unwrap().reset);
    let page = sqlite.history(ann, chat.id, HistoryQuery::Latest, 1000).await.unwrap();
    assert_eq!(page.messages.len(), sent.len(), "history is kept");
    assert_eq!(sqlite.sessions(ann).await.unwrap(), [fresh]);
    assert_eq!(db.query_row("SELECT count(*) FROM sent", [], |row| row.get::<_, u32>(0)).unwrap(), 0);

    let later = now.plus_seconds(INBOX_SECONDS + 10);
    round(&mut db, None, MessageRetention::FOREVER, later).unwrap();
    let emptied = sqlite.inbox_head(bob, later).await.unwrap();
    let inbox = sqlite.inbox(bob, Some(emptied), 10).await.unwrap();
    assert!(inbox.events.is_empty() && !inbox.reset);
}

#[tokio::test]
async fn what_is_damaged_keeps_nothing_else_from_going() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let sqlite = open(&path);
    let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
    let (chat, _) = sqlite.start_chat(ann, bob, START).await.unwrap();
    sqlite.append(draft(chat.id, ann, "old"), None, START).await.unwrap();
    let mut db = Connection::open(&path).unwrap();
    let damaged = "INSERT INTO chats (id, low, high, created_at, kek, key)
        SELECT x'00', low, high, created_at, kek, key FROM chats";
    assert_eq!(db.execute(damaged, []).unwrap(), 1);
    let nameless = "INSERT INTO accounts (id, username, email, display_name, password_hash, created_at)
        VALUES (x'00', '', '', '', '', 0)";
    assert_eq!(db.execute(nameless, []).unwrap(), 1);
    // What would be the last to go.
    let edited = say(&sqlite, chat.id, ann, START.plus_seconds(1)).await;
    sqlite.edit(ann, chat.id, edited, "edited".into(), START.plus_seconds(2)).await.unwrap();
    for (table, id) in [("messages", "message_id"), ("inbox", "event_id")] {
        let damage =
            format!("UPDATE {table} SET {id} = substr({id}, 1, 15) WHERE {id} = (SELECT max({id}) FROM {table})");
        assert!(db.execute(&damage, []).unwrap() > 0, "{table}");
    }
    let now = START.plus_seconds(10 * DAY_SECONDS);
    round(&mut db, None, MessageRetention::seconds(24 * 3600), now).unwrap();
    assert!(sqlite.history(ann, chat.id, HistoryQuery::Latest, 10).await.unwrap().messages.is_empty());
    round(&mut db, None, MessageRetention::FOREVER, START.plus_seconds(INBOX_SECONDS + 10)).unwrap();
    for table in ["messages", "inbox"] {
        let left = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn messages_that_are_too_old_go_with_their_files_and_notifications() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    // This store shows what is there, however old.
    let sqlite = open(&path);
    let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
    let (chat, _) = sqlite.start_chat(ann, bob, START).await.unwrap();
    let (notes, _) = sqlite.start_chat(bob, bob, START).await.unwrap();
    let later = START.plus_seconds(3 * DAY_SECONDS);
    let show = async |chat_id, attachments, now| {
        let draft = Draft { attachments, ..draft(chat_id, bob, "x") };
        let message = sqlite.append(draft, None, now).await.unwrap().message.id;
        let about =
            Notification { user_id: ann, chat_id, message_id: message, sender_id: bob, read: false, notice: None };
        sqlite.add(about).await.unwrap();
        message
    };
    let send = async |chat_id, now| show(chat_id, vec![], now).await;
    let (gone, again) = (MediaId(Uuid::from_u128(1)), MediaId(Uuid::from_u128(2)));
    // More than one step of them.
    for _ in 1..STEP + 20 {
        send(chat.id, START).await;
    }
    show(chat.id, vec![gone, again], START).await;
    send(notes.id, START).await;
    let welcome = Notification::welcome(ann, MessageId(clock::Instant { millis: 1_750_000_000_001, counter: 9 }.id(0)));
    sqlite.add(welcome.clone()).await.unwrap();
    let young = show(chat.id, vec![again], later).await;

    let mut db = Connection::open(&path).unwrap();
    let messages = MessageRetention::seconds(86_400);
    round(&mut db, None, MessageRetention::FOREVER, later).unwrap();
    round(&mut db, None, messages, START.plus_seconds(86_399)).unwrap();
    let history = async |chat| sqlite.history(bob, chat, HistoryQuery::Latest, 1000).await.unwrap().messages;
    assert_eq!(history(chat.id).await.len(), STEP as usize + 21, "nothing is too old yet");

    round(&mut db, None, messages, later).unwrap();
    assert_eq!(history(chat.id).await.iter().map(|message| message.id).collect::<Vec<_>>(), [young]);
    assert_eq!(history(notes.id).await, []);
    let told = sqlite.list(ann, None, 1000).await.unwrap();
    assert_eq!(told.iter().map(|one| one.message_id).collect::<Vec<_>>(), [young, welcome.message_id]);
    assert_eq!((sqlite.is_in_chat(gone).await.unwrap(), sqlite.is_in_chat(again).await.unwrap()), (false, true));
    let soon = later.plus_seconds(60);
    assert_eq!(sqlite.due(soon, 10).await.unwrap(), [Due { at: soon, media: gone }]);
    let listed = sqlite.chats(bob, None, 10).await.unwrap();
    assert_eq!(listed.len(), 2, "the chats stay");
}

async fn say(sqlite: &Sqlite, chat_id: ChatId, sender_id: UserId, now: Timestamp) -> MessageId {
    sqlite.append(draft(chat_id, sender_id, "x"), None, now).await.unwrap().message.id
}

#[tokio::test]
async fn what_was_too_old_stays_so_when_messages_are_kept_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let sqlite = open(&path);
    let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
    let (chat, _) = sqlite.start_chat(ann, bob, START).await.unwrap();
    let later = START.plus_seconds(3 * DAY_SECONDS);
    let (old, young) = (say(&sqlite, chat.id, ann, START).await, say(&sqlite, chat.id, ann, later).await);
    let history = async |sqlite: &Sqlite| {
        let page = sqlite.history(bob, chat.id, HistoryQuery::Latest, 10).await.unwrap();
        page.messages.iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(history(&sqlite).await, [young, old]);
    sqlite.close();
    let mut db = Connection::open(&path).unwrap();
    note(&db, MessageRetention::seconds(86_400), later).unwrap();
    let sqlite = open(&path);
    assert_eq!(history(&sqlite).await, [young], "it was not removed yet");
    round(&mut db, None, MessageRetention::FOREVER, later).unwrap();
    let left = db.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(left, 1, "it is removed all the same");

    // Written after a time when the clock was years ahead.
    sqlite.close();
    note(&db, MessageRetention::seconds(86_400), later.plus_seconds(1000 * DAY_SECONDS)).unwrap();
    let sqlite = open(&path);
    let new = say(&sqlite, chat.id, ann, later.plus_seconds(1)).await;
    assert_eq!(history(&sqlite).await, [new]);
}

#[tokio::test]
async fn a_chat_keeps_its_place_in_lists_when_its_messages_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let sqlite = open(&path);
    let (ann, bob) = (account(&sqlite, "ann").await, account(&sqlite, "bob").await);
    let (chat, _) = sqlite.start_chat(ann, bob, START).await.unwrap();
    let (notes, _) = sqlite.start_chat(bob, bob, START.plus_seconds(1)).await.unwrap();
    say(&sqlite, chat.id, ann, START.plus_seconds(2)).await;
    let newest = say(&sqlite, chat.id, ann, START.plus_seconds(3)).await;
    let list = async || {
        let listed = sqlite.chats(bob, None, 10).await.unwrap();
        listed.iter().map(|one| (one.chat.id, one.activity)).collect::<Vec<_>>()
    };
    let before = list().await;
    assert_eq!((before[0], before[1].0), ((chat.id, newest.into()), notes.id));
    let mut db = Connection::open(&path).unwrap();
    round(&mut db, None, MessageRetention::seconds(10), START.plus_seconds(DAY_SECONDS)).unwrap();
    assert_eq!(list().await, before);
}

#[tokio::test]
async fn dead_letters_are_kept_for_thirty_days() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let sqlite = open(&path);
    for (id, days) in [(1_u128, 0), (2, 10)] {
        let (id, at) = (*Uuid::from_u128(id).as_bytes(), START.plus_seconds(days * DAY_SECONDS).0);
        let written = sqlite
            .write(move |batch| Ok(execute(batch.db, INSERT_DEAD_LETTER, params!["search", id, "{}", "poison", at])?));
        written.await.unwrap();
    }
    let mut db = Connection::open(&path).unwrap();
    let mut kept_after = |days: i64| {
        round(&mut db, None, MessageRetention::FOREVER, START.plus_seconds(days * DAY_SECONDS)).unwrap();
        db.query_row("SELECT count(*) FROM dead_letters", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!([29, 30, 31, 40, 41].map(&mut kept_after), [2, 2, 1, 1, 0]);
}

#[tokio::test]
async fn reports_are_kept_for_half_a_year_and_deletions_change_nothing_about_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let sqlite = open(&path);
    let (ann, eve) = (account(&sqlite, "ann").await, account(&sqlite, "eve").await);
    for days in [0, 10] {
        let at = START.plus_seconds(days * DAY_SECONDS);
        let report = NewReport {
            id: first_id(at).0,
            reporter: ann,
            reported: eve,
            message: None,
            edited_at: None,
            reason: ReportReason::Spam,
            comment: Some(format!("on day {days}")),
            evidence: None,
            created_at: at,
        };
        sqlite.create_report(report).await.unwrap();
    }
    for user in [ann, eve] {
        sqlite.delete_account(user).await.unwrap();
    }
    let mut db = Connection::open(&path).unwrap();
    for (days, kept) in [(180, 2), (181, 1), (190, 1), (191, 0)] {
        round(&mut db, None, MessageRetention::FOREVER, START.plus_seconds(days * DAY_SECONDS)).unwrap();
        assert_eq!(sqlite.reports(true, None, 10).await.unwrap().len(), kept, "after {days} days");
    }
}

#[tokio::test]
async fn a_long_reader_does_not_hold_up_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    open(&path).close();
    let mut db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE something (of INTEGER)").unwrap();
    let log = || std::fs::metadata(folder.path().join("db-wal")).unwrap().len();
    let checkpointer = Checkpointer::start(&path).unwrap();
    let rule = Rule::of(&db, MessageRetention::FOREVER).unwrap();
    let mut retention = Retention::new(SessionLifetime::default(), rule);

    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM something", [], |row| row.get::<_, u32>(0)).unwrap();
    let began = Instant::now();
    retention.step(&mut db, &checkpointer).unwrap();
    assert!(began.elapsed() >= LOG_PATIENCE && log() > 0, "it waits for the reader once");
    reader.execute_batch("COMMIT").unwrap();
    retention.step(&mut db, &checkpointer).unwrap();
    assert!(log() > 0, "it does not even look so soon");
    retention.log_due = Instant::now();
    retention.step(&mut db, &checkpointer).unwrap();
    assert_eq!(log(), 0);
}
