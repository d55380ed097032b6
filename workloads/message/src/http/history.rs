//! The history of a chat.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use sentinel_domain::{
    clock::Instant,
    cursor,
    ids::{ChatId, MessageId, UserId},
    keyring::Keyring,
    ports::HistoryQuery,
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, MayBeMissing, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path, Query},
    page,
    problem::{Code, Problem, ProblemBody},
    views::MessageView,
};
use serde::{Deserialize, Serialize};
use time::{
    OffsetDateTime, PrimitiveDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use utoipa::{IntoParams, ToSchema};

use super::App;

const DEFAULT_MESSAGES: usize = 50;
const SEED_MESSAGES: usize = 5;
const OLDER: u8 = b'<';
const NEWER: u8 = b'>';
const SEED_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second][optional [.[subsecond]]]");

/// Which part of the history; at most one of the last four.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// At most this many (1 to 100); 50 by default.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Messages older than this one.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    before: Option<MessageId>,
    /// Messages newer than this one, those nearest to it.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<MessageId>,
    /// This message and about half as many on either side.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    around: Option<MessageId>,
    /// `next_cursor` or `prev_cursor` of another page.
    #[serde(default)]
    cursor: Option<String>,
}

/// A part of a chat's history.
#[derive(Serialize, ToSchema)]
pub(super) struct MessagePage<'a> {
    /// The messages, newest first.
    messages: Vec<MessageView<'a>>,
    /// Gives older messages than these; `null` when there are none, or the page is empty.
    next_cursor: Option<String>,
    /// Gives newer messages than these; `null` when there are none, or the page is empty.
    prev_cursor: Option<String>,
}

/// Read a chat's history
///
/// Newest first.
#[utoipa::path(
    get, path = "/users/chat/{chat_id}", tag = "messages", operation_id = "history", security(("bearer" = [])),
    params(("chat_id" = uuid::Uuid, Path, description = "The chat"), PageQuery),
    responses(
        (status = 200, description = "Some of the messages", body = MessagePage),
        (
            status = 422, description = "More than one of `before`, `after`, `around` and `cursor` (`conflicting_parameters`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn page(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(chat_id): Path<ChatId>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let cursors = Cursors { keyring: &service.keyring, caller: user.user_id, chat: chat_id };
    let limit = page::limit(query.limit, DEFAULT_MESSAGES)?;
    let part = part(&query, &cursors)?;
    let chat = service.chat(user.user_id, chat_id).await?;
    let found = service.chats.history(user.user_id, chat_id, part, limit).await?;
    let page = MessagePage {
        messages: found.messages.iter().map(|message| MessageView::of(&chat, message)).collect(),
        next_cursor: found.messages.last().filter(|_| found.more_before).map(|last| cursors.write(OLDER, last.id)),
        prev_cursor: found.messages.first().filter(|_| found.more_after).map(|first| cursors.write(NEWER, first.id)),
    };
    Ok(Json(page).into_response())
}

/// The body of the seed's paging.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct SeedPageQuery {
    /// At most this many (1 to 100); 5 by default.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    fetch_size: Option<u32>,
    /// `next_paging_state_id` of the page before.
    #[serde(default)]
    paging_state_id: Option<String>,
    /// Messages of this time and older: RFC 3339, or without an offset, `2024-01-27 15:26:40.007`, in UTC.
    #[serde(default)]
    starting_timestamp_str: Option<String>,
}

/// A message as in the seed.
#[derive(Serialize, ToSchema)]
pub(super) struct SeedMessage<'a> {
    #[schema(value_type = uuid::Uuid)]
    message_id: MessageId,
    content: &'a str,
    #[schema(value_type = uuid::Uuid)]
    sender_id: UserId,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
}

/// A page as in the seed.
#[derive(Serialize, ToSchema)]
pub(super) struct SeedPage<'a> {
    /// The messages, newest first.
    user_messages: Vec<SeedMessage<'a>>,
    /// Gives older messages; left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_paging_state_id: Option<String>,
}

