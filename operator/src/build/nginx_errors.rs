//! What the gateway answers by itself: problem documents, as the platform's are (RFC 9457), that pages of configured origins
//! may read.

use sentinel_domain::code::Code;

use crate::steps::validate::ValidChat;

/// Status, its words, code and what to do.
const PROBLEMS: [(u16, &str, Code, &str); 10] = [
    (400, "Bad Request", Code::Refused, "this is no request that can be read; write it as HTTP/1.1 wants it"),
    (403, "Forbidden", Code::Forbidden, "this path does not take this method"),
    (404, "Not Found", Code::NotFound, "not found"),
    (405, "Method Not Allowed", Code::MethodNotAllowed, "this path does not take this method"),
    (413, "Payload Too Large", Code::BodyTooLarge, "the body is too large; send a smaller one"),
    (414, "URI Too Long", Code::Refused, "the address is too long; send a shorter one"),
    (431, "Request Header Fields Too Large", Code::Refused, "the headers are too large; send fewer or shorter ones"),
    (500, "Internal Server Error", Code::Internal, "something went wrong on our side; try again"),
    (501, "Not Implemented", Code::Refused, "the body is encoded in a way that is not known here; send it as it is"),
    (503, "Service Unavailable", Code::Unavailable, "try again in a moment"),
];

/// Which errors are answered so, as the arguments of `error_page`. Where an address could not be read, or not all of it, there
/// is none from which to go on to a location with a name.
const PAGES: [&str; 4] =
    ["403 404 405 413 500 501 @problem", "400 414 /-/problem", "494 =431 /-/problem", "497 505 =400 /-/problem"];

/// Maps from the status to what is said of it, and the origins whose pages may read it.
pub(super) fn maps(chat: &ValidChat) -> String {
    let problems = PROBLEMS.map(|problem| format!("    {} '{}';\n", problem.0, members(problem)));
    let origins = chat.spec.auth.cors_origins.iter().map(|origin| format!("    \"{origin}\" $http_origin;\n"));
    format!(
        "  map $status $problem {{\n{}  }}\n{HEADER_MAPS}  map $http_origin $allowed_origin {{\n    default \"\";\n{}  }}\n",
        problems.concat(),
        origins.collect::<String>(),
    )
}

/// A problem document's members but for those that tell requests apart.
fn members((status, title, code, detail): (u16, &str, Code, &str)) -> String {
    let code = code.as_str();
    format!(
        r#""type":"urn:sentinel:problem:{code}","title":"{title}","status":{status},"code":"{code}","detail":"{detail}","error":"{detail}""#
    )
}

/// For a server and for each location that answers an error in a way of its own, which inherits none of these.
pub(super) fn pages(indent: &str) -> String {
    PAGES.map(|page| format!("{indent}error_page {page};\n")).concat()
}

/// Ends every server.
pub(super) fn locations() -> String {
    format!(
        "\n{}    error_page 502 504 =503 @problem;\n    location @problem {{\n{PROBLEM}    }}\n    location = /-/problem {{\n{PROBLEM}    }}\n",
        pages("    ")
    )
}

/// The status is that of the error, whatever is returned here; and the type is this one, whatever the path ends with.
const PROBLEM: &str = r#"      internal;
      types { }
      default_type application/problem+json;
@OWN_HEADERS@      return 500 '{$problem,"instance":"urn:sentinel:request:$trace_id","request_id":"$trace_id"}';
"#;

const HEADER_MAPS: &str = r#"  map $status $allowed_methods {
    default "";
    405 "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
  }
  map $status $retry_after {
    default "";
    503 2;
  }
"#;

/// Headers of answers that are the gateway's own. A location with any does not inherit those of all answers.
pub(super) const HEADERS: &str = r#"      add_header Allow $allowed_methods always;
      add_header Retry-After $retry_after always;
      add_header X-Request-Id $trace_id always;
      add_header Cache-Control no-store always;
      add_header Access-Control-Allow-Origin $allowed_origin always;
      add_header Access-Control-Expose-Headers "retry-after, x-request-id" always;
      add_header Vary Origin always;
      add_header X-Content-Type-Options nosniff always;
      add_header Referrer-Policy no-referrer always;
      add_header Content-Security-Policy $content_policy always;
      add_header Strict-Transport-Security $strict_transport always;
"#;
