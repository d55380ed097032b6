//! What clients see and send.

use sentinel_domain::{
    account::Profile,
    ids::UserId,
    presence::{Presence, PresenceStatus},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How present a user is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserActivity)]
pub(crate) struct ActivityView {
    /// The user's name.
    #[schema(example = "ann")]
    pub username: String,
    /// Whether a device of the user is in use: `status` is `online`.
    pub active: bool,
    /// `online`: a device is in use; `away`: one is connected; `offline`: none is.
    #[schema(value_type = String, example = "online")]
    pub status: PresenceStatus,
    /// When a device was last in use, in milliseconds since 1970; `null` when that is unknown.
    #[schema(example = 1_769_846_400_000_i64)]
    pub last_active_timestamp: Option<i64>,
}

impl ActivityView {
    pub fn new(profile: &Profile, presence: &Presence) -> Self {
        Self {
            username: profile.username.to_string(),
            active: presence.status == PresenceStatus::Online,
            status: presence.status,
            last_active_timestamp: presence.last_active.map(|at| at.0),
        }
    }
}

/// When a user was last active.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastActive)]
pub(crate) struct LastActiveView {
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// When a device was last in use, in milliseconds since 1970; `null` when that is unknown.
    #[schema(example = 1_769_846_400_000_i64)]
    pub last_active_timestamp: Option<i64>,
}

impl LastActiveView {
    pub fn new(user_id: UserId, at: Option<Timestamp>) -> Self {
        Self { user_id, last_active_timestamp: at.map(|at| at.0) }
    }
}

/// Whose activity.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ByName {
    /// The user's name.
    pub username: String,
}

/// Who.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ById {
    /// The user's id.
    #[param(value_type = uuid::Uuid)]
    pub user_id: UserId,
}

/// The body of `POST /update-last-active`.
#[derive(Deserialize, ToSchema)]
#[serde(try_from = "GivenUser")]
pub(crate) struct ActiveUser {
    /// The caller's id; `user_id` if left out.
    #[schema(rename = "userId", value_type = uuid::Uuid)]
    pub user_id: UserId,
}

/// Under either name, or both.
#[derive(Deserialize)]
struct GivenUser {
    #[serde(rename = "userId")]
    seeds: Option<UserId>,
    user_id: Option<UserId>,
}

impl TryFrom<GivenUser> for ActiveUser {
    type Error = &'static str;

    fn try_from(given: GivenUser) -> Result<Self, &'static str> {
        // Said as serde does, so that the field is named to clients as others are.
        given.seeds.or(given.user_id).map(|user_id| Self { user_id }).ok_or("missing field `userId`")
    }
}
