//! `kubectl sentinel`: look before and after the operator acts.

use std::{
    fs,
    io::{self, Read as _, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use kube::{
    Api, Client, Config,
    api::{ListParams, Patch, PatchParams},
    config::KubeConfigOptions,
};
use sentinel_operator::{
    api::SentinelChat,
    build,
    cluster_dns::ClusterDns,
    names::Names,
    render::{self, title},
    settings::{DEFAULT_OPERATOR_NAMESPACE, Settings, StoreImages},
    steps::{
        dereference::{self, tls},
        observe::{self, Observed},
        plan::{self, Growth, Plan},
        unreadable::Guarded,
        validate,
    },
    story,
    subset::differences,
};

/// Looks at SentinelChat resources before and after the operator acts.
#[derive(Debug, Parser)]
#[command(name = "kubectl-sentinel", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Namespace; that of the kubeconfig when left out.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// Image of the platform for resources that name none; `plan` takes the one in use when this is left out.
    #[arg(long, global = true, env = "SENTINEL_IMAGE")]
    sentinel_image: Option<String>,
    /// Image of the gateway for resources that name none; `plan` takes the one in use when this is left out.
    #[arg(long, global = true, env = "GATEWAY_IMAGE")]
    gateway_image: Option<String>,
    /// Name servers of the cluster's pods; `plan` takes those in use when this is left out.
    #[arg(long, global = true, env = "CLUSTER_DNS", value_delimiter = ',')]
    cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster's Services.
    #[arg(long, global = true, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the objects that would be made, without a cluster.
    Render {
        /// File with the resource; `-` reads standard input.
        #[arg(short, long)]
        file: PathBuf,
        #[command(flatten)]
        store_images: StoreImages,
        /// Namespace that the operator runs in; managed stores let it in.
        #[arg(long, default_value = DEFAULT_OPERATOR_NAMESPACE)]
        operator_namespace: String,
    },
    /// Prints what would change in the cluster.
    Plan {
        /// File with the resource; `-` reads standard input.
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Prints how resources are doing; fails unless all are ready as they are written now.
    Status {
        /// Name of the resource; all of the namespace when left out.
        name: Option<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        bail!("a cryptography provider is installed already");
    }
    match run(&Args::parse(), &mut io::stdout().lock()).await {
        // Whoever reads has seen enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Render { file, store_images, operator_namespace } => {
            let defaults = Settings {
                store_images: store_images.clone(),
                operator_namespace: operator_namespace.clone(),
                ..Settings::default()
            };
            let settings = settings(args, defaults);
            for mut chat in render::parse(&read(file)?)? {
                chat.metadata.namespace = args.namespace.clone().or(chat.metadata.namespace);
                write!(out, "{}", render::to_yaml(&render::render(&chat, &settings)?)?)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Plan { file } => {
            let client = connect(args).await?;
            for chat in render::parse(&read(file)?)? {
                Box::pin(print_plan(&client, chat, args, out)).await?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { name } => print_status(&connect(args).await?, name.as_deref(), args, out).await,
    }
}

/// What was given, and `defaults` for the rest.
fn settings(args: &Args, defaults: Settings) -> Settings {
    Settings {
        sentinel_image: args.sentinel_image.clone().unwrap_or(defaults.sentinel_image),
        gateway_image: args.gateway_image.clone().unwrap_or(defaults.gateway_image),
        store_images: defaults.store_images,
        cluster_dns: if args.cluster_dns.is_empty() {
            defaults.cluster_dns
        } else {
            Some(ClusterDns { servers: args.cluster_dns.clone(), domain: args.cluster_domain.clone() })
        },
        operator_namespace: defaults.operator_namespace,
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

async fn connect(args: &Args) -> anyhow::Result<Client> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match Config::from_kubeconfig(&options).await {
        Ok(config) => config,
        Err(_) if args.context.is_none() => Config::infer().await.context("cannot find a cluster")?,
        Err(error) => return Err(error).context("cannot read the kubeconfig"),
    };
    Client::try_from(config).context("cannot reach the cluster")
}

async fn print_status(
    client: &Client,
    name: Option<&str>,
    args: &Args,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let namespace = args.namespace.as_deref().unwrap_or(client.default_namespace());
    let api: Api<Guarded> = Api::namespaced(client.clone(), namespace);
    let chats = match name {
        Some(name) => vec![api.get(name).await?],
        None => api.list(&ListParams::default()).await?.items,
    };
    if chats.is_empty() {
        writeln!(out, "no SentinelChat in namespace {namespace}")?;
    }
    let mut all_ready = !chats.is_empty();
    for chat in &chats {
        let chat = match &chat.0 {
            Ok(chat) => chat,
            Err(unreadable) => {
                let name = unreadable.metadata.name.as_deref().unwrap_or_default();
                writeln!(out, "{namespace}/{name}\n  {}", unreadable.message)?;
                all_ready = false;
                continue;
            }
        };
        write!(out, "{}", story::tell(chat))?;
        all_ready &= story::is_ready(chat);
    }
    Ok(if all_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets the API server check the resource against the definition's rules, without storing it.
async fn would_be_taken(api: &Api<SentinelChat>, name: &str, chat: &SentinelChat) -> anyhow::Result<()> {
    let params = PatchParams::apply("kubectl-sentinel").force().dry_run();
    match api.patch(name, &params, &Patch::Apply(chat)).await {
        Ok(_) => Ok(()),
        // Whoever may only look is shown the plan all the same.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        Err(error) => Err(error).context("the cluster would refuse the resource"),
    }
}

async fn print_plan(client: &Client, mut chat: SentinelChat, args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let namespace = args
        .namespace
        .clone()
        .or(chat.metadata.namespace.take())
        .unwrap_or_else(|| client.default_namespace().to_owned());
    chat.metadata.namespace = Some(namespace.clone());
    let name = chat.metadata.name.clone().context("the resource has no name")?;
    let api: Api<SentinelChat> = Api::namespaced(client.clone(), &namespace);
    let observed = observe::observe(client, &namespace, &Names::new(name.clone())).await?;
    let mut defaults = Settings::default();
    would_be_taken(&api, &name, &chat).await?;
    if let Some(live) = api.get_opt(&name).await? {
        if validate::takes_newer_images(&live, &chat) {
            writeln!(
                out,
                "! with this change the operator also takes its own, newer images and migrates the stores for them; \
                 --sentinel-image and --gateway-image show what becomes of that"
            )?;
        }
        defaults = Settings::in_use(&live, &observed);
        chat = validate::written_over(&live, chat);
        if let Some(status) = chat.status.as_mut()
            && (args.sentinel_image.is_some() || args.gateway_image.is_some())
        {
            // What becomes of other images is asked for, also where they wait for a change.
            status.spec_hash = Some(validate::WAITS.into());
        }
    }
    let valid = validate::validate(&chat, &settings(args, defaults))?;
    let found = dereference::dereference(client, &valid, &observed, tls::read(client, &valid).await).await?;
    for secret in &found.new_secrets {
        writeln!(out, "+ Secret {}", secret.metadata.name.as_deref().unwrap_or_default())?;
    }
    let children = plan::made_by_a_change(&valid, build::build(&valid, &found.facts)?, &observed, chat.status.as_ref());
    let plan = plan::plan(children, &[], &observed, chat.metadata.uid.as_deref());
    Ok(write_plan(&plan, &plan::growths(&valid, &observed), &observed, out)?)
}

fn write_plan(plan: &Plan, growths: &[Growth], observed: &Observed, out: &mut impl Write) -> io::Result<()> {
    for child in &plan.apply {
        let title = title(child.kind, &child.name);
        match observed.get(child.kind, &child.name) {
            None => writeln!(out, "+ {title}")?,
            Some(live) => {
                writeln!(out, "~ {title}")?;
                if let Some(remake) = plan.remake_of(child) {
                    let pods = if remake.keeps_pods { ", and its pods run on" } else { "" };
                    writeln!(out, "    made anew{pods}: {} cannot change", remake.field)?;
                }
                for path in differences(&child.value, live).iter().filter(|path| !path.starts_with("metadata")) {
                    writeln!(out, "    {path}")?;
                }
            }
        }
    }
    for growth in growths {
        writeln!(
            out,
            "~ PersistentVolumeClaim {}\n    spec.resources.requests.storage: {}",
            growth.claim, growth.size
        )?;
    }
    for object in &plan.prune {
        writeln!(out, "- {}", title(object.kind, &object.name))?;
    }
    for blocked in &plan.blocked {
        writeln!(out, "! {}: {} cannot change", title(blocked.kind, &blocked.name), blocked.field)?;
    }
    writeln!(out, "{} of {} objects stay as they are", plan.unchanged, plan.unchanged + plan.apply.len())
}
