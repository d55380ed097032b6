//! The S3 server: one, for small installations; it keeps files as files. Its image has no shell.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::node::{self, Node, Pace, set};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, StoreFacts},
    steps::validate::ValidChat,
};

/// Memory of the server in MiB when the resource says nothing.
const MEMORY: u32 = 128;
/// Where the volume is.
const DATA: &str = "/data";

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let port = super::client_port(Store::S3);
    let entry = |name: &str, key: &str| EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: facts.secret.clone().unwrap_or_default(),
                key: key.into(),
                ..SecretKeySelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let port_option = format!("--port={port}");
    let node = Node {
        user: 65532,
        start: String::new(),
        // Kubernetes fills in the keys: the server takes them as options only.
        command: [
            "/usr/bin/s3s-fs",
            "--host=0.0.0.0",
            &port_option,
            "--access-key=$(ACCESS_KEY)",
            "--secret-key=$(SECRET_KEY)",
            DATA,
        ]
        .map(String::from)
        .to_vec(),
        files: Vec::new(),
        env: vec![entry("ACCESS_KEY", "username"), entry("SECRET_KEY", "password"), set("RUST_LOG", "warn")],
        ports: vec![("s3", port)],
        volume: DATA,
        scratch: Vec::new(),
        needs_credentials: true,
        startup: node::connects("s3", Pace { seconds: 1, failures: 60 }),
        liveness: node::connects("s3", Pace::LIFE),
        readiness: node::connects("s3", Pace::SERVICE),
        before_stop: None,
        // Files get their names once they are whole, and it does not listen to being told to stop.
        grace: 5,
        together: false,
        pause: None,
        cpu: "50m",
        memory: "32Mi",
        limit: MEMORY,
    };
    node::objects(chat, Store::S3, managed, facts, node)
}
