//! From serde's errors to problems that name the field and never repeat what the client sent.

use axum::http::StatusCode;

use crate::problem::{Code, Problem};

const NO_OBJECT: &str = "must be an object";

/// Text that is not JSON.
pub(super) fn malformed_json() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, Code::MalformedJson, "the body is not JSON; send one JSON object")
}

/// How `serde_json` begins what it tells of a half of a surrogate pair. That is JSON, but no text.
const LONE_SURROGATE: [&str; 2] = ["lone leading surrogate in hex escape", "unexpected end of hex escape"];

/// JSON that is not what was asked for.
pub(super) fn of_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, told) = (error.path().to_string(), error.inner().to_string());
    if error.inner().is_data() {
        of_field(&path, error.inner())
    } else if LONE_SURROGATE.iter().any(|lone| told.starts_with(lone)) {
        let detail = "has half of a surrogate pair: \\ud800 to \\udbff and \\udc00 to \\udfff go together";
        problem(or_body(&path), Code::InvalidField, detail)
    } else {
        malformed_json()
    }
}

/// A field that is missing or wrong, from where it is and what serde says of it.
pub(super) fn of_field(path: &str, error: &impl ToString) -> Problem {
    let message = error.to_string();
    let path = or_body(path);
    if let Some(name) = quoted(&message, "missing field `") {
        return problem(&join(path, name), Code::MissingField, "is missing");
    }
    if let Some(name) = quoted(&message, "duplicate field `") {
        return problem(&join(path, name), Code::DuplicateField, "is there twice");
    }
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    match expected.map(without_position) {
        // serde names the Rust type, which is none of the client's business.
        Some(expected) if expected.starts_with("struct ") => problem(path, Code::InvalidField, NO_OBJECT),
        Some(expected) => problem(path, Code::InvalidField, &format!("must be {}", number(expected))),
        None => malformed(path),
    }
}

/// What a number has to be, from the name that serde has for it. Whatever else is expected is told as it is.
fn number(expected: &str) -> &str {
    match expected {
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
        "u32" | "u64" | "usize" => "an integer from 0 on, and not so large",
        "i16" => "an integer from -32768 to 32767",
        "i32" | "i64" | "isize" => "an integer, and not so large",
        "f32" | "f64" => "a number",
        other => other,
    }
}

/// `serde_path_to_error` has a dot for the whole.
fn or_body(path: &str) -> &str {
    if path == "." { "" } else { path }
}

/// A field whose text can't be read as what it should be.
pub(super) fn malformed(field: &str) -> Problem {
    problem(field, Code::InvalidField, "is malformed")
}

fn problem(field: &str, code: Code, detail: &str) -> Problem {
    let subject = if field.is_empty() { "the body" } else { field };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidRequest, format!("{subject} {detail}"))
        .with_field(field, code, detail)
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

fn join(path: &str, name: &str) -> String {
    // serde_path_to_error stops at the parent of a field that is not there, or at the field itself.
    if path.is_empty() || path == name || path.ends_with(&format!(".{name}")) {
        if path.is_empty() { name.to_owned() } else { path.to_owned() }
    } else {
        format!("{path}.{name}")
    }
}

fn without_position(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}
