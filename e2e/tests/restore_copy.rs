//! A chat of profile Embedded is copied and made anew elsewhere by the commands of docs/backup.md, as they stand there: a guide
//! whose commands do not work fails here. Needs `kubectl` in the path.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;

use std::{fs, path::Path, process::Stdio, time::Duration};

use account::Account;
use deployed::{Deployed, eventually, repository};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const ELSEWHERE: &str = "restored";
const READY: Duration = Duration::from_mins(3);
const MESSAGES: usize = 30;

/// The commands of the guide in the block that has `mark`.
fn commands(mark: &str) -> String {
    let guide = fs::read_to_string(repository("docs/backup.md")).expect("the guide");
    let blocks = guide.split("\n\n").filter(|block| block.lines().all(|line| line.starts_with("    ")));
    let found: Vec<&str> = blocks.filter(|block| block.contains(mark)).collect();
    let [block] = found.as_slice() else { panic!("the guide has {} blocks with {mark}", found.len()) };
    (*block).to_owned()
}

/// Runs `script` in `folder`, with a configuration of kubectl whose namespace is `namespace`.
async fn run(script: &str, folder: &Path, namespace: &str) {
    // Read aloud as written: what the commands put into variables has keys.
    let script = format!("kubectl config set-context --current --namespace {namespace} >/dev/null\n{script}");
    let mut bash = Command::new("bash");
    bash.args(["-euvo", "pipefail", "-c", &script]).current_dir(folder).env("KUBECONFIG", folder.join("kubeconfig"));
    let ended = bash.status().await.expect("bash");
    assert!(ended.success(), "the commands failed: {ended}");
}

/// A way to the gateway of the chat in `namespace`, open as long as the process runs.
async fn forward(namespace: &str) -> (String, Child) {
    let mut kubectl = Command::new("kubectl")
        .args(["port-forward", "--namespace", namespace, "service/chat-gateway", ":80"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl");
    let mut lines = BufReader::new(kubectl.stdout.take().expect("piped")).lines();
    let line = lines.next_line().await.expect("a line").expect("kubectl forwards");
    let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).expect("an address");
    let url = format!("http://{address}");
    // It ends when nobody could read what it says.
    kubectl.stdout = Some(lines.into_inner().into_inner());
    (url, kubectl)
}

#[tokio::test]
async fn a_copy_is_restored_by_the_commands_of_the_guide() {
    let deployed = Deployed::ready().await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::copy(std::env::var("KUBECONFIG").expect("checked"), at("kubeconfig")).expect("the configuration is copied");
    let namespaces: Api<Namespace> = Api::all(deployed.client.clone());
    // A run that failed leaves it, with what was restored so far.
    remove(&namespaces).await;
    let metadata = kube::core::ObjectMeta { name: Some(ELSEWHERE.into()), ..Default::default() };
    let elsewhere = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &elsewhere).await.expect("a namespace can be made");
    let (ann, bob) =
        (Account::register(&Deployed::url(), "ann").await, Account::register(&Deployed::url(), "bob").await);
    let chat = ann.start_chat(&bob).await;
    for number in 0..MESSAGES {
        let message = json!({ "message": format!("kept {number}") });
        ann.call(Method::POST, &format!("/users/chat/{chat}/messages"), Some(message)).await;
    }
    let history = bob.history_backwards(&chat).await;
    assert_eq!(history.len(), MESSAGES);

    run(
        &format!("{}\n{}", commands("> secrets.yaml"), commands("sentinel backup")),
        folder.path(),
        &deployed.namespace,
    )
    .await;
    ann.call(Method::POST, &format!("/users/chat/{chat}/messages"), Some(json!({ "message": "later" }))).await;

    let resource = deployed.chats().get(&deployed.name).await.expect("the resource can be read");
    let image = resource.status.clone().and_then(|status| status.sentinel_image).expect("an image");
    let file = json!({
        "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
        "metadata": { "name": resource.name_any() }, "spec": resource.spec,
    });
    fs::write(at("sentinelchat.yaml"), file.to_string()).expect("a file");
    let filler = "config/operations/restore-embedded.yaml";
    let filled = fs::read_to_string(repository(filler)).expect("the pod").replace("sentinel:0.1.0", &image);
    fs::create_dir_all(at(filler).parent().expect("a folder")).expect("a folder");
    fs::write(at(filler), filled).expect("a file");
    run(&commands("kubectl attach"), folder.path(), ELSEWHERE).await;

    let restored = Deployed { namespace: ELSEWHERE.into(), ..deployed };
    restored.wait_ready(READY).await;
    let (url, _forward) = forward(ELSEWHERE).await;
    let bob = bob.at(url);
    eventually("the way from the gateway to the services is known", READY, async || {
        let answer = bob.ask(Method::GET, "/me", &json!({})).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    assert_eq!(
        bob.history_backwards(&chat).await,
        history,
        "what was there when the copy was begun, and the same log-in"
    );
    remove(&namespaces).await;
}

/// Removes the namespace of what is restored, if it is there. Tests may look for the one chat of this name.
async fn remove(namespaces: &Api<Namespace>) {
    if namespaces.get_opt(ELSEWHERE).await.expect("namespaces can be read").is_some() {
        namespaces.delete(ELSEWHERE, &DeleteParams::default()).await.expect("the namespace can be deleted");
    }
    eventually("the namespace is gone", READY, async || {
        let namespace = namespaces.get_opt(ELSEWHERE).await.expect("namespaces can be read");
        namespace.map_or(Ok(()), |namespace| Err(namespace.status))
    })
    .await;
}
