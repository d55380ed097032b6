//! The HTTP routes.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{FromRef, State},
    http::{HeaderMap, StatusCode, header::ETAG},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sentinel_domain::{
    cursor,
    event::LiveEvent,
    ids::{MessageId, UserId},
    notification::{Notification, Preferences},
    ports::StoreError,
};
use sentinel_http::{
    auth::AuthUser,
    conditional,
    describe::{Any, MayBeMissing, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path, Query},
    page,
    problem::{Code, Problem, ProblemBody},
    tokens::Tokens,
};
use serde::Deserialize;
use utoipa::{IntoParams, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    devices, notices,
    service::NotificationService,
    views::{NotificationEntry, NotificationPage, PreferencesView},
};

const QUERY: &str = "notifications";
const DEFAULT_NOTIFICATIONS: usize = 50;
/// Messages that are read at the same time for one page.
const READ_AT_ONCE: usize = 16;

#[derive(Clone)]
pub(crate) struct App(pub Arc<NotificationService>);

impl FromRef<App> for Arc<Tokens> {
    fn from_ref(app: &App) -> Self {
        app.0.tokens.clone()
    }
}

/// The routes with their description.
pub fn router(service: Arc<NotificationService>) -> OpenApiRouter {
    described().with_state(App(service))
}

/// The description of the routes.
pub fn openapi() -> OpenApi {
    sentinel_http::describe::merged(described().into_openapi())
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(preferences, set_preferences))
        .routes(routes!(devices::register))
        .routes(routes!(devices::remove))
        .routes(routes!(devices::vapid))
        .routes(routes!(notices::send))
}

/// Which notifications.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most this many (1 to 100); 50 by default.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// List notifications
///
/// The caller's notifications, newest first. Reading a chat reads its notifications.
#[utoipa::path(
    get, path = "/notifications", tag = "notifications", operation_id = "list_notifications",
    security(("bearer" = [])), params(ListQuery),
    responses(
        (status = 200, description = "Some of the notifications", body = NotificationPage),
        TakesParameters, NeedsToken, Any,
    )
)]
async fn list(
    State(App(service)): State<App>,
    user: AuthUser,
    Query(query): Query<ListQuery>,
) -> Result<Json<NotificationPage>, Problem> {
    let caller = user.user_id;
    let limit = page::limit(query.limit, DEFAULT_NOTIFICATIONS)?;
    let before = page::after(&service.keyring, QUERY, caller, query.cursor.as_deref())?.map(MessageId::from_bytes);
    let mut found = service.notifications.list(caller, before, limit + 1).await?;
    let next = page::cut(&mut found, limit).map(|last| last.message_id);
    Ok(Json(NotificationPage {
        notifications: views(&service, caller, &found).await?,
        next_cursor: next.map(|place| cursor::encode(&service.keyring, QUERY, caller, place.as_bytes())),
    }))
}

async fn views(
    service: &NotificationService,
    caller: UserId,
    found: &[Notification],
) -> Result<Vec<NotificationEntry>, Problem> {
    if !service.notifications.preferences(caller).await?.show_content {
        return Ok(found.iter().map(|notification| NotificationEntry::new(notification, None)).collect());
    }
    let mut senders: Vec<UserId> = found.iter().map(|notification| notification.sender_id).collect();
    senders.sort();
    senders.dedup();
    let names = service.names(&senders).await?;
    let names = &names;
    let entries = stream::iter(found.iter().cloned());
    let entries = entries.map(|notification| entry_with_content(service, caller, notification, names));
    entries.buffered(READ_AT_ONCE).try_collect().await
}

