//! Mail to the owners of accounts: links that confirm an address or set a new password.
//!
//! A mail is written into a queue of the store in one step with its link, and a worker sends it: an outage of the relay
//! delays it and loses nothing, as long as its link is good.

mod letter;
mod smtp;
mod worker;

use lettre::message::Mailbox;
use sentinel_domain::{
    account::{Account, Email, Username},
    audit::AuditEntry,
    config::MailConfig,
    ids::UserId,
    keyring::Keyring,
    mail::{LinkPurpose, LinkToken, MAIL, NewLink, QueuedMail},
    time::Timestamp,
};
use sentinel_http::{
    client::ClientAddress,
    problem::{Code, Problem},
    rate::Action,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{letter::Letter, smtp::Relay};
pub use self::{smtp::SmtpLogin, worker::send_queued};
use crate::service::{UsersService, own};

/// Why mail can't be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The sender is no address.
    #[error("`mail.from` is not an address such as `Sentinel <chat@example.com>`")]
    From(#[source] lettre::address::AddressError),
    /// The link's base is no address of the web.
    #[error("`mail.baseUrl` must begin with https:// or http://")]
    BaseUrl,
    /// The relay can't be used as configured.
    #[error("the mail relay of `mail` can't be set up")]
    Relay(#[source] lettre::transport::smtp::Error),
    /// A mail could not be written.
    #[error("a mail could not be written")]
    Letter(#[source] lettre::error::Error),
    /// What was queued can't be read.
    #[error("queued mail can't be opened")]
    Sealed(#[from] sentinel_domain::keyring::KeyError),
    /// What was queued can't be read.
    #[error("queued mail can't be read")]
    Queued(#[from] serde_json::Error),
    /// The receiver is no address that mail can be sent to.
    #[error("the receiver's address can't be used")]
    Receiver(#[source] lettre::address::AddressError),
    /// The relay did not take it.
    #[error("the mail relay did not take the mail")]
    Refused(#[source] lettre::transport::smtp::Error),
}

/// What mail is sent with.
pub struct Mail {
    relay: Relay,
    from: Mailbox,
    base_url: String,
}

/// What a queued mail says; sealed in the queue.
#[derive(Serialize, Deserialize)]
struct Queued {
    to: String,
    /// Whom it greets; empty where nobody is greeted by name. Programs of before cannot do without.
    username: String,
    purpose: LinkPurpose,
    token: String,
}

impl Mail {
    /// Mail through the configured relay. `login` and `authorities` (PEM) are the contents of the configured files.
    pub fn new(config: &MailConfig, login: Option<SmtpLogin>, authorities: Option<&[u8]>) -> Result<Self, MailError> {
        if !["https://", "http://"].iter().any(|scheme| config.base_url.starts_with(scheme)) {
            return Err(MailError::BaseUrl);
        }
        Ok(Self {
            relay: Relay::new(config, login, authorities)?,
            from: config.from.parse().map_err(MailError::From)?,
            base_url: config.base_url.trim_end_matches('/').to_owned(),
        })
    }

    async fn send(&self, keyring: &Keyring, mail: &QueuedMail) -> Result<(), MailError> {
        let queued: Queued = serde_json::from_slice(&keyring.open(MAIL, mail.id.as_bytes(), &mail.sealed)?)?;
        let username = Some(queued.username.as_str()).filter(|username| !username.is_empty());
        let letter = Letter::of(queued.purpose, username, &self.base_url, &queued.token);
        let to = Mailbox::new(None, queued.to.parse().map_err(MailError::Receiver)?);
        self.relay.send(letter.to_message(self.from.clone(), to, mail.id)?).await
    }
}

impl UsersService {
    /// Refuses what needs mail where there is none.
    pub(crate) fn require_mail(&self) -> Result<(), Problem> {
        if self.mail.is_some() {
            return Ok(());
        }
        let detail = "this deployment sends no mail; ask its administrators";
        Err(Problem::new(axum::http::StatusCode::FORBIDDEN, Code::MailDisabled, detail))
    }

    /// Counts a mail to an address: one budget for each, whoever has it sent and for whatever.
    pub(crate) fn check_mail_budget(&self, email: &Email) -> Result<(), Problem> {
        let one_spelling = Email::parse(email.as_str());
        self.limits.check(Action::Mail, one_spelling.as_ref().unwrap_or(email).as_str())
    }

    /// Queues a mail with a new link; earlier links for the same purpose are good no more.
    pub(crate) async fn mail_link(&self, account: &Account, purpose: LinkPurpose) -> Result<(), Problem> {
        // Until it is confirmed, somebody else than the owner of the address may have chosen the name.
        let greeted = account.email_verified.then_some(&account.username);
        let link = self.new_link(account.id, greeted, &account.email, purpose)?;
        self.stores.mail.queue_link(link).await.map_err(own)?;
        self.mail_was_queued(purpose);
        Ok(())
    }

    /// Counts a mail that was queued and lets it be sent.
    pub(crate) fn mail_was_queued(&self, purpose: LinkPurpose) {
        metrics::counter!("sentinel_mails_queued_total", "purpose" => purpose.as_str()).increment(1);
        self.mail_waits.notify_one();
    }

    /// A new link with its mail, to be stored. Nobody is `greeted` by name but the owner of the address.
    pub(crate) fn new_link(
        &self,
        user: UserId,
        greeted: Option<&Username>,
        email: &Email,
        purpose: LinkPurpose,
    ) -> Result<NewLink, Problem> {
        let expires_at = Timestamp::now().plus_seconds(purpose.lifetime_seconds());
        let id = Uuid::now_v7();
        let (token, sealed) = LinkToken::random()
            .map_err(MailError::from)
            .and_then(|token| {
                let queued = Queued {
                    to: email.as_str().to_owned(),
                    username: greeted.map(Username::to_string).unwrap_or_default(),
                    purpose,
                    token: token.to_text(),
                };
                let sealed = self.keyring.seal(MAIL, id.as_bytes(), &serde_json::to_vec(&queued)?)?;
                Ok((token, sealed))
            })
            .map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "a link could not be made");
                Problem::internal()
            })?;
        let mail = QueuedMail { id, sealed, expires_at, attempts: 0 };
        Ok(NewLink { hash: token.hash(), purpose, user, expires_at, mail })
    }
}

/// An entry as of now, from where the request came; the store adds whose account it is.
pub(crate) fn entry(action: sentinel_domain::audit::AuditAction, client: &ClientAddress) -> AuditEntry {
    AuditEntry::now(action, None, None).from_address(client.0.to_string())
}
