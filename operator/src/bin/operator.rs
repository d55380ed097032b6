//! The operator.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use futures::FutureExt;
use kube::Client;
use sentinel_operator::{
    admin::Admin,
    chats::Chats,
    cluster_dns::ClusterDns,
    controller,
    installation::Installation,
    lease::Candidate,
    reconcile::Context,
    settings::{DEFAULT_GATEWAY_IMAGE, DEFAULT_SENTINEL_IMAGE, Settings, StoreImages},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Reconciles `SentinelChat` resources.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Image of the platform for resources that name none.
    #[arg(long, env = "SENTINEL_IMAGE", default_value = DEFAULT_SENTINEL_IMAGE)]
    sentinel_image: String,
    /// Image of the gateway for resources that name none.
    #[arg(long, env = "GATEWAY_IMAGE", default_value = DEFAULT_GATEWAY_IMAGE)]
    gateway_image: String,
    #[command(flatten)]
    store_images: StoreImages,
    /// Namespaces to watch, separated by commas; all when empty.
    #[arg(long, env = "NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Wait for the lease before working; needed with more than one replica.
    #[arg(long, env = "LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    leader_election: bool,
    /// Name of the lease.
    #[arg(long, env = "LEASE_NAME", default_value = "sentinel-operator")]
    lease_name: String,
    /// Namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    lease_namespace: String,
    /// Name of this replica.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Address for `/healthz`, `/readyz` and `/metrics`.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "0.0.0.0:9090")]
    admin_listen: SocketAddr,
    /// What is logged.
    #[arg(long, env = "LOG", default_value = "info,kube_runtime=warn")]
    log: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    // First: the client picks the provider up when it is made.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("a cryptography provider is installed already");
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(EnvFilter::new(&args.log)).init();
    match run(args).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let metrics =
        sentinel_metrics::install(sentinel_metrics::OPERATOR).context("cannot install the metrics recorder")?;
    let chats = Chats::default();
    let admin = Admin::new(metrics, chats.clone());
    let listener = tokio::net::TcpListener::bind(args.admin_listen)
        .await
        .with_context(|| format!("cannot listen at {}", args.admin_listen))?;
    let router = admin.clone().router();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let client = Client::try_default().await.context("cannot find the API server")?;
    let stop = shutdown()?.shared();
    let namespaces: Vec<String> = args.namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect();

    tokio::select! {
        () = controller::wait_for_definition(&client, &namespaces) => {}
        () = stop.clone() => return Ok(ExitCode::SUCCESS),
    }
    admin.set_ready(true);

    let cluster_dns = ClusterDns::of_this_pod();
    if cluster_dns.is_none() {
        tracing::warn!("not in a pod: gateways look the platform's Service up once, at their start");
    }
    let settings = Settings {
        sentinel_image: args.sentinel_image,
        gateway_image: args.gateway_image,
        store_images: args.store_images,
        cluster_dns,
        operator_namespace: args.lease_namespace.clone(),
    };
    let installation = Some(Installation::new(&args.lease_namespace, &args.lease_name));
    let context = Arc::new(Context { installation, chats, ..Context::new(client.clone(), settings) });
    let replica = args.identity.as_deref().unwrap_or("operator");
    let mut candidate = Candidate::new(client, &args.lease_namespace, &args.lease_name, replica);
    if !args.leader_election {
        metrics::gauge!("sentinel_operator_leader").set(1);
        controller::run(context, &namespaces, stop).await;
        return Ok(ExitCode::SUCCESS);
    }
    metrics::gauge!("sentinel_operator_leader").set(0);
    tokio::select! {
        () = candidate.acquire() => {}
        () = stop.clone() => {
            // What it has asked for may have been granted.
            candidate.release().await;
            return Ok(ExitCode::SUCCESS);
        }
    }
    metrics::gauge!("sentinel_operator_leader").set(1);
    tokio::select! {
        // Writes in flight must not meet those of the new leader: exit without finishing them.
        () = candidate.keep() => return Ok(ExitCode::FAILURE),
        () = controller::run(context, &namespaces, stop) => {}
    }
    candidate.release().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Done at SIGTERM or SIGINT.
fn shutdown() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}
