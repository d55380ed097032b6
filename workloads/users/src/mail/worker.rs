//! Sends what is queued, again and again until the relay takes it or its link is good no more.
//!
//! One mail is taken at a time, for as long as a slow relay may need. What the relay said is told to the queue until the
//! queue hears it: an outage of the store delays the mails that wait, and sends none of them twice.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
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
/// How long this process has a mail for itself; longer than the relay may take for one, with all its answers.
const LEASE_SECONDS: i64 = 300;
/// Attempts after which a mail is given up that the relay refuses for good.
const REFUSALS: u32 = 5;
/// How long a process that is told to stop goes on with the mail that it is at.
const FAREWELL: Duration = Duration::from_secs(3);

/// What becomes of a mail in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    /// Its link is good no more.
    Expired,
    /// Another attempt can't help.
    GivenUp,
    /// It is tried again after so many seconds.
    Delayed(i64),
    /// Somebody else may take it at once.
    GivenBack,
}

/// Sends queued mail until `stop`; does nothing where no mail is configured. To be polled until it ends: a mail that it is
/// at is then sent or given back.
pub async fn send_queued(users: Arc<UsersService>, stop: impl Future<Output = ()> + Send) {
    let Some(mail) = &users.mail else { return };
    let stop = stop.shared();
    loop {
        let now = Timestamp::now();
        match users.stores.mail.take_mail(now, now.plus_seconds(LEASE_SECONDS), 1).await {
            Ok(taken) if !taken.is_empty() => {
                for one in &taken {
                    let outcome = deliver(attempt(&users, mail, one), stop.clone()).await;
                    settle(&users, one, outcome, stop.clone()).await;
                }
                if stop.peek().is_some() {
                    return;
                }
            }
            Ok(_) => {
                let waits = tokio::time::timeout(LOOKED_AT_EVERY, users.mail_waits.notified());
                tokio::select! {
                    // Either way, the queue is looked at again.
                    _ = waits => {}
                    () = stop.clone() => return,
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the queue of mail can't be read now");
                tokio::select! {
                    () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
                    () = stop.clone() => return,
                }
            }
        }
    }
}

/// Goes on with an attempt, a little longer than until `stop`.
async fn deliver(attempt: impl Future<Output = Outcome>, stop: impl Future<Output = ()>) -> Outcome {
    tokio::pin!(attempt);
    tokio::select! {
        outcome = &mut attempt => outcome,
        () = stop => tokio::time::timeout(FAREWELL, attempt).await.unwrap_or(Outcome::GivenBack),
    }
}

async fn attempt(users: &UsersService, mail: &Mail, one: &QueuedMail) -> Outcome {
    if one.expires_at <= Timestamp::now() {
        tracing::warn!(mail = %one.id, attempts = one.attempts, "a mail was not sent before its link expired");
        return Outcome::Expired;
    }
    match mail.send(&users.keyring, one).await {
        Ok(()) => Outcome::Sent,
        Err(error) if is_hopeless(&error, one.attempts) => {
            tracing::error!(mail = %one.id, error = &error as &dyn std::error::Error, "a mail was given up");
            Outcome::GivenUp
        }
        Err(error) => {
            tracing::warn!(mail = %one.id, error = &error as &dyn std::error::Error, "a mail is tried again later");
            Outcome::Delayed(retry_seconds(one.attempts))
        }
    }
}

/// Tells the queue what became of a mail, until it hears it, the mail is anybody's again, or `stop`, with which one last try
/// is made.
async fn settle(users: &UsersService, one: &QueuedMail, outcome: Outcome, stop: impl Future<Output = ()>) {
    metrics::counter!("sentinel_mails_total", "outcome" => outcome.name()).increment(1);
    tokio::pin!(stop);
    let mut stopped = false;
    let until = Timestamp::now().plus_seconds(LEASE_SECONDS);
    while let Err(error) = store(users, one, outcome).await {
        tracing::warn!(
            mail = %one.id,
            outcome = outcome.name(),
            error = &error as &dyn std::error::Error,
            "the queue of mail can't be written now"
        );
        if stopped || Timestamp::now() >= until {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
            () = &mut stop => stopped = true,
        }
    }
}

async fn store(users: &UsersService, one: &QueuedMail, outcome: Outcome) -> Result<(), StoreError> {
    let queue = &users.stores.mail;
    match outcome {
        Outcome::Sent | Outcome::Expired | Outcome::GivenUp => queue.remove_mail(one.id).await,
        Outcome::Delayed(seconds) => queue.postpone_mail(one.id, Timestamp::now().plus_seconds(seconds)).await,
        Outcome::GivenBack => queue.postpone_mail(one.id, Timestamp::now()).await,
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Expired => "expired",
            Self::GivenUp => "given_up",
            Self::Delayed(_) => "delayed",
            Self::GivenBack => "given_back",
        }
    }
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
