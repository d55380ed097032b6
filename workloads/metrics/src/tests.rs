use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Name, type and labels, as one place of the code has them.
type Emitted = (String, Kind, BTreeSet<String>);

/// The sources whose metrics the table is about.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(ROOT).join("operator/src")];
    for entry in fs::read_dir(Path::new(ROOT).join("workloads")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.ends_with("metrics") && folder.join("Cargo.toml").is_file() {
            folders.push(folder.join("src"));
        }
    }
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// What a source emits.
fn emitted(source: &str) -> Vec<Emitted> {
    let macros = [
        ("metrics::counter!(", Kind::Counter),
        ("metrics::gauge!(", Kind::Gauge),
        ("metrics::histogram!(", Kind::Histogram),
    ];
    let mut found = Vec::new();
    for (name, kind) in macros {
        for (at, _) in source.match_indices(name) {
            let call = arguments(&source[at + name.len()..]);
            let name = call.trim_start().strip_prefix('"').expect("names are written out").split('"').next().unwrap();
            let labels = call.match_indices("=>").map(|(at, _)| call[..at].trim_end().rsplit('"').nth(1).unwrap());
            found.push((name.to_owned(), kind, labels.map(str::to_owned).collect()));
        }
    }
    found
}

/// Up to the parenthesis that closes the call.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|character| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &text[..end.unwrap()]
}

fn table() -> BTreeMap<&'static str, &'static Metric> {
    all().map(|metric| (metric.name, metric)).collect()
}

#[test]
fn the_table_has_what_the_code_emits_and_nothing_else() {
    let mut unused = table();
    let table = table();
    for path in sources() {
        let source = fs::read_to_string(&path).unwrap();
        assert!(!source.contains("use metrics::"), "{}: write metrics::counter!(…) out", path.display());
        for (name, kind, labels) in emitted(&source) {
            let metric = table.get(name.as_str()).unwrap_or_else(|| panic!("{}: {name} is not known", path.display()));
            assert_eq!(kind, metric.kind, "{}: {name}", path.display());
            assert!(labels.iter().eq(metric.labels.iter().collect::<BTreeSet<_>>()), "{}: {name}", path.display());
            unused.remove(name.as_str());
        }
    }
    assert!(unused.is_empty(), "nothing emits {:?}", unused.keys());
}

fn all() -> impl Iterator<Item = &'static Metric> {
    [PLATFORM, OPERATOR, CHATS].into_iter().flat_map(recorder::all)
}

/// Metrics of an expression with the labels that it asks for.
fn asked(expression: &str) -> Vec<(&str, Vec<&str>)> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let by = expression.match_indices("by (").map(|(at, by)| expression[at + by.len()..].split(')').next().unwrap());
    // Prometheus gives each series the namespace of the pod that it is from, and the job that it was scraped by.
    let grouped: Vec<_> = by
        .flat_map(|labels| labels.split(',').map(str::trim))
        .filter(|label| !matches!(*label, "le" | "namespace" | "job"))
        .collect();
    let names = expression.match_indices("sentinel_").map(|(at, _)| {
        let name = expression[at..].split(|character| !is_name(character)).next().unwrap();
        let selected = expression[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
        let matchers = selected.into_iter().flat_map(|matchers| matchers.split(','));
        let labels = matchers.map(|matcher| matcher.trim().split(['=', '!']).next().unwrap());
        (name, labels.chain(grouped.iter().copied()).collect())
    });
    names.collect()
}

#[test]
fn alerts_ask_for_metrics_and_labels_that_there_are() {
    let rules = fs::read_to_string(Path::new(ROOT).join("charts/sentinel-operator/files/alerts.yaml")).unwrap();
    let expressions: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() > 15, "{expressions:?}");
    let table = table();
    for expression in expressions {
        let asked = asked(expression);
        assert!(!asked.is_empty(), "{expression}");
        for (name, labels) in asked {
            let buckets = name.strip_suffix("_bucket").and_then(|name| table.get(name));
            let metric = buckets.filter(|metric| metric.kind == Kind::Histogram).or_else(|| table.get(name));
            let metric = metric.unwrap_or_else(|| panic!("{name} is no metric: {expression}"));
            for label in labels {
                assert!(metric.labels.contains(&label), "{name} has no label {label}: {expression}");
            }
        }
    }
}

#[test]
fn names_tell_whose_they_are_and_what_they_hold() {
    let all: Vec<_> = all().collect();
    assert_eq!(all.len(), table().len(), "a name is there twice");
    for Metric { name, kind, unit, help, .. } in all {
        assert!(name.starts_with("sentinel_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
    }
}

#[test]
fn a_scrape_explains_metrics_and_has_buckets_that_can_be_added_up() {
    let recorder = recorder::builder(PLATFORM).unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        recorder::describe(PLATFORM);
        metrics::histogram!("sentinel_delivery_seconds").record(45.0);
        metrics::histogram!("sentinel_sqlite_batch_commands").record(3);
    });
    let scraped = recorder.handle().render();
    for line in [
        "# TYPE sentinel_delivery_seconds histogram",
        "sentinel_delivery_seconds_bucket{le=\"30\"} 0",
        "sentinel_delivery_seconds_bucket{le=\"60\"} 1",
        "sentinel_sqlite_batch_commands_bucket{le=\"2\"} 0",
        "sentinel_sqlite_batch_commands_bucket{le=\"4\"} 1",
        "sentinel_messages_appended_total 0",
    ] {
        assert!(scraped.lines().any(|found| found == line), "{line} is not in:\n{scraped}");
    }
    assert!(scraped.contains("# HELP sentinel_delivery_seconds "), "{scraped}");
    assert!(!scraped.contains(" summary"), "{scraped}");
}

#[test]
fn what_is_told_at_a_scrape_is_gone_at_the_next_when_it_is_told_no_more() {
    let scraped = |chats: &[&'static str]| {
        let tell = || {
            for chat in chats {
                metrics::gauge!("sentinel_operator_chat_condition", "name" => *chat).set(1);
            }
        };
        scrape(CHATS, tell).unwrap()
    };
    let both = scraped(&["a", "b"]);
    assert!(both.contains("# TYPE sentinel_operator_chat_condition gauge"), "{both}");
    assert!(both.contains("{name=\"a\"} 1") && both.contains("{name=\"b\"} 1"), "{both}");
    let one = scraped(&["b"]);
    assert!(!one.contains("\"a\"") && one.contains("{name=\"b\"} 1"), "{one}");
}
