//! The CustomResourceDefinition as it is installed: derived schema, then the rules.

use kube::CustomResourceExt;
use serde_json::Value;
use thiserror::Error;

use crate::api::{SentinelChat, rules};

/// Why the definition could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// A rule has no place in the schema.
    #[error(transparent)]
    Rule(#[from] rules::Error),
    /// The derived definition has another shape than expected.
    #[error("the derived definition has no version with a schema")]
    NoSchema,
    /// The definition cannot be converted.
    #[error("the definition cannot be converted")]
    Json(#[from] serde_json::Error),
}

/// The definition as plain JSON, ready to be written to a file.
pub fn definition() -> Result<Value, Error> {
    let mut crd = serde_json::to_value(SentinelChat::crd())?;
    let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").ok_or(Error::NoSchema)?;
    tidy(schema);
    rules::inject(schema)?;
    Ok(crd)
}

/// Drops what only costs space or what the API server warns about: titles, nullable marks on
/// optional fields and descriptions of enum values.
fn tidy(node: &mut Value) {
    match node {
        Value::Object(map) => {
            if map.get("title").is_some_and(Value::is_string) {
                map.remove("title");
            }
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if let Some(format) = map.get("format").and_then(Value::as_str)
                && format.starts_with("uint")
            {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        // Bounds come as floating-point numbers; whole ones read better as integers.
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e12) {
                #[allow(clippy::cast_possible_truncation)] // checked in the line above
                let whole = whole as i64;
                *node = whole.into();
            }
        }
        _ => {}
    }
}
