//! Sends what is queued, again and again until the relay takes it or its link is good no more.

use std::{sync::Arc, time::Duration};

use sentinel_domain::{
    keyring::KeyError,
    mail::{QueuedMail, retry_seconds},
    ports::StoreError,
    time::Timestamp,
};

use super::{Mail, MailError};
use crate::service::UsersService;

/// How often the queue is looked at when nobody says that something waits: mail of other processes, and attempts again.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);
/// Mails that are taken at once.
const TAKEN: usize = 10;
/// How long this process has a mail for itself; longer than the relay may take for all of them.
const LEASE_SECONDS: i64 = 900;
/// Attempts after which a mail is given up that the relay refuses for good.
const REFUSALS: u32 = 5;

/// Sends queued mail for as long as it is polled; does nothing where no mail is configured.
pub async fn send_queued(users: Arc<UsersService>) {
    let Some(mail) = &users.mail else { return };
    loop {
        match send_due(&users, mail).await {
            Ok(TAKEN..) => {}
            Ok(_) => {
                // Either way, the queue is looked at again.
                let _ = tokio::time::timeout(LOOKED_AT_EVERY, users.mail_waits.notified()).await;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the queue of mail can't be read now");
                tokio::time::sleep(LOOKED_AT_EVERY).await;
            }
        }
    }
}

/// Sends what is due; gives how many mails that were.
async fn send_due(users: &UsersService, mail: &Mail) -> Result<usize, StoreError> {
    let now = Timestamp::now();
    let due = users.stores.mail.take_mail(now, now.plus_seconds(LEASE_SECONDS), TAKEN).await?;
    for one in &due {
        handle(users, mail, one).await?;
    }
    Ok(due.len())
}

async fn handle(users: &UsersService, mail: &Mail, one: &QueuedMail) -> Result<(), StoreError> {
    let outcome = if one.expires_at <= Timestamp::now() {
        tracing::warn!(mail = %one.id, attempts = one.attempts, "a mail was not sent before its link expired");
        "expired"
    } else {
        match mail.send(&users.keyring, one).await {
            Ok(()) => "sent",
            Err(error) if is_hopeless(&error, one.attempts) => {
                tracing::error!(mail = %one.id, error = &error as &dyn std::error::Error, "a mail was given up");
                "given_up"
            }
            Err(error) => {
                tracing::warn!(mail = %one.id, error = &error as &dyn std::error::Error, "a mail is tried again later");
                metrics::counter!("mails_total", "outcome" => "delayed").increment(1);
                let until = Timestamp::now().plus_seconds(retry_seconds(one.attempts));
                return users.stores.mail.postpone_mail(one.id, until).await;
            }
        }
    };
    metrics::counter!("mails_total", "outcome" => outcome).increment(1);
    users.stores.mail.remove_mail(one.id).await
}

/// Whether another attempt can't help.
fn is_hopeless(error: &MailError, attempts: u32) -> bool {
    match error {
        // A refusal for good may be a fault of the relay's configuration that somebody is about to mend.
        MailError::Refused(error) => error.is_permanent() && attempts >= REFUSALS,
        // While a newer key is rolled out, another process has it, or this one after its next start.
        MailError::Sealed(KeyError::Missing(_)) => false,
        _ => true,
    }
}
