//! Bodies of answers.

use sentinel_domain::{
    account::{Account, Profile},
    ids::{SessionId, UserId},
    session::Session,
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// Tokens of a session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenAnswer {
    /// The account's name.
    #[schema(example = "ann")]
    pub username: String,
    /// The account's id.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// For `Authorization: Bearer …`.
    pub access_token: String,
    /// For `POST /token/refresh`; good for one use.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    pub expires_in: i64,
}

/// An account as others see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileAnswer {
    /// The account's name.
    #[schema(example = "ann")]
    pub username: String,
    /// The account's id.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// The name to show.
    pub display_name: String,
    /// Where the picture is.
    pub avatar_url: Option<String>,
}

impl From<Profile> for ProfileAnswer {
    fn from(profile: Profile) -> Self {
        Self {
            username: profile.username.to_string(),
            user_id: profile.user_id,
            display_name: profile.display_name,
            avatar_url: profile.avatar_url,
        }
    }
}

/// Accounts found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsersAnswer {
    /// By name.
    pub users: Vec<ProfileAnswer>,
}

/// A page of all accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryAnswer {
    /// By name.
    pub users: Vec<ProfileAnswer>,
    /// Where to go on; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// The caller's own account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountAnswer {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// Its name.
    pub username: String,
    /// The same as `username`.
    pub logged_in_as: String,
    /// Its address.
    pub email: String,
    /// Whether its owner has shown, by a mailed link, that the address is theirs.
    pub email_verified: bool,
    /// Whether this deployment sends mail; where it does not, no address can be confirmed, and `POST /email/verification`
    /// and `POST /password/forgot` are refused (`mail_disabled`).
    pub mail_enabled: bool,
    /// The name to show.
    pub display_name: String,
    /// Where the picture is.
    pub avatar_url: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl AccountAnswer {
    /// An account as its owner sees it, in a deployment that sends mail or does not.
    pub fn new(account: Account, mail_enabled: bool) -> Self {
        Self {
            user_id: account.id,
            username: account.username.to_string(),
            logged_in_as: account.username.to_string(),
            email: account.email.as_str().to_owned(),
            email_verified: account.email_verified,
            mail_enabled,
            display_name: account.display_name,
            avatar_url: account.avatar_url,
            created_at: account.created_at,
        }
    }
}

/// A log-in on one device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionAnswer {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub session_id: SessionId,
    /// The same as `session_id`.
    #[schema(value_type = uuid::Uuid)]
    pub id: SessionId,
    /// What the client called itself.
    pub device: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last got tokens.
    #[schema(value_type = String, format = DateTime)]
    pub refreshed_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl SessionAnswer {
    /// A session as seen from the one that asks.
    pub fn new(session: Session, asking: SessionId) -> Self {
        Self {
            session_id: session.id,
            id: session.id,
            device: session.device,
            created_at: session.created_at,
            refreshed_at: session.refreshed_at,
            current: session.id == asking,
        }
    }
}

/// A page of the caller's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsAnswer {
    /// Newest first.
    pub sessions: Vec<SessionAnswer>,
    /// Where to go on; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// A blocked account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockAnswer {
    /// Who is blocked.
    #[serde(flatten)]
    pub user: ProfileAnswer,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub blocked_at: Timestamp,
}

impl From<(Profile, Timestamp)> for BlockAnswer {
    fn from((profile, blocked_at): (Profile, Timestamp)) -> Self {
        Self { user: profile.into(), blocked_at }
    }
}

/// A page of the accounts that the caller blocks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlocksAnswer {
    /// Newest first.
    pub blocks: Vec<BlockAnswer>,
    /// Where to go on; `null` on the last page.
    pub next_cursor: Option<String>,
}
