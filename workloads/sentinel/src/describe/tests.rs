//! Whether what clients are told is all that there is: the descriptions against the sources, and the guide's table of codes
//! against the list.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;
use sentinel_domain::code::Code;

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
fn the_guide_has_the_table_of_all_codes() {
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/clients.md")).unwrap();
    let (_, section) = guide.split_once("\n## Codes\n").expect("docs/clients.md has a section Codes");
    let section = section.split("\n## ").next().unwrap();
    let rows: String = section.lines().filter(|line| line.starts_with('|')).flat_map(|row| [row, "\n"]).collect();
    let table = Code::table();
    assert_eq!(rows, table, "put this in place of the table in docs/clients.md:\n{table}");
}

#[test]
fn every_code_of_the_list_is_answered_by_somebody() {
    let sources = sources().concat();
    let unused: Vec<_> = Code::ALL
        .iter()
        .filter(|code| {
            let written = format!("Code::{code:?}");
            let mut found = sources.match_indices(&written);
            !found.any(|(at, _)| !sources[at + written.len()..].starts_with(|next: char| next.is_alphanumeric()))
        })
        .collect();
    assert!(unused.is_empty(), "take them from the list: {unused:?}");
}

/// Codes of no route in particular, and those that `errors` has beside `invalid_request`.
const OF_NO_ROUTE: [&str; 6] =
    ["method_not_allowed", "refused", "internal", "missing_field", "duplicate_field", "invalid_field"];

#[test]
fn every_code_is_in_the_description_of_what_answers_it() {
    let text = openapi(Role::value_variants()).to_json().unwrap() + &asyncapi().to_string();
    let missing: Vec<_> = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !text.contains(&format!("`{code}`")) && !OF_NO_ROUTE.contains(code))
        .collect();
    assert!(missing.is_empty(), "in neither openapi.json nor asyncapi.json: {missing:?}");
}
