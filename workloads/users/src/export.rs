//! `GET /me/export`: everything about the caller as lines of JSON, page by page. Of what was written only the ids of chats
//! stay in memory.

mod record;

use std::collections::HashSet;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::{SinkExt, channel::mpsc};
use sentinel_domain::{
    ids::{EventId, UserId},
    message::Chat,
    place::SETTLING_SECONDS,
    ports::{HistoryQuery, StoreError},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, NeedsToken},
    problem::Problem,
    rate::Action,
};
use tracing::Instrument;

use self::record::{Record, line};
use crate::service::Users;

/// Chats, messages or other records that are read at once.
const PAGE: usize = 100;
/// Chunks that may wait for a slow client, besides the one that is being made.
const CHUNKS: usize = 1;

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// A store failed.
    #[error("a store failed")]
    Store(#[from] StoreError),
    /// Something could not be written as JSON.
    #[error("a record could not be written")]
    Write(#[from] serde_json::Error),
    /// The client went away.
    #[error("the client went away")]
    Gone(#[from] mpsc::SendError),
}

type Chunks = mpsc::Sender<Result<Bytes, ExportError>>;

/// The caller's account, settings, files, chats, notifications, reports and entries of the audit log.
///
/// One JSON object a line: `{"record":"account",…}`, then `session`, `push_device`, `notification_preferences`, `block`,
/// `notification` (those of messages without what the messages say), `report` (those that the caller made), `audit` (what the
/// audit log has about the caller, with the network addresses, but for those of admins), `media` (uploaded files, without
/// their bytes), `chat` each followed by its `message`s, and at last `{"record":"end",…}` with how many there were of each from
/// `notification` on. Notifications, reports, entries of the audit log and messages begin with the newest. Without the last
/// line the export broke off.
#[utoipa::path(
    get, path = "/me/export", tag = "account", security(("bearer" = [])),
    responses(
        (status = 200, description = "Lines of JSON.", content_type = "application/x-ndjson", body = String),
        NeedsToken, Any,
    )
)]
pub(crate) async fn export(State(users): State<Users>, user: AuthUser) -> Result<Response, Problem> {
    users.limits.check(Action::Export, &user.user_id.to_string())?;
    let account = users.own_account(&user).await?;
    let first = line(&Record::account(&account)).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "an account could not be written");
        Problem::internal()
    })?;
    let (mut chunks, stream) = mpsc::channel(CHUNKS);
    let write = async move {
        if let Err(error) = write(&users, user.user_id, first, &mut chunks).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an export broke off");
            // Breaks the connection, so that nobody takes the part for the whole.
            let _ = chunks.send(Err(error)).await;
        }
    };
    tokio::spawn(write.in_current_span());
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sentinel-export.ndjson\""),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

async fn write(users: &Users, user: UserId, mut head: Vec<u8>, chunks: &mut Chunks) -> Result<(), ExportError> {
    for session in users.sessions.sessions(user).await? {
        head.append(&mut line(&Record::session(&session))?);
    }
    for device in users.devices.devices(user).await? {
        head.append(&mut line(&Record::push_device(&device))?);
    }
    head.append(&mut line(&Record::preferences(&users.preferences.preferences(user).await?))?);
    chunks.send(Ok(head.into())).await?;
    write_blocks(users, user, chunks).await?;
    let notifications = write_notifications(users, user, chunks).await?;
    let reports = write_reports(users, user, chunks).await?;
    let audit = write_audit(users, user, chunks).await?;
    let media = write_media(users, user, chunks).await?;
    let (chats, messages) = write_chats(users, user, chunks).await?;
    chunks.send(Ok(line(&Record::End { notifications, reports, audit, media, chats, messages })?.into())).await?;
    Ok(())
}

/// Writes whom the user blocks.
async fn write_blocks(users: &Users, user: UserId, chunks: &mut Chunks) -> Result<(), ExportError> {
    let mut before = None;
    loop {
        let page = users.accounts.blocks(user, before, PAGE).await?;
        let Some((last, since)) = page.last() else { return Ok(()) };
        before = Some((*since, last.user_id));
        let mut lines = Vec::new();
        for (profile, since) in &page {
            lines.append(&mut line(&Record::block(profile, *since))?);
        }
        chunks.send(Ok(lines.into())).await?;
    }
}

