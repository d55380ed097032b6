//! The service with what it depends on.

use std::sync::Arc;

use sentinel_domain::{
    keyring::Keyring,
    ports::{AccountStore, ChatStore, NotificationStore},
};
use sentinel_http::tokens::Tokens;

/// Notifications over the ports.
pub struct NotificationService {
    /// Names and blocks.
    pub accounts: Arc<dyn AccountStore>,
    /// Messages as they are now.
    pub chats: Arc<dyn ChatStore>,
    /// Notifications and preferences.
    pub notifications: Arc<dyn NotificationStore>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Keys behind cursors.
    pub keyring: Arc<Keyring>,
}
