//! `up`: from nothing to a chat on 127.0.0.1.

pub mod answers;
mod guide;
mod release;
mod sample;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::cluster::{Provider, State};
use crate::host::{folders, gotools};
use crate::images::binaries::BuildOptions;
use crate::images::{self, Built, Selection};
use crate::report::{Report, seconds};
use crate::say;

/// How the chat is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// One pod with embedded stores.
    Embedded,
    /// One workload per service, over stores that the operator runs.
    Distributed,
}

impl Layout {
    /// What it runs.
    fn images(self, how: BuildOptions) -> Selection {
        match self {
            Self::Embedded => Selection::Embedded(how),
            Self::Distributed => Selection::Distributed(how),
        }
    }

    /// How long it may take to become ready.
    fn patience(self) -> Duration {
        match self {
            Self::Embedded => Duration::from_mins(3),
            Self::Distributed => Duration::from_mins(8),
        }
    }

    /// Its sample.
    fn sample(self) -> &'static str {
        match self {
            Self::Embedded => "config/samples/embedded.yaml",
            Self::Distributed => "config/samples/distributed-small.yaml",
        }
    }
}

/// What `up` can be told.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The profile, which chooses the images and the sample.
    #[arg(long, value_enum, default_value = "embedded")]
    pub profile: Layout,
    /// The `SentinelChat` to apply; by default the small one of the profile.
    #[arg(long)]
    pub sample: Option<PathBuf>,
    /// Namespace for the chat, where the sample names none; it enforces the `restricted` pod security level.
    #[arg(long, default_value = "chat")]
    pub namespace: String,
    /// How Sentinel is built.
    #[command(flatten)]
    pub build: BuildOptions,
    /// Port of 127.0.0.1 for the chat; the next free one if it is taken.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

/// Brings everything up. Repeatable: what is as it should be is left alone.
pub fn run(provider: &dyn Provider, options: &Options) -> Result<()> {
    let state = provider.state();
    let _lock = state.lock()?;
    let report = Report::default();
    let kubectl = provider.kubectl();
    let sample = options.sample.clone().unwrap_or_else(|| options.profile.sample().into());
    let chat = sample::Sample::read(&folders::repository()?.join(&sample), &options.namespace)?;
    bring_up(provider, &report)?;
    // Before the images, which take minutes: a chat that is there keeps its profile.
    chat.check_profile(&kubectl, state.name())?;
    let helm = gotools::HELM.ensure(&report)?;
    let built = images::build(&report, options.profile.images(options.build))?;
    remember_images(state, &built)?;
    report.check("images loaded", || provider.load(&built.archive, &built.all()))?;

    release::install(&report, &helm, &kubectl, &built)?;
    report.check(&format!("applied {}", sample.display()), || chat.apply(&kubectl))?;
    let patience = options.profile.patience();
    report.step(&format!("{} is Ready", chat.shown()), || chat.wait_ready(&kubectl, &built, patience))?;
    let service = chat.gateway(&kubectl)?;
    let port = report.step("forwarded the gateway to 127.0.0.1", || provider.forward(&service, options.port))?;
    report.step("the chat answers there", || {
        answers::wait(&service, &kubectl, port, patience)?;
        // After a restart of the machine Ready may have been what was said before it.
        chat.wait_ready(&kubectl, &built, patience)
    })?;
    say!("\nup in {}\n", seconds(report.elapsed()));
    guide::print(state, &chat, port);
    Ok(())
}

/// The cluster itself, until its node is ready.
pub fn bring_up(provider: &dyn Provider, report: &Report) -> Result<()> {
    report.note(&format!("cluster {} ({})", provider.state().name(), provider.label()));
    provider.prepare(report)?;
    provider.start(report)
}

/// Writes `images.json`: the full reference of each image by name, for tests. What an earlier run loaded stays in it.
pub fn remember_images(state: &State, built: &Built) -> Result<()> {
    let earlier = std::fs::read(state.path("images.json")).unwrap_or_default();
    // An unreadable file is written anew.
    let mut references: BTreeMap<String, String> = serde_json::from_slice(&earlier).unwrap_or_default();
    references.extend(built.references.clone());
    let text = serde_json::to_vec_pretty(&references).context("cannot write the image references")?;
    folders::write_changed(&state.path("images.json"), text).map(drop)
}
