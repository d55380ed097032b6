//! What an answer of Firebase Cloud Messaging means.

use serde::Deserialize;

use super::verdict::{TOO_MANY, Verdict, retry_after};

/// The field of a request that holds the registration token.
const TOKEN: &str = "message.token";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: Fault,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    error_code: Option<String>,
    field_violations: Vec<Violation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: String,
}

/// Reads an answer. Its words count only where it is FCM's own: a proxy may answer with HTML.
pub(super) fn read(status: u16, retry: Option<&str>, body: &[u8]) -> Verdict {
    if (200..300).contains(&status) {
        return Verdict::Accepted;
    }
    let details = serde_json::from_slice::<Answer>(body).unwrap_or_default().error.details;
    let code = details.iter().find_map(|detail| detail.error_code.as_deref());
    let about_token =
        details.iter().flat_map(|detail| &detail.field_violations).any(|violation| violation.field == TOKEN);
    match (status, code) {
        (_, Some("UNREGISTERED")) => Verdict::AddressGone,
        (400, _) if about_token => Verdict::AddressGone,
        (400, _) => Verdict::Refused("invalid_request"),
        // Apple or a browser's push service does not take Firebase's word for us: a new token of ours changes nothing.
        (401, Some("THIRD_PARTY_AUTH_ERROR")) => Verdict::Refused("third_party_auth"),
        (401, _) => Verdict::Unauthorized,
        // The device belongs to another project, or we hold that one's credentials.
        (403, Some("SENDER_ID_MISMATCH")) => Verdict::Refused("sender_id_mismatch"),
        (403, _) => Verdict::Refused("forbidden"),
        (429, _) => Verdict::Later(retry_after(retry), TOO_MANY),
        (500..600, _) => Verdict::Later(retry_after(retry), "unavailable"),
        _ => Verdict::Refused("unexpected_answer"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    /// An error as FCM writes it.
    pub(in super::super) fn fault(status: u16, code: &str) -> Value {
        json!({"error": {
            "code": status, "message": "what happened", "status": "A_STATUS",
            "details": [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}],
        }})
    }

    pub(in super::super) fn violation(field: &str) -> Value {
        let mut fault = fault(400, "INVALID_ARGUMENT");
        fault["error"]["details"].as_array_mut().unwrap().push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": "it is wrong"}],
        }));
        fault
    }

    #[test]
    fn each_documented_answer_has_its_meaning() {
        let of = |status, body: Value| read(status, None, body.to_string().as_bytes());
        assert_eq!(of(200, json!({"name": "projects/p/messages/1"})), Verdict::Accepted);
        assert_eq!(of(404, fault(404, "UNREGISTERED")), Verdict::AddressGone);
        assert_eq!(of(400, violation("message.token")), Verdict::AddressGone);
        assert_eq!(of(400, violation("message.android.ttl")), Verdict::Refused("invalid_request"));
        assert_eq!(of(400, fault(400, "INVALID_ARGUMENT")), Verdict::Refused("invalid_request"));
        assert_eq!(of(403, fault(403, "SENDER_ID_MISMATCH")), Verdict::Refused("sender_id_mismatch"));
        assert_eq!(of(401, fault(401, "THIRD_PARTY_AUTH_ERROR")), Verdict::Refused("third_party_auth"));
        assert_eq!(of(401, json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}})), Verdict::Unauthorized);
        assert_eq!(of(500, fault(500, "INTERNAL")), Verdict::Later(None, "unavailable"));
        let busy = fault(503, "UNAVAILABLE").to_string();
        assert_eq!(
            read(503, Some("30"), busy.as_bytes()),
            Verdict::Later(Some(Duration::from_secs(30)), "unavailable")
        );
        let many = fault(429, "QUOTA_EXCEEDED").to_string();
        assert_eq!(read(429, Some("5"), many.as_bytes()), Verdict::Later(Some(Duration::from_secs(5)), "too_many"));
    }

    #[test]
    fn a_proxy_never_makes_us_forget_an_address() {
        for status in [301, 400, 401, 403, 404, 405, 410, 413, 429, 500, 502, 504] {
            for body in ["<html>Bad Gateway</html>", "", "null", "[]", r#"{"error":"no such page"}"#] {
                assert_ne!(read(status, None, body.as_bytes()), Verdict::AddressGone, "{status} {body}");
            }
        }
        assert_eq!(read(502, None, b"<html>Bad Gateway</html>"), Verdict::Later(None, "unavailable"));
    }
}
