//! Mail as configured: reads what the configuration only names.

use anyhow::Context as _;
use sentinel_adapters::credentials::Credentials;
use sentinel_domain::config::PlatformConfig;
use sentinel_users::mail::{Mail, SmtpLogin};

/// What mail is sent with; nothing where none is configured.
pub fn open(config: &PlatformConfig) -> anyhow::Result<Option<Mail>> {
    let Some(mail) = config.mail.as_deref() else { return Ok(None) };
    let login =
        mail.credentials.as_deref().map(Credentials::of_folder).transpose().context("reading `mail.credentials`")?;
    let login = login.map(|Credentials { username, password }| SmtpLogin { username, password });
    let ca = mail.ca.as_deref().map(std::fs::read).transpose().context("reading `mail.ca`")?;
    Ok(Some(Mail::new(mail, login, ca.as_deref())?))
}
