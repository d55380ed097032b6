//! `POST /send_notification`: what whoever runs the deployment has to say to one user or to all.
//!
//! All are told account by account, in the order of their names, so many in one request; the answer says where to go on.
//! Nothing is kept of that but the cursor: a request that failed is sent again with the cursor that it had, and whoever
//! was told before has one notification all the same, because the cursor holds its id.

use std::sync::Arc;

use axum::extract::State;
use futures::{StreamExt, TryStreamExt, stream};
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
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{http::App, service::NotificationService};

/// Users who are told, or whose devices are pushed to, at the same time.
const AT_ONCE: usize = 16;

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
    /// How many users this request told.
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
/// `user_id` one user is told; without, up to 500 accounts in the order of their names: send the same again with
/// `next_cursor` as `cursor` until that is `null`. A repeat with the same cursor makes no second notification.
#[utoipa::path(
    post, path = "/send_notification", tag = "admin", operation_id = "send_notification",
    security(("bearer" = [])), request_body = NoticeBody,
    responses(
        (status = 200, description = "They were told; pushes are on their way.", body = NoticeAnswer),
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
            return Err(Problem::invalid("cursor", "not_for_one", "leave out cursor to tell one user"));
        }
        (Some(cursor), None) => cursor::decode(&service.keyring, &about, admin.user_id, cursor)
            .ok()
            .and_then(|bytes| Place::read(&bytes))
            .ok_or_else(|| page::forged("cursor"))?,
    };
    let (recipients, last) = recipients(&service, sent.user_id, &place).await?;
    let next_cursor = last.map(|name| cursor::encode(&service.keyring, &about, admin.user_id, &place.next(&name)));
    // Before anything is sent, so that nothing is sent unseen.
    let entry = AuditEntry::now(AuditAction::NoticeSent, Some(admin.user_id), sent.user_id)
        .from_address(client.0.to_string())
        .with_note(Some(place.id.to_string()));
    service.administration.record(entry).await?;
    tell(&service, &recipients, place.id, &notice).await?;
    let count = recipients.len();
    metrics::counter!("notices_total").increment(count as u64);
    tokio::spawn(push_all(service, recipients, place.id, notice).in_current_span());
    Ok(Json(NoticeAnswer { notification_id: place.id, recipients: count, next_cursor }))
}

fn invalid(error: InvalidNotice) -> Problem {
    Problem::invalid(error.field, "malformed", error.to_string())
}

/// Whom this request tells, and the last one's name if there may be more.
async fn recipients(
    service: &NotificationService,
    one: Option<UserId>,
    place: &Place,
) -> Result<(Vec<UserId>, Option<String>), Problem> {
    if let Some(user) = one {
        let found = service.accounts.profiles(&[user]).await?;
        return if found.is_empty() { Err(Problem::not_found()) } else { Ok((vec![user], None)) };
    }
    // One more than are told, to know whether there are more.
    let mut found = service.accounts.directory(place.after.as_deref(), NOTICE_RECIPIENTS + 1).await?;
    let more = found.len() > NOTICE_RECIPIENTS;
    found.truncate(NOTICE_RECIPIENTS);
    let last = found.last().filter(|_| more).map(|profile| profile.username.to_string());
    Ok((found.iter().map(|profile| profile.user_id).collect(), last))
}

/// Puts it into lists, then onto open sockets: who is shown it finds it in the list.
async fn tell(
    service: &NotificationService,
    recipients: &[UserId],
    id: MessageId,
    notice: &Notice,
) -> Result<(), StoreError> {
    let add = |user: &UserId| service.notifications.add(Notification::of_notice(*user, id, notice.clone()));
    let adds: Vec<_> = recipients.iter().map(add).collect();
    stream::iter(adds).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let shown = Shown::of_notice(id, notice);
    let live = |user: &UserId| LiveEvent::Notification { user_id: *user, shown: shown.clone() };
    service.fanout.publish(recipients.iter().map(live).collect());
    Ok(())
}

/// Pushes to their devices. It is best effort: what fails here is in the list.
async fn push_all(service: Arc<NotificationService>, recipients: Vec<UserId>, id: MessageId, notice: Notice) {
    let pushes: Vec<_> = recipients.into_iter().map(|user| push(&service, user, id, &notice)).collect();
    let mut pushed = stream::iter(pushes).buffer_unordered(AT_ONCE);
    while let Some(pushed) = pushed.next().await {
        if let Err(error) = pushed {
            tracing::warn!(error = &error as &dyn std::error::Error, "the devices of a user get no push of a notice");
        }
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
        metrics::counter!("pushes_withheld_total", "reason" => "quiet_hours").increment(1);
        return Ok(());
    }
    let alert = notice.alert(preferences.show_content && service.config.push.show_content);
    let badge = service.unread(user).await?.max(1);
    let created_at = id.timestamp();
    service.push(&devices, &Push { message_id: id, chat_id: None, created_at, badge, alert: Some(alert) }).await;
    Ok(())
}
