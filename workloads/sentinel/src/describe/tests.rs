//! Whether what clients are told is all that there is: the descriptions against the sources, and the guide's table of codes
//! against both.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The crates that answer clients.
const ANSWERING: [&str; 8] = ["http", "users", "message", "presence", "notification", "search", "media", "sentinel"];

/// Sources of the services, without their tests.
fn sources() -> Vec<String> {
    let mut folders: Vec<PathBuf> =
        ANSWERING.iter().map(|name| Path::new(ROOT).join("workloads").join(name).join("src")).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if !is_test && path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                sources.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }
    sources
}

/// The arguments that follow an opening parenthesis, as they are written.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut begin, mut found) = (0, false, false, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => {
                found.push(text[begin..at].trim());
                // A comma may stand behind the last one.
                found.retain(|argument| !argument.is_empty());
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The text of a literal, with lines that are continued put together.
fn literal(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut lines = inner.split("\\\n");
    let first = lines.next()?.to_owned();
    Some(lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\""))
}

/// Calls that give a problem's code, and which of their arguments it is.
const CALLS: [(&str, usize); 8] = [
    ("Problem::new(", 1),
    ("Self::new(", 1),
    ("Problem::invalid(", 1),
    ("Self::invalid(", 1),
    ("unauthorized(", 0),
    (".with_field(", 1),
    ("problem(", 1),
    ("refused(", 0),
];

/// What a code is where it is not written out, with those that it may be.
const INDIRECT: [(&str, &[&str]); 7] = [
    ("code", &["username_taken", "email_taken"]),
    ("INVALID_REQUEST", &["invalid_request"]),
    ("error.code()", &["token_expired", "session_ended", "invalid_token"]),
    ("code_of(&error)", &["invalid_username", "invalid_email", "invalid_password", "invalid_display_name"]),
    ("&error", &[]),
    ("&full", &[]),
    ("error", &[]),
];

/// Every code that the sources give to a problem or to a refused socket.
fn answered() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for source in sources() {
        for (call, place) in CALLS {
            for (at, _) in source.match_indices(call).filter(|(at, _)| !source[..*at].ends_with("fn ")) {
                let arguments = arguments(&source[at + call.len()..]);
                // Other types are made by functions of the same name.
                let problem = call != "Self::new("
                    || arguments.first().is_some_and(|first| first.contains("StatusCode::") || *first == "status");
                let Some(code) = arguments.get(place).filter(|_| problem) else { continue };
                if let Some(code) = literal(code) {
                    codes.insert(code);
                } else {
                    let known = INDIRECT.iter().find(|(written, _)| written == code);
                    let (_, known) = known.unwrap_or_else(|| panic!("say in INDIRECT which codes `{code}` may be"));
                    codes.extend(known.iter().map(|&code| code.to_owned()));
                }
            }
        }
        for refusal in source.split("Refusal {").skip(1) {
            let code = refusal.trim_start().strip_prefix("code: ");
            codes.extend(code.and_then(|code| literal(code.split(',').next()?)));
        }
    }
    // The gateway's own.
    let gateway = fs::read_to_string(Path::new(ROOT).join("operator/src/build/nginx.rs")).unwrap();
    codes.extend(gateway.split("\"code\":\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    codes
}

/// The codes of the guide's table.
fn listed() -> BTreeSet<String> {
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/clients.md")).unwrap();
    let table = guide.split("\n## Codes\n").nth(1).expect("docs/clients.md has a section Codes");
    let section = table.split("\n## ").next().unwrap();
    let codes: Vec<String> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect();
    let set: BTreeSet<String> = codes.iter().cloned().collect();
    assert_eq!(set.len(), codes.len(), "a code is in the table twice");
    set
}

#[test]
fn no_description_of_an_answer_in_the_sources_is_lost() {
    let mut written = BTreeMap::<String, usize>::new();
    for source in sources() {
        for (at, before) in source.match_indices("status = ") {
            if source[at + before.len()..].starts_with(|next: char| next.is_ascii_digit()) {
                let described = arguments(&source[at..]);
                let text = described.iter().find_map(|one| literal(one.strip_prefix("description = ")?));
                *written.entry(text.expect("every answer has a description")).or_default() += 1;
            }
        }
    }
    assert!(written.len() > 60, "{written:?}");
    let document = serde_json::to_value(openapi(Role::value_variants())).unwrap();
    let mut shown = Vec::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(status.parse::<u16>().is_ok(), "answers of one status are one: {status}");
            shown.push(answer["description"].as_str().unwrap());
        }
    }
    for (description, times) in written {
        let found = shown.iter().filter(|answer| answer.contains(&description)).count();
        assert!(found >= times, "{times} times in the sources, {found} times in the document: {description}");
    }
}

#[test]
fn the_guide_lists_every_code_that_may_be_answered_and_no_other() {
    let (answered, listed) = (answered(), listed());
    assert!(answered.len() > 80, "{answered:?}");
    let missing: Vec<_> = answered.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&answered).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in docs/clients.md: {missing:?}; only there: {unknown:?}");
}

/// Codes of no route in particular, and those that `errors` has beside `invalid_request`.
const OF_NO_ROUTE: [&str; 7] = [
    "method_not_allowed",
    "refused",
    "payload_too_large",
    "internal",
    "missing_field",
    "duplicate_field",
    "invalid_field",
];

#[test]
fn every_code_of_the_guide_is_in_the_description_of_what_answers_it() {
    let text = openapi(Role::value_variants()).to_json().unwrap() + &asyncapi().to_string();
    let missing: Vec<String> = listed()
        .into_iter()
        .filter(|code| !text.contains(&format!("`{code}`")) && !OF_NO_ROUTE.contains(&code.as_str()))
        .collect();
    assert!(missing.is_empty(), "in neither openapi.json nor asyncapi.json: {missing:?}");
}
