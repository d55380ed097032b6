//! Copies that are made while the server is written to, and servers that go on from them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod process;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use process::{PATIENCE, ready};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

const PASSWORD: &str = "copied and restored";
const WRITERS: usize = 4;

/// A server that runs.
struct Server {
    url: Url,
    _process: Child,
}

impl Server {
    async fn start(data: &Path) -> Self {
        let mut process = sentinel()
            .args(["standalone", "--limits", "tests", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ready = ready(&mut process).await;
        let url = ready.split_whitespace().find(|word| word.starts_with("http://")).unwrap().parse().unwrap();
        Self { url, _process: process }
    }

    async fn log_in(&self, name: &str) -> Person {
        let nobody = Person { http: client(), url: self.url.clone(), id: String::new(), token: String::new() };
        let tokens = nobody.call(Method::POST, "/login", json!({"username": name, "password": PASSWORD})).await;
        nobody.with(&tokens)
    }

    async fn register(&self, name: &str) -> Person {
        let nobody = Person { http: client(), url: self.url.clone(), id: String::new(), token: String::new() };
        let account = json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.com")});
        nobody.call(Method::POST, "/register", account).await;
        self.log_in(name).await
    }
}

fn sentinel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
    command.env_remove("RUST_LOG").env_remove("SENTINEL_CONFIG");
    command
}

fn client() -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// Somebody who is logged in.
#[derive(Clone)]
struct Person {
    http: Client,
    url: Url,
    id: String,
    token: String,
}

impl Person {
    fn with(self, tokens: &Value) -> Self {
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self { id: text("user_id"), token: text("access_token"), ..self }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self.http.request(method, self.url.join(path).unwrap());
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, Value::Null).await
    }

    /// Sends a text, with a file of the same text if that is wanted; gives the message's id.
    async fn send(&self, chat: &str, text: &str, with_file: bool) -> String {
        let mut attachments = Vec::new();
        if with_file {
            let file = json!({"filename": "text.txt", "content_type": "text/plain", "size": text.len()});
            let begun = self.call(Method::POST, "/media/uploads", file).await;
            let id = begun["media_id"].as_str().unwrap().to_owned();
            let put = self.http.put(begun["upload"]["url"].as_str().unwrap()).header("content-type", "text/plain");
            assert!(put.body(text.to_owned()).send().await.unwrap().status().is_success());
            self.call(Method::POST, &format!("/media/uploads/{id}/complete"), Value::Null).await;
            attachments.push(id);
        }
        let body = json!({"message": text, "attachments": attachments});
        let sent = self.call(Method::POST, &format!("/users/chat/{chat}/messages"), body).await;
        sent["message_id"].as_str().unwrap().to_owned()
    }

    /// All messages of a chat.
    async fn history(&self, chat: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/users/chat/{chat}?limit=100{cursor}")).await;
            all.extend(page["messages"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return all };
            cursor = format!("&cursor={next}");
        }
    }

    /// What is in a file.
    async fn file(&self, id: &str) -> String {
        let details = self.get(&format!("/media/{id}/details")).await;
        let answer = self.http.get(details["url"].as_str().unwrap()).send().await.unwrap();
        assert!(answer.status().is_success(), "file {id}: {}", answer.status());
        answer.text().await.unwrap()
    }
}

/// People who write without pause, some of it with files.
struct Load {
    acknowledged: Arc<Mutex<HashMap<String, String>>>,
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(person: &Person, chat: &str) -> Self {
        let acknowledged = Arc::<Mutex<HashMap<String, String>>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let (person, chat) = (person.clone(), chat.to_owned());
            let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let text = format!("kept {writer} {number}");
                    let id = person.send(&chat, &text, number % 3 == 0).await;
                    acknowledged.lock().unwrap().insert(id, text);
                }
            })
        });
        Self { writers: writers.collect(), acknowledged, stop }
    }

    fn so_far(&self) -> HashMap<String, String> {
        self.acknowledged.lock().unwrap().clone()
    }

    async fn until(&self, messages: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.so_far().len() < messages {
            assert!(Instant::now() < deadline, "{} messages were acknowledged in time", self.so_far().len());
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
    }
}

async fn backup(data: &Path, to: &Path, more: &[&str]) -> Output {
    sentinel().args(["backup", "--data"]).arg(data).arg("--to").arg(to).args(more).output().await.unwrap()
}

async fn restore(data: &Path, from: &Path) -> Output {
    sentinel().args(["restore", "--data"]).arg(data).arg("--from").arg(from).output().await.unwrap()
}

