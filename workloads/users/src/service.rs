//! The service with what it depends on.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use sentinel_domain::{
    account::{Account, Username},
    config::PlatformConfig,
    ids::{SessionId, UserId},
    keyring::Keyring,
    ports::{AccountStore, ChatStore, NotificationStore, SessionStore},
    session::{Session, refresh_token},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    problem::Problem,
    rate::{Action, RateLimits},
    tokens::{TokenError, Tokens},
};
use uuid::Uuid;

use crate::{
    answer::TokenAnswer,
    password::{PasswordError, Passwords},
};

/// Accounts, sessions, tokens, look-ups and blocks over the ports.
pub struct UsersService {
    /// Accounts and blocks.
    pub accounts: Arc<dyn AccountStore>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Chats, for the export of one's own data.
    pub chats: Arc<dyn ChatStore>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Keys behind refresh tokens and cursors.
    pub keyring: Arc<Keyring>,
    /// Rate limits.
    pub limits: Arc<RateLimits>,
    /// The configuration.
    pub config: Arc<PlatformConfig>,
    /// Password hashing.
    pub passwords: Passwords,
    /// Where new accounts find that they are welcome.
    pub notifications: Option<Arc<dyn NotificationStore>>,
}

impl UsersService {
    /// A service over these stores. Hashes one password, so that logging in as nobody takes as long as as somebody.
    pub fn new(
        accounts: Arc<dyn AccountStore>,
        sessions: Arc<dyn SessionStore>,
        chats: Arc<dyn ChatStore>,
        tokens: Arc<Tokens>,
        keyring: Arc<Keyring>,
        limits: Arc<RateLimits>,
        config: Arc<PlatformConfig>,
    ) -> Result<Self, PasswordError> {
        let passwords = Passwords::new()?;
        Ok(Self { accounts, sessions, chats, tokens, keyring, limits, config, passwords, notifications: None })
    }

    /// The same, with a notification for each new account.
    #[must_use]
    pub fn with_notifications(self, notifications: Arc<dyn NotificationStore>) -> Self {
        Self { notifications: Some(notifications), ..self }
    }

    /// Begins a session and gives its first tokens.
    pub(crate) async fn begin_session(
        &self,
        account: &Account,
        device: String,
    ) -> Result<(SessionId, TokenAnswer), Problem> {
        let now = Timestamp::now();
        let session = Session {
            id: SessionId(Uuid::new_v4()),
            user_id: account.id,
            device,
            created_at: now,
            refreshed_at: now,
            generation: 0,
        };
        let id = session.id;
        self.sessions.create_session(session).await?;
        Ok((id, self.token_answer(account.id, &account.username, id, 0, now)?))
    }

    /// The tokens of a session's generation.
    pub(crate) fn token_answer(
        &self,
        user_id: UserId,
        username: &Username,
        session: SessionId,
        generation: u32,
        now: Timestamp,
    ) -> Result<TokenAnswer, TokenError> {
        Ok(TokenAnswer {
            username: username.to_string(),
            user_id,
            access_token: self.tokens.issue(user_id, session, username, now)?.token,
            refresh_token: refresh_token(&self.keyring, session, generation),
            token_type: "Bearer",
            expires_in: self.tokens.lifetime_seconds(),
        })
    }

    /// Checks the caller's own password before something that can't be taken back; a wrong one is 403, because the
    /// caller's token is good and a client must not throw it away.
    pub(crate) async fn confirm_password(&self, user: &AuthUser, password: String) -> Result<(), Problem> {
        self.limits.check(Action::Password, &user.user_id.to_string())?;
        let credentials = self.accounts.credentials(user.user_id).await?.ok_or(TokenError::SessionEnded)?;
        if self.passwords.verify(password, Some(credentials.password_hash)).await?.matches {
            Ok(())
        } else {
            let status = axum::http::StatusCode::FORBIDDEN;
            Err(Problem::new(status, "invalid_credentials", "the password is wrong"))
        }
    }

    /// The caller's account.
    pub(crate) async fn own_account(&self, user: &AuthUser) -> Result<Account, Problem> {
        Ok(self.accounts.account(user.user_id).await?.ok_or(TokenError::SessionEnded)?)
    }
}

/// The service as the routes' state.
#[derive(Clone)]
pub(crate) struct Users(pub Arc<UsersService>);

impl Deref for Users {
    type Target = UsersService;

    fn deref(&self) -> &UsersService {
        &self.0
    }
}

impl FromRef<Users> for Arc<Tokens> {
    fn from_ref(users: &Users) -> Self {
        Arc::clone(&users.0.tokens)
    }
}
