//! `Json`, `Query` and `Path` as in axum, whose rejections are problem documents that name the field.

mod fault;
mod objects;
mod speaker;

use axum::{
    body::{Bytes, HttpBody as _},
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Request,
        path::ErrorKind,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use self::objects::Objects;
pub use self::speaker::json_is_of;
pub(crate) use self::speaker::{Caller, query_is_of};
use crate::problem::{Code, Problem};

/// A JSON body. Unknown fields are ignored; after an [`AuthUser`](crate::auth::AuthUser), a `user_id` or `sender_id` that is
/// not the caller is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !has_json(request.headers()) {
            let detail = "send the body as content-type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, detail));
        }
        let caller = request.extensions().get::<Caller>().copied();
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        let value = parse_json(&body)?;
        if let Some(Caller(caller)) = caller {
            json_is_of(caller, &body)?;
        }
        Ok(Self(value))
    }
}

/// A request without a body is none, whatever type it is said to have.
impl<S, T> OptionalFromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads a JSON object; also what the socket edge is sent comes through here, so that it gets the same problems.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    if let Ok(value) = T::deserialize(Objects(&mut deserializer))
        && deserializer.end().is_ok()
    {
        return Ok(value);
    }
    // Once more, for what is wrong with which field; keeping track of that costs every reader.
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(|error| fault::of_json(&error))?;
    deserializer.end().map_err(|_| fault::malformed_json())?;
    Ok(value)
}

fn has_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE)
    } else {
        Problem::new(StatusCode::BAD_REQUEST, Code::UnreadableBody, "the body broke off; send it again")
    }
}

/// The query of a request. Unknown parameters are ignored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| fault::of_field(&error.path().to_string(), error.inner()))
}

/// The parameters in a request's path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<T>(pub T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await.map_err(wrong_path)?;
        Ok(Self(path.0))
    }
}

fn wrong_path(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(error) = rejection else { return Problem::internal() };
    match error.into_kind() {
        ErrorKind::InvalidUtf8InPathParam { key } => {
            let detail = "must be UTF-8";
            Problem::new(StatusCode::BAD_REQUEST, Code::MalformedPath, format!("{key} {detail}")).with_field(
                key,
                Code::MalformedPath,
                detail,
            )
        }
        ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::DeserializeError { key, .. } => fault::malformed(&key),
        ErrorKind::UnsupportedType { .. } | ErrorKind::WrongNumberOfParameters { .. } => Problem::internal(),
        _ => fault::malformed("path"),
    }
}

#[cfg(test)]
mod tests;
