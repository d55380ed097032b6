//! Reports of abuse.

use serde::Serialize;
use uuid::Uuid;

use crate::{
    ids::{ChatId, MessageId, UserId},
    keyring::WrappedKey,
    time::Timestamp,
};

/// Longest comment of a reporter or note of an admin, in characters.
pub const REPORT_TEXT_CHARACTERS: usize = 1000;

/// How long a report is kept from when it was made, open or not and whatever becomes of the accounts, in seconds: 180 days.
pub const REPORT_SECONDS: i64 = 180 * 24 * 3600;

/// How long the same again is the same report, in seconds: an hour. Only who lost the answer sends it again so soon; later, it
/// tells that it goes on, and is kept as long as any other.
pub const SAME_REPORT_SECONDS: i64 = 3600;

/// What a report's evidence is sealed for.
pub const EVIDENCE: &str = "report-evidence";

/// Why something is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// Unwanted advertising.
    Spam,
    /// Harassment or threats.
    Harassment,
    /// Content that is against the law.
    Illegal,
    /// An account that pretends to be somebody else.
    Impersonation,
    /// Anything else; the comment tells.
    Other,
}

impl ReportReason {
    const ALL: [Self; 5] = [Self::Spam, Self::Harassment, Self::Illegal, Self::Impersonation, Self::Other];

    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::Harassment => "harassment",
            Self::Illegal => "illegal",
            Self::Impersonation => "impersonation",
            Self::Other => "other",
        }
    }

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What an admin made of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Who.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// What was done, for other admins.
    pub note: String,
}

/// A report of an account, or of one of its messages, as it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReport {
    /// Its id (`UUIDv7`), which sorts by time.
    pub id: Uuid,
    /// Who reports.
    pub reporter: UserId,
    /// Who is reported.
    pub reported: UserId,
    /// The chat and message that it is about.
    pub message: Option<(ChatId, MessageId)>,
    /// When that message was edited last, if it was.
    pub edited_at: Option<Timestamp>,
    /// Why.
    pub reason: ReportReason,
    /// What the reporter wrote.
    pub comment: Option<String>,
    /// What the message said, sealed by [`crate::keyring::Keyring::seal`]; only when the reporter chose so.
    pub evidence: Option<WrappedKey>,
    /// When.
    pub created_at: Timestamp,
}

impl NewReport {
    /// Only one that was made after this can be the same: an older one is of another time, or of another text.
    pub fn same_after(&self) -> Timestamp {
        let window = self.created_at.plus_seconds(-SAME_REPORT_SECONDS);
        self.edited_at.map_or(window, |edited| edited.max(window))
    }
}

/// An account that was reported, as a report keeps it: nobody gets out of a report by deleting the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Which account.
    pub id: UserId,
    /// Its name when it was reported.
    pub username: String,
    /// The name that it showed when it was reported.
    pub display_name: String,
    /// Whether the account is deleted by now.
    pub deleted: bool,
}

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id (`UUIDv7`), which sorts by time.
    pub id: Uuid,
    /// Who reports; nobody any more once that account is deleted.
    pub reporter: Option<UserId>,
    /// Who is reported.
    pub reported: Reported,
    /// The chat and message that it is about.
    pub message: Option<(ChatId, MessageId)>,
    /// Why.
    pub reason: ReportReason,
    /// What the reporter wrote.
    pub comment: Option<String>,
    /// What the message said, sealed; only when the reporter chose so.
    pub evidence: Option<WrappedKey>,
    /// When.
    pub created_at: Timestamp,
    /// What became of it; nothing yet when there is none.
    pub resolution: Option<Resolution>,
}

impl Report {
    /// Whether it is open, was made a short while before, and has all that another one of its reporter would tell.
    pub fn says(&self, new: &NewReport) -> bool {
        let Self { reporter, reported, message, reason, comment, evidence, created_at, resolution, .. } = self;
        let about = (*reporter, reported.id, *message) == (Some(new.reporter), new.reported, new.message);
        let why = (*reason, comment) == (new.reason, &new.comment);
        let still = resolution.is_none() && *created_at > new.same_after();
        about && why && still && (evidence.is_some() || new.evidence.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_name() {
        for reason in ReportReason::ALL {
            assert_eq!(ReportReason::parse(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
