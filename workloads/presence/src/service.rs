//! The service with what it depends on.

use std::sync::Arc;

use sentinel_domain::{
    account::{Profile, Username},
    event::Origin,
    ids::UserId,
    ports::{AccountReader, PresenceStore, StoreError},
    presence::{Presence, PresenceStatus},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    problem::Problem,
    rate::{Action, RateLimits},
    tokens::Tokens,
};

/// Presence over the ports.
pub struct PresenceService {
    /// Names and blocks.
    pub accounts: Arc<dyn AccountReader>,
    /// Who is connected, and when somebody was last active.
    pub presence: Arc<dyn PresenceStore>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Rate limits.
    pub limits: Arc<RateLimits>,
}

impl PresenceService {
    /// The user of this name as the caller may see it.
    pub(crate) async fn by_name(&self, caller: UserId, username: &str) -> Result<(Profile, Presence), Problem> {
        self.limits.check(Action::Lookup, &caller.to_string())?;
        // A name that nobody can have is one that nobody has.
        let username = Username::parse(username).map_err(|_| Problem::not_found())?;
        let profile = self.accounts.profile_by_username(&username).await?.ok_or_else(Problem::not_found)?;
        let presence = self.as_seen_by(caller, profile.user_id).await?;
        Ok((profile, presence))
    }

    /// The user with this id as the caller may see it.
    pub(crate) async fn by_id(&self, caller: UserId, user: UserId) -> Result<Presence, Problem> {
        self.limits.check(Action::Lookup, &caller.to_string())?;
        self.accounts.profiles(&[user]).await?.pop().ok_or_else(Problem::not_found)?;
        Ok(self.as_seen_by(caller, user).await?)
    }

    /// The caller is active now. A session that says so over HTTP is a device until its lease ends.
    pub(crate) async fn update(&self, caller: &AuthUser, user: UserId) -> Result<Timestamp, Problem> {
        let AuthUser { user_id: caller, session_id, .. } = *caller;
        if user != caller {
            return Err(Problem::forbidden("user_id is not the caller; give your own id"));
        }
        let now = Timestamp::now();
        self.presence.heartbeat(caller, Origin::of_session(session_id), now).await?;
        Ok(now)
    }

    /// With a block between them, a user looks as if never there.
    async fn as_seen_by(&self, caller: UserId, user_id: UserId) -> Result<Presence, StoreError> {
        let unknown = Presence { user_id, status: PresenceStatus::Offline, last_active: None };
        if caller != user_id && self.accounts.blocked_between(caller, user_id).await? {
            return Ok(unknown);
        }
        Ok(self.presence.presence(&[user_id]).await?.pop().unwrap_or(unknown))
    }
}
