//! The audit log: who did what to whom, when and from where. Entries have ids of people and no names, addresses of mail
//! or text, so that they may outlive an account.

use uuid::Uuid;

use crate::{ids::UserId, time::Timestamp};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAction {
    /// An account was made an admin.
    AdminGranted,
    /// An admin was made an ordinary account.
    AdminRevoked,
    /// An account was disabled.
    UserDisabled,
    /// A disabled account was enabled.
    UserEnabled,
    /// An admin ended all sessions of an account.
    SessionsEnded,
    /// An admin closed a report.
    ReportResolved,
    /// An admin sent a notice to a user or to all.
    NoticeSent,
    /// An admin, or the command line, started a rebuild of the search index.
    ReindexStarted,
    /// Somebody changed the own password.
    PasswordChanged,
    /// A password was set anew by a mailed link.
    PasswordReset,
    /// Somebody confirmed the own address of mail.
    EmailVerified,
    /// Somebody deleted the own account.
    AccountDeleted,
    /// Log-ins to an account were refused because there were too many.
    LoginsThrottled,
    /// A disabled account was refused although the password was right.
    DisabledLogin,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 14] = [
        Self::AdminGranted,
        Self::AdminRevoked,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::SessionsEnded,
        Self::ReportResolved,
        Self::NoticeSent,
        Self::ReindexStarted,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::EmailVerified,
        Self::AccountDeleted,
        Self::LoginsThrottled,
        Self::DisabledLogin,
    ];

    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdminGranted => "admin_granted",
            Self::AdminRevoked => "admin_revoked",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::SessionsEnded => "sessions_ended",
            Self::ReportResolved => "report_resolved",
            Self::NoticeSent => "notice_sent",
            Self::ReindexStarted => "reindex_started",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::EmailVerified => "email_verified",
            Self::AccountDeleted => "account_deleted",
            Self::LoginsThrottled => "logins_throttled",
            Self::DisabledLogin => "disabled_login",
        }
    }

    /// The action of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id (`UUIDv7`), which sorts by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who; nobody for the command line of whoever runs the deployment, and for what strangers tried.
    pub actor: Option<UserId>,
    /// What.
    pub action: AuditAction,
    /// To whom.
    pub subject: Option<UserId>,
    /// From which network address.
    pub address: Option<String>,
    /// What else an admin wrote down, or the id of what it was about.
    pub note: Option<String>,
}

impl AuditEntry {
    /// What somebody did to an account, now.
    pub fn now(action: AuditAction, actor: Option<UserId>, subject: Option<UserId>) -> Self {
        Self { id: Uuid::now_v7(), at: Timestamp::now(), actor, action, subject, address: None, note: None }
    }

    /// From where.
    #[must_use]
    pub fn from_address(self, address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..self }
    }

    /// What else there is to know.
    #[must_use]
    pub fn with_note(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.as_str()), Some(action));
        }
        assert_eq!(AuditAction::parse("something else"), None);
    }
}
