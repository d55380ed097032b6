//! `/admin/reports`: what people reported, and what became of it.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    cursor,
    ids::{ChatId, MessageId, UserId},
    report::{Report, ReportReason, Resolution},
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
use uuid::Uuid;

use super::{before, by, note};
use crate::{reports::open_evidence, service::Users};

const LIMIT: usize = 50;

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResolutionAnswer {
    /// Which admin.
    #[schema(value_type = uuid::Uuid)]
    by: UserId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What was done.
    resolution: String,
}

/// A report as admins see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminReport {
    /// Its id.
    report_id: Uuid,
    /// The same as `report_id`.
    id: Uuid,
    /// Who reported; `null` when that account is deleted.
    #[schema(value_type = Option<uuid::Uuid>)]
    reporter_id: Option<UserId>,
    /// Who is reported.
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    /// The reported account's name when it was reported.
    username: String,
    /// The name that the reported account showed when it was reported.
    display_name: String,
    /// Whether the reported account is deleted by now.
    account_deleted: bool,
    /// The chat of the message that it is about.
    #[schema(value_type = Option<uuid::Uuid>)]
    chat_id: Option<ChatId>,
    /// The message that it is about.
    #[schema(value_type = Option<uuid::Uuid>)]
    message_id: Option<MessageId>,
    /// Why.
    #[schema(example = "spam")]
    reason: &'static str,
    /// What the reporter wrote.
    comment: Option<String>,
    /// What the message said when it was reported; `null` unless the reporter included it.
    message: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// What became of it; `null` while it is open.
    resolved: Option<ResolutionAnswer>,
}

impl AdminReport {
    fn new(users: &Users, report: Report) -> Self {
        let message = open_evidence(&users.keyring, &report);
        let Report { id, reporter, reported, message: about, reason, comment, created_at, resolution, .. } = report;
        Self {
            report_id: id,
            id,
            reporter_id: reporter,
            user_id: reported.id,
            username: reported.username,
            display_name: reported.display_name,
            account_deleted: reported.deleted,
            chat_id: about.map(|(chat, _)| chat),
            message_id: about.map(|(_, message)| message),
            reason: ReportReason::as_str(reason),
            comment,
            message,
            created_at,
            resolved: resolution.map(|Resolution { by, at, note }| ResolutionAnswer { by, at, resolution: note }),
        }
    }
}

/// A page of reports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportsPage {
    /// Newest first.
    reports: Vec<AdminReport>,
    /// Where to go on; `null` on the last page.
    next_cursor: Option<String>,
}

/// Which reports to list.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportState {
    /// Nobody has resolved them.
    #[default]
    Open,
    /// An admin has.
    Resolved,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct List {
    /// Open ones by default.
    #[serde(default)]
    #[param(inline)]
    state: ReportState,
    /// Reports of a page, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What people reported, newest first.
///
/// Reports are kept for 180 days from when they were made, also when an account is deleted.
#[utoipa::path(
    get, path = "/admin/reports", operation_id = "admin_list_reports", tag = "admin", security(("bearer" = [])),
    params(List),
    responses(
        (status = 200, description = "A page of reports.", body = ReportsPage),
        TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn list(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    Query(query): Query<List>,
) -> Result<Json<ReportsPage>, Problem> {
    let limit = page::limit(query.limit, LIMIT)?;
    let open = query.state == ReportState::Open;
    let bound = if open { "admin/reports/open" } else { "admin/reports/resolved" };
    let before = before(&users.keyring, bound, &admin, query.cursor.as_deref())?;
    let mut found = users.stores.reports.reports(open, before, limit + 1).await?;
    let last = page::cut(&mut found, limit);
    let next_cursor = last.map(|report| cursor::encode(&users.keyring, bound, admin.user_id, report.id.as_bytes()));
    Ok(Json(ReportsPage { reports: found.into_iter().map(|it| AdminReport::new(&users, it)).collect(), next_cursor }))
}

/// What was done about a report.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Resolving {
    /// For other admins; at most 1000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    resolution: String,
}

/// Close a report, be the reported account there or deleted.
#[utoipa::path(
    post, path = "/admin/reports/{id}/resolve", operation_id = "admin_resolve_report", tag = "admin",
    security(("bearer" = [])), request_body = Resolving,
    params(("id" = uuid::Uuid, Path, description = "The report.")),
    responses(
        (status = 204, description = "Closed."),
        (status = 409, description = "It was closed before (`already_resolved`).",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`resolution` is not there (`missing_resolution`) or can't be one (`invalid_note`).",
            body = ProblemBody, content_type = "application/problem+json"),
        MayBeMissing, TakesJson, TakesParameters, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn resolve(
    State(users): State<Users>,
    AdminCaller(admin): AdminCaller,
    client: ClientAddress,
    Path(id): Path<Uuid>,
    Json(resolving): Json<Resolving>,
) -> Result<StatusCode, Problem> {
    let Some(note) = note("resolution", Some(resolving.resolution))? else {
        return Err(Problem::invalid("resolution", Code::MissingResolution, "say what was done"));
    };
    let entry = AuditEntry::now(AuditAction::ReportResolved, None, None).with_note(Some(id.to_string()));
    let entry = by(&admin, &client, entry);
    let resolution = Resolution { by: admin.user_id, at: entry.at, note };
    if users.stores.reports.resolve_report(id, resolution, entry).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(
            StatusCode::CONFLICT,
            Code::AlreadyResolved,
            "another admin has resolved this report; load the list anew",
        ))
    }
}
