//! Handling what one partition brought: in order, again and again while what it needs is away.

use std::sync::Arc;

use sentinel_domain::{outbox::PlatformEvent, ports::EventHandler};

use super::dead_letters::{DeadLetters, Letter};
use crate::handling::{self, Pause};

/// What a consumer does with events.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) handler: Arc<dyn EventHandler>,
    pub(super) dead_letters: DeadLetters,
}

impl Work {
    /// Handles records of one partition, in order. When it returns, each was handled or is a dead letter. It waits as
    /// long as an outage takes: whoever no longer needs the answer drops it.
    pub(super) async fn handle(&self, letters: &[Letter]) {
        for run in runs(letters) {
            match run {
                Run::Events { events, letters } => self.events(&events, letters).await,
                Run::Unreadable { letter, why } => self.bury(letter, &why).await,
            }
        }
    }

    async fn events(&self, events: &[PlatformEvent], letters: &[Letter]) {
        match (self.attempt(events).await, letters) {
            (Ok(()), _) => return,
            (Err(why), [letter]) => return self.bury(letter, &why).await,
            (Err(_), _) => {}
        }
        // One of them is the culprit; the others deserve their own try, which may be their second.
        for (event, letter) in events.iter().zip(letters) {
            if let Err(why) = self.attempt(std::slice::from_ref(event)).await {
                self.bury(letter, &why).await;
            }
        }
    }

    async fn attempt(&self, events: &[PlatformEvent]) -> Result<(), String> {
        handling::handle(self.handler.as_ref(), events, &self.dead_letters.group, Pause::GROWING).await
    }

    async fn bury(&self, letter: &Letter, why: &str) {
        let Letter { partition, offset, .. } = letter;
        tracing::error!(partition, offset, why, group = self.dead_letters.group, "an event goes to the dead letters");
        let mut pause = Pause::GROWING;
        while let Err(error) = self.dead_letters.write(letter, why).await {
            tracing::warn!(%error, "the dead letter waits");
            pause.wait().await;
        }
        handling::count(&self.dead_letters.group, "dead", 1);
    }
}

/// Neighbouring records that are handled alike.
#[derive(Debug, PartialEq, Eq)]
enum Run<'a> {
    Events { events: Vec<PlatformEvent>, letters: &'a [Letter] },
    Unreadable { letter: &'a Letter, why: String },
}

/// Cuts records into what can be handled together, in order.
fn runs(letters: &[Letter]) -> Vec<Run<'_>> {
    let (mut runs, mut events, mut begin) = (Vec::new(), Vec::new(), 0);
    for (place, letter) in letters.iter().enumerate() {
        match serde_json::from_slice::<PlatformEvent>(&letter.payload) {
            Ok(event) => events.push(event),
            Err(error) => {
                if !events.is_empty() {
                    runs.push(Run::Events { events: std::mem::take(&mut events), letters: &letters[begin..place] });
                }
                runs.push(Run::Unreadable { letter, why: format!("not an event: {error}") });
                begin = place + 1;
            }
        }
    }
    if !events.is_empty() {
        runs.push(Run::Events { events, letters: &letters[begin..] });
    }
    runs
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        ids::{ChatId, EventId, UserId},
        outbox::Change,
    };
    use uuid::Uuid;

    use super::*;

    fn letter(offset: i64, payload: Vec<u8>) -> Letter {
        Letter { partition: 0, offset, key: Vec::new(), payload }
    }

    fn event(number: u128) -> PlatformEvent {
        let user = UserId(Uuid::from_u128(9));
        PlatformEvent {
            event_id: EventId(Uuid::from_u128(number)),
            chat_id: ChatId(Uuid::from_u128(8)),
            members: [user, user],
            change: Change::ChatDeleted,
        }
    }

    #[test]
    fn what_is_no_event_parts_those_before_from_those_after() {
        let json = |number| serde_json::to_vec(&event(number)).unwrap();
        let letters =
            [letter(0, json(1)), letter(1, json(2)), letter(2, b"{".to_vec()), letter(3, vec![]), letter(4, json(3))];
        let runs = runs(&letters);
        assert_eq!(runs.len(), 4, "{runs:?}");
        assert_eq!(runs[0], Run::Events { events: vec![event(1), event(2)], letters: &letters[..2] });
        assert!(matches!(&runs[1], Run::Unreadable { letter, .. } if letter.offset == 2));
        assert!(matches!(&runs[2], Run::Unreadable { letter, .. } if letter.offset == 3));
        assert_eq!(runs[3], Run::Events { events: vec![event(3)], letters: &letters[4..] });
        assert!(super::runs(&[]).is_empty());
    }
}
