//! Pushes to devices: their configuration, and the Secrets that the pod which sends them reads.

use std::{collections::BTreeSet, path::PathBuf};

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use sentinel_domain::{
    config::{FcmConfig, PushConfig, WebPushConfig},
    key_file::VAPID_FILE,
};

use super::{
    Error,
    volumes::{self, read_only},
};
use crate::{endpoint::Endpoint, steps::validate::ValidChat};

/// Entry of the Secret with the service account.
pub(crate) const SERVICE_ACCOUNT: &str = "service-account.json";
const FCM_FOLDER: &str = "/etc/sentinel/push/fcm";
const VAPID_FOLDER: &str = "/etc/sentinel/push/vapid";
/// Where push services listen.
const HTTPS: i32 = 443;

pub(super) fn config(chat: &ValidChat) -> Result<PushConfig, Error> {
    let push = &chat.spec.push;
    let defaults = PushConfig::default();
    let delay_millis = u32::try_from(push.delay_seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
    let web = &push.web_push;
    Ok(PushConfig {
        fcm: push.fcm.as_ref().map(|fcm| FcmConfig {
            credentials: PathBuf::from(FCM_FOLDER).join(SERVICE_ACCOUNT),
            base_url: fcm.base_url.clone().unwrap_or_else(|| "https://fcm.googleapis.com".into()),
        }),
        web_push: WebPushConfig {
            key: web.key_secret.as_ref().map(|_| PathBuf::from(VAPID_FOLDER).join(VAPID_FILE)),
            subject: web.subject.clone().or_else(|| subject(chat)).unwrap_or(defaults.web_push.subject),
            allowed_hosts: web.allowed_hosts.clone(),
            allow_loopback: false,
        },
        delay_millis: delay_millis.ok_or(Error::Range("push.delaySeconds"))?,
        show_content: push.show_content,
        notify_delay_millis: defaults.notify_delay_millis,
    })
}

/// Whom push services may write to when the resource does not say it: who runs the chat, not who wrote the program.
fn subject(chat: &ValidChat) -> Option<String> {
    let page = chat.spec.gateway.host.as_ref().map(|host| format!("https://{host}"));
    page.or_else(|| {
        let from = chat.spec.mail.as_ref()?.from.trim();
        // Either an address, or a name and an address in angle brackets.
        let address = from.rsplit_once('<').map_or(from, |(_, rest)| rest.trim_end_matches('>'));
        Some(format!("mailto:{address}"))
    })
}

/// The Secrets of the pod that sends pushes.
pub(super) fn mounted(chat: &ValidChat) -> (Vec<Volume>, Vec<VolumeMount>) {
    let push = &chat.spec.push;
    let fcm = push.fcm.as_ref().map(|fcm| ("push-fcm", &fcm.credentials_secret.name, SERVICE_ACCOUNT, FCM_FOLDER));
    let vapid = push.web_push.key_secret.as_ref().map(|key| ("push-vapid", &key.name, VAPID_FILE, VAPID_FOLDER));
    fcm.into_iter()
        .chain(vapid)
        .map(|(name, secret, entry, folder)| (volumes::secret(name, secret, Some(entry)), read_only(name, folder)))
        .unzip()
}

/// Ports at which push services listen.
pub(super) fn ports(chat: &ValidChat) -> BTreeSet<i32> {
    let own = chat.spec.push.fcm.as_ref().and_then(|fcm| fcm.base_url.as_deref()).and_then(Endpoint::parse);
    own.map(|endpoint| i32::from(endpoint.port)).into_iter().chain([HTTPS]).collect()
}
