//! Events for people who ask `kubectl describe` why something is as it is: on transitions only.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::steps::status::conditions::{ACCEPTED, DEGRADED, PAUSED, PROGRESSING, READY, SCALING_IN, Trouble};

/// Bytes of a note that the API server takes.
const NOTE_MAX: usize = 1024;
/// Bytes of an action that it takes.
const ACTION_MAX: usize = 128;

/// Events for the step from `previous` to `next` conditions, and for each of `troubles` that was not told before.
pub fn transitions(previous: &[Condition], next: &[Condition], troubles: &[Trouble]) -> Vec<Event> {
    let degraded = find(previous, DEGRADED).filter(|condition| condition.status == "True");
    let is_new = |trouble: &&Trouble| degraded.is_none_or(|degraded| !trouble.is_told(degraded));
    let news = troubles.iter().filter(is_new);
    let news = news.map(|trouble| event(EventType::Warning, &trouble.reason, &trouble.message));
    let steps = next.iter().filter_map(|condition| transition(find(previous, &condition.type_), condition));
    news.chain(steps).collect()
}

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn transition(previous: Option<&Condition>, next: &Condition) -> Option<Event> {
    let was = previous.map(|condition| condition.status.as_str());
    let (type_, reason, note) = match (next.type_.as_str(), next.status.as_str()) {
        (READY, "True") if was != Some("True") => (EventType::Normal, "Ready", next.message.clone()),
        (READY, "False") if was == Some("True") => (EventType::Normal, "NotReady", next.message.clone()),
        (DEGRADED, "False") if was == Some("True") => {
            (EventType::Normal, "Recovered", "what was wrong is over".to_owned())
        }
        (ACCEPTED, "True") if was == Some("False") => {
            (EventType::Normal, "Accepted", "the resource can be carried out".to_owned())
        }
        (PROGRESSING, "True")
            if next.reason == SCALING_IN && previous.is_none_or(|previous| previous.message != next.message) =>
        {
            return Some(step(&next.message));
        }
        (PROGRESSING, _) if next.reason != SCALING_IN && previous.is_some_and(|p| p.reason == SCALING_IN) => {
            (EventType::Normal, "ScaledIn", "the stores have as many nodes as they may have".to_owned())
        }
        (PAUSED, "True") if was != Some("True") => (EventType::Normal, "Paused", next.message.clone()),
        (PAUSED, "False") if was == Some("True") => (EventType::Normal, "Resumed", "changes are made again".to_owned()),
        _ => return None,
    };
    Some(event(type_, reason, &note))
}

/// One step of a node that leaves; how much is left is none.
fn step(message: &str) -> Event {
    Event {
        action: action(message.split(',').next().unwrap_or(message)),
        ..event(EventType::Normal, SCALING_IN, message)
    }
}

/// An event about a reconcile.
pub fn event(type_: EventType, reason: &str, note: &str) -> Event {
    let shown = note[..note.floor_char_boundary(NOTE_MAX)].to_owned();
    Event { type_, reason: reason.to_owned(), note: Some(shown), action: action(note), secondary: None }
}

/// Events of one reason and action are counted, and the note of the first is shown for all of them: what is told anew needs
/// an action of its own.
fn action(of: &str) -> String {
    if of.is_empty() { "Reconcile".into() } else { of[..of.floor_char_boundary(ACTION_MAX)].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_anew_is_an_event_of_its_own() {
        let not_ready = |note: &str| event(EventType::Normal, "NotReady", note);
        let of_message = not_ready("message: 0 of 5 pods are ready");
        assert_ne!(of_message.action, not_ready("cassandra: 2 of 3 nodes are ready").action);
        assert_eq!(of_message.action, not_ready("message: 0 of 5 pods are ready").action);
        assert_eq!(not_ready(&"x".repeat(2000)).action.len(), 128, "as much as the API server takes");
        assert_eq!(not_ready("").action, "Reconcile", "it takes none that is empty");
        let long = not_ready(&"…".repeat(600));
        assert_eq!((long.action.len(), long.note.unwrap().len()), (126, 1023), "it counts bytes");
        assert_eq!(step("2 of 3 left, 7 MiB to go").action, step("2 of 3 left, 5 MiB to go").action);
    }
}
