//! Mailed links and the queue of mail, in memory.

use async_trait::async_trait;
use sentinel_domain::{
    audit::AuditEntry,
    ids::{SessionId, UserId},
    mail::{LinkHash, LinkPurpose, NewLink, QueuedMail},
    ports::{MailStore, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use super::stores::{Data, Memory};

impl Data {
    /// Stores a link and its mail.
    pub fn queue(&mut self, link: NewLink) {
        self.withdraw(link.user, link.purpose);
        self.mail.push((link.mail.clone(), Timestamp(0)));
        self.links.push(link);
    }

    /// Takes back a link and its mail.
    pub fn withdraw(&mut self, user: UserId, purpose: LinkPurpose) {
        for link in self.links.extract_if(.., |link| (link.user, link.purpose) == (user, purpose)) {
            self.mail.retain(|(mail, _)| mail.id != link.mail.id);
        }
    }

    fn owner(&self, hash: LinkHash, purpose: LinkPurpose, now: Timestamp) -> Option<UserId> {
        let good = |link: &&NewLink| link.hash == hash && link.purpose == purpose && link.expires_at > now;
        self.links.iter().find(good).map(|link| link.user)
    }

    /// Uses a link, which shows that the address is its owner's.
    fn use_link(&mut self, hash: LinkHash, purpose: LinkPurpose, entry: AuditEntry) -> Option<UserId> {
        let user = self.owner(hash, purpose, entry.at)?;
        self.links.retain(|link| link.hash != hash);
        self.accounts.get_mut(&user)?.0.email_verified = true;
        self.audit.push(AuditEntry { actor: Some(user), subject: Some(user), ..entry });
        Some(user)
    }
}

#[async_trait]
impl MailStore for Memory {
    async fn queue_link(&self, link: NewLink) -> Result<(), StoreError> {
        let mut data = self.up()?;
        data.accounts.get(&link.user).ok_or(StoreError::NotFound)?;
        data.queue(link);
        Ok(())
    }

    async fn link_owner(
        &self,
        hash: LinkHash,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        Ok(self.up()?.owner(hash, purpose, now))
    }

    async fn verify_email(&self, hash: LinkHash, entry: AuditEntry) -> Result<Option<UserId>, StoreError> {
        Ok(self.up()?.use_link(hash, LinkPurpose::VerifyEmail, entry))
    }

    async fn reset_password(
        &self,
        hash: LinkHash,
        password_hash: String,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        let mut data = self.up()?;
        let Some(user) = data.use_link(hash, LinkPurpose::ResetPassword, entry) else { return Ok(None) };
        data.accounts.get_mut(&user).ok_or(StoreError::NotFound)?.1 = password_hash;
        let ended = data.sessions.values().filter(|it| it.user_id == user).map(|it| it.id).collect();
        data.sessions.retain(|_, session| session.user_id != user);
        Ok(Some(ended))
    }

    async fn take_mail(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        let mut data = self.up()?;
        let due = data.mail.iter_mut().filter(|(_, due)| *due <= now).take(limit);
        let taken = due.map(|(mail, due)| {
            mail.attempts += 1;
            *due = again_at;
            mail.clone()
        });
        Ok(taken.collect())
    }

    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        let mut data = self.up()?;
        data.mail.iter_mut().filter(|(mail, _)| mail.id == id).for_each(|(_, due)| *due = until);
        Ok(())
    }

    async fn remove_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.up()?.mail.retain(|(mail, _)| mail.id != id);
        Ok(())
    }
}
