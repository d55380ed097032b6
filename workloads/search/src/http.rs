//! `GET /search/messages`, and all routes of the service.

use std::sync::Arc;

use axum::{
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sentinel_domain::{
    cursor,
    ids::{ChatId, MessageId, UserId},
    message::MessageKind,
    search::{Highlight, Query as Words},
    time::Timestamp,
};
use sentinel_http::{
    auth::Asker,
    describe::{Any, MayBeMissing, NeedsToken, TakesParameters},
    extract::{Json, Query},
    page,
    problem::{Code, Problem, ProblemBody},
    rate::Action,
    tokens::Tokens,
    views::MessageView,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    admin,
    reindex::Reindexer,
    service::{Asked, Hit, SearchError, SearchService},
};

const DEFAULT_HITS: usize = 20;
const QUERY_BYTES: usize = 1024;
const QUERY_PARTS: usize = 32;
/// When it is worth asking again an index that somebody has to make anew.
const OUTDATED_RETRY_SECONDS: &str = "60";

/// What handlers and extractors get.
#[derive(Clone)]
pub(crate) struct App {
    service: Arc<SearchService>,
    pub(crate) reindexer: Arc<Reindexer>,
}

impl FromRef<App> for Arc<Tokens> {
    fn from_ref(app: &App) -> Self {
        app.service.tokens.clone()
    }
}

/// The routes of search, each described.
pub fn router(service: Arc<SearchService>, reindexer: Arc<Reindexer>) -> OpenApiRouter {
    described().with_state(App { service, reindexer })
}

/// The description of the routes.
pub fn openapi() -> OpenApi {
    sentinel_http::describe::merged(described().into_openapi())
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search)).routes(routes!(admin::show, admin::start))
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParameters {
    /// All words must be in the message, the last one by its beginning, unless it is a single letter that stands alone; `"quoted phrases"`
    /// word for word. Case and accents do not matter. At most 1,024 bytes and 32 words or phrases.
    #[param(min_length = 1, max_length = 1024, example = "\"see you\" tomorr")]
    q: String,
    /// Only in this chat.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    chat_id: Option<ChatId>,
    /// Only what this account wrote.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    sender_id: Option<UserId>,
    /// Only messages of this time and later (RFC 3339).
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only messages before this time (RFC 3339).
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Only `text`, `image` or `file`.
    #[serde(default, rename = "type")]
    #[param(value_type = Option<String>, example = "text")]
    kind: Option<MessageKind>,
    /// At most this many (1 to 100); 20 by default.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// A message that was found.
#[derive(Serialize, ToSchema)]
struct SearchResult<'a> {
    /// The message as it is now.
    message: MessageView<'a>,
    /// What to highlight in `message.message`: from which UTF-16 code unit (as JavaScript counts) up to which, without
    /// it. In order, and apart from each other.
    #[schema(value_type = Vec<Vec<u32>>, example = json!([[0, 5]]))]
    highlights: &'a [Highlight],
}

impl<'a> SearchResult<'a> {
    fn of(hit: &'a Hit) -> Self {
        Self { message: MessageView::of(&hit.chat, &hit.message), highlights: &hit.highlights }
    }
}

/// Some of the messages that were found.
#[derive(Serialize, ToSchema)]
struct SearchResults<'a> {
    /// The messages, newest first.
    hits: Vec<SearchResult<'a>>,
    /// Gives the next page; `null` on the last. A page may have fewer hits than asked for and still not be the last.
    next_cursor: Option<String>,
}

/// Search messages
///
/// In the caller's own chats, newest first. A message is found a moment after it was sent, and only by what it says now.
#[utoipa::path(
    get, path = "/search/messages", tag = "search", operation_id = "search_messages", security(("bearer" = [])),
    params(SearchParameters),
    responses(
        (status = 200, description = "Some of the messages", body = SearchResults),
        (
            status = 422,
            description = "`q` has nothing to look for (`empty_query`) or too much (`query_too_long`), or `from` or `to` is no \
                time (`invalid_timestamp`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 503, description = "The index has to be made anew by whoever runs the deployment (`search_outdated`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn search(
    State(App { service, .. }): State<App>,
    Asker(user): Asker,
    Query(parameters): Query<SearchParameters>,
) -> Result<Response, Problem> {
    let caller = user.user_id;
    let bound = bound_to(&parameters)?;
    let before = page::after(&service.keyring, &bound, caller, parameters.cursor.as_deref())?;
    let asked = Asked {
        query: words(&parameters.q)?,
        chat: parameters.chat_id,
        sender: parameters.sender_id,
        kind: parameters.kind,
        from: time("from", parameters.from.as_deref())?,
        to: time("to", parameters.to.as_deref())?,
        before: before.map(MessageId::from_bytes),
        limit: page::limit(parameters.limit, DEFAULT_HITS)?,
    };
    service.limits.check(Action::Search, &caller.to_string())?;
    if let Some(chat) = asked.chat {
        // The same answer for a chat of others as for one that does not exist.
        service.chats.chat(caller, chat).await?;
    }
    let page = service.find(caller, &asked).await?;
    let results = SearchResults {
        hits: page.hits.iter().map(SearchResult::of).collect(),
        next_cursor: page.next.map(|last| cursor::encode(&service.keyring, &bound, caller, last.as_bytes())),
    };
    Ok(Json(results).into_response())
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Store(error) => error.into(),
            SearchError::Unreadable => {
                let detail = "the search index has to be made anew; ask whoever runs this chat";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::SearchOutdated, detail)
                    .with_header(header::RETRY_AFTER, OUTDATED_RETRY_SECONDS)
            }
        }
    }
}

/// What a cursor is bound to: everything that decides which messages there are and in which order.
fn bound_to(parameters: &SearchParameters) -> Result<String, Problem> {
    let SearchParameters { q, chat_id, sender_id, from, to, kind, .. } = parameters;
    let conditions = serde_json::to_string(&(q, chat_id, sender_id, from, to, kind));
    conditions.map(|conditions| format!("search {conditions}")).map_err(|_| Problem::internal())
}

fn words(text: &str) -> Result<Words, Problem> {
    if text.len() > QUERY_BYTES {
        return Err(Problem::invalid("q", Code::QueryTooLong, format!("q has at most {QUERY_BYTES} bytes")));
    }
    let words = Words::parse(text);
    if words.is_empty() {
        return Err(Problem::invalid("q", Code::EmptyQuery, "q needs a letter, a digit or a symbol"));
    }
    if words.parts() > QUERY_PARTS {
        return Err(Problem::invalid("q", Code::QueryTooLong, format!("q has at most {QUERY_PARTS} words")));
    }
    Ok(words)
}

fn time(field: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let detail = "must be a time such as 2024-01-27T15:26:40.007Z";
    let at = Timestamp::parse(text).ok_or_else(|| Problem::invalid(field, Code::InvalidTimestamp, detail))?;
    Ok(Some(at))
}
