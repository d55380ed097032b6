//! `GET /admin/audit`: the audit log.

use axum::extract::State;
use sentinel_domain::{audit::AuditEntry, cursor, ids::UserId, time::Timestamp};
use sentinel_http::{
    auth::AdminCaller,
    describe::{Any, NeedsAdmin, NeedsToken, TakesParameters},
    extract::{Json, Query},
    page,
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::before;
use crate::service::Users;

/// What a cursor is bound to, besides the caller.
const QUERY: &str = "admin/audit";
const LIMIT: usize = 50;

/// An entry of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditAnswer {
    /// Its id.
    id: Uuid,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who; `null` for the command line, and for what strangers tried.
    #[schema(value_type = Option<uuid::Uuid>)]
    actor: Option<UserId>,
    /// What.
    #[schema(example = "user_disabled")]
    action: &'static str,
    /// To whom.
    #[schema(value_type = Option<uuid::Uuid>)]
    subject: Option<UserId>,
    /// From which network address.
    address: Option<String>,
    /// What else an admin wrote down, or the id of what it was about.
    note: Option<String>,
}

impl From<AuditEntry> for AuditAnswer {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, subject, address, note } = entry;
        Self { id, at, actor, action: action.as_str(), subject, address, note }
    }
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// Newest first.
    entries: Vec<AuditAnswer>,
    /// Where to go on; `null` on the last page.
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct List {
    /// Only what is about this account.
    #[param(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    /// Entries of a page, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Who did what to whom, newest first. Entries are kept for 400 days.
#[utoipa::path(
    get, path = "/admin/audit", operation_id = "admin_audit_log", tag = "admin", security(("bearer" = [])),
    params(List),
    responses(
        (status = 200, description = "A page of the log.", body = AuditPage),
        TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn list(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    Query(query): Query<List>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = page::limit(query.limit, LIMIT)?;
    let about = query.user_id.map_or_else(|| QUERY.to_owned(), |id| format!("{QUERY}/{id}"));
    let before = before(&users.keyring, &about, &admin, query.cursor.as_deref())?;
    let mut found = users.administration.audit_log(query.user_id, before, limit + 1).await?;
    let last = page::cut(&mut found, limit);
    let next_cursor = last.map(|entry| cursor::encode(&users.keyring, &about, admin.user_id, entry.id.as_bytes()));
    Ok(Json(AuditPage { entries: found.into_iter().map(AuditAnswer::from).collect(), next_cursor }))
}
