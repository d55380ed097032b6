//! The API description, and the published keys.

use serde_json::Value;

use super::app::App;

fn description() -> Value {
    serde_json::to_value(crate::openapi()).unwrap()
}

#[test]
fn every_route_is_described_with_its_errors_and_who_may_call_it() {
    let description = description();
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 31, "{:?}", paths.keys());
    let open = [
        "/register",
        "/login",
        "/token/refresh",
        "/.well-known/jwks.json",
        "/email/verify",
        "/password/forgot",
        "/password/reset",
    ];
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let guarded = operation["security"][0].get("bearer").is_some();
            assert_eq!(guarded, !open.contains(&path.as_str()), "{method} {path}");
            assert!(!guarded || responses.contains_key("401"), "{method} {path}");
            assert!(responses.contains_key("429") && responses.contains_key("503"), "{method} {path}");
            assert!(!operation.to_string().contains("\"#/components/schemas/ProblemBody\""), "{method} {path}");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                assert!(response["content"].get("application/problem+json").is_some(), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    let description = description();
    let text = description.to_string();
    let references: std::collections::BTreeSet<&str> =
        text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.contains("Problem"));
    for name in references {
        assert!(description["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_public_keys_may_be_cached_for_a_while() {
    let app = App::new();
    let answer = app.call("GET", "/.well-known/jwks.json", None, None).await;
    assert_eq!((answer.status, &answer.headers["cache-control"]), (200, &"public, max-age=60".parse().unwrap()));
    assert_eq!(answer.body["keys"][0]["kid"], "jwt-0001");
}
