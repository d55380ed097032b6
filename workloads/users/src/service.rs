//! The service with what it depends on.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use sentinel_domain::{
    account::{Account, Email, Standing, Username},
    audit::AuditEntry,
    config::PlatformConfig,
    event::Origin,
    ids::{SessionId, UserId},
    keyring::Keyring,
    ports::{
        AccountStore, AdministrationStore, ChatReader, Credentials, DeviceReader, MailStore, MediaReader,
        NotificationReader, NotificationSink, PreferenceReader, PresenceStore, ReportStore, SessionStore, StoreError,
    },
    session::{Session, refresh_token},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    problem::{Code, Problem},
    rate::{Action, RateLimits},
    tokens::{TokenError, Tokens},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    answer::TokenAnswer,
    mail::Mail,
    password::{PasswordError, Passwords},
};

/// The stores that the service needs.
#[derive(Clone)]
pub struct UserStores {
    /// Accounts and blocks.
    pub accounts: Arc<dyn AccountStore>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Chats, for the export of one's own data and for reports of messages.
    pub chats: Arc<dyn ChatReader>,
    /// Uploaded files, for the export.
    pub media: Arc<dyn MediaReader>,
    /// Devices that want pushes, for the export.
    pub devices: Arc<dyn DeviceReader>,
    /// Where new accounts find that they are welcome.
    pub notifications: Arc<dyn NotificationSink>,
    /// What users were told of, for the export.
    pub notification_lists: Arc<dyn NotificationReader>,
    /// How users want to be notified, for the export.
    pub preferences: Arc<dyn PreferenceReader>,
    /// What admins do, and the audit log.
    pub administration: Arc<dyn AdministrationStore>,
    /// Reports of abuse, also for the export.
    pub reports: Arc<dyn ReportStore>,
    /// Mailed links, and the queue of mail.
    pub mail: Arc<dyn MailStore>,
    /// Presence, of which what ends is no part any more.
    pub presence: Arc<dyn PresenceStore>,
}

/// Accounts, sessions, tokens, look-ups, blocks, reports and their administration over the ports.
pub struct UsersService {
    /// What is stored.
    pub stores: UserStores,
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
    /// What mail is sent with; none where it is not configured.
    pub mail: Option<Mail>,
    /// Told when mail was queued here.
    pub(crate) mail_waits: Notify,
}

impl UsersService {
    /// A service over these stores. Hashes one password, so that logging in as nobody takes as long as as somebody.
    pub fn new(
        stores: UserStores,
        tokens: Arc<Tokens>,
        keyring: Arc<Keyring>,
        limits: Arc<RateLimits>,
        config: Arc<PlatformConfig>,
    ) -> Result<Self, PasswordError> {
        let passwords = Passwords::new()?;
        let mail_waits = Notify::new();
        Ok(Self { stores, tokens, keyring, limits, config, passwords, mail: None, mail_waits })
    }

