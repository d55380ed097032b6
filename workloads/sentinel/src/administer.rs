//! `sentinel admin`: who administers the platform. This is for whoever runs it, so that no name that could be registered
//! by anybody gives rights.

use std::sync::Arc;

use anyhow::Context as _;
use sentinel_domain::{
    account::Username,
    audit::{AuditAction, AuditEntry},
    config::PlatformConfig,
    ports::{AccountStore, AdministrationStore},
};

use crate::{distributed, embedded};

/// Makes an account an admin or takes that back. A running server notices within two seconds.
pub async fn set_admin(config: &PlatformConfig, username: &str, admin: bool) -> anyhow::Result<()> {
    if let Some(stores) = &config.stores {
        let postgres = Arc::new(distributed::administered(stores).await?);
        let done = change(&*postgres, &*postgres, username, admin).await;
        postgres.close().await;
        return done;
    }
    let sqlite = embedded::administered(config)?;
    let done = change(&sqlite, &sqlite, username, admin).await;
    sqlite.close();
    done
}

async fn change(
    accounts: &dyn AccountStore,
    administration: &dyn AdministrationStore,
    username: &str,
    admin: bool,
) -> anyhow::Result<()> {
    let missing = || format!("there is no account called {username:?}; register it first");
    let name = Username::parse(username).with_context(missing)?;
    let account = accounts.profile_by_username(&name).await?.with_context(missing)?;
    let action = if admin { AuditAction::AdminGranted } else { AuditAction::AdminRevoked };
    administration.set_admin(account.user_id, admin, AuditEntry::now(action, None, Some(account.user_id))).await?;
    Ok(())
}
