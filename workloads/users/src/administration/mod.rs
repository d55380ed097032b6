//! What admins can do, below `/admin`: all of it needs a token with the scope `admin`.

pub(crate) mod audit;
pub(crate) mod reports;
pub(crate) mod users;

use axum::extract::State;
use sentinel_domain::{audit::AuditEntry, keyring::Keyring, report::REPORT_TEXT_CHARACTERS, visible::is_plain_text};
use sentinel_http::{
    auth::{AdminCaller, AuthUser},
    client::ClientAddress,
    describe::{Any, NeedsAdmin, NeedsToken},
    extract::Json,
    page,
    problem::{Code, Problem},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::service::Users;

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatisticsAnswer {
    /// Accounts, the disabled ones and admins included.
    users: u64,
    /// Disabled accounts.
    disabled_users: u64,
    /// Admins.
    admins: u64,
    /// Sessions that have not ended.
    sessions: u64,
    /// Reports that nobody has resolved.
    open_reports: u64,
}

/// How much there is.
#[utoipa::path(
    get, path = "/admin/stats", tag = "admin", security(("bearer" = [])),
    responses((status = 200, description = "Numbers as of now.", body = StatisticsAnswer), NeedsAdmin, NeedsToken, Any)
)]
pub(crate) async fn statistics(
    State(users): State<Users>,
    _admin: AdminCaller,
) -> Result<Json<StatisticsAnswer>, Problem> {
    let statistics = users.administration.statistics().await?;
    Ok(Json(StatisticsAnswer {
        users: statistics.users,
        disabled_users: statistics.disabled,
        admins: statistics.admins,
        sessions: statistics.sessions,
        open_reports: statistics.open_reports,
    }))
}

/// An entry as this admin's, from where the request came.
fn by(admin: &AuthUser, client: &ClientAddress, entry: AuditEntry) -> AuditEntry {
    AuditEntry { actor: Some(admin.user_id), ..entry }.from_address(client.0.to_string())
}

/// The id that a page goes on from.
fn before(keyring: &Keyring, query: &str, caller: &AuthUser, cursor: Option<&str>) -> Result<Option<Uuid>, Problem> {
    Ok(page::after(keyring, query, caller.user_id, cursor)?.map(Uuid::from_bytes))
}

/// A note of bounded length without characters that could deceive in a list.
pub(crate) fn note(field: &'static str, text: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else { return Ok(None) };
    let fits = text.chars().count() <= REPORT_TEXT_CHARACTERS;
    if fits && is_plain_text(&text) {
        Ok(Some(text))
    } else {
        let detail =
            format!("must have at most {REPORT_TEXT_CHARACTERS} characters, and no control or invisible characters");
        Err(Problem::invalid(field, Code::InvalidNote, detail))
    }
}
