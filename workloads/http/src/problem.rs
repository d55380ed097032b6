//! Problem documents (RFC 9457): the one shape in which every error reaches a client.

use std::fmt;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
pub use sentinel_domain::code::Code;
use sentinel_domain::ports::{StoreError, TakenField};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request;

/// Seconds after which a client should try again when a store or a queue is not available.
const RETRY_AFTER_SECONDS: &str = "2";

/// An error as a client sees it.
///
/// The socket edge turns it into an error acknowledgement from [`Problem::code`] and [`Problem::detail`].
pub struct Problem(Box<Inner>);

struct Inner {
    status: StatusCode,
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    limit: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `email` or `attachments[0]`; empty for the body as a whole.
    pub field: String,
    /// Stable name of what is wrong.
    pub code: &'static str,
    /// What to write instead.
    pub detail: String,
}

/// The body of every error answer, sent as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:sentinel:problem:<code>`.
    #[serde(rename = "type")]
    #[schema(example = "urn:sentinel:problem:not_found")]
    kind: String,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What happened, for people.
    detail: String,
    /// This very occurrence.
    #[schema(example = "urn:sentinel:request:7f0c2a8e-1a4b-4f57-9a36-0d5a4c1b2e3f")]
    instance: String,
    /// What happened, for programs; stable.
    #[schema(example = "not_found")]
    code: &'static str,
    /// The same as `detail`.
    error: String,
    /// The id under which the service logged the request.
    request_id: String,
    /// The fields that are wrong; there when there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Of what there was too much; there with `rate_limited`. The guide lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "login")]
    limit: Option<&'static str>,
}

impl Problem {
    /// A problem with a stable code and a sentence for people.
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        debug_assert!(code.comes_with(status.as_u16()), "list that {code:?} comes with {status}");
        let (errors, headers) = (Vec::new(), Vec::new());
        Self(Box::new(Inner { status, code, detail: detail.into(), errors, limit: None, headers }))
    }

    /// Adds a field that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, code: Code, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { field: field.into(), code: code.as_str(), detail: detail.into() });
        self
    }

    /// Says which limit was met.
    #[must_use]
    pub fn with_limit(mut self, limit: &'static str) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// Adds a header to the answer; a value that can't be one is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// What does not exist, and what the caller may not know to exist.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such thing, or it is not yours to see")
    }

    /// What the caller may not do.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, detail)
    }

    /// A request without a good access token (RFC 6750).
    pub fn unauthorized(code: Code, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, code, detail);
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{}\"", problem.detail());
        problem.with_header(header::WWW_AUTHENTICATE, challenge)
    }

    /// A request whose `field` is wrong.
    pub fn invalid(field: impl Into<String>, code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail.clone()).with_field(field, code, detail)
    }

    /// A store or queue that can't take the request now.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "the service can't answer now; try again shortly")
            .with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// A handler that did not answer in time.
    pub fn timeout() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Timeout, "the service took too long; try again shortly")
            .with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// A fault of ours; what it was is in the log only.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Internal,
            "something went wrong on our side; try again, and tell whoever runs this deployment if it stays so",
        )
    }

    /// The problem that stands for a bare status.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                Code::MethodNotAllowed,
                "this path does not take this method; the header Allow names those that it takes",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, Code::BodyTooLarge, "the body is too large; send a smaller one")
            }
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(),
            _ => Self::new(status, Code::Refused, "the request was refused"),
        }
    }

    /// What happened, for programs.
    pub fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    /// What happened, for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Which limit was met, if one was.
    pub fn limit(&self) -> Option<&'static str> {
        self.0.limit
    }

    /// The fields that are wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("status", &self.0.status.as_u16())
            .field("code", &self.code())
            .field("errors", &self.0.errors)
            .finish_non_exhaustive()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { status, code, detail, errors, limit, headers } = *self.0;
        let code = code.as_str();
        let request_id = request::current_id().unwrap_or_default();
        let body = ProblemBody {
            kind: format!("urn:sentinel:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            instance: format!("urn:sentinel:request:{request_id}"),
            code,
            error: detail.clone(),
            detail,
            request_id,
            errors,
            limit,
        };
        let mut response = (status, axum::Json(body)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response.headers_mut().extend(headers);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Taken(field) => {
                let (field, code) = match field {
                    TakenField::Username => ("username", Code::UsernameTaken),
                    TakenField::Email => ("email", Code::EmailTaken),
                };
                let detail = format!("another account has this {field}; choose another, or log in");
                Self::new(StatusCode::CONFLICT, code, detail.clone()).with_field(field, code, detail)
            }
            StoreError::Blocked => Self::new(
                StatusCode::FORBIDDEN,
                Code::Blocked,
                "one of you blocks the other; nothing can be sent until that block is taken back",
            ),
            StoreError::NotAuthor => Self::forbidden("only the author may do this; leave the message as it is"),
            StoreError::Gone => Self::new(
                StatusCode::CONFLICT,
                Code::MessageDeleted,
                "the message was deleted; it can be changed no more",
            ),
            StoreError::UnknownReply => {
                Self::invalid("reply_to", Code::UnknownReply, "reply_to is not a message of this chat; leave it out")
            }
            StoreError::UnknownAttachment => Self::invalid(
                "attachments",
                Code::UnknownAttachment,
                "there is no such completed upload of yours; upload it again",
            ),
            StoreError::TooLarge(source) => {
                tracing::error!(error = &*source as &dyn std::error::Error, "a store does not take so much at once");
                let detail = "the store does not take so much at once; write a shorter text";
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::MessageTooLarge, detail).with_field(
                    "message",
                    Code::MessageTooLarge,
                    detail,
                )
            }
            StoreError::Unreadable(source) => {
                tracing::error!(error = &*source as &dyn std::error::Error, "what is stored can't be read");
                Self::internal()
            }
            StoreError::Unavailable(source) => {
                tracing::error!(error = &*source as &dyn std::error::Error, "a store is not available");
                Self::unavailable()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    async fn body(problem: Problem) -> Value {
        let response = request::scope("req-00000001".into(), async { problem.into_response() }).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_document_has_every_member_and_names_its_request() {
        let body = body(Problem::invalid("email", Code::InvalidEmail, "not an address")).await;
        let expected = serde_json::json!({
            "type": "urn:sentinel:problem:invalid_email", "title": "Unprocessable Entity", "status": 422,
            "detail": "not an address", "error": "not an address", "code": "invalid_email",
            "instance": "urn:sentinel:request:req-00000001", "request_id": "req-00000001",
            "errors": [{"field": "email", "code": "invalid_email", "detail": "not an address"}],
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_drivers_text_never_reaches_the_client() {
        let problem = Problem::from(StoreError::unavailable("password=hunter2 refused by 10.0.0.7"));
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!body(problem).await.to_string().contains("hunter2"));
    }

    #[test]
    fn each_store_error_has_its_status_and_code() {
        let cases = [
            (StoreError::NotFound, 404, "not_found"),
            (StoreError::Taken(TakenField::Username), 409, "username_taken"),
            (StoreError::Taken(TakenField::Email), 409, "email_taken"),
            (StoreError::Blocked, 403, "blocked"),
            (StoreError::NotAuthor, 403, "forbidden"),
            (StoreError::Gone, 409, "message_deleted"),
            (StoreError::UnknownReply, 422, "unknown_reply"),
            (StoreError::UnknownAttachment, 422, "unknown_attachment"),
            (StoreError::TooLarge("100 KiB".into()), 413, "message_too_large"),
            (StoreError::unreadable("damaged"), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let problem = Problem::from(error);
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
        }
    }
}
