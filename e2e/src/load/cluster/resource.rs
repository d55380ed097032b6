//! What a `SentinelChat` and its pods, as the API server shows them, say about readiness.

use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::kubectl::condition;

/// How long the chat took from its creation until it was ready, to the second; `None` when it was changed since, so that
/// the condition tells of something later.
pub fn became_ready(chat: &Value) -> Result<Option<Duration>> {
    if chat["metadata"]["generation"] != 1 || is_ready(chat).is_err() {
        return Ok(None);
    }
    let conditions = chat["status"]["conditions"].as_array().context("the chat has no conditions")?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    let changed = ready.map_or(&Value::Null, |ready| &ready["lastTransitionTime"]);
    let took = time(changed)?.duration_since(time(&chat["metadata"]["creationTimestamp"])?);
    let took = Duration::try_from(took).context("the chat was ready before it was made: do the clocks agree?")?;
    Ok(Some(took))
}

fn time(value: &Value) -> Result<Timestamp> {
    let text = value.as_str().context("the chat lacks a time")?;
    text.parse::<Timestamp>().with_context(|| format!("{text:?} is no time"))
}

/// Whether the chat is ready as it was last asked to be, and no pod is replaced any more: that would cut clients off.
/// Else what it lacks.
pub fn is_ready(chat: &Value) -> Result<(), String> {
    let (wanted, seen) = (&chat["metadata"]["generation"], &chat["status"]["observedGeneration"]);
    if wanted != seen {
        return Err(format!("generation {wanted} is not looked at, but {seen}"));
    }
    let conditions = &chat["status"]["conditions"];
    match (condition(chat, "Ready"), condition(chat, "Progressing")) {
        (Some("True"), progressing) if progressing != Some("True") => Ok(()),
        _ => Err(format!("the conditions are {conditions}")),
    }
}

/// How many replicas of the message service there shall be, and are.
pub fn message_replicas(chat: &Value) -> Result<u64> {
    message(chat)["desired"].as_u64().context("the status tells nothing of a message service: is this Distributed?")
}

/// Whether there are so many replicas of the message service, ready by what their pods and what the chat's status say;
/// else what is lacking.
pub fn has_message_replicas(chat: &Value, pods: &Value, replicas: u64) -> Result<(), String> {
    let pods = pods["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = pods.iter().filter(|pod| condition(pod, "Ready") == Some("True")).count() as u64;
    if (pods.len() as u64, ready) != (replicas, replicas) {
        return Err(format!("{ready} of {} pods are ready", pods.len()));
    }
    let message = message(chat);
    if message["desired"] != replicas || message["ready"] != replicas {
        return Err(format!("the status says {message}"));
    }
    is_ready(chat)
}

fn message(chat: &Value) -> &Value {
    let services = chat["status"]["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    services.iter().find(|service| service["name"] == "message").unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chat(generation: u64, observed: u64, ready: &str, replicas: u64) -> Value {
        json!({
            "metadata": {"generation": generation, "creationTimestamp": "2031-05-01T23:59:10Z"},
            "status": {
                "observedGeneration": observed,
                "conditions": [
                    {"type": "Progressing", "status": "False", "lastTransitionTime": "2031-05-02T00:05:00Z"},
                    {"type": "Ready", "status": ready, "lastTransitionTime": "2031-05-02T00:00:47Z"},
                ],
                "services": [
                    {"name": "users", "desired": 1, "ready": 1},
                    {"name": "message", "desired": replicas, "ready": replicas},
                ],
            },
        })
    }

    fn pods(ready: &[&str]) -> Value {
        let pod = |ready: &&str| json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
        json!({"items": ready.iter().map(pod).collect::<Vec<_>>()})
    }

    #[test]
    fn the_time_to_ready_is_that_of_the_first_generation_only() {
        assert_eq!(became_ready(&chat(1, 1, "True", 3)).unwrap(), Some(Duration::from_secs(97)));
        for later in [chat(2, 2, "True", 3), chat(1, 1, "False", 3)] {
            assert_eq!(became_ready(&later).unwrap(), None);
        }
        let mut timeless = chat(1, 1, "True", 3);
        timeless["metadata"]["creationTimestamp"] = Value::Null;
        became_ready(&timeless).unwrap_err();
    }

    #[test]
    fn a_replica_is_there_when_its_pod_and_the_status_say_so() {
        let has = |chat: &Value, ready: &[&str]| has_message_replicas(chat, &pods(ready), 4);
        let whole = chat(5, 5, "True", 4);
        has(&whole, &["True"; 4]).unwrap();
        assert_eq!(message_replicas(&whole).unwrap(), 4);
        has(&whole, &["True", "True", "True", "False"]).unwrap_err();
        has(&whole, &["True"; 5]).unwrap_err();
        has(&chat(5, 5, "True", 3), &["True"; 4]).unwrap_err();
        has(&chat(5, 4, "True", 4), &["True"; 4]).unwrap_err();
        has(&chat(5, 5, "Unknown", 4), &["True"; 4]).unwrap_err();
        let mut rolling = whole.clone();
        rolling["status"]["conditions"][0]["status"] = json!("True");
        has(&rolling, &["True"; 4]).unwrap_err();
        has(&json!({}), &[]).unwrap_err();
        message_replicas(&json!({})).unwrap_err();
    }
}