/// A server that does not begin.
async fn no_start(data: &Path) -> Output {
    let mut server = sentinel();
    server.args(["standalone", "--listen", "127.0.0.1:0", "--data"]).arg(data).kill_on_drop(true);
    timeout(PATIENCE, server.output()).await.expect("the server is refused").unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes a copy the folder of a server: the keys come from where they are kept.
fn give_keys(data: &Path, copy: &Path) {
    fs::create_dir(copy.join("keys")).unwrap();
    for entry in fs::read_dir(data.join("keys")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join("keys").join(entry.file_name())).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A server over `copy` has all of `before`, no message without its file, and finds what it has.
async fn check(copy: &Path, chat: &str, before: &HashMap<String, String>, token: &str) {
    let server = Server::start(copy).await;
    let ann = server.log_in("ann").await;
    let bob = Person { token: token.to_owned(), ..ann.clone() };
    let history = bob.history(chat).await;
    let text = |id: &String| history.iter().find(|message| message["message_id"] == **id).map(|one| &one["message"]);
    for (id, expected) in before {
        assert_eq!(text(id), Some(&json!(expected)), "a message that was acknowledged before the copy was begun");
    }
    let mut files = 0;
    for message in &history {
        for file in message["attachments"].as_array().into_iter().flatten() {
            assert_eq!(message["message"], bob.file(file.as_str().unwrap()).await);
            files += 1;
        }
    }
    assert!(files > 0 && history.len() >= before.len());
    ann.send(chat, "goes on", true).await;
    // The index is made from the messages.
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/search/messages?q=%22kept+0+1%22&chat_id={chat}");
    while bob.get(&path).await["hits"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "search finds what it found before");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_made_while_people_write_has_all_that_was_acknowledged_before() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { root.path().join(name) };
    let data = at("data");
    let server = Server::start(&data).await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let chat = ann.call(Method::POST, "/users/chat", json!({"receiver_id": bob.id})).await;
    let chat = chat["chat_id"].as_str().unwrap();
    let load = Load::begin(&ann, chat);
    load.until(40).await;

    let into_folder = load.so_far();
    let made = backup(&data, &at("copy"), &[]).await;
    assert!(made.status.success(), "{}", words(&made));
    assert!(words(&made).contains("keys are not in it"), "{}", words(&made));
    let into_archive = load.so_far();
    let archive = backup(&data, Path::new("-"), &[]).await;
    assert!(archive.status.success(), "{}", words(&archive));
    // Another copy takes the place of an earlier one, if that is wanted.
    assert!(backup(&data, &at("again"), &[]).await.status.success());
    let refused = backup(&data, &at("again"), &[]).await;
    assert!(!refused.status.success() && words(&refused).contains("--replace"), "{}", words(&refused));
    let again = load.so_far();
    let made = backup(&data, &at("again"), &["--replace"]).await;
    assert!(made.status.success(), "{}", words(&made));
    load.until(again.len() + 10).await;
    load.end().await;

    fs::write(at("archive"), &archive.stdout).unwrap();
    let restored = restore(&at("restored"), &at("archive")).await;
    assert!(restored.status.success(), "{}", words(&restored));
    fs::remove_file(at("restored/sentinel.lock")).unwrap();
    for (copy, before) in [("copy", &into_folder), ("restored", &into_archive), ("again", &again)] {
        assert_eq!(names(&at(copy)), ["media", "sentinel.db"], "{copy}");
        give_keys(&data, &at(copy));
        check(&at(copy), chat, before, &bob.token).await;
    }
    assert!(names(&data).iter().all(|name| !name.contains("draft")), "{:?}", names(&data));
}

#[tokio::test]
async fn what_is_no_copy_is_not_replaced_and_what_is_no_folder_of_a_server_is_not_made_one() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    drop(Server::start(&data).await);
    let other = root.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("diary"), "mine").unwrap();
    let refused = backup(&data, &other, &["--replace"]).await;
    assert!(!refused.status.success() && words(&refused).contains("diary"), "{}", words(&refused));
    assert_eq!(names(root.path()), ["data", "other"]);

    let refused = backup(&other, &root.path().join("copy"), &[]).await;
    assert!(!refused.status.success() && words(&refused).contains("sentinel.db"), "{}", words(&refused));
    assert!(!root.path().join("copy").exists() && !other.join("sentinel.db").exists());
}

/// What was replaced is removed last.
#[tokio::test]
async fn a_copy_is_replaced_though_what_an_earlier_one_replaced_was_left() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let _server = Server::start(&data).await;
    let made = backup(&data, &copy, &[]).await;
    assert!(made.status.success(), "{}", words(&made));
    fs::create_dir_all(root.path().join("copy.old/media")).unwrap();
    let made = backup(&data, &copy, &["--replace"]).await;
    assert!(made.status.success(), "{}", words(&made));
    assert_eq!(names(root.path()), ["copy", "data"]);
    assert_eq!(names(&copy), ["media", "sentinel.db"]);
}

/// A pod may be ended at any time.
#[tokio::test]
async fn the_next_start_removes_what_an_archive_that_was_cut_short_has_left() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("backup.draft/media")).unwrap();
    let _server = Server::start(root.path()).await;
    assert!(!root.path().join("backup.draft").exists());
}

