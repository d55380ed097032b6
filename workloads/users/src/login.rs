//! `POST /login`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use sentinel_domain::{
    account::{EMAIL_BYTES, Email, Standing, Username},
    audit::{AuditAction, AuditEntry},
    ids::UserId,
    ports::{Credentials, StoreError},
};
use sentinel_http::{
    client::ClientAddress,
    describe::{Any, TakesJson},
    extract::Json,
    problem::{Code, Problem, ProblemBody},
    rate::{Action, RateLimits},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{answer::TokenAnswer, device, service::Users};

/// Who logs in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Login {
    /// The account's name or e-mail address.
    #[schema(example = "ann")]
    username: String,
    /// The password.
    #[schema(format = Password)]
    password: String,
}

/// Log in.
#[utoipa::path(
    post, path = "/login", tag = "users", request_body = Login,
    responses(
        (status = 200, description = "Logged in; a new session.", body = TokenAnswer),
        (status = 401, description = "No such account or a wrong password; the answers are the same \
            (`invalid_credentials`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The password is right and the account disabled (`account_disabled`).",
            body = ProblemBody, content_type = "application/problem+json"),
        TakesJson, Any,
    )
)]
pub(crate) async fn login(
    State(users): State<Users>,
    client: ClientAddress,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<Json<TokenAnswer>, Problem> {
    let address = client.rate_key();
    users.limits.check(Action::LoginAddress, &address)?;
    let folded = fold(&login.username);
    let credentials = match &folded {
        _ if login.username.contains('@') => users.credentials_by_email(&login.username).await?,
        Some(folded) => users.accounts.credentials_by_login(folded).await?,
        None => None,
    };
    // In the spelling that an account of before may be found by, or each other spelling would have attempts of its own.
    let folded = folded.or_else(|| Email::older_spelling(&login.username));
    if let Err(problem) = throttle(&users.limits, counted_as(&login.username, folded.as_deref()), &address) {
        if let Some(credentials) = &credentials {
            note_throttled(&users, credentials.account.id, &client);
        }
        return Err(problem);
    }
    let stored = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
    let verdict = users.passwords.verify(login.password.clone(), stored).await?;
    let Some(Credentials { account, password_hash, standing }) = credentials.filter(|_| verdict.matches) else {
        metrics::counter!("sentinel_logins_total", "result" => "refused").increment(1);
        return Err(invalid_credentials());
    };
    if standing.disabled_at.is_some() {
        return Err(disabled(&users, account.id, &client).await);
    }
    let before = password_hash.clone();
    let better = if verdict.outdated { Some(users.passwords.hash(login.password.clone()).await?) } else { None };
    let Some((session, answer)) = users.begin_session(&account, standing, device::name(&headers)).await? else {
        metrics::counter!("sentinel_logins_total", "result" => "refused").increment(1);
        return Err(invalid_credentials());
    };
    if !still_good(&users, account.id, standing, password_hash, login.password).await? {
        match users.sessions.end_session(account.id, session).await {
            // The change of password may have ended it already.
            Ok(()) | Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        metrics::counter!("sentinel_logins_total", "result" => "refused").increment(1);
        return Err(invalid_credentials());
    }
    if let Some(better) = better {
        renew_hash(&users, account.id, before, better).await;
    }
    metrics::counter!("sentinel_logins_total", "result" => "accepted").increment(1);
    Ok(Json(answer))
}

/// Whether the password is still the account's, and the account what it was. Changing either ends the sessions there are;
/// one that begins meanwhile must not stay, so this is asked when it has begun.
async fn still_good(
    users: &Users,
    id: UserId,
    standing: Standing,
    hash: String,
    password: String,
) -> Result<bool, Problem> {
    let Some(now) = users.accounts.credentials(id).await? else { return Ok(false) };
    if now.standing != standing {
        return Ok(false);
    }
    // Another log-in may have replaced an outdated hash of the same password.
    Ok(now.password_hash == hash || users.passwords.verify(password, Some(now.password_hash)).await?.matches)
}

/// What somebody hears who knows the password of a disabled account; nobody else learns that it is disabled.
async fn disabled(users: &Users, id: UserId, client: &ClientAddress) -> Problem {
    metrics::counter!("sentinel_logins_total", "result" => "disabled").increment(1);
    if users.limits.check(Action::AuditedLogin, &format!("disabled {id}")).is_ok() {
        users
            .audit(AuditEntry::now(AuditAction::DisabledLogin, None, Some(id)).from_address(client.0.to_string()))
            .await;
    }
    let detail = "this account was disabled by an administrator; ask whoever runs this deployment";
    Problem::new(StatusCode::FORBIDDEN, Code::AccountDisabled, detail)
}

/// Stores a better hash of the password that somebody just logged in with, unless it was changed meanwhile. The next log-in
/// tries again where this one can't.
async fn renew_hash(users: &Users, id: UserId, old: String, new: String) {
    if let Err(error) = users.accounts.renew_password_hash(id, old, new).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "an outdated hash of a password stays for now");
    }
}

/// Notes that an account is under attack, now and then. The answer does not wait for it, so its time tells nothing.
fn note_throttled(users: &Users, id: UserId, client: &ClientAddress) {
    if users.limits.check(Action::AuditedLogin, &format!("throttled {id}")).is_ok() {
        let entry = AuditEntry::now(AuditAction::LoginsThrottled, None, Some(id)).from_address(client.0.to_string());
        let users = users.clone();
        tokio::spawn(async move { users.audit(entry).await });
    }
}

/// The name or address as accounts are found by it; `None` when no account can have it.
fn fold(login: &str) -> Option<String> {
    if login.contains('@') {
        Email::parse(login).ok().map(|email| email.as_str().to_owned())
    } else {
        Username::parse(login.trim()).ok().map(|username| username.as_str().to_owned())
    }
}

/// What attempts are counted by: the name, or what was typed instead of one, up to the length of an address.
fn counted_as<'a>(typed: &'a str, folded: Option<&'a str>) -> &'a str {
    let typed = typed.trim();
    folded.unwrap_or(&typed[..typed.floor_char_boundary(EMAIL_BYTES)])
}

/// Few attempts from one address; more from everywhere, so that a stranger can't easily keep the owner out.
///
/// They are counted by what was typed and never by whose it is: whoever uses up the attempts with a name and then tries an
/// address must not learn from the answer that both are one account.
fn throttle(limits: &RateLimits, login: &str, address: &str) -> Result<(), Problem> {
    limits.check(Action::Login, &format!("{login} {address}"))?;
    limits.check(Action::LoginAccount, login)
}

fn invalid_credentials() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, Code::InvalidCredentials, "the name or the password is wrong; check both")
        .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"sentinel\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_counted_by_itself() {
        assert_eq!((counted_as("Ann ", Some("ann")), counted_as(" an n ", None)), ("ann", "an n"));
        assert_eq!(counted_as(&"ä".repeat(1000), None), "ä".repeat(127));
    }

    #[test]
    fn names_and_addresses_are_folded_and_the_impossible_is_nobody() {
        assert_eq!(fold(" Ann ").as_deref(), Some("ann"));
        assert_eq!(fold("Ann@Example.com").as_deref(), Some("ann@example.com"));
        for nobody in ["", "a", "an n", "ann@", "x\u{0}y"] {
            assert_eq!(fold(nobody), None, "{nobody:?}");
        }
    }
}
