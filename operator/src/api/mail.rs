//! The relay that mail goes through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Mail to the owners of accounts: confirmation of addresses and forgotten passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Name of the relay's host.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Its port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// How the connection is encrypted: from the start, by STARTTLS, or not at all.
    #[serde(default)]
    pub tls: MailTls,
    /// Secret with ca.crt, the authorities that the relay's certificate is checked by besides those of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretRef>,
    /// Secret with username and password; leave it out when the relay asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// The sender, for example Sentinel <chat@example.com>.
    #[schemars(length(min = 3, max = 320))]
    pub from: String,
    /// Where the web client is, for example `https://chat.example.com`; links in mails begin with it.
    #[schemars(length(min = 8, max = 1024))]
    pub base_url: String,
}

/// How the connection to the relay is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MailTls {
    /// From the start.
    #[default]
    Implicit,
    /// By STARTTLS, which the relay must offer.
    StartTls,
    /// Not at all.
    Off,
}

fn default_port() -> i32 {
    465
}
