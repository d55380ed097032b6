//! `POST /register`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use sentinel_domain::{
    account::{Email, InvalidAccount, Standing, Username, check_password},
    config::Access,
    ids::{MessageId, UserId},
    mail::LinkPurpose,
    notification::Notification,
    ports::{Beginning, NewAccount, NotificationSink, StoreError, TakenField},
    time::Timestamp,
};
use sentinel_http::{
    client::ClientAddress,
    describe::{Any, TakesJson},
    extract::Json,
    problem::{Code, Problem, ProblemBody},
    rate::Action,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    answer::TokenAnswer,
    device,
    service::{Users, new_session},
};

/// A new account.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Registration {
    /// 3 to 32 letters a-z (upper case is folded), digits, dots or underscores.
    #[schema(example = "ann", min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9_.]{3,32}$")]
    username: String,
    /// 8 to 128 bytes.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    password: String,
    /// An e-mail address.
    #[schema(format = Email, max_length = 254, example = "ann@example.com")]
    email: String,
}

/// Make an account and log in.
#[utoipa::path(
    post, path = "/register", tag = "users", request_body = Registration,
    responses(
        (status = 201, description = "The account, logged in.", body = TokenAnswer),
        (status = 403, description = "Registration is closed (`registration_closed`).",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Another account has the name or address (`username_taken`, `email_taken`).",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "What no account can have (`invalid_username`, `invalid_email`, `invalid_password`; \
            several: `invalid_request`).", body = ProblemBody, content_type = "application/problem+json"),
        TakesJson, Any,
    )
)]
pub(crate) async fn register(
    State(users): State<Users>,
    address: ClientAddress,
    headers: HeaderMap,
    Json(registration): Json<Registration>,
) -> Result<(StatusCode, Json<TokenAnswer>), Problem> {
    if users.config.auth.registration == Access::Closed {
        let detail = "accounts are made by the administrators here; ask them for one";
        return Err(Problem::new(StatusCode::FORBIDDEN, Code::RegistrationClosed, detail));
    }
    users.limits.check(Action::Register, &address.rate_key())?;
    let (username, email) = check(&registration)?;
    // The store decides in the end. Whoever can be refused at once costs no hash, and uses up no mail to an address that may be
    // somebody else's.
    if users.accounts.credentials_by_login(username.as_str()).await?.is_some() {
        return Err(StoreError::Taken(TakenField::Username).into());
    }
    if users.credentials_by_email(&registration.email).await?.is_some() {
        return Err(StoreError::Taken(TakenField::Email).into());
    }
    let password_hash = users.passwords.hash(registration.password).await?;
    let (id, now) = (UserId(Uuid::new_v4()), Timestamp::now());
    // All of it is made before anything is stored, and stored in one step: after a failure, whoever registers has no account
    // and can try again.
    let session = new_session(id, device::name(&headers), now);
    let answer = users.token_answer(id, &username, Standing::default(), session.id, 0, now)?;
    // Whoever makes one account after the other with a stranger's address must not fill a mailbox by it. The account is made
    // all the same: a refusal would tell how much mail the address got.
    let mails = users.mail.is_some() && users.check_mail_budget(&email).is_ok();
    let link = if mails { Some(users.new_link(id, None, &email, LinkPurpose::VerifyEmail)?) } else { None };
    let new = NewAccount { id, username, email, password_hash, created_at: now };
    users.accounts.register(new, Beginning { session: Some(session), link }).await?;
    tokio::spawn(welcome(users.notifications.clone(), id));
    if mails {
        users.mail_was_queued(LinkPurpose::VerifyEmail);
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Nobody waits for it, and nobody misses it.
async fn welcome(notifications: Arc<dyn NotificationSink>, user: UserId) {
    if let Err(error) = notifications.add(Notification::welcome(user, MessageId(Uuid::now_v7()))).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a new account is not told that it is welcome");
    }
}

/// The name and address, or a problem that names every field that is wrong.
fn check(registration: &Registration) -> Result<(Username, Email), Problem> {
    let username = Username::parse(&registration.username);
    let email = Email::parse(&registration.email);
    let password = check_password(&registration.password);
    match (username, email, password) {
        (Ok(username), Ok(email), Ok(())) => Ok((username, email)),
        (username, email, password) => {
            let wrong = [("username", username.err()), ("email", email.err()), ("password", password.err())];
            let wrong: Vec<_> = wrong.into_iter().filter_map(|(field, error)| Some((field, error?))).collect();
            let detail = wrong.iter().map(|(_, error)| error.to_string()).collect::<Vec<_>>().join("; ");
            let code = if let [(_, error)] = &wrong[..] { code_of(error) } else { Code::InvalidRequest };
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
            let named = |problem: Problem, (field, error): (&str, InvalidAccount)| {
                problem.with_field(field, code_of(&error), error.to_string())
            };
            Err(wrong.into_iter().fold(problem, named))
        }
    }
}

/// The stable code of a value that an account can't have.
pub(crate) fn code_of(error: &InvalidAccount) -> Code {
    match error {
        InvalidAccount::Username => Code::InvalidUsername,
        InvalidAccount::Email => Code::InvalidEmail,
        InvalidAccount::Password => Code::InvalidPassword,
        InvalidAccount::DisplayName => Code::InvalidDisplayName,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(username: &str, password: &str, email: &str) -> Problem {
        let registration = Registration { username: username.into(), password: password.into(), email: email.into() };
        check(&registration).unwrap_err()
    }

    #[test]
    fn every_wrong_field_is_named() {
        let problem = problem("a", "short", "nowhere");
        assert_eq!(problem.code(), "invalid_request");
        let named: Vec<_> = problem.errors().iter().map(|error| (error.field.as_str(), error.code)).collect();
        let expected = [("username", "invalid_username"), ("email", "invalid_email"), ("password", "invalid_password")];
        assert_eq!(named, expected);
    }

    #[test]
    fn a_single_wrong_field_gives_the_problem_its_code() {
        assert_eq!(problem("ann", "short", "ann@example.com").code(), "invalid_password");
    }
}