/// Writes what the user was told of; returns how many notifications there were.
async fn write_notifications(users: &Users, user: UserId, chunks: &mut Chunks) -> Result<u64, ExportError> {
    let (mut written, mut before) = (0, None);
    loop {
        let page = users.notification_lists.list(user, before, PAGE).await?;
        let Some(last) = page.last() else { return Ok(written) };
        before = Some(last.message_id);
        let mut lines = Vec::new();
        for notification in &page {
            lines.append(&mut line(&Record::notification(notification))?);
            written += 1;
        }
        chunks.send(Ok(lines.into())).await?;
    }
}

/// Writes what the user has reported; returns how many reports there were.
async fn write_reports(users: &Users, user: UserId, chunks: &mut Chunks) -> Result<u64, ExportError> {
    let (mut written, mut before) = (0, None);
    loop {
        let page = users.stores.reports.reports_by(user, before, PAGE).await?;
        let Some(last) = page.last() else { return Ok(written) };
        before = Some(last.id);
        let mut lines = Vec::new();
        for report in &page {
            lines.append(&mut line(&Record::report(report))?);
            written += 1;
        }
        chunks.send(Ok(lines.into())).await?;
    }
}

/// Writes what the audit log has about the user; returns how many entries there were.
async fn write_audit(users: &Users, user: UserId, chunks: &mut Chunks) -> Result<u64, ExportError> {
    let (mut written, mut before) = (0, None);
    loop {
        let page = users.administration.audit_log(Some(user), before, PAGE).await?;
        let Some(last) = page.last() else { return Ok(written) };
        before = Some(last.id);
        let mut lines = Vec::new();
        for entry in &page {
            lines.append(&mut line(&Record::audit(entry, user))?);
            written += 1;
        }
        chunks.send(Ok(lines.into())).await?;
    }
}

/// Writes what the user has uploaded and still has; returns how many files there were.
async fn write_media(users: &Users, user: UserId, chunks: &mut Chunks) -> Result<u64, ExportError> {
    let (mut written, mut after) = (0, None);
    loop {
        let page = users.media.owned(user, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(written) };
        after = Some(last.id);
        let mut lines = Vec::new();
        for media in &page {
            if media.is_kept(users.media.is_in_chat(media.id).await?, Timestamp::now()) {
                lines.append(&mut line(&Record::media(media))?);
                written += 1;
            }
        }
        chunks.send(Ok(lines.into())).await?;
    }
}

/// Writes all chats with their messages; returns how many there were of each.
///
/// A chat in which something is said moves to the top of the list, past the page that it would have been on. So the list
/// is gone through again, as far as something may have moved since, until all that is there was written.
async fn write_chats(users: &Users, user: UserId, chunks: &mut Chunks) -> Result<(u64, u64), ExportError> {
    let (mut written, mut messages) = (HashSet::new(), 0);
    let mut moved_since: Option<Timestamp> = None;
    loop {
        let (began, known) = (Timestamp::now(), written.len());
        let mut before: Option<EventId> = None;
        loop {
            let page = users.chats.chats(user, before, PAGE).await?;
            let Some(last) = page.last().map(|last| last.activity) else { break };
            before = Some(last);
            for summary in page {
                if written.insert(summary.chat.id) {
                    messages += write_chat(users, user, &summary.chat, chunks).await?;
                }
            }
            if moved_since.is_some_and(|since| last.timestamp() < since) {
                break;
            }
        }
        if written.len() == known {
            return Ok((u64::try_from(known).unwrap_or(u64::MAX), messages));
        }
        // Clocks differ, and what is written may take that long to be seen.
        moved_since = Some(began.plus_seconds(-SETTLING_SECONDS));
    }
}

/// Writes a chat with its messages; returns how many there were.
async fn write_chat(users: &Users, user: UserId, chat: &Chat, chunks: &mut Chunks) -> Result<u64, ExportError> {
    chunks.send(Ok(line(&Record::chat(chat, user))?.into())).await?;
    let mut written = 0;
    let mut query = HistoryQuery::Latest;
    loop {
        let page = match users.chats.history(user, chat.id, query, PAGE).await {
            // Deleted with its other member while this ran.
            Err(StoreError::NotFound) => return Ok(written),
            page => page?,
        };
        let mut lines = Vec::new();
        for message in &page.messages {
            lines.append(&mut line(&Record::message(message))?);
            written += 1;
        }
        if !lines.is_empty() {
            chunks.send(Ok(lines.into())).await?;
        }
        match page.messages.last() {
            Some(oldest) if page.more_before => query = HistoryQuery::Before(oldest.id),
            _ => return Ok(written),
        }
    }
}
