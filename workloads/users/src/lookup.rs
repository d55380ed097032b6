//! Look-ups of other people: by name, by id, by prefix, and the directory.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{account::Username, config::Access, cursor, ids::UserId};
use sentinel_http::{
    auth::{Asker, AuthUser},
    describe::{Any, MayBeMissing, NeedsToken, TakesParameters},
    extract::{Json, Path, Query},
    page,
    problem::{Code, Problem, ProblemBody},
    rate::Action,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    answer::{DirectoryAnswer, ProfileAnswer, UsersAnswer},
    service::Users,
};

/// What a directory cursor is bound to, besides the caller.
const DIRECTORY: &str = "users/show";
/// Shortest prefix to search by: with one character a search would list a good part of the directory.
const PREFIX_CHARACTERS: usize = 2;
const DIRECTORY_LIMIT: usize = 50;
const SEARCH_LIMIT: usize = 20;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Show {
    /// The name to look up; without it the directory is listed.
    username: Option<String>,
    /// Accounts of a page, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One account or a page of them.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ShowAnswer {
    /// With `username`.
    One(ProfileAnswer),
    /// Without.
    Page(DirectoryAnswer),
}

/// Look up an account by name, or list the directory.
#[utoipa::path(
    get, path = "/users/show", tag = "users", security(("bearer" = [])), params(Show),
    responses(
        (status = 200, description = "The account, or a page of the directory.", body = ShowAnswer),
        (status = 403, description = "Without `username`: the directory is closed (`directory_closed`).",
            body = ProblemBody, content_type = "application/problem+json"),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn show(
    State(users): State<Users>,
    Asker(user): Asker,
    Query(query): Query<Show>,
) -> Result<Json<ShowAnswer>, Problem> {
    count(&users, &user)?;
    match &query.username {
        Some(username) => by_name(&users, username).await.map(ShowAnswer::One).map(Json),
        None => directory(&users, &user, &query).await.map(ShowAnswer::Page).map(Json),
    }
}

/// Look up an account by name.
#[utoipa::path(
    get, path = "/users/username/{username}", tag = "users", security(("bearer" = [])),
    params(("username" = String, Path, description = "The name.")),
    responses(
        (status = 200, description = "The account.", body = ProfileAnswer),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn show_by_name(
    State(users): State<Users>,
    Asker(user): Asker,
    Path(username): Path<String>,
) -> Result<Json<ProfileAnswer>, Problem> {
    count(&users, &user)?;
    by_name(&users, &username).await.map(Json)
}

/// Look up an account by id.
#[utoipa::path(
    get, path = "/users/user_id/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The id.")),
    responses(
        (status = 200, description = "The account.", body = ProfileAnswer),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn show_by_id(
    State(users): State<Users>,
    Asker(user): Asker,
    Path(id): Path<UserId>,
) -> Result<Json<ProfileAnswer>, Problem> {
    count(&users, &user)?;
    let profile = users.accounts.profiles(&[id]).await?.pop().ok_or_else(Problem::not_found)?;
    Ok(Json(profile.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// What the name begins with; at least two characters.
    #[param(min_length = 2)]
    prefix: String,
    /// Accounts to find, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// Find accounts by what their name begins with.
#[utoipa::path(
    get, path = "/users/search", tag = "users", security(("bearer" = [])), params(Search),
    responses(
        (status = 200, description = "The accounts, by name.", body = UsersAnswer),
        (status = 422, description = "`prefix` has fewer than 2 characters (`prefix_too_short`).",
            body = ProblemBody, content_type = "application/problem+json"),
        TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn search(
    State(users): State<Users>,
    Asker(user): Asker,
    Query(query): Query<Search>,
) -> Result<Json<UsersAnswer>, Problem> {
    count(&users, &user)?;
    let limit = page_size(query.limit, SEARCH_LIMIT)?;
    let found = match prefix(&query.prefix)? {
        Some(prefix) => users.accounts.profiles_by_prefix(&prefix, limit).await?,
        None => Vec::new(),
    };
    Ok(Json(UsersAnswer { users: found.into_iter().map(ProfileAnswer::from).collect() }))
}

fn count(users: &Users, user: &AuthUser) -> Result<(), Problem> {
    users.limits.check(Action::Lookup, &user.user_id.to_string())
}

async fn by_name(users: &Users, username: &str) -> Result<ProfileAnswer, Problem> {
    // A name that nobody can have is one that nobody has.
    let username = Username::parse(username).map_err(|_| Problem::not_found())?;
    let profile = users.accounts.profile_by_username(&username).await?;
    profile.map(ProfileAnswer::from).ok_or_else(Problem::not_found)
}

async fn directory(users: &Users, user: &AuthUser, query: &Show) -> Result<DirectoryAnswer, Problem> {
    if users.config.auth.directory == Access::Closed {
        let detail = "the directory is closed; look people up by name";
        return Err(Problem::new(StatusCode::FORBIDDEN, Code::DirectoryClosed, detail));
    }
    let limit = page_size(query.limit, DIRECTORY_LIMIT)?;
    let after = match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => Some(page::name_in(&users.keyring, DIRECTORY, user.user_id, cursor)?),
        None => None,
    };
    let mut found = users.accounts.directory(after.as_deref(), limit + 1).await?;
    let last = page::cut(&mut found, limit).map(|profile| profile.username.as_str().as_bytes());
    let next_cursor = last.map(|name| cursor::encode(&users.keyring, DIRECTORY, user.user_id, name));
    Ok(DirectoryAnswer { users: found.into_iter().map(ProfileAnswer::from).collect(), next_cursor })
}

fn page_size(limit: Option<usize>, default: usize) -> Result<usize, Problem> {
    match limit.unwrap_or(default) {
        limit @ 1..=100 => Ok(limit),
        _ => Err(Problem::invalid("limit", Code::OutOfRange, "limit must be between 1 and 100")),
    }
}

/// The prefix to look for; `None` when no name can begin with it.
fn prefix(text: &str) -> Result<Option<String>, Problem> {
    if text.chars().count() < PREFIX_CHARACTERS {
        return Err(Problem::invalid("prefix", Code::PrefixTooShort, "prefix must have at least 2 characters"));
    }
    let folded = text.to_ascii_lowercase();
    Ok((folded.len() <= 32 && Username::is_prefix(&folded)).then_some(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_folded_bounded_and_possible() {
        assert_eq!(prefix("An").unwrap().as_deref(), Some("an"));
        assert_eq!(prefix("a%").unwrap(), None);
        assert_eq!(prefix(&"a".repeat(33)).unwrap(), None);
        for short in ["", "a", "é"] {
            assert_eq!(prefix(short).unwrap_err().code(), "prefix_too_short");
        }
    }

    #[test]
    fn pages_have_1_to_100_entries() {
        assert_eq!(page_size(None, 50).unwrap(), 50);
        assert_eq!(page_size(Some(100), 50).unwrap(), 100);
        assert!(page_size(Some(0), 50).is_err());
        assert!(page_size(Some(101), 50).is_err());
    }
}
