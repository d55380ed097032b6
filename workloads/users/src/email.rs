//! `POST /email/verification`, `POST /email/verify`, `POST /password/forgot`, `POST /password/reset`.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    account::{Email, check_password},
    audit::AuditAction,
    mail::{LinkPurpose, LinkToken},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    client::ClientAddress,
    describe::{Any, NeedsMail, NeedsToken, TakesJson},
    extract::Json,
    problem::{Code, Problem, ProblemBody},
    rate::Action,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{mail::entry, register::code_of, service::Users};

/// Get another mail with a link that confirms the caller's address. The first one is sent at registration.
#[utoipa::path(
    post, path = "/email/verification", tag = "account", security(("bearer" = [])),
    responses(
        (status = 202, description = "The mail is on its way; earlier links are good no more."),
        (status = 409, description = "The address is confirmed already (`already_verified`).",
            body = ProblemBody, content_type = "application/problem+json"),
        NeedsMail, NeedsToken, Any,
    )
)]
pub(crate) async fn send_verification(State(users): State<Users>, user: AuthUser) -> Result<StatusCode, Problem> {
    users.require_mail()?;
    let account = users.own_account(&user).await?;
    if account.email_verified {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            Code::AlreadyVerified,
            "the address is confirmed already; there is nothing left to do",
        ));
    }
    users.check_mail_budget(&account.email)?;
    users.mail_link(&account, LinkPurpose::VerifyEmail).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The token of a mailed link.
#[derive(Deserialize, ToSchema)]
pub(crate) struct MailedToken {
    /// What follows `#verify-email=` in the link.
    token: String,
}

/// Confirm an account's address with the token of a mailed link.
#[utoipa::path(
    post, path = "/email/verify", tag = "account", request_body = MailedToken,
    responses(
        TakesJson, Any,
        (status = 204, description = "The address is confirmed."),
        (status = 400, description = "The link is not good: used, replaced or expired \
            (`invalid_link`).", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn verify(
    State(users): State<Users>,
    client: ClientAddress,
    Json(body): Json<MailedToken>,
) -> Result<StatusCode, Problem> {
    users.limits.check(Action::UseLink, &client.rate_key())?;
    let token = LinkToken::parse(&body.token).ok_or_else(invalid_link)?;
    let used = users.stores.mail.verify_email(token.hash(), entry(AuditAction::EmailVerified, &client)).await?;
    used.map(|_| StatusCode::NO_CONTENT).ok_or_else(invalid_link)
}

/// Whose password was forgotten.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Forgotten {
    /// The account's address.
    #[schema(format = Email, max_length = 254, example = "ann@example.com")]
    email: String,
}

/// Get a mail with a link to choose a new password. The answer is the same whether there is such an account or not.
#[utoipa::path(
    post, path = "/password/forgot", tag = "users", request_body = Forgotten,
    responses(
        (status = 202, description = "If there is such an account, a mail is on its way."),
        (status = 422, description = "It is no address (`invalid_email`).",
            body = ProblemBody, content_type = "application/problem+json"),
        NeedsMail, TakesJson, Any,
    )
)]
pub(crate) async fn forgot(
    State(users): State<Users>,
    client: ClientAddress,
    Json(body): Json<Forgotten>,
) -> Result<StatusCode, Problem> {
    users.require_mail()?;
    users.limits.check(Action::MailAddress, &client.rate_key())?;
    let email = Email::parse(&body.email).or_else(|error| {
        // An account of before may have an address that is refused now.
        let older = Email::older_spelling(&body.email).map(Email::kept);
        older.ok_or_else(|| Problem::invalid("email", code_of(&error), error.to_string()))
    })?;
    users.check_mail_budget(&email)?;
    // The answer does not wait for the look-up, so its time tells nothing.
    tokio::spawn(async move {
        match users.credentials_by_email(&body.email).await {
            Ok(Some(found)) if found.standing.disabled_at.is_none() => {
                if let Err(problem) = users.mail_link(&found.account, LinkPurpose::ResetPassword).await {
                    tracing::error!(code = problem.code(), "a forgotten password's mail was not queued");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "a forgotten password's account could not be looked up"
            ),
        }
    });
    Ok(StatusCode::ACCEPTED)
}

/// A new password with the token of a mailed link.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Reset {
    /// What follows `#reset-password=` in the link.
    token: String,
    /// 8 to 128 bytes.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    new_password: String,
}

/// Choose a new password with the token of a mailed link; all sessions end.
#[utoipa::path(
    post, path = "/password/reset", tag = "users", request_body = Reset,
    responses(
        TakesJson, Any,
        (status = 204, description = "The password is changed, all sessions have ended: log in."),
        (status = 422, description = "The new password can't be one (`invalid_password`).",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 400, description = "The link is not good: used, replaced or expired \
            (`invalid_link`).", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reset(
    State(users): State<Users>,
    client: ClientAddress,
    Json(reset): Json<Reset>,
) -> Result<StatusCode, Problem> {
    users.limits.check(Action::UseLink, &client.rate_key())?;
    check_password(&reset.new_password)
        .map_err(|error| Problem::invalid("new_password", code_of(&error), error.to_string()))?;
    let hash = LinkToken::parse(&reset.token).ok_or_else(invalid_link)?.hash();
    // Hashing a password is dear: not for strangers.
    let owner = users.stores.mail.link_owner(hash, LinkPurpose::ResetPassword, Timestamp::now()).await?;
    let owner = owner.ok_or_else(invalid_link)?;
    let password_hash = users.passwords.hash(reset.new_password).await?;
    let entry = entry(AuditAction::PasswordReset, &client);
    let ended = users.stores.mail.reset_password(hash, password_hash, entry).await?.ok_or_else(invalid_link)?;
    users.revoke(owner, ended);
    Ok(StatusCode::NO_CONTENT)
}

fn invalid_link() -> Problem {
    let detail = "the link is not good: it was used, replaced by a newer one, or has expired; ask for another mail";
    Problem::new(StatusCode::BAD_REQUEST, Code::InvalidLink, detail)
}
