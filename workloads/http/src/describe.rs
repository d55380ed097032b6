//! Error answers that many routes share, for the API description.
//!
//! utoipa keeps one answer of each status, the last. So that a route's own answer and those that it shares all stay, each
//! shared one is kept under its status and the name of its set until [`merged`] makes one answer of them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
};

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

/// The answers of a set of this name.
fn answers<const N: usize>(set: &str, list: [(&str, ResponseBuilder); N]) -> Answers {
    list.into_iter().map(|(status, answer)| (format!("{status} {set}"), answer.build().into())).collect()
}

/// Makes one answer of all that a route has of one status, its own first: it says what each of them does.
#[must_use]
pub fn merged(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let answers = &mut operation.responses.responses;
            for (key, answer) in mem::take(answers) {
                let status = key.split(' ').next().unwrap_or_default().to_owned();
                match answers.entry(status) {
                    Entry::Vacant(place) => {
                        place.insert(answer);
                    }
                    Entry::Occupied(mut first) => add(first.get_mut(), answer),
                }
            }
        }
    }
    api
}

fn add(first: &mut RefOr<Response>, more: RefOr<Response>) {
    let (RefOr::T(first), RefOr::T(more)) = (first, more) else { return };
    let end = if first.description.ends_with('.') { "" } else { "." };
    first.description = format!("{}{end} {}", first.description, more.description);
    first.headers.extend(more.headers);
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
        answers("any", [("429", limited), ("503", unavailable)])
    }
}

/// What a route that needs an access token answers without a good one.
pub struct NeedsToken;

impl IntoResponses for NeedsToken {
    fn responses() -> Answers {
        let description = "No good access token (`missing_token`, `invalid_token`, `token_expired`, `session_ended`).";
        let refused = problem(description).header("WWW-Authenticate", header("The bearer challenge of RFC 6750."));
        answers("token", [("401", refused)])
    }
}

/// What a route for admins answers to others.
pub struct NeedsAdmin;

impl IntoResponses for NeedsAdmin {
    fn responses() -> Answers {
        answers("admin", [("403", problem("The token does not have the scope `admin` (`forbidden`)."))])
    }
}

/// What a route that needs mail answers where none is sent.
pub struct NeedsMail;

impl IntoResponses for NeedsMail {
    fn responses() -> Answers {
        answers("mail", [("403", problem("This deployment sends no mail (`mail_disabled`)."))])
    }
}

/// What a route with a JSON body answers to a bad one.
pub struct TakesJson;

impl IntoResponses for TakesJson {
    fn responses() -> Answers {
        answers(
            "json",
            [
                ("400", problem("The body is not JSON (`malformed_json`), or broke off (`unreadable_body`).")),
                ("408", problem("The body did not come in time (`timeout`).")),
                ("413", problem("The body is too large (`body_too_large`).")),
                ("415", problem("The body is not sent as JSON (`unsupported_media_type`).")),
                ("422", problem("A field of the body is missing or wrong (`invalid_request`); `errors` names it.")),
            ],
        )
    }
}

/// What a route with parameters in its path or query answers to bad ones.
pub struct TakesParameters;

impl IntoResponses for TakesParameters {
    fn responses() -> Answers {
        answers(
            "parameters",
            [
                (
                    "400",
                    problem(
                        "The path is not UTF-8 (`malformed_path`), or the cursor is not one of this query \
                         (`invalid_cursor`).",
                    ),
                ),
                (
                    "422",
                    problem(
                        "A parameter is missing or malformed (`invalid_request`), or `limit` is not 1 to 100 \
                         (`out_of_range`); `errors` names it.",
                    ),
                ),
            ],
        )
    }
}

/// What a route answers about something that does not exist or is not the caller's to see.
pub struct MayBeMissing;

impl IntoResponses for MayBeMissing {
    fn responses() -> Answers {
        answers(
            "missing",
            [(
                "404",
                problem("It does not exist, or the caller may not see it; the answers are the same (`not_found`)."),
            )],
        )
    }
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::{
        HttpMethod, OpenApiBuilder, PathItem, PathsBuilder, ResponsesBuilder, path::OperationBuilder,
    };

    use super::*;

    #[test]
    fn a_route_keeps_its_own_answer_beside_all_that_it_shares() {
        let responses = ResponsesBuilder::new()
            .response("422", problem("The hash is another (`wrong_hash`)"))
            .response("204", Response::new("Done"))
            .responses_from_into_responses::<TakesJson>()
            .responses_from_into_responses::<TakesParameters>()
            .responses_from_into_responses::<Any>();
        let item = PathItem::new(HttpMethod::Post, OperationBuilder::new().responses(responses.build()));
        let api = OpenApiBuilder::new().paths(PathsBuilder::new().path("/x", item)).build();
        let described = serde_json::to_value(merged(api)).unwrap();
        let responses = described["paths"]["/x"]["post"]["responses"].as_object().unwrap();
        let statuses: Vec<&str> = responses.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["204", "400", "408", "413", "415", "422", "429", "503"]);
        assert_eq!(
            responses["422"]["description"],
            "The hash is another (`wrong_hash`). A field of the body is missing or wrong (`invalid_request`); `errors` \
             names it. A parameter is missing or malformed (`invalid_request`), or `limit` is not 1 to 100 \
             (`out_of_range`); `errors` names it."
        );
        assert!(responses["422"]["content"]["application/problem+json"].is_object());
        let malformed = responses["400"]["description"].as_str().unwrap();
        assert!(malformed.contains("`malformed_json`") && malformed.contains("`invalid_cursor`"), "{malformed}");
        assert!(responses["429"]["headers"]["Retry-After"].is_object());
    }

    #[test]
    fn the_common_description_has_the_problem_and_the_bearer_scheme() {
        let json = serde_json::to_value(Common::openapi()).unwrap();
        assert!(json["components"]["schemas"]["Problem"]["properties"]["request_id"].is_object(), "{json}");
        assert_eq!(json["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    }
}
