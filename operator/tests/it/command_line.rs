//! `kubectl sentinel` as people call it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

/// `kubectl sentinel render -f FILE | head -n 1`.
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut render = Command::new(env!("CARGO_BIN_EXE_kubectl-sentinel"))
        .args(["render", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/distributed-production.yaml")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    // The rest does not fit into a pipe, so it is still being written when the reader goes.
    BufReader::with_capacity(16, render.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("apiVersion:") || first.starts_with("---"), "{first}");
    let ended = render.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn what_is_rendered_is_for_the_namespace_that_was_asked_for() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/distributed-production.yaml");
    let render = Command::new(env!("CARGO_BIN_EXE_kubectl-sentinel"))
        .args(["render", "-n", "elsewhere", "-f", sample])
        .output()
        .unwrap();
    assert!(render.status.success(), "{render:?}");
    let text = String::from_utf8(render.stdout).unwrap();
    assert!(text.contains("  namespace: elsewhere\n") && text.contains(".elsewhere.svc"), "{text}");
    let others = text.lines().filter(|line| line.starts_with("  namespace: ") && !line.ends_with(": elsewhere"));
    assert_eq!(others.count(), 0);
}

/// A misspelt field would silently be left out of what is made.
#[test]
fn a_field_that_there_is_not_is_named() {
    let mut render = Command::new(env!("CARGO_BIN_EXE_kubectl-sentinel"))
        .args(["render", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let resource = "apiVersion: chat.sentinel.dev/v1alpha1\nkind: SentinelChat\nmetadata: {name: chat}\n\
                    spec: {gatway: {replicas: 3}, services: {users: {replica: 2}}}\n";
    render.stdin.take().unwrap().write_all(resource.as_bytes()).unwrap();
    let ended = render.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && ended.stdout.is_empty());
    assert!(told.contains("spec.gatway") && told.contains("spec.services.users.replica"), "{told}");
}

/// A cluster without a way to public registries gets its images from a mirror, as its operator does.
#[test]
fn what_is_rendered_names_the_images_of_a_mirror_and_lets_its_operator_in() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/distributed-small.yaml");
    let render = Command::new(env!("CARGO_BIN_EXE_kubectl-sentinel"))
        .args(["render", "-f", sample, "--postgres-image", "mirror.example.com/postgres:17.6"])
        .args(["--operator-namespace", "platform"])
        .env("SENTINEL_S3_IMAGE", "mirror.example.com/s3:1.2.3")
        .output()
        .unwrap();
    assert!(render.status.success(), "{render:?}");
    let text = String::from_utf8(render.stdout).unwrap();
    assert!(text.contains("image: mirror.example.com/postgres:17.6\n"), "{text}");
    assert!(text.contains("image: mirror.example.com/s3:1.2.3\n"), "{text}");
    assert!(text.contains("kubernetes.io/metadata.name: platform\n") && !text.contains("sentinel-system"), "{text}");
}