    /// Begins a session and gives its first tokens; `None` when the account is gone by now.
    pub(crate) async fn begin_session(
        &self,
        account: &Account,
        standing: Standing,
        device: String,
    ) -> Result<Option<(SessionId, TokenAnswer)>, Problem> {
        let now = Timestamp::now();
        let session = new_session(account.id, device, now);
        let id = session.id;
        // What can't be signed must not begin.
        let answer = self.token_answer(account.id, &account.username, standing, id, 0, now)?;
        match self.sessions.create_session(session).await {
            Ok(()) => Ok(Some((id, answer))),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The tokens of a session's generation.
    pub(crate) fn token_answer(
        &self,
        user_id: UserId,
        username: &Username,
        standing: Standing,
        session: SessionId,
        generation: u32,
        now: Timestamp,
    ) -> Result<TokenAnswer, TokenError> {
        let issued = if standing.admin {
            self.tokens.issue_admin(user_id, session, username, now)?
        } else {
            self.tokens.issue(user_id, session, username, now)?
        };
        Ok(TokenAnswer {
            username: username.to_string(),
            user_id,
            access_token: issued.token,
            refresh_token: refresh_token(&self.keyring, session, generation),
            token_type: "Bearer",
            expires_in: self.tokens.lifetime_seconds(),
        })
    }

    /// Checks the caller's own password before something that can't be taken back; a wrong one is 403, because the
    /// caller's token is good and a client must not throw it away. Gives the hash that it was checked against: what is done
    /// then must ask whether that is still the account's.
    pub(crate) async fn confirm_password(&self, user: &AuthUser, password: String) -> Result<String, Problem> {
        self.limits.check(Action::Password, &user.user_id.to_string())?;
        let credentials = self.accounts.credentials(user.user_id).await?.ok_or(TokenError::SessionEnded)?;
        let hash = credentials.password_hash;
        let verdict = self.passwords.verify(password, Some(hash.clone())).await?;
        if verdict.matches { Ok(hash) } else { Err(wrong_password("the password is wrong; type it again")) }
    }

    /// Stores an entry of something that has happened; what happened stays so when the log can't be written.
    pub(crate) async fn audit(&self, entry: AuditEntry) {
        let action = entry.action.as_str();
        if let Err(error) = self.administration.record(entry).await {
            tracing::error!(action, error = &error as &dyn std::error::Error, "the audit log was not written");
        }
    }

    /// Refuses the access tokens of a user's sessions that have ended. Those that told over HTTP that they were in use make
    /// the user present no more.
    pub(crate) fn revoke(&self, user: UserId, sessions: impl IntoIterator<Item = SessionId>) {
        let now = Timestamp::now();
        let devices: Vec<Origin> = sessions
            .into_iter()
            .inspect(|session| self.tokens.revoke_session(*session, now))
            .map(Origin::of_session)
            .collect();
        let presence = Arc::clone(&self.stores.presence);
        // Nobody waits for it: where it fails, the leases end by themselves.
        tokio::spawn(async move {
            for device in devices {
                if let Err(error) = presence.forget_device(user, device).await {
                    tracing::debug!(%error, "an ended session is seen as a device until its lease ends");
                    return;
                }
            }
        });
    }

    /// Forgets the presence of a user whose account was deleted. Nobody waits for it.
    pub(crate) fn forget_presence(&self, user: UserId) {
        let presence = Arc::clone(&self.stores.presence);
        tokio::spawn(async move {
            if let Err(error) = presence.forget(user).await {
                tracing::debug!(%error, "a deleted account is seen as present until its leases end");
            }
        });
    }

    /// The account with an address of mail, as it was typed. One from before each mailbox had one spelling is found by the
    /// spelling that it was made with, and first: no newer account has one that differs, and one with the other spelling
    /// must not be taken for it.
    pub(crate) async fn credentials_by_email(&self, typed: &str) -> Result<Option<Credentials>, StoreError> {
        let spellings = [Email::older_spelling(typed), Email::parse(typed).ok().map(|email| email.as_str().to_owned())];
        for spelling in spellings.into_iter().flatten() {
            if let Some(found) = self.accounts.credentials_by_login(&spelling).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The caller's account.
    pub(crate) async fn own_account(&self, user: &AuthUser) -> Result<Account, Problem> {
        Ok(self.accounts.account(user.user_id).await?.ok_or(TokenError::SessionEnded)?)
    }
}

/// Why something of the caller's own account did not happen: that it is gone means that its sessions have ended, too.
pub(crate) fn own(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound => TokenError::SessionEnded.into(),
        error => error.into(),
    }
}

/// A session that begins.
pub(crate) fn new_session(user_id: UserId, device: String, now: Timestamp) -> Session {
    Session::begin(SessionId(Uuid::new_v4()), user_id, device, now)
}

/// The caller's own password was asked for, and this was another.
pub(crate) fn wrong_password(detail: &'static str) -> Problem {
    Problem::new(axum::http::StatusCode::FORBIDDEN, Code::InvalidCredentials, detail)
}

impl Deref for UsersService {
    type Target = UserStores;

    fn deref(&self) -> &UserStores {
        &self.stores
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
