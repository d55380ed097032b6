//! Error answers that many routes share, for the API description.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        header::HeaderBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::problem::{FieldError, ProblemBody};

/// Name of the security scheme that routes refer to as `security(("bearer" = []))`.
pub const BEARER: &str = "bearer";

/// What every service's description begins with: the shape of problems and the bearer scheme.
#[derive(OpenApi)]
#[openapi(components(schemas(ProblemBody, FieldError)), modifiers(&Bearer))]
pub struct Common;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access token from `/register`, `/login` or `/token/refresh`."))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
}

type Answers = BTreeMap<String, RefOr<Response>>;

/// A problem document with these codes.
fn problem(description: &str) -> ResponseBuilder {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", body)
}

fn answers<const N: usize>(list: [(&str, ResponseBuilder); N]) -> Answers {
    list.into_iter().map(|(status, answer)| (status.to_owned(), answer.build().into())).collect()
}

fn header(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().description(Some(description)).build()
}

/// What any route may answer: too many requests, a store that can't be reached.
pub struct Any;

impl IntoResponses for Any {
    fn responses() -> Answers {
        let limited = problem("Too many requests (`rate_limited`).")
            .header("Retry-After", header("Seconds to wait."))
            .header("RateLimit-Limit", header("How many at once."))
            .header("RateLimit-Remaining", header("How many are left."))
            .header("RateLimit-Reset", header("Seconds until all are there again."));
        let unavailable = problem("A store or queue can't take the request now (`unavailable`, `timeout`).")
            .header("Retry-After", header("Seconds to wait."));
        answers([("429", limited), ("503", unavailable)])
    }
}

/// What a route that needs an access token answers without a good one.
pub struct NeedsToken;

impl IntoResponses for NeedsToken {
    fn responses() -> Answers {
        let description = "No good access token (`missing_token`, `invalid_token`, `token_expired`, `session_ended`).";
        let refused = problem(description).header("WWW-Authenticate", header("The bearer challenge of RFC 6750."));
        answers([("401", refused)])
    }
}

/// What a route for admins answers to others.
pub struct NeedsAdmin;

impl IntoResponses for NeedsAdmin {
    fn responses() -> Answers {
        answers([("403", problem("The token does not have the scope `admin` (`forbidden`)."))])
    }
}

/// What a route that needs mail answers where none is sent.
pub struct NeedsMail;

impl IntoResponses for NeedsMail {
    fn responses() -> Answers {
        answers([("403", problem("This deployment sends no mail (`mail_disabled`)."))])
    }
}

/// What a route with a JSON body answers to a bad one.
pub struct TakesJson;

impl IntoResponses for TakesJson {
    fn responses() -> Answers {
        answers([
            ("400", problem("The body is not JSON (`malformed_json`).")),
            ("408", problem("The body did not come in time (`timeout`).")),
            ("413", problem("The body or the text in it is too large (`body_too_large`, `message_too_large`).")),
            ("415", problem("The body is not sent as JSON (`unsupported_media_type`).")),
            (
                "422",
                problem("A field is missing or wrong (`invalid_request` or a code of its own); `errors` names it."),
            ),
        ])
    }
}

/// What a route with parameters in its path or query answers to bad ones.
pub struct TakesParameters;

impl IntoResponses for TakesParameters {
    fn responses() -> Answers {
        answers([
            (
                "400",
                problem(
                    "The path is not UTF-8 (`malformed_path`), or the cursor is not one of this query (`invalid_cursor`).",
                ),
            ),
            ("422", problem("A parameter is missing or malformed (`invalid_request`); `errors` names it.")),
        ])
    }
}

/// What a route answers about something that does not exist or is not the caller's to see.
pub struct MayBeMissing;

impl IntoResponses for MayBeMissing {
    fn responses() -> Answers {
        answers([(
            "404",
            problem("It does not exist, or the caller may not see it; the answers are the same (`not_found`)."),
        )])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_description_has_the_problem_and_the_bearer_scheme() {
        let json = serde_json::to_value(Common::openapi()).unwrap();
        assert!(json["components"]["schemas"]["Problem"]["properties"]["request_id"].is_object(), "{json}");
        assert_eq!(json["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    }
}
