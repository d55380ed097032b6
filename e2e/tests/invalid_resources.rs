//! The API server refuses wrong resources with a message that says what to write, and takes every sample.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod deployed;

use std::{fs, path::PathBuf};

use deployed::{Deployed, repository};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use sentinel_operator::api::SentinelChat;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Fewer would mean that files were lost.
const AT_LEAST: usize = 25;
const EXPECTATION: &str = "# expect:";

fn manifests(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = repository(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a readable file"))).collect()
}

/// Free-form, because the operator's own types would refuse some of these before the API server sees them.
fn api(deployed: &Deployed) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<SentinelChat>(&());
    Api::namespaced_with(deployed.client.clone(), &deployed.namespace, &kind)
}

/// Asks the API server what it would say to this resource in the deployed chat's namespace; it is never made.
async fn dry_run(deployed: &Deployed, mut resource: Value) -> Result<(), String> {
    if resource["metadata"]["name"] == deployed.name.as_str() {
        // What runs here has this name, and a create would be refused for that alone.
        resource["metadata"]["name"] = json!("dry-run");
    }
    // A sample may name a namespace that is not here.
    resource["metadata"]["namespace"] = json!(deployed.namespace);
    let object = serde_json::from_value(resource).expect("kind and metadata");
    let options = PostParams { dry_run: true, field_manager: Some("sentinel-e2e".to_owned()) };
    api(deployed).create(&options, &object).await.map(drop).map_err(|error| error.to_string())
}

/// The message that a manifest's first line expects.
fn expectation<'a>(name: &str, text: &'a str) -> &'a str {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix(EXPECTATION).unwrap_or_else(|| panic!("{name}: the first line is not {EXPECTATION} …")).trim()
}

/// Notes in `failures` unless the API server refused with the expected message.
fn expect_refusal(name: &str, expected: &str, outcome: Result<(), String>, failures: &mut Vec<String>) {
    match outcome {
        Err(message) if message.contains(expected) => {}
        Err(message) => failures.push(format!("{name}: expected {expected:?}, got {message:?}")),
        Ok(()) => failures.push(format!("{name}: was accepted, expected {expected:?}")),
    }
}

#[tokio::test]
async fn wrong_resources_are_refused_with_what_to_write() {
    let deployed = Deployed::find().await;
    let files = manifests("operator/tests/fixtures/invalid");
    assert!(files.len() >= AT_LEAST, "only {} wrong resources are left", files.len());
    let mut failures = Vec::new();
    for (path, text) in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let resource: Value = serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = dry_run(&deployed, resource).await;
        expect_refusal(&name, expectation(&name, text), outcome, &mut failures);
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), files.len(), failures.join("\n"));
    println!("{} wrong resources refused", files.len());
}

#[tokio::test]
async fn changes_of_what_cannot_change_are_refused() {
    let deployed = Deployed::find().await;
    let api = api(&deployed);
    let files = manifests("operator/tests/fixtures/invalid-update");
    assert!(!files.is_empty(), "the wrong changes are gone");
    let mut failures = Vec::new();
    for (path, text) in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let documents: Vec<DynamicObject> = serde_yaml_ng::Deserializer::from_str(text)
            .map(|document| DynamicObject::deserialize(document).unwrap_or_else(|error| panic!("{name}: {error}")))
            .collect();
        let [before, after] = documents.as_slice() else { panic!("{name}: not two documents") };
        let resource = before.metadata.name.clone().expect("a name");
        let options = PatchParams::apply("sentinel-e2e").force();
        // A rule about changes needs an object that is there; it is paused, so that nothing is made for it.
        api.patch(&resource, &options, &Patch::Apply(before)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = api.patch(&resource, &options.clone().dry_run(), &Patch::Apply(after)).await;
        api.delete(&resource, &DeleteParams::default()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = outcome.map(drop).map_err(|error| error.to_string());
        expect_refusal(&name, expectation(&name, text), outcome, &mut failures);
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), files.len(), failures.join("\n"));
    println!("{} wrong changes refused", files.len());
}

#[tokio::test]
async fn every_sample_is_accepted() {
    let deployed = Deployed::find().await;
    let mut accepted = 0;
    for (path, text) in manifests("config/samples") {
        let resource: Value = serde_yaml_ng::from_str(&text).expect("one YAML document");
        if resource["kind"] != "SentinelChat" {
            continue;
        }
        dry_run(&deployed, resource).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        accepted += 1;
    }
    assert!(accepted >= 2, "only {accepted} samples were found");
}

// Proves that the two tests above can fail: a resource that breaks no rule passes, one that breaks one does not.
#[tokio::test]
async fn the_api_server_does_look() {
    let deployed = Deployed::find().await;
    let resource = |spec: Value| {
        json!({
            "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
            "metadata": {"name": "dry-run"}, "spec": spec,
        })
    };
    dry_run(&deployed, resource(json!({}))).await.unwrap();
    let message = dry_run(&deployed, resource(json!({"profile": "Other"}))).await.unwrap_err();
    assert!(message.contains("spec.profile"), "{message}");
}
