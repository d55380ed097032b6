use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The relay that mail goes through, and what mails say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailConfig {
    /// The relay's host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: MailTls,
    /// A file with the authorities that the relay's certificate is checked by, in PEM, besides those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Folder with the files `username` and `password`; none: the relay asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// The sender, such as `Sentinel <chat@example.com>`.
    pub from: String,
    /// Where the client is, such as `https://chat.example.com`: links in mails begin with it.
    pub base_url: String,
}

/// How the connection to the relay is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailTls {
    /// From the start (port 465).
    #[default]
    Implicit,
    /// By `STARTTLS`, which the relay must offer (port 587).
    StartTls,
    /// Not at all; for a relay in the same pod or machine.
    Off,
}
