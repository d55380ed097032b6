//! Whether an object already holds everything that should be in it.
//!
//! The API server adds defaults and rewrites amounts; others add labels, annotations and finalizers.
//! None of that is a difference.

use serde_json::{Map, Value};

/// Keys that identify an element of a list, as server-side apply merges lists.
const KEYS: [&str; 7] = ["name", "mountPath", "containerPort", "port", "uid", "topologyKey", "ip"];

/// Whether every value of `wanted` is in `live`.
pub fn is_subset(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => object_is_subset(wanted, live),
        // An empty object that was asked for is not stored everywhere.
        (Value::Object(wanted), Value::Null) => wanted.is_empty(),
        (Value::Array(wanted), Value::Null) => wanted.is_empty(),
        (Value::Array(wanted), Value::Array(live)) => list_is_subset(wanted, live),
        (Value::String(wanted), Value::String(live)) => wanted == live || same_amount(wanted, live),
        (Value::Number(wanted), Value::String(live)) => same_amount(&wanted.to_string(), live),
        _ => wanted == live,
    }
}

fn object_is_subset(wanted: &Map<String, Value>, live: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| is_subset(value, live.get(key).unwrap_or(&Value::Null)))
}

fn list_is_subset(wanted: &[Value], live: &[Value]) -> bool {
    if let Some(key) = KEYS.into_iter().find(|key| wanted.iter().all(|item| item.get(key).is_some()))
        && !wanted.is_empty()
    {
        return wanted
            .iter()
            .all(|item| live.iter().any(|other| other.get(key) == item.get(key) && is_subset(item, other)));
    }
    wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_subset(wanted, live))
}

/// Paths of the values of `wanted` that are not in `live`.
pub fn differences(wanted: &Value, live: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(wanted, live, "", &mut paths);
    paths
}

fn collect(wanted: &Value, live: &Value, path: &str, paths: &mut Vec<String>) {
    if is_subset(wanted, live) {
        return;
    }
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            for (key, value) in wanted {
                collect(value, live.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"), paths);
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                collect(wanted, live, &format!("{path}[{index}]"), paths);
            }
        }
        _ => paths.push(path.trim_start_matches('.').to_owned()),
    }
}

/// Amounts that look different and are the same, like `1000m` and `1`.
fn same_amount(a: &str, b: &str) -> bool {
    matches!((amount(a), amount(b)), (Some(a), Some(b)) if a == b)
}

/// An amount in thousandths of its unit.
pub fn amount(text: &str) -> Option<i128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    if let Some(exponent) = suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse::<i32>().ok()) {
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        let (factor, parts) = if exponent < 0 { (1_000, power) } else { (power.checked_mul(1_000)?, 1) };
        return times(number, factor, parts);
    }
    let factor: i128 = match suffix {
        "" => 1_000,
        "m" => 1,
        "k" => 1_000 * 1_000,
        "M" => 1_000 * 1_000_000,
        "G" => 1_000 * 1_000_000_000,
        "T" => 1_000 * 1_000_000_000_000,
        "P" => 1_000 * 1_000_000_000_000_000,
        "E" => 1_000 * 1_000_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        "Pi" => 1_000 << 50,
        "Ei" => 1_000 << 60,
        _ => return None,
    };
    times(number, factor, 1)
}

/// A decimal number times `factor`, divided by `parts`.
fn times(number: &str, factor: i128, parts: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = if whole.is_empty() && !fraction.is_empty() { "0" } else { whole };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = whole.parse::<i128>().ok()?.checked_mul(scale)?
        + if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    Some(value.checked_mul(factor)? / scale.checked_mul(parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_and_other_peoples_additions_are_no_difference() {
        for (wanted, live, expected) in [
            (json!({"a": 1}), json!({"a": 1, "b": 2}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({"a": 1}), json!({}), false),
            (json!({"cpu": "1000m"}), json!({"cpu": "1"}), true),
            (json!({"cpu": 1}), json!({"cpu": "1"}), true),
            (json!({"memory": "1Gi"}), json!({"memory": "1024Mi"}), true),
            (json!({"memory": "1Gi"}), json!({"memory": "1G"}), false),
            (json!([{"name": "a", "x": 1}]), json!([{"name": "injected"}, {"name": "a", "x": 1, "y": 0}]), true),
            (json!([{"name": "a", "x": 1}]), json!([{"name": "a", "x": 2}]), false),
            (json!(["a"]), json!(["a", "b"]), false),
            (json!({"emptyDir": {}}), json!({}), true),
            (json!({"list": []}), json!({}), true),
        ] {
            assert_eq!(is_subset(&wanted, &live), expected, "{wanted} in {live}");
        }
    }

    #[test]
    fn amounts_are_compared_by_value() {
        assert_eq!(amount("1.5Gi"), amount("1536Mi"));
        assert_eq!(amount("0.1"), amount("100m"));
        assert_eq!(amount("lots"), None);
        assert!(amount("8Gi") < amount("10Gi"));
        for (text, same) in [
            ("3e10", "30G"),
            ("3E10", "30G"),
            ("3e+10", "30G"),
            ("1.5e9", "1500M"),
            ("3000e-3", "3"),
            ("+5Gi", "5Gi"),
            (".5Gi", "512Mi"),
            ("1E", "1000P"),
            ("1Ei", "1024Pi"),
        ] {
            assert!(amount(text).is_some() && amount(text) == amount(same), "{text}");
        }
        for text in ["", ".", "3e", "3e1.5", "3e1000", "++3", "1e-1000"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }
}
