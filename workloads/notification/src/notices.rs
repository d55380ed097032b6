//! `POST /send_notification`: what whoever runs the deployment has to say to one user or to all.
//!
//! All are told account by account, in the order of their names, so many in one request; the answer says where to go on.
//! Nothing is kept of that but the cursor: a request that was not answered is sent again with the cursor that it had, and
//! whoever was told before has one notification all the same, because the cursor holds its id.
//!
//! Pushes go out before the answer, so whom the caller knows to be told has also been pushed to, whatever becomes of the
//! process. A request therefore tells as many as it can in a time that clients and proxies wait for.

use std::time::{Duration, Instant};

use axum::extract::State;
use futures::{StreamExt, stream::FuturesOrdered};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    cursor,
    event::LiveEvent,
    ids::{MessageId, UserId},
    notice::{InvalidNotice, NOTICE_RECIPIENTS, Notice},
    notification::{Notification, Shown},
    ports::StoreError,
    push::Push,
    time::Timestamp,
};
use sentinel_http::{
    auth::AdminCaller,
    client::ClientAddress,
    describe::{Any, MayBeMissing, NeedsAdmin, NeedsToken, TakesJson},
    extract::Json,
    page,
    problem::{Code, Problem, ProblemBody},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{http::App, service::NotificationService};

/// Users who are told at the same time.
const AT_ONCE: usize = 16;
/// After this time a request begins to tell nobody more. Pushing to a user takes a bit more than a minute at the longest, when
/// push services are slow and ask to be tried later, and proxies wait for an answer for a minute and a half.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);

/// What to say, and to whom.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NoticeBody {
    /// A line that says what it is about.
    #[schema(min_length = 1, max_length = 100, example = "Maintenance")]
    header: String,
    /// The text below it; it may have several lines.
    #[schema(min_length = 1, max_length = 1000, example = "We are away for ten minutes at 22:00 UTC.")]
    body: String,
    /// Whom to tell; all when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    /// `next_cursor` of the answer before, with the same texts.
    #[serde(default)]
    cursor: Option<String>,
}

/// Who was told.
#[derive(Serialize, ToSchema)]
pub(crate) struct NoticeAnswer {
    /// The notification's id, the same for all.
    #[schema(value_type = uuid::Uuid)]
    notification_id: MessageId,
    /// How many users this request told. Pushes to their devices are out.
    recipients: usize,
    /// Send the same with it as `cursor` to tell the next; `null` when all were told.
    next_cursor: Option<String>,
}

/// Where to go on: with this notification, after the account of this name.
struct Place {
    id: MessageId,
    after: Option<String>,
}

impl Place {
    fn first() -> Self {
        Self { id: MessageId(Uuid::now_v7()), after: None }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, name) = bytes.split_first_chunk::<16>()?;
        Some(Self { id: MessageId::from_bytes(*id), after: Some(str::from_utf8(name).ok()?.to_owned()) })
    }

    fn next(&self, last: &str) -> Vec<u8> {
        [self.id.as_bytes().as_slice(), last.as_bytes()].concat()
    }
}

/// Tell a user or all users something
///
/// For admins. It gets into the list of notifications, to open sockets on `/notifications` and to registered devices,
/// quiet hours respected; pushes show the text only where both the user and the deployment want content shown. With
/// `user_id` one user is told; without, up to 500 accounts in the order of their names, fewer when pushes take long: send
/// the same again with `next_cursor` as `cursor` until that is `null`. Whom an answer counts has been pushed to. After no
/// answer or a failure send the same again, with the cursor that it had: it makes no second notification, and devices may
/// get the same push again, in place of the first. Only a repeat without a cursor is another notification.
#[utoipa::path(
    post, path = "/send_notification", tag = "admin", operation_id = "send_notification",
    security(("bearer" = [])), request_body = NoticeBody,
    responses(
        (status = 200, description = "They were told.", body = NoticeAnswer),
        (
            status = 400, description = "`cursor` is not one of this route (`invalid_cursor`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 422,
            description = "A text is empty, too long or has control characters (`malformed`), or `cursor` comes with one user \
                (`not_for_one`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesJson, NeedsAdmin, NeedsToken, Any,
    )
)]
pub(crate) async fn send(
    State(App(service)): State<App>,
    AdminCaller(admin): AdminCaller,
    client: ClientAddress,
    Json(sent): Json<NoticeBody>,
) -> Result<Json<NoticeAnswer>, Problem> {
    let notice = Notice::new(&sent.header, &sent.body).map_err(invalid)?;
    let about = format!("send_notification\n{}\n{}", notice.header(), notice.body());
    let cursor = sent.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let place = match (cursor, sent.user_id) {
        (None, _) => Place::first(),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("cursor", Code::NotForOne, "leave out cursor to tell one user"));
        }
        (Some(cursor), None) => cursor::decode(&service.keyring, &about, admin.user_id, cursor)
            .ok()
            .and_then(|bytes| Place::read(&bytes))
            .ok_or_else(|| page::forged("cursor"))?,
    };
    let Recipients { users, more } = recipients(&service, sent.user_id, &place).await?;
    // Before anything is sent, so that nothing is sent unseen.
    let entry = AuditEntry::now(AuditAction::NoticeSent, Some(admin.user_id), sent.user_id)
        .from_address(client.0.to_string())
        .with_note(Some(place.id.to_string()));
    service.administration.record(entry).await?;
    let told = tell_in_order(&service, &users, place.id, &notice, BEGUN_WITHIN).await?;
    metrics::counter!("sentinel_notices_total").increment(told as u64);
    let last = users.get(told.wrapping_sub(1)).filter(|_| more || told < users.len());
    let next_cursor = last.map(|(_, name)| cursor::encode(&service.keyring, &about, admin.user_id, &place.next(name)));
    Ok(Json(NoticeAnswer { notification_id: place.id, recipients: told, next_cursor }))
}

