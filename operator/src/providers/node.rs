//! The objects of one managed store, from what is peculiar to its nodes: ConfigMap, Services, StatefulSet.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec},
        core::v1::{
            ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
            ExecAction, Lifecycle, LifecycleHandler, ObjectFieldSelector, PersistentVolumeClaim,
            PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Probe, SecretVolumeSource, Service, ServicePort,
            ServiceSpec, TCPSocketAction, Volume, VolumeMount, VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{
    api::{Managed, Store},
    build::{Child, Error, Kind, StoreFacts, digest, metadata, pod, workload},
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
        }
        children.push(Child::new(Kind::ConfigMap, &map)?);
    }
    let secret = if node.needs_credentials { facts.digest.as_str() } else { "" };
    let content = digest(&[content.as_bytes(), secret.as_bytes()]);
    children.push(Child::new(Kind::Service, &pods_service(chat, store, &node))?);
    children.push(Child::new(Kind::Service, &service(chat, store, &node))?);
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
    let together = node.together;
    let pause = node.pause;
    StatefulSet {
        metadata: metadata(chat, chat.names.workload(component), Some(component)),
        spec: StatefulSetSpec {
            replicas: Some(facts.replicas),
            service_name: Some(chat.names.pods(component)),
            pod_management_policy: together.then(|| "Parallel".into()),
            min_ready_seconds: pause,
            selector: workload::selector(chat, component),
            update_strategy: Some(workload::one_by_one()),
            persistent_volume_claim_retention_policy: Some(workload::volumes_stay()),
            volume_claim_templates: Some(vec![claim(chat, store, managed)]),
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
    let (tmp, tmp_mount) = pod::tmp();
    let mut volumes = vec![tmp];
    let mut mounts =
        vec![VolumeMount { name: "data".into(), mount_path: node.volume.into(), ..VolumeMount::default() }, tmp_mount];
    if !node.start.is_empty() {
        volumes.push(Volume {
            name: "config".into(),
            config_map: Some(ConfigMapVolumeSource {
                name: chat.names.component(component),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        });
        mounts.push(read_only("config", CONFIG));
        volumes.push(scratch("run", Some("Memory")));
        mounts.push(VolumeMount { name: "run".into(), mount_path: RUN.into(), ..VolumeMount::default() });
    }
    if node.needs_credentials && !node.start.is_empty() {
        volumes.push(Volume {
            name: "credentials".into(),
            secret: Some(SecretVolumeSource {
                secret_name: facts.secret.clone(),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
        mounts.push(read_only("credentials", CREDENTIALS));
    }
    for (name, path) in &node.scratch {
        volumes.push(scratch(name, None));
        mounts.push(VolumeMount { name: (*name).into(), mount_path: (*path).into(), ..VolumeMount::default() });
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
    let mut env =
        vec![field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP"), set("STORE", store.as_str())];
    if let Some(secret) = facts.secret.as_ref().filter(|_| node.needs_credentials) {
        env.push(set("CREDENTIALS_SECRET", secret));
    }
    env.extend(node.env);
    let command = if node.start.is_empty() { node.command } else { vec!["sh".into(), format!("{CONFIG}/{START}")] };
    let pull_policy = managed.image.as_ref().map(|image| image.pull_policy).unwrap_or_default();
    let port = |(name, number): (&str, u16)| ContainerPort {
        name: Some(name.into()),
        container_port: i32::from(number),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    Container {
        name: store.as_str().into(),
        image: chat.store_images.get(&store).map(ToString::to_string),
        image_pull_policy: Some(pull_policy.as_str().into()),
        // Not the image's entry point: it would edit files on a root filesystem that is read-only here.
        command: Some(command),
        env: Some(env),
        ports: Some(node.ports.into_iter().map(port).collect()),
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

fn claim(chat: &ValidChat, store: Store, managed: &Managed) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".into()),
            // Labels of a claim template are immutable like selectors.
            labels: Some(chat.names.selector(store.component())),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: managed.storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".into(), Quantity(managed.storage.size.clone()))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// Gives nodes their names; also before they are ready, because they need each other for that.
fn pods_service(chat: &ValidChat, store: Store, node: &Node) -> Service {
    let component = store.component();
    Service {
        metadata: metadata(chat, chat.names.pods(component), Some(component)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(chat.names.selector(component)),
            ports: Some(node.ports.iter().copied().map(service_port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// What clients connect to first.
fn service(chat: &ValidChat, store: Store, node: &Node) -> Service {
    let component = store.component();
    Service {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(chat.names.selector(component)),
            ports: Some(node.ports.iter().copied().take(1).map(service_port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn service_port((name, number): (&str, u16)) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.into())),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.into(), mount_path: path.into(), read_only: Some(true), ..VolumeMount::default() }
}

fn scratch(name: &str, medium: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(String::from),
            size_limit: Some(Quantity("16Mi".into())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A variable of the environment.
pub(super) fn set(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), ..EnvVar::default() }
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path.into(), ..ObjectFieldSelector::default() }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
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
