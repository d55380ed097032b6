//! A resource at a glance, for people.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    api::{SentinelChat, SentinelChatStatus},
    steps::status::{
        conditions::{ACCEPTED, DEGRADED, DEPENDENCIES, MIGRATED, PAUSED, PROGRESSING, READY, UPGRADE},
        dependencies::{BY_IMAGE, EXTERNAL},
    },
};

/// Whether a resource is ready as it is written now. What was ready before the latest change tells nothing of it.
pub fn is_ready(chat: &SentinelChat) -> bool {
    chat.status.as_ref().is_some_and(|status| {
        status.observed_generation == chat.metadata.generation
            && status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
    })
}

/// Whether the operator has seen the latest change. A pause is about it, and leaves the rest of the status as it was.
fn is_seen(status: &SentinelChatStatus, generation: Option<i64>) -> bool {
    let mut conditions = status.conditions.iter();
    status.observed_generation == generation
        || conditions.any(|condition| {
            condition.type_ == PAUSED && condition.status == "True" && condition.observed_generation == generation
        })
}

/// How a resource is doing, in a few lines.
pub fn tell(chat: &SentinelChat) -> String {
    let meta = &chat.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let mut lines = vec![format!("{namespace}/{name}, profile {:?}", chat.spec.profile)];
    let Some(status) = &chat.status else {
        lines.push("  the operator has not seen it yet: is it running?".into());
        return join(&lines);
    };
    if !is_seen(status, meta.generation) {
        lines.push("  the operator has not seen the latest change yet".into());
    }
    for type_ in [PAUSED, READY, DEGRADED, PROGRESSING, ACCEPTED, DEPENDENCIES, MIGRATED, UPGRADE] {
        if let Some(condition) = status.conditions.iter().find(|condition| condition.type_ == type_)
            && (is_news(condition) || type_ == READY)
        {
            // The same trouble is often the reason of several conditions: once is enough.
            let is_told = !condition.message.is_empty() && lines.iter().any(|line| line.contains(&condition.message));
            lines.push(format!("  {}", describe(condition, is_told)));
        }
    }
    if let Some(url) = &status.url {
        lines.push(format!("  URL      {url}"));
    }
    if let Some(version) = &status.version {
        lines.push(format!("  version  {version}"));
    }
    let names = status.services.iter().map(|s| &s.name).chain(status.dependencies.iter().map(|d| &d.name));
    let width = names.map(String::len).max().unwrap_or_default().max(8);
    for service in &status.services {
        let trouble = untold(&lines, service.message.as_deref());
        lines.push(format!("  {:<width$} {} of {} pods ready{trouble}", service.name, service.ready, service.desired));
    }
    for store in &status.dependencies {
        let trouble = untold(&lines, store.message.as_deref());
        let by_image = store.version_source.as_deref() == Some(BY_IMAGE);
        let source = if by_image { " by its image" } else { "" };
        let version =
            store.version.as_deref().map(|version| format!(", version {version}{source}")).unwrap_or_default();
        let (name, ready, desired) = (&store.name, store.ready, store.desired);
        lines.push(if store.provider == EXTERNAL {
            format!("  {name:<width$} {ready} of {desired} endpoints answer, external{version}{trouble}")
        } else {
            format!("  {name:<width$} {ready} of {desired} nodes ready{version}{trouble}")
        });
    }
    join(&lines)
}

/// What is wrong with a part, unless a line has it already.
fn untold(lines: &[String], message: Option<&str>) -> String {
    let trouble = message.map(|message| format!(": {message}")).unwrap_or_default();
    if lines.iter().any(|line| line.contains(&trouble)) { String::new() } else { trouble }
}

fn join(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// Conditions that are as they should be need no line.
fn is_news(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        ACCEPTED | DEPENDENCIES | MIGRATED => condition.status == "False",
        _ => condition.status == "True",
    }
}

fn describe(condition: &Condition, is_told: bool) -> String {
    let state = match (condition.type_.as_str(), condition.status.as_str()) {
        (READY, "True") => "ready".to_owned(),
        (READY, _) => format!("not ready ({})", condition.reason),
        (ACCEPTED, _) => format!("refused ({})", condition.reason),
        (DEPENDENCIES, _) => format!("stores not ready ({})", condition.reason),
        (MIGRATED, _) => format!("schema not migrated ({})", condition.reason),
        (UPGRADE, _) => "upgrade available".to_owned(),
        (type_, _) => format!("{} ({})", type_.to_lowercase(), condition.reason),
    };
    let since = condition.last_transition_time.0;
    if condition.message.is_empty() || is_told {
        format!("{state} since {since}")
    } else {
        format!("{state} since {since}: {}", condition.message)
    }
}
