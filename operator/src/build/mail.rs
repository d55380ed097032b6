//! Mail, as the platform's configuration tells it, and what is mounted for it.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use sentinel_domain::config::{MailConfig, MailTls};

use super::{
    Error,
    stores::CA,
    volumes::{self, read_only},
};
use crate::{
    api,
    providers::{AUTHORITIES, CREDENTIALS},
    steps::validate::ValidChat,
};

const MAIL: &str = "mail";

/// Where the relay is and what mails say; none when the resource says nothing of mail.
pub(super) fn config(chat: &ValidChat) -> Result<Option<Box<MailConfig>>, Error> {
    let Some(mail) = &chat.spec.mail else { return Ok(None) };
    let folder = |base: &str| PathBuf::from(base).join(MAIL);
    Ok(Some(Box::new(MailConfig {
        host: mail.host.clone(),
        port: u16::try_from(mail.port).map_err(|_| Error::Range("mail.port"))?,
        tls: match mail.tls {
            api::MailTls::Implicit => MailTls::Implicit,
            api::MailTls::StartTls => MailTls::StartTls,
            api::MailTls::Off => MailTls::Off,
        },
        ca: mail.ca_secret.as_ref().map(|_| folder(AUTHORITIES).join(CA)),
        credentials: mail.secret.as_ref().map(|_| folder(CREDENTIALS)),
        from: mail.from.clone(),
        base_url: mail.base_url.clone(),
    })))
}

/// Credentials and authorities of the relay, for the pods that send mail.
pub(super) fn mounted(chat: &ValidChat) -> (Vec<Volume>, Vec<VolumeMount>) {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let Some(mail) = &chat.spec.mail else { return (volumes, mounts) };
    if let Some(secret) = &mail.secret {
        volumes.push(volumes::secret("mail-credentials", &secret.name, None));
        mounts.push(read_only("mail-credentials", &format!("{CREDENTIALS}/{MAIL}")));
    }
    if let Some(secret) = &mail.ca_secret {
        volumes.push(volumes::secret("mail-authorities", &secret.name, Some(CA)));
        mounts.push(read_only("mail-authorities", &format!("{AUTHORITIES}/{MAIL}")));
    }
    (volumes, mounts)
}
