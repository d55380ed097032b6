use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::{
    account::{Account, Standing},
    audit::AuditEntry,
    ids::{SessionId, UserId},
    report::{NewReport, Report, Resolution},
};

/// An account as admins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account.
    pub account: Account,
    /// What was made of it.
    pub standing: Standing,
    /// How many sessions it has.
    pub sessions: u32,
}

/// Which accounts to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountFilter {
    /// All.
    #[default]
    All,
    /// Admins.
    Admins,
    /// Disabled ones.
    Disabled,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Accounts, the disabled ones and admins included.
    pub users: u64,
    /// Disabled accounts.
    pub disabled: u64,
    /// Admins.
    pub admins: u64,
    /// Sessions that have not ended.
    pub sessions: u64,
    /// Reports without a resolution.
    pub open_reports: u64,
}

/// What admins do to accounts, and the audit log. Each change is stored together with its entry, or not at all. What ends an
/// account's sessions also takes back links that set its password.
#[async_trait]
pub trait AdministrationStore: Send + Sync {
    /// Makes an account an admin or takes that back, and ends its sessions, whose tokens would tell otherwise.
    /// Publishes `SessionEnded`; gives them. [`StoreError::NotFound`] when there is no such account.
    async fn set_admin(&self, id: UserId, admin: bool, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError>;
    /// Disables an account at the entry's time and ends its sessions, or enables it. Publishes `SessionEnded`; gives
    /// them. `None`, and nothing is stored, when the account to be disabled is an admin's. [`StoreError::NotFound`] when
    /// there is no such account.
    async fn set_disabled(
        &self,
        id: UserId,
        disabled: bool,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError>;
    /// Ends all sessions of an account. Publishes `SessionEnded`; gives them. [`StoreError::NotFound`] when there is
    /// no such account.
    async fn end_all_sessions(&self, id: UserId, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError>;
    /// Stores an entry of something that has happened.
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError>;
    /// Entries about an account, or all of them, newest first, from below `before` on.
    async fn audit_log(
        &self,
        about: Option<UserId>,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;
    /// One account.
    async fn account_record(&self, id: UserId) -> Result<Option<AccountRecord>, StoreError>;
    /// Accounts whose name begins with `prefix` and sorts after `after`, by name.
    async fn account_records(
        &self,
        prefix: &str,
        filter: AccountFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError>;
    /// How much there is.
    async fn statistics(&self) -> Result<Statistics, StoreError>;
}

/// Reports of abuse. They outlive the accounts of both sides, and go by themselves after [`REPORT_SECONDS`].
///
/// [`REPORT_SECONDS`]: crate::report::REPORT_SECONDS
#[async_trait]
pub trait ReportStore: Send + Sync {
    /// Stores a report with the names that the reported account has, and gives its id: that of the open one of the same
    /// reporter that says the same already ([`Report::says`]), if there is one, and then nothing is stored, whether or not
    /// the reported account is there. [`StoreError::NotFound`] when the reporter is gone, or who would be reported anew.
    async fn create_report(&self, report: NewReport) -> Result<Uuid, StoreError>;
    /// Reports that are open, or those that are not, newest first, from below `before` on.
    async fn reports(&self, open: bool, before: Option<Uuid>, limit: usize) -> Result<Vec<Report>, StoreError>;
    /// Reports that somebody made, newest first, from below `before` on.
    async fn reports_by(&self, reporter: UserId, before: Option<Uuid>, limit: usize)
    -> Result<Vec<Report>, StoreError>;
    /// Closes a report and stores the entry; `false`, and nothing is stored, when it was closed before.
    /// [`StoreError::NotFound`] when there is no such report.
    async fn resolve_report(&self, id: Uuid, resolution: Resolution, entry: AuditEntry) -> Result<bool, StoreError>;
}
