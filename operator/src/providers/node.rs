//! The objects of one managed store, from what is peculiar to its nodes: ConfigMap, Services, StatefulSet.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec},
        core::v1::{
            ConfigMap, Container, EnvVar, ExecAction, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, Probe,
            TCPSocketAction, VolumeMount,
        },
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

pub(super) use crate::build::pod::env as set;
use crate::{
    api::{Managed, Store},
    build::{
        Child, Error, Kind, StoreFacts, digest, metadata,
        pod::{self, env_of_field},
        ports::{self, container_port, service_port},
        volumes::{self, read_only, writable},
        workload,
    },
    steps::validate::ValidChat,
};

/// Folder of the ConfigMap's files.
pub(super) const CONFIG: &str = "/etc/sentinel/store";
/// Folder of the credentials.
const CREDENTIALS: &str = "/etc/sentinel/credentials";
/// Folder for what the start script writes. It is memory: passwords in it reach no disk.
pub(super) const RUN: &str = "/run/store";
/// File of the ConfigMap that starts the store.
const START: &str = "start.sh";
/// Room in a folder for what is written while a store starts and runs.
const SCRATCH: &str = "16Mi";
/// Beginning of every start script.
const PRELUDE: &str = include_str!("prelude.sh");

/// What is peculiar to the nodes of one store.
pub(super) struct Node {
    /// User and group of its processes.
    pub user: i64,
    /// Starts it in the foreground; empty: with `command` alone.
    pub start: String,
    /// Command for a store without start script.
    pub command: Vec<String>,
    /// Other files of the ConfigMap.
    pub files: Vec<(&'static str, String)>,
    /// Environment beside the names of the pod and the store.
    pub env: Vec<EnvVar>,
    /// Ports by name; the first is the one for clients.
    pub ports: Vec<(&'static str, u16)>,
    /// Where the volume is.
    pub volume: &'static str,
    /// Folders that the engine wants to write to beside [`RUN`] and `/tmp`: name and path.
    pub scratch: Vec<(&'static str, &'static str)>,
    /// Whether the start needs the credentials.
    pub needs_credentials: bool,
    /// Succeeds once it has started.
    pub startup: Probe,
    /// Fails when it has to be started again.
    pub liveness: Probe,
    /// Succeeds while clients can be served.
    pub readiness: Probe,
    /// What is done before it is told to stop.
    pub before_stop: Option<Vec<String>>,
    /// Seconds that it gets to stop.
    pub grace: i64,
    /// Whether nodes start at the same time, because they need each other.
    pub together: bool,
    /// Seconds between a node and the next when all are changed.
    pub pause: Option<i32>,
    /// CPU that is set aside.
    pub cpu: &'static str,
    /// Memory that is set aside.
    pub memory: &'static str,
    /// Memory that it cannot exceed, in MiB.
    pub limit: u32,
}

/// The objects of `store`, nodes of which are as `node` says.
pub(super) fn objects(
    chat: &ValidChat,
    store: Store,
    managed: &Managed,
    facts: &StoreFacts,
    node: Node,
) -> Result<Vec<Child>, Error> {
    let mut children = Vec::new();
    let mut content = String::new();
    if !node.start.is_empty() {
        let mut map = config_map(chat, store, &node);
        content = serde_json::to_string(&map.data)?;
        // After the hash is taken: pods read this while they run.
        if let Some(data) = &mut map.data {
            data.extend(facts.leaving.clone().map(|node| (super::LEAVING.into(), node)));
            data.extend(facts.founded.then(|| (super::FOUNDED.into(), "yes".into())));
            data.extend(facts.members.clone().map(|members| (super::MEMBERS.into(), members)));
        }
        children.push(Child::new(Kind::ConfigMap, &map)?);
    }
    let secret = if node.needs_credentials { facts.digest.as_str() } else { "" };
    let content = digest(&[content.as_bytes(), secret.as_bytes()]);
    let ports = || node.ports.iter().map(|(name, number)| service_port(name, *number));
    let component = store.component();
    children.push(Child::new(Kind::Service, &ports::headless_service(chat, component, ports().collect()))?);
    // What clients connect to first.
    children.push(Child::new(Kind::Service, &ports::service(chat, component, ports().take(1).collect()))?);
    children.push(Child::new(Kind::StatefulSet, &stateful_set(chat, store, managed, facts, node, content))?);
    Ok(children)
}

fn config_map(chat: &ValidChat, store: Store, node: &Node) -> ConfigMap {
    let component = store.component();
    let mut data: BTreeMap<String, String> =
        node.files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    data.insert(START.into(), format!("{PRELUDE}{}", node.start));
    ConfigMap {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn stateful_set(
    chat: &ValidChat,
    store: Store,
    managed: &Managed,
    facts: &StoreFacts,
    node: Node,
    content: String,
) -> StatefulSet {
    let component = store.component();
    StatefulSet {
        metadata: metadata(chat, chat.names.workload(component), Some(component)),
        spec: StatefulSetSpec {
            replicas: Some(facts.replicas),
            service_name: Some(chat.names.pods(component)),
            pod_management_policy: node.together.then(|| "Parallel".into()),
            min_ready_seconds: node.pause,
            selector: workload::selector(chat, component),
            update_strategy: Some(workload::one_by_one()),
            persistent_volume_claim_retention_policy: Some(workload::volumes_stay()),
            volume_claim_templates: Some(vec![volumes::claim(chat, component, &managed.storage)]),
            template: template(chat, store, managed, facts, node, content),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

fn template(
    chat: &ValidChat,
    store: Store,
    managed: &Managed,
    facts: &StoreFacts,
    node: Node,
    content: String,
) -> PodTemplateSpec {
    let component = store.component();
    let (tmp, tmp_mount) = volumes::tmp();
    let mut volumes = vec![tmp];
    let mut mounts = vec![writable("data", node.volume), tmp_mount];
    if !node.start.is_empty() {
        volumes.push(volumes::config_map("config", chat.names.component(component)));
        mounts.push(read_only("config", CONFIG));
        volumes.push(volumes::empty("run", Some("Memory"), SCRATCH));
        mounts.push(writable("run", RUN));
        if let Some(secret) = facts.secret.as_ref().filter(|_| node.needs_credentials) {
            volumes.push(volumes::secret("credentials", secret, None));
            mounts.push(read_only("credentials", CREDENTIALS));
        }
    }
    for (name, path) in &node.scratch {
        volumes.push(volumes::empty(name, None, SCRATCH));
        mounts.push(writable(name, path));
    }
    let spec = PodSpec {
        security_context: Some(pod::pod_security(node.user)),
        termination_grace_period_seconds: Some(node.grace),
        topology_spread_constraints: Some(vec![pod::spread(chat, component)]),
        containers: vec![container(chat, store, managed, facts, node, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    let mut template = pod::template(chat, component, content, managed.pod.as_ref(), spec);
    if let Some(image) = &managed.image {
        pod::add_pull_secrets(&mut template, image);
    }
    template
}

fn container(
    chat: &ValidChat,
    store: Store,
    managed: &Managed,
    facts: &StoreFacts,
    node: Node,
    mounts: Vec<VolumeMount>,
) -> Container {
    let mut env = vec![
        env_of_field("POD_NAME", "metadata.name"),
        env_of_field("POD_IP", "status.podIP"),
        set("STORE", store.as_str()),
    ];
    if let Some(secret) = facts.secret.as_ref().filter(|_| node.needs_credentials) {
        env.push(set("CREDENTIALS_SECRET", secret));
    }
    env.extend(node.env);
    let command = if node.start.is_empty() { node.command } else { vec!["sh".into(), format!("{CONFIG}/{START}")] };
    let pull_policy = managed.image.as_ref().map(|image| image.pull_policy).unwrap_or_default();
    Container {
        name: store.as_str().into(),
        image: chat.store_images.get(&store).map(ToString::to_string),
        image_pull_policy: Some(pull_policy.as_str().into()),
        // Not the image's entry point: it would edit files on a root filesystem that is read-only here.
        command: Some(command),
        env: Some(env),
        ports: Some(node.ports.into_iter().map(|(name, number)| container_port(name, number)).collect()),
        lifecycle: node.before_stop.map(|command| Lifecycle {
            pre_stop: Some(LifecycleHandler {
                exec: Some(ExecAction { command: Some(command) }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        startup_probe: Some(node.startup),
        liveness_probe: Some(node.liveness),
        readiness_probe: Some(node.readiness),
        resources: Some(pod::resources(
            chat.template_revision,
            managed.resources.as_ref(),
            node.cpu,
            node.memory,
            &format!("{}Mi", node.limit),
        )),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_LINES.into()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// How often a probe is made, and how often it may fail in a row.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Seconds from one to the next.
    pub seconds: i32,
    /// Failures in a row after which something is done about it.
    pub failures: i32,
}

impl Pace {
    /// For a start that lasts up to an hour: what was not written in order before has to be read again.
    pub(super) const START: Self = Self { seconds: 2, failures: 1800 };
    /// For a node that hangs.
    pub(super) const LIFE: Self = Self { seconds: 10, failures: 6 };
    /// For a node that clients should leave alone.
    pub(super) const SERVICE: Self = Self { seconds: 3, failures: 2 };
}

/// A probe by a shell command, which has five seconds.
pub(super) fn exec(command: &str, pace: Pace) -> Probe {
    let command = ["sh", "-c", command].map(String::from).to_vec();
    probe(Probe { exec: Some(ExecAction { command: Some(command) }), ..Probe::default() }, pace)
}

/// A probe by a connection to the port of that name.
pub(super) fn connects(port: &str, pace: Pace) -> Probe {
    let socket = TCPSocketAction { port: IntOrString::String(port.into()), ..TCPSocketAction::default() };
    probe(Probe { tcp_socket: Some(socket), ..Probe::default() }, pace)
}

/// Adds a pace to a probe.
pub(super) fn probe(probe: Probe, pace: Pace) -> Probe {
    Probe {
        period_seconds: Some(pace.seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(pace.failures),
        ..probe
    }
}

/// `text` with each `@NAME@` replaced by its value.
pub(super) fn fill(text: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), &value.to_string()))
}

/// What the pods' names end with: the headless Service, as it is found from every namespace.
pub(super) fn domain(chat: &ValidChat, store: Store) -> String {
    format!("{}.{}.svc", chat.names.pods(store.component()), chat.namespace)
}
