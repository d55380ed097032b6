//! The ServiceAccount of all pods. Nothing in them talks to the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::steps::validate::ValidChat;

pub(super) fn service_account(chat: &ValidChat) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(chat, chat.names.service_account(), None),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