/// Read a chat's history, as in the seed
///
/// Newest first. New clients use `GET`.
#[utoipa::path(
    post, path = "/users/chat/{chat_id}", tag = "messages", operation_id = "seed_history", security(("bearer" = [])),
    params(("chat_id" = uuid::Uuid, Path, description = "The chat")),
    request_body = Option<SeedPageQuery>,
    responses(
        (status = 200, description = "Some of the messages", body = SeedPage),
        (
            status = 422,
            description = "`starting_timestamp_str` is no time (`invalid_timestamp`), or `fetch_size` is not 1 to 100 \
                (`out_of_range`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesJson, TakesParameters, NeedsToken, Any,
    )
)]
pub(super) async fn seed_page(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(chat_id): Path<ChatId>,
    query: Option<Json<SeedPageQuery>>,
) -> Result<Response, Problem> {
    let query = query.map_or_else(SeedPageQuery::default, |Json(query)| query);
    let cursors = Cursors { keyring: &service.keyring, caller: user.user_id, chat: chat_id };
    let limit = page::named_limit("fetch_size", query.fetch_size, SEED_MESSAGES)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let part = match (given(query.paging_state_id), given(query.starting_timestamp_str)) {
        (Some(state), _) => cursors.read("paging_state_id", &state)?,
        (None, Some(text)) => HistoryQuery::Before(first_id_after(&text)?),
        (None, None) => HistoryQuery::Latest,
    };
    let found = service.chats.history(user.user_id, chat_id, part, limit).await?;
    let page = SeedPage {
        user_messages: found
            .messages
            .iter()
            .map(|message| SeedMessage {
                message_id: message.id,
                content: &message.text,
                sender_id: message.sender_id,
                timestamp: message.id.timestamp(),
            })
            .collect(),
        next_paging_state_id: found
            .messages
            .last()
            .filter(|_| found.more_before)
            .map(|last| cursors.write(OLDER, last.id)),
    };
    Ok(Json(page).into_response())
}

fn part(query: &PageQuery, cursors: &Cursors<'_>) -> Result<HistoryQuery, Problem> {
    let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let given = [query.before.is_some(), query.after.is_some(), query.around.is_some(), cursor.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        let detail = "give at most one of before, after, around and cursor";
        return Err(Problem::invalid("cursor", Code::ConflictingParameters, detail));
    }
    if let Some(cursor) = cursor {
        return cursors.read("cursor", cursor);
    }
    Ok(match (query.before, query.after, query.around) {
        (Some(id), _, _) => HistoryQuery::Before(id),
        (_, Some(id), _) => HistoryQuery::After(id),
        (_, _, Some(id)) => HistoryQuery::Around(id),
        _ => HistoryQuery::Latest,
    })
}

/// Cursors of one chat and caller: a direction and a message id.
struct Cursors<'a> {
    keyring: &'a Keyring,
    caller: UserId,
    chat: ChatId,
}

impl Cursors<'_> {
    fn query(&self) -> String {
        format!("history {}", self.chat)
    }

    fn write(&self, direction: u8, id: MessageId) -> String {
        let mut payload = [direction; 17];
        payload[1..].copy_from_slice(id.as_bytes());
        cursor::encode(self.keyring, &self.query(), self.caller, &payload)
    }

    fn read(&self, field: &'static str, text: &str) -> Result<HistoryQuery, Problem> {
        let payload =
            cursor::decode(self.keyring, &self.query(), self.caller, text).map_err(|_| page::forged(field))?;
        let (direction, id) = payload.split_first().ok_or_else(|| page::forged(field))?;
        let id = MessageId::from_bytes(id.try_into().map_err(|_| page::forged(field))?);
        Ok(if *direction == NEWER { HistoryQuery::After(id) } else { HistoryQuery::Before(id) })
    }
}

/// The lowest id that sorts after all of this millisecond.
fn first_id_after(text: &str) -> Result<MessageId, Problem> {
    let wrong = || {
        let detail = "must be a time such as 2024-01-27T15:26:40.007Z or 2024-01-27 15:26:40.007";
        Problem::invalid("starting_timestamp_str", Code::InvalidTimestamp, detail)
    };
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| {
            PrimitiveDateTime::parse(&text.replacen('T', " ", 1), SEED_TIME).map(PrimitiveDateTime::assume_utc)
        })
        .map_err(|_| wrong())?;
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong())?;
    Ok(MessageId(Instant { millis: millis + 1, counter: 0 }.id(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starting_time_includes_its_whole_millisecond() {
        for text in [
            "2024-01-27T15:26:40.007Z",
            "2024-01-27 15:26:40.007000",
            "2024-01-27T15:26:40.007000",
            "2024-01-27T16:26:40.007+01:00",
        ] {
            let id = first_id_after(text).unwrap();
            assert_eq!(id.timestamp(), Timestamp(1_706_369_200_008), "{text}");
        }
        assert_eq!(first_id_after("2024-01-27 15:26:40").unwrap().timestamp(), Timestamp(1_706_369_200_001));
        for bad in ["yesterday", "2024-13-01 00:00:00", "1969-12-31T23:59:59Z", "2024-01-27"] {
            assert_eq!(first_id_after(bad).unwrap_err().code(), "invalid_timestamp", "{bad}");
        }
    }
}