async fn entry_with_content(
    service: &NotificationService,
    caller: UserId,
    notification: Notification,
    names: &HashMap<UserId, String>,
) -> Result<NotificationEntry, Problem> {
    if !notification.is_of_message() {
        return Ok(NotificationEntry::new(&notification, None));
    }
    let text = match service.chats.message(caller, notification.chat_id, notification.message_id).await {
        Ok(message) => Some(message.gist().to_owned()),
        // Its chat went a moment ago.
        Err(StoreError::NotFound) => None,
        Err(error) if error.is_about_content() => {
            // The others are not to be lost along with it.
            metrics::counter!("sentinel_messages_unreadable_total").increment(1);
            let Notification { chat_id, message_id, .. } = &notification;
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, chat = %chat_id, message = %message_id, "a message can't be read; its notification is shown without it");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let content = names.get(&notification.sender_id).zip(text.as_ref());
    Ok(NotificationEntry::new(&notification, content.map(|(from, text)| (from.as_str(), text.as_str()))))
}

/// Read a notification
///
/// The caller's other devices hear of it, as they do of a chat that is read.
#[utoipa::path(
    post, path = "/notifications/{id}/read", tag = "notifications", operation_id = "read_notification",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "Which one.")),
    responses((status = 204, description = "It is read."), MayBeMissing, TakesParameters, NeedsToken, Any)
)]
async fn read(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(id): Path<MessageId>,
) -> Result<StatusCode, Problem> {
    service.notifications.mark_read(user.user_id, id).await?;
    service.fanout.publish(vec![LiveEvent::NotificationRead { user_id: user.user_id, notification_id: id }]);
    service.tell_badge_soon(user.user_id, id);
    Ok(StatusCode::NO_CONTENT)
}

/// The version of preferences, as `ETag` has it.
fn tag(preferences: &Preferences) -> String {
    format!("\"{}\"", preferences.fingerprint())
}

fn tagged(preferences: Preferences) -> Response {
    ([(ETAG, tag(&preferences))], Json(PreferencesView::from(preferences))).into_response()
}

/// How the caller wants to be notified
///
/// `ETag` names this version of the preferences: give it as `If-Match` when changing them, and as `If-None-Match` when asking
/// whether they were changed.
#[utoipa::path(
    get, path = "/notifications/preferences", tag = "notifications", operation_id = "notification_preferences",
    security(("bearer" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the preferences that the caller has.")),
    responses(
        (
            status = 200, description = "The preferences", body = PreferencesView,
            headers(("ETag" = String, description = "Their version")),
        ),
        (
            status = 304, description = "They are still those of `If-None-Match`",
            headers(("ETag" = String, description = "Their version")),
        ),
        NeedsToken, Any,
    )
)]
async fn preferences(State(App(service)): State<App>, user: AuthUser, headers: HeaderMap) -> Result<Response, Problem> {
    let preferences = service.notifications.preferences(user.user_id).await?;
    let tag = tag(&preferences);
    if conditional::is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    Ok(tagged(preferences))
}

/// Say how to be notified
///
/// Replaces all preferences; what is left out gets its default. Give the `ETag` of those that were changed as `If-Match`, so
/// that what another device of the caller changed meanwhile is not undone.
#[utoipa::path(
    put, path = "/notifications/preferences", tag = "notifications", operation_id = "set_notification_preferences",
    security(("bearer" = [])), request_body = PreferencesView,
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the preferences that are to be replaced.")),
    responses(
        (
            status = 200, description = "The preferences as stored", body = PreferencesView,
            headers(("ETag" = String, description = "Their version")),
        ),
        (
            status = 412, description = "They are others by now than those of `If-Match` (`preferences_changed`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 422,
            description = "Too many chats are muted (`too_many`), a minute or an offset can't be one (`out_of_range`), the \
                server does not know the time zone (`unknown_time_zone`), or `until` is no time (`invalid_time`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesJson, NeedsToken, Any,
    )
)]
async fn set_preferences(
    State(App(service)): State<App>,
    user: AuthUser,
    headers: HeaderMap,
    Json(wanted): Json<PreferencesView>,
) -> Result<Response, Problem> {
    let (caller, wanted) = (user.user_id, wanted.checked()?);
    let Some(versions) = conditional::replaceable(&headers) else {
        service.notifications.set_preferences(caller, &wanted).await?;
        return Ok(tagged(wanted));
    };
    let known = service.notifications.preferences(caller).await?;
    let named = versions.contains(&tag(&known).as_str());
    if !named || !service.notifications.replace_preferences(caller, &known, &wanted).await? {
        let detail =
            "the preferences were changed meanwhile; get them, make the change anew, and put that with the new ETag";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, Code::PreferencesChanged, detail));
    }
    Ok(tagged(wanted))
}
