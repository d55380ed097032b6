//! The relay that mail goes through.

use std::{fmt, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use sentinel_domain::config::{MailConfig, MailTls};

use super::MailError;

/// How long the relay may take for each of its answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the relay lets this deployment in by.
#[derive(Clone)]
pub struct SmtpLogin {
    /// The user.
    pub username: String,
    /// The password; never logged.
    pub password: String,
}

impl fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One connection for each mail: they are few.
pub(super) struct Relay(AsyncSmtpTransport<Tokio1Executor>);

impl Relay {
    pub fn new(config: &MailConfig, login: Option<SmtpLogin>, authorities: Option<&[u8]>) -> Result<Self, MailError> {
        let parameters = || {
            let mut builder = TlsParameters::builder(config.host.clone());
            if let Some(authorities) = authorities {
                builder = builder.add_root_certificate(Certificate::from_pem(authorities)?);
            }
            builder.build()
        };
        let tls = match config.tls {
            MailTls::Implicit => Tls::Wrapper(parameters().map_err(MailError::Relay)?),
            // Never without: a relay that does not offer it is refused.
            MailTls::StartTls => Tls::Required(parameters().map_err(MailError::Relay)?),
            MailTls::Off => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some(login) = login {
            builder = builder.credentials(Credentials::new(login.username, login.password));
        }
        Ok(Self(builder.build()))
    }

    /// Hands a mail over; done once the relay has taken it.
    pub async fn send(&self, message: Message) -> Result<(), MailError> {
        self.0.send(message).await.map(drop).map_err(MailError::Refused)
    }
}