fn invalid(error: InvalidNotice) -> Problem {
    Problem::invalid(error.field, Code::Malformed, error.to_string())
}

/// Whom a request may tell: ids and names, in the order of names.
struct Recipients {
    users: Vec<(UserId, String)>,
    /// Whether there are more after the last.
    more: bool,
}

async fn recipients(service: &NotificationService, one: Option<UserId>, place: &Place) -> Result<Recipients, Problem> {
    let (found, more) = if let Some(user) = one {
        let found = service.accounts.profiles(&[user]).await?;
        if found.is_empty() {
            return Err(Problem::not_found());
        }
        (found, false)
    } else {
        // One more than are told, to know whether there are more.
        let mut found = service.accounts.directory(place.after.as_deref(), NOTICE_RECIPIENTS + 1).await?;
        let more = found.len() > NOTICE_RECIPIENTS;
        found.truncate(NOTICE_RECIPIENTS);
        (found, more)
    };
    Ok(Recipients { users: found.into_iter().map(|one| (one.user_id, one.username.to_string())).collect(), more })
}

/// Tells these users one after the other, some at the same time, and begins with nobody more after `begun_within`, but with some
/// in any case; gives how many of the first were told. A failure ends it: it is told when it concerns the first, else the next request finds it.
pub(crate) async fn tell_in_order(
    service: &NotificationService,
    users: &[(UserId, String)],
    id: MessageId,
    notice: &Notice,
    begun_within: Duration,
) -> Result<usize, StoreError> {
    let (began, mut waiting) = (Instant::now(), users.iter());
    let (mut under_way, mut count) = (FuturesOrdered::new(), 0);
    loop {
        let nobody_yet = count == 0 && under_way.is_empty();
        while under_way.len() < AT_ONCE && (nobody_yet || began.elapsed() < begun_within) {
            let Some((user, _)) = waiting.next() else { break };
            under_way.push_back(tell(service, *user, id, notice));
        }
        match under_way.next().await {
            None => return Ok(count),
            Some(Ok(())) => count += 1,
            Some(Err(error)) if count == 0 => return Err(error),
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, told = count, "a notice goes no further with this request");
                return Ok(count);
            }
        }
    }
}

/// Puts it into a user's list, onto open sockets, whose users find it in the list then, and onto devices.
async fn tell(service: &NotificationService, user: UserId, id: MessageId, notice: &Notice) -> Result<(), StoreError> {
    service.notifications.add(Notification::of_notice(user, id, notice.clone())).await?;
    service.fanout.publish(vec![LiveEvent::Notification { user_id: user, shown: Shown::of_notice(id, notice) }]);
    match push(service, user, id, notice).await {
        // However often it is tried: others are not to wait for that.
        Err(error @ StoreError::Unreadable(_)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, %user, "the devices of a user get no push of a notice");
            Ok(())
        }
        pushed => pushed,
    }
}

async fn push(service: &NotificationService, user: UserId, id: MessageId, notice: &Notice) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let devices = service.devices_of(user, now).await?;
    if devices.is_empty() {
        return Ok(());
    }
    let preferences = service.notifications.preferences(user).await?;
    if preferences.is_quiet(now) {
        metrics::counter!("sentinel_pushes_withheld_total", "reason" => "quiet_hours").increment(1);
        return Ok(());
    }
    let alert = notice.alert(preferences.show_content && service.config.push.show_content);
    let badge = service.badge(user).await;
    let created_at = id.timestamp();
    service.push(&devices, &Push { message_id: id, chat_id: None, created_at, badge, alert: Some(alert) }).await;
    Ok(())
}
