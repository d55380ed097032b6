//! The reference page of the resource, from its schema.

use serde_json::Value;

use crate::api::rules;

/// The page as Markdown.
pub fn page(definition: &Value) -> String {
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut page = String::from(
        "# SentinelChat (chat.sentinel.dev/v1alpha1)\n\n\
         Generated from the code by `cargo run -p sentinel-operator --bin crdgen`.\n",
    );
    for (part, title) in [("spec", "What you write"), ("status", "What the operator reports")] {
        page.push_str(&["\n## ", part, ": ", title, "\n\n| field | type | default | |\n|---|---|---|---|\n"].concat());
        rows(&schema["properties"][part], part, &mut page);
    }
    page += "\n## Rules\n\nThe API server refuses a resource that breaks one, with this message.\n\n";
    for (_, rule) in rules::all() {
        let line = format!("- {}\n", rule.message);
        if !page.contains(&line) {
            page += &line;
        }
    }
    page
}

fn rows(schema: &Value, path: &str, page: &mut String) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        let description = property["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let default = match &property["default"] {
            Value::Null | Value::Object(_) => String::new(),
            value => format!("`{value}`"),
        };
        let type_ = type_of(property);
        page.push_str(&["| `", &path, "` | ", &type_, " | ", &default, " | ", &description, " |\n"].concat());
        rows(property, &path, page);
        if property["items"]["properties"].is_object() {
            rows(&property["items"], &format!("{path}[]"), page);
        }
    }
}

fn type_of(property: &Value) -> String {
    if let Some(values) = property["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    }
    let type_ = property["type"].as_str().unwrap_or("any");
    match (property["minimum"].as_f64(), property["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{type_}, {least} to {most}"),
        _ => type_.to_owned(),
    }
}
