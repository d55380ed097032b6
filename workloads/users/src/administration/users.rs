//! `/admin/users`: accounts, and what admins do to them.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    account::{Standing, Username},
    audit::{AuditAction, AuditEntry},
    cursor,
    ids::UserId,
    ports::{AccountFilter, AccountRecord},
    time::Timestamp,
};
use sentinel_http::{
    auth::AdminCaller,
    client::ClientAddress,
    describe::{Any, MayBeMissing, NeedsAdmin, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path, Query},
    page,
    problem::{Code, Problem, ProblemBody},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{by, note};
use crate::service::Users;

const LIMIT: usize = 50;
const NAME_BYTES: usize = 32;

/// An account as admins see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminUser {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    /// Its name.
    username: String,
    /// Its address.
    email: String,
    /// The name to show.
    display_name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Whether it is an admin.
    admin: bool,
    /// Since when it is disabled; `null` when it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// How many sessions it has.
    sessions: u32,
}

impl From<AccountRecord> for AdminUser {
    fn from(record: AccountRecord) -> Self {
        let AccountRecord { account, standing: Standing { admin, disabled_at }, sessions } = record;
        Self {
            user_id: account.id,
            username: account.username.to_string(),
            email: account.email.as_str().to_owned(),
            display_name: account.display_name,
            created_at: account.created_at,
            admin,
            disabled_at,
            sessions,
        }
    }
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminUsers {
    /// By name.
    users: Vec<AdminUser>,
    /// Where to go on; `null` on the last page.
    next_cursor: Option<String>,
}

/// Which accounts to list.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// All.
    #[default]
    All,
    /// Admins.
    Admins,
    /// Disabled accounts.
    Disabled,
}

impl Which {
    fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Admins => "admins",
            Self::Disabled => "disabled",
        }
    }
}

impl From<Which> for AccountFilter {
    fn from(which: Which) -> Self {
        match which {
            Which::All => Self::All,
            Which::Admins => Self::Admins,
            Which::Disabled => Self::Disabled,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct List {
    /// What the name begins with.
    prefix: Option<String>,
    /// Which ones; all by default.
    #[serde(default)]
    #[param(inline)]
    which: Which,
    /// Accounts of a page, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List or search accounts, by name.
#[utoipa::path(
    get, path = "/admin/users", operation_id = "admin_list_users", tag = "admin", security(("bearer" = [])),
    params(List),
    responses(
        (status = 200, description = "A page of accounts.", body = AdminUsers),
        TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn list(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    Query(query): Query<List>,
) -> Result<Json<AdminUsers>, Problem> {
    let limit = page::limit(query.limit, LIMIT)?;
    let prefix = query.prefix.unwrap_or_default().to_ascii_lowercase();
    let bound = format!("admin/users/{}/{prefix}", query.which.as_str());
    let after = match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => Some(page::name_in(&users.keyring, &bound, admin.user_id, cursor)?),
        None => None,
    };
    if prefix.len() > NAME_BYTES || !Username::is_prefix(&prefix) {
        // No name begins like that.
        return Ok(Json(AdminUsers { users: Vec::new(), next_cursor: None }));
    }
    let which = query.which.into();
    let mut found = users.administration.account_records(&prefix, which, after.as_deref(), limit + 1).await?;
    let last = page::cut(&mut found, limit).map(|record| record.account.username.as_str().as_bytes());
    let next_cursor = last.map(|name| cursor::encode(&users.keyring, &bound, admin.user_id, name));
    Ok(Json(AdminUsers { users: found.into_iter().map(AdminUser::from).collect(), next_cursor }))
}

/// One account.
#[utoipa::path(
    get, path = "/admin/users/{id}", operation_id = "admin_show_user", tag = "admin", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "Who.")),
    responses(
        (status = 200, description = "The account.", body = AdminUser),
        MayBeMissing, TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn show(
    State(users): State<Users>,
    _admin: AdminCaller,
    Path(id): Path<UserId>,
) -> Result<Json<AdminUser>, Problem> {
    let record = users.administration.account_record(id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(record.into()))
}

/// Why an account is disabled.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Disabling {
    /// For the audit log; at most 1000 characters.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Disable an account: its sessions end, its sockets close within two seconds, and it can't log in.
///
/// Admins can't be disabled (409 `is_admin`): take the right away first, with `sentinel admin revoke`.
#[utoipa::path(
    post, path = "/admin/users/{id}/disable", operation_id = "admin_disable_user", tag = "admin",
    security(("bearer" = [])), request_body = Option<Disabling>,
    params(("id" = uuid::Uuid, Path, description = "Who.")),
    responses(
        (status = 204, description = "Disabled. A repeat changes only the time."),
        (status = 409, description = "The account is an admin's (`is_admin`).",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The reason can't be one (`invalid_note`).",
            body = ProblemBody, content_type = "application/problem+json"),
        MayBeMissing, TakesJson, TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn disable(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    client: ClientAddress,
    Path(id): Path<UserId>,
    disabling: Option<Json<Disabling>>,
) -> Result<StatusCode, Problem> {
    let reason = note("reason", disabling.and_then(|Json(disabling)| disabling.reason))?;
    let entry = AuditEntry::now(AuditAction::UserDisabled, None, Some(id)).with_note(reason);
    let ended = users.administration.set_disabled(id, true, by(&admin, &client, entry)).await?;
    let ended = ended.ok_or_else(|| {
        let detail = "an admin's account can't be disabled; run `sentinel admin revoke` first";
        Problem::new(StatusCode::CONFLICT, Code::IsAdmin, detail)
    })?;
    users.revoke(id, ended);
    Ok(StatusCode::NO_CONTENT)
}

/// Enable a disabled account: it can log in again.
#[utoipa::path(
    post, path = "/admin/users/{id}/enable", operation_id = "admin_enable_user", tag = "admin",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "Who.")),
    responses((status = 204, description = "Enabled."), MayBeMissing, TakesParameters, NeedsAdmin, NeedsToken, Any)
)]
pub(crate) async fn enable(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    client: ClientAddress,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    let entry = AuditEntry::now(AuditAction::UserEnabled, None, Some(id));
    users.administration.set_disabled(id, false, by(&admin, &client, entry)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all sessions of an account; it can log in again.
#[utoipa::path(
    delete, path = "/admin/users/{id}/sessions", operation_id = "admin_end_sessions", tag = "admin",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "Whose.")),
    responses(
        (status = 204, description = "The sessions have ended, their sockets close."),
        MayBeMissing, TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn end_sessions(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    client: ClientAddress,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    let entry = AuditEntry::now(AuditAction::SessionsEnded, None, Some(id));
    let ended = users.administration.end_all_sessions(id, by(&admin, &client, entry)).await?;
    users.revoke(id, ended);
    Ok(StatusCode::NO_CONTENT)
}