/// Whatever the place at which an archive ends: no server begins with a part, and the whole one is taken afterwards.
#[tokio::test]
async fn an_archive_that_is_cut_short_is_refused_and_leaves_room_for_the_whole_one() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { root.path().join(name) };
    let server = Server::start(&at("data")).await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let chat = ann.call(Method::POST, "/users/chat", json!({"receiver_id": bob.id})).await;
    let chat = chat["chat_id"].as_str().unwrap();
    let id = ann.send(chat, "kept", true).await;
    let archive = backup(&at("data"), Path::new("-"), &[]).await.stdout;

    // The ends of whole entries among them: a tar archive is made of blocks of 512 bytes.
    let database = archive.windows(11).position(|name| name == b"sentinel.db").unwrap();
    for end in [0, 512, database, database + 512, database + 5000] {
        fs::write(at("part"), &archive[..end]).unwrap();
        let refused = restore(&at("new"), &at("part")).await;
        assert!(!refused.status.success() && words(&refused).contains("cut short"), "{end}: {}", words(&refused));
        assert_eq!(names(&at("new")), ["sentinel.lock"], "{end}");
    }
    fs::write(at("whole"), &archive).unwrap();
    fs::create_dir_all(at("new/media/00")).unwrap();
    let refused = restore(&at("new"), &at("whole")).await;
    assert!(!refused.status.success() && words(&refused).contains("has media already"), "{}", words(&refused));
    // As one that was ended between its two moves leaves it.
    fs::create_dir(at("new/restore.draft")).unwrap();
    fs::write(at("new/restore.draft/sentinel.db"), "").unwrap();
    let restored = restore(&at("new"), &at("whole")).await;
    assert!(restored.status.success(), "{}", words(&restored));
    let again = restore(&at("new"), &at("whole")).await;
    assert!(!again.status.success() && words(&again).contains("already"), "{}", words(&again));
    give_keys(&at("data"), &at("new"));
    let history = Server::start(&at("new")).await.log_in("ann").await.history(chat).await;
    assert_eq!(history.iter().map(|message| &message["message_id"]).collect::<Vec<_>>(), [&json!(id)]);
}

/// A pod may be ended at any time.
#[tokio::test]
async fn no_server_begins_beside_what_a_restore_that_was_cut_short_has_left() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path();
    fs::create_dir_all(data.join("restore.draft")).unwrap();
    fs::create_dir(data.join("media")).unwrap();
    let refused = no_start(data).await;
    assert!(!refused.status.success() && words(&refused).contains("sentinel restore"), "{}", words(&refused));
    assert!(!data.join("sentinel.db").exists() && !data.join("search.db").exists());
    for part in ["media", "restore.draft"] {
        fs::remove_dir_all(data.join(part)).unwrap();
    }
    drop(Server::start(data).await);

    // All had been moved: then it is only tidied up.
    fs::create_dir(data.join("restore.draft")).unwrap();
    drop(Server::start(data).await);
    assert!(!data.join("restore.draft").exists());
}

/// SQLite would add the log of another database to the one of the archive, and a draft is no leave to remove files.
#[tokio::test]
async fn a_folder_that_has_anything_of_a_server_is_not_restored_into() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { root.path().join(name) };
    let server = Server::start(&at("data")).await;
    fs::write(at("whole"), backup(&at("data"), Path::new("-"), &[]).await.stdout).unwrap();
    drop(server);
    let own = ["sentinel.db", "search.db"]
        .into_iter()
        .flat_map(|database| ["", "-wal", "-shm", "-journal"].map(|part| format!("{database}{part}")));
    for name in own.chain(["media".to_owned()]) {
        for draft in [None, Some("restore.draft"), Some("restore.draft/media")] {
            let new = at("new");
            fs::create_dir(&new).unwrap();
            fs::write(new.join(&name), "old").unwrap();
            if let Some(draft) = draft {
                fs::create_dir_all(new.join(draft)).unwrap();
            }
            let refused = restore(&new, &at("whole")).await;
            let said = format!("has {name} already");
            assert!(!refused.status.success() && words(&refused).contains(&said), "{draft:?}: {}", words(&refused));
            assert_eq!(fs::read_to_string(new.join(&name)).unwrap(), "old");
            fs::remove_dir_all(&new).unwrap();
        }
    }
    // With a database in it, a draft tells that the files were moved; no more.
    fs::create_dir_all(at("new/restore.draft")).unwrap();
    fs::write(at("new/restore.draft/sentinel.db"), "").unwrap();
    fs::write(at("new/sentinel.db-wal"), "old").unwrap();
    let refused = restore(&at("new"), &at("whole")).await;
    assert!(!refused.status.success() && words(&refused).contains("has sentinel.db-wal"), "{}", words(&refused));
}

#[tokio::test]
async fn what_is_no_archive_of_a_backup_is_not_unpacked() {
    let root = tempfile::tempdir().unwrap();
    let mut other = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    other.append_data(&mut header, "keys/key.pem", b"mine".as_slice()).unwrap();
    fs::write(root.path().join("other"), other.into_inner().unwrap()).unwrap();
    let refused = restore(&root.path().join("new"), &root.path().join("other")).await;
    assert!(!refused.status.success() && words(&refused).contains("keys/key.pem"), "{}", words(&refused));
    assert_eq!(names(&root.path().join("new")), ["sentinel.lock"]);
}
