//! A part of the platform as the conditions see it, be it a workload or something that is not counted in pods.

use crate::api::ServiceStatus;

/// A part of the platform, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in the status.
    pub name: &'static str,
    /// Pods that are wanted.
    pub desired: i32,
    /// Pods of the current revision that are ready.
    pub ready: i32,
    /// Whether its controller has seen the current generation, and no pod of an old revision is left.
    pub settled: bool,
    /// Whether there is an object yet.
    pub exists: bool,
    /// How far it is, where that is not told in pods.
    pub note: Option<String>,
    /// What will not go away by waiting.
    pub trouble: Option<String>,
    /// Reason for the condition that tells the trouble.
    pub trouble_reason: &'static str,
}

impl Part {
    /// A workload that is not there yet.
    pub fn of_pods(name: &'static str, desired: i32) -> Self {
        Self {
            name,
            desired,
            ready: 0,
            settled: false,
            exists: false,
            note: None,
            trouble: None,
            trouble_reason: "PodFailing",
        }
    }

    /// Something that serves or does not, whatever pods it may have.
    pub fn whole(name: &'static str, is_ready: bool) -> Self {
        Self { ready: i32::from(is_ready), settled: is_ready, exists: true, ..Self::of_pods(name, 1) }
    }

    /// The same with how far it is.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The same with what will not go away by waiting, and the reason for the condition that tells it.
    #[must_use]
    pub fn with_trouble(self, reason: &'static str, trouble: impl Into<String>) -> Self {
        Self { trouble: Some(trouble.into()), trouble_reason: reason, ..self }
    }

    /// Whether all pods of the current generation serve.
    pub fn is_ready(&self) -> bool {
        self.settled && self.ready >= self.desired
    }

    /// Whether waiting will help.
    pub fn is_moving(&self) -> bool {
        !self.is_ready() && self.trouble.is_none()
    }

    /// How far it is.
    pub fn progress(&self) -> String {
        match self.trouble.as_ref().or(self.note.as_ref()) {
            Some(text) => format!("{}: {text}", self.name),
            None if self.ready >= self.desired => format!("{}: pods of the old revision are ending", self.name),
            None => format!("{}: {} of {} pods are ready", self.name, self.ready, self.desired),
        }
    }

    /// Its entry in the status.
    pub fn report(&self) -> ServiceStatus {
        ServiceStatus {
            name: self.name.into(),
            desired: self.desired,
            ready: self.ready,
            message: self.trouble.as_ref().map(|trouble| trouble.chars().take(512).collect()),
        }
    }
}
