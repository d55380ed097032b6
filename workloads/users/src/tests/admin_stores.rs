//! What admins need of the ports, in memory.

use async_trait::async_trait;
use sentinel_domain::{
    audit::AuditEntry,
    ids::{SessionId, UserId},
    mail::LinkPurpose,
    ports::{AccountFilter, AccountRecord, AdministrationStore, ReportStore, Statistics, StoreError},
    report::{NewReport, Report, Reported, Resolution},
};
use uuid::Uuid;

use super::stores::{Data, Memory};

impl Data {
    fn end_all(&mut self, id: UserId, entry: AuditEntry) -> Vec<SessionId> {
        let ended = self.sessions.values().filter(|session| session.user_id == id).map(|session| session.id).collect();
        self.sessions.retain(|_, session| session.user_id != id);
        self.withdraw(id, LinkPurpose::ResetPassword);
        self.audit.push(entry);
        ended
    }

    /// What reports say of an account that is deleted.
    pub(super) fn forget_in_reports(&mut self, id: UserId) {
        for report in &mut self.reports {
            report.reporter.take_if(|reporter| *reporter == id);
            report.reported.deleted |= report.reported.id == id;
        }
    }

    fn record(&self, id: UserId) -> Option<AccountRecord> {
        let (account, _) = self.accounts.get(&id)?;
        let sessions = self.sessions.values().filter(|session| session.user_id == id).count();
        Some(AccountRecord {
            account: account.clone(),
            standing: self.standings.get(&id).copied().unwrap_or_default(),
            sessions: u32::try_from(sessions).unwrap(),
        })
    }
}

#[async_trait]
impl AdministrationStore for Memory {
    async fn set_admin(&self, id: UserId, admin: bool, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError> {
        let mut data = self.up()?;
        data.accounts.get(&id).ok_or(StoreError::NotFound)?;
        data.standings.entry(id).or_default().admin = admin;
        Ok(data.end_all(id, entry))
    }

    async fn set_disabled(
        &self,
        id: UserId,
        disabled: bool,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        let mut data = self.up()?;
        if data.record(id).ok_or(StoreError::NotFound)?.standing.admin && disabled {
            return Ok(None);
        }
        data.standings.entry(id).or_default().disabled_at = disabled.then_some(entry.at);
        if disabled {
            return Ok(Some(data.end_all(id, entry)));
        }
        data.audit.push(entry);
        Ok(Some(Vec::new()))
    }

    async fn end_all_sessions(&self, id: UserId, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError> {
        let mut data = self.up()?;
        data.accounts.get(&id).ok_or(StoreError::NotFound)?;
        Ok(data.end_all(id, entry))
    }

    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.up()?.audit.push(entry);
        Ok(())
    }

    async fn audit_log(
        &self,
        about: Option<UserId>,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let data = self.up()?;
        let wanted = |entry: &&AuditEntry| {
            about.is_none_or(|id| entry.subject == Some(id)) && before.is_none_or(|before| entry.id < before)
        };
        Ok(data.audit.iter().rev().filter(wanted).take(limit).cloned().collect())
    }

    async fn account_record(&self, id: UserId) -> Result<Option<AccountRecord>, StoreError> {
        Ok(self.up()?.record(id))
    }

    async fn account_records(
        &self,
        prefix: &str,
        filter: AccountFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let data = self.up()?;
        let wanted = |record: &AccountRecord| {
            let name = record.account.username.as_str();
            name.starts_with(prefix)
                && after.is_none_or(|after| name > after)
                && match filter {
                    AccountFilter::All => true,
                    AccountFilter::Admins => record.standing.admin,
                    AccountFilter::Disabled => record.standing.disabled_at.is_some(),
                }
        };
        let mut found: Vec<_> = data.accounts.keys().filter_map(|id| data.record(*id)).filter(wanted).collect();
        found.sort_by(|a, b| a.account.username.cmp(&b.account.username));
        found.truncate(limit);
        Ok(found)
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        let data = self.up()?;
        let count = |wanted: fn(&AccountRecord) -> bool| {
            data.accounts.keys().filter_map(|id| data.record(*id)).filter(wanted).count() as u64
        };
        Ok(Statistics {
            users: data.accounts.len() as u64,
            disabled: count(|record| record.standing.disabled_at.is_some()),
            admins: count(|record| record.standing.admin),
            sessions: data.sessions.len() as u64,
            open_reports: data.reports.iter().filter(|report| report.resolution.is_none()).count() as u64,
        })
    }
}

#[async_trait]
impl ReportStore for Memory {
    async fn create_report(&self, report: NewReport) -> Result<Uuid, StoreError> {
        let mut data = self.up()?;
        if let Some(known) = data.reports.iter().find(|known| known.says(&report)) {
            return Ok(known.id);
        }
        let (account, _) = data.accounts.get(&report.reported).ok_or(StoreError::NotFound)?;
        let reported = Reported {
            id: account.id,
            username: account.username.to_string(),
            display_name: account.display_name.clone(),
            deleted: false,
        };
        let NewReport { id, reporter, message, reason, comment, evidence, created_at, .. } = report;
        let reporter = Some(reporter);
        data.reports.push(Report {
            id,
            reporter,
            reported,
            message,
            reason,
            comment,
            evidence,
            created_at,
            resolution: None,
        });
        Ok(id)
    }

    async fn reports_by(
        &self,
        reporter: UserId,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError> {
        let data = self.up()?;
        let wanted =
            |report: &&Report| report.reporter == Some(reporter) && before.is_none_or(|before| report.id < before);
        Ok(data.reports.iter().rev().filter(wanted).take(limit).cloned().collect())
    }

    async fn reports(&self, open: bool, before: Option<Uuid>, limit: usize) -> Result<Vec<Report>, StoreError> {
        let data = self.up()?;
        let wanted =
            |report: &&Report| report.resolution.is_none() == open && before.is_none_or(|before| report.id < before);
        Ok(data.reports.iter().rev().filter(wanted).take(limit).cloned().collect())
    }

    async fn resolve_report(&self, id: Uuid, resolution: Resolution, entry: AuditEntry) -> Result<bool, StoreError> {
        let mut data = self.up()?;
        let report = data.reports.iter_mut().find(|report| report.id == id).ok_or(StoreError::NotFound)?;
        if report.resolution.is_some() {
            return Ok(false);
        }
        report.resolution = Some(resolution);
        data.audit.push(entry);
        Ok(true)
    }
}
