//! `POST /reports`: tells the admins about an account or one of its messages.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    keyring::Keyring,
    report::{self, EVIDENCE, Report, ReportReason},
    time::Timestamp,
};
use sentinel_http::{
    auth::Asker,
    describe::{Any, MayBeMissing, NeedsToken, TakesJson},
    extract::Json,
    problem::{Code, Problem, ProblemBody},
    rate::Action,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{administration::note, service::Users};

/// Why something is reported.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Unwanted advertising.
    Spam,
    /// Harassment or threats.
    Harassment,
    /// Content that is against the law.
    Illegal,
    /// An account that pretends to be somebody else.
    Impersonation,
    /// Anything else; the comment tells.
    Other,
}

impl From<Reason> for ReportReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Spam => Self::Spam,
            Reason::Harassment => Self::Harassment,
            Reason::Illegal => Self::Illegal,
            Reason::Impersonation => Self::Impersonation,
            Reason::Other => Self::Other,
        }
    }
}

/// A report: of an account (`user_id`), or of a message (`chat_id` and `message_id`) and the account that wrote it.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewReport {
    /// Who is reported; not needed for a message.
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    /// The chat of the message.
    #[schema(value_type = Option<uuid::Uuid>)]
    chat_id: Option<ChatId>,
    /// The message.
    #[schema(value_type = Option<uuid::Uuid>)]
    message_id: Option<MessageId>,
    /// Why.
    reason: Reason,
    /// What else there is to say; at most 1000 characters.
    #[schema(max_length = 1000)]
    comment: Option<String>,
    /// Whether the admins may read the message. Without it they see that there is one, and not what it says.
    #[serde(default)]
    include_message: bool,
}

/// A report that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportAnswer {
    /// Its id.
    report_id: Uuid,
    /// The same as `report_id`.
    id: Uuid,
}

/// Report an account or one of its messages to the administrators.
///
/// The same again within an hour is the same report, until somebody resolves it or the message is edited. What says something
/// else, or has the message's text where the one before did not, is another one.
#[utoipa::path(
    post, path = "/reports", tag = "reports", security(("bearer" = [])), request_body = NewReport,
    responses(
        (status = 201, description = "The administrators will see it.", body = ReportAnswer),
        (status = 422, description = "It says of nobody (`missing`) or of half a message (`incomplete`), of a message that is \
            not the account's (`not_the_author`) or of the caller (`cannot_report_self`), or the comment can't be one \
            (`invalid_note`).", body = ProblemBody, content_type = "application/problem+json"),
        MayBeMissing, TakesJson, NeedsToken, Any,
    )
)]
pub(crate) async fn report(
    State(users): State<Users>,
    Asker(user): Asker,
    Json(new): Json<NewReport>,
) -> Result<(StatusCode, Json<ReportAnswer>), Problem> {
    users.limits.check(Action::Report, &user.user_id.to_string())?;
    let comment = note("comment", new.comment)?;
    let id = Uuid::now_v7();
    let message = match (new.chat_id, new.message_id) {
        (Some(chat), Some(message)) => Some(users.chats.message(user.user_id, chat, message).await?),
        (None, None) => None,
        _ => return Err(Problem::invalid("message_id", Code::Incomplete, "give chat_id and message_id together")),
    };
    let reported = match (&message, new.user_id) {
        (Some(message), None) => message.sender_id,
        (Some(message), Some(user_id)) if message.sender_id == user_id => user_id,
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "user_id",
                Code::NotTheAuthor,
                "the message is not of this account; leave out user_id",
            ));
        }
        (None, Some(user_id)) => user_id,
        (None, None) => return Err(Problem::invalid("user_id", Code::Missing, "say who or which message is reported")),
    };
    if reported == user.user_id {
        return Err(Problem::invalid(
            "user_id",
            Code::CannotReportSelf,
            "you can't report yourself; give another account or message",
        ));
    }
    let evidence = match &message {
        Some(message) if new.include_message => {
            let sealed = users.keyring.seal(EVIDENCE, id.as_bytes(), message.text.as_bytes());
            Some(sealed.map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "evidence could not be sealed");
                Problem::internal()
            })?)
        }
        _ => None,
    };
    let report = report::NewReport {
        id,
        reporter: user.user_id,
        reported,
        edited_at: message.as_ref().and_then(|message| message.edited_at),
        message: message.map(|message| (message.chat_id, message.id)),
        reason: new.reason.into(),
        comment,
        evidence,
        created_at: Timestamp::now(),
    };
    let report_id = users.stores.reports.create_report(report).await?;
    if report_id == id {
        metrics::counter!("sentinel_reports_total").increment(1);
    }
    Ok((StatusCode::CREATED, Json(ReportAnswer { report_id, id: report_id })))
}

/// What the reported message said; nothing when the reporter kept it or its key is gone.
pub(crate) fn open_evidence(keyring: &Keyring, report: &Report) -> Option<String> {
    let sealed = report.evidence.as_ref()?;
    match keyring.open(EVIDENCE, report.id.as_bytes(), sealed) {
        Ok(text) => String::from_utf8(text).ok(),
        Err(error) => {
            tracing::warn!(report = %report.id, error = &error as &dyn std::error::Error, "evidence can't be opened");
            None
        }
    }
}
