//! `/admin/reindex`: making the search index anew, and how far that is.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    ids::{MessageId, UserId},
    reindex::{Reindex, ReindexEnd, ReindexFailure},
    time::Timestamp,
};
use sentinel_http::{
    auth::AdminCaller,
    client::ClientAddress,
    describe::{Any, NeedsAdmin, NeedsToken},
    extract::Json,
    problem::{Code, Problem, ProblemBody},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    http::App,
    reindex::{ReindexStatus, Reindexer},
    terms::Freshness,
};

/// Where a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReindexState {
    /// No process has begun it yet; one does within seconds.
    Waiting,
    /// A process is at it, or was and another one is about to begin again.
    Running,
    /// The index was made anew.
    Done,
    /// The index was made anew, but for messages that can't be read, because their key is missing or they are damaged, or that
    /// the search engine refuses. They are not found; see `messages_skipped`.
    Incomplete,
    /// It did not come through; the index goes on as it was.
    Failed,
}

/// The last rebuild of the index.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReindexRun {
    /// Its id.
    reindex_id: Uuid,
    // What the state says of itself describes it: together with text of its own it would be described as an object too.
    #[schema(inline)]
    state: ReindexState,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// By which admin; `null` for the command line, and for what the server does by itself after a change of keys.
    #[schema(value_type = Option<uuid::Uuid>)]
    started_by: Option<UserId>,
    /// How many processes have begun it: more than 1 when one was stopped or killed and another began again.
    attempts: u32,
    /// Messages that were made anew, as of a few seconds ago.
    messages_done: u64,
    /// About how many there are; `null` until that is known.
    messages_total: Option<u64>,
    /// Messages that can't be read, or that the search engine refuses, and that are not found any more, as of the end: put
    /// back keys that are missing and start another rebuild. What is damaged stays as it is.
    messages_skipped: u64,
    /// The ids of the first of them, at most 10. The log of the process that was at it tells why.
    #[schema(value_type = Vec<uuid::Uuid>)]
    first_skipped: Vec<MessageId>,
    /// When it ended; `null` until then.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why it failed: `store_unavailable` (the log tells which store, and why) or `interrupted` (its processes were
    /// stopped again and again); `null` when it did not.
    failure: Option<&'static str>,
}

impl From<Reindex> for ReindexRun {
    fn from(run: Reindex) -> Self {
        let Reindex { id, started_at, started_by, attempts, done, total, end } = run;
        let state = match &end {
            None if attempts == 0 => ReindexState::Waiting,
            None => ReindexState::Running,
            Some(ReindexEnd { failure: Some(_), .. }) => ReindexState::Failed,
            Some(ReindexEnd { skipped, .. }) if skipped.count > 0 => ReindexState::Incomplete,
            Some(_) => ReindexState::Done,
        };
        let (ended_at, failure) = (end.as_ref().map(|end| end.at), end.as_ref().and_then(|end| end.failure));
        let skipped = end.map(|end| end.skipped).unwrap_or_default();
        Self {
            reindex_id: id,
            state,
            started_at,
            started_by,
            attempts,
            messages_done: done,
            messages_total: total,
            messages_skipped: skipped.count,
            first_skipped: skipped.first,
            ended_at,
            failure: failure.map(ReindexFailure::as_str),
        }
    }
}

/// The search index and its last rebuild.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReindexAnswer {
    /// What the index gets of a text: `Blind` (keyed hashes of words) or `Plaintext` (the words).
    #[schema(example = "Blind")]
    mode: &'static str,
    /// Whether the index has terms of an older key or of the other mode, which a rebuild makes anew.
    needed: bool,
    /// What to do then, for people; `null` when there is nothing to do.
    advice: Option<&'static str>,
    /// The last rebuild; `null` when there was none.
    last: Option<ReindexRun>,
}

impl From<ReindexStatus> for ReindexAnswer {
    fn from(status: ReindexStatus) -> Self {
        let ReindexStatus { mode, freshness, last } = status;
        Self {
            mode: mode.as_str(),
            needed: freshness != Freshness::Current,
            advice: freshness.advice(),
            last: last.map(ReindexRun::from),
        }
    }
}

/// The search index and how far its rebuild is
///
/// For admins.
#[utoipa::path(
    get, path = "/admin/reindex", operation_id = "admin_show_reindex", tag = "admin", security(("bearer" = [])),
    responses((status = 200, description = "As of now.", body = ReindexAnswer), NeedsAdmin, NeedsToken, Any)
)]
pub(crate) async fn show(State(app): State<App>, _admin: AdminCaller) -> Result<Json<ReindexAnswer>, Problem> {
    Ok(Json(status(&app.reindexer).await?))
}

/// Make the search index anew
///
/// For admins. The index is written anew from the messages while it is used: searches and sends go on and find
/// everything. It is needed after a change of keys or of the search mode, and helps when something is missing. One rebuild
/// runs at a time; it goes on in another process when the one that was at it is stopped.
#[utoipa::path(
    post, path = "/admin/reindex", operation_id = "admin_start_reindex", tag = "admin", security(("bearer" = [])),
    responses(
        (status = 202, description = "It begins within seconds; ask for it to see how far it is.", body = ReindexAnswer),
        (status = 409, description = "Another one has not ended (`reindex_running`).",
            body = ProblemBody, content_type = "application/problem+json"),
        NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn start(
    State(app): State<App>,
    AdminCaller(admin): AdminCaller,
    client: ClientAddress,
) -> Result<(StatusCode, Json<ReindexAnswer>), Problem> {
    let by = admin.user_id;
    let entry = AuditEntry::now(AuditAction::ReindexStarted, Some(by), None).from_address(client.0.to_string());
    if !app.reindexer.start(by, entry).await? {
        let detail = "the search index is being made anew already; ask for GET /admin/reindex to see how far that is";
        return Err(Problem::new(StatusCode::CONFLICT, Code::ReindexRunning, detail));
    }
    Ok((StatusCode::ACCEPTED, Json(status(&app.reindexer).await?)))
}

async fn status(reindexer: &Reindexer) -> Result<ReindexAnswer, Problem> {
    Ok(reindexer.status().await?.into())
}

#[cfg(test)]
mod tests {
    use sentinel_domain::reindex::Skipped;

    use super::*;

    #[test]
    fn the_state_is_told_from_attempts_and_end() {
        let new = Reindex::now(None);
        let running = Reindex { attempts: 2, done: 7, total: Some(9), ..new.clone() };
        let end = |failure| Some(ReindexEnd { at: Timestamp::now(), failure, skipped: Skipped::default() });
        let unread = Skipped { count: 11, first: vec![MessageId(Uuid::nil())] };
        let unread = Reindex { end: end(None).map(|end| ReindexEnd { skipped: unread, ..end }), ..running.clone() };
        let failed = Reindex { end: end(Some(ReindexFailure::Interrupted)), ..running.clone() };
        for (run, state, failure) in [
            (new, ReindexState::Waiting, None),
            (Reindex { end: end(None), ..running.clone() }, ReindexState::Done, None),
            (running, ReindexState::Running, None),
            (unread, ReindexState::Incomplete, None),
            (failed, ReindexState::Failed, Some("interrupted")),
        ] {
            let told = ReindexRun::from(run);
            assert_eq!((told.state, told.failure), (state, failure));
        }
    }
}
