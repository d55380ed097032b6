//! Whether an object already holds everything that should be in it.
//!
//! The API server adds defaults and rewrites amounts; others add labels, annotations and finalizers, and elements to lists that
//! it merges. None of that is a difference. What it replaces as a whole has one writer: there, an addition is one.

use serde_json::{Map, Value};

/// Lists that the API server merges by a key of their elements: those of others stay.
const MERGED: [&str; 10] = [
    "containers",
    "env",
    "hostAliases",
    "imagePullSecrets",
    "initContainers",
    "ownerReferences",
    "ports",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// What it replaces as a whole and adds nothing to: selectors, and rules of NetworkPolicies with all that is in them. To other
/// lists that are replaced it adds defaults, though no elements.
const WHOLE: [&str; 7] =
    ["egress", "ingress", "labelSelector", "namespaceSelector", "nodeSelector", "podSelector", "selector"];

/// Where amounts are: below these, it writes them in its own way.
const AMOUNTS: [&str; 3] = ["limits", "requests", "sizeLimit"];

/// Whether every value of `wanted` is in `live`.
pub fn is_subset(wanted: &Value, live: &Value) -> bool {
    is_held("", wanted, live)
}

/// The same of what a field with that name holds.
pub fn is_held(field: &str, wanted: &Value, live: &Value) -> bool {
    if WHOLE.contains(&field) {
        return is_same(wanted, live);
    }
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(key, value)| {
            let name = if AMOUNTS.contains(&field) { field } else { key };
            is_held(name, value, of(live, key))
        }),
        // An empty object that was asked for is not stored everywhere.
        (Value::Object(wanted), Value::Null) => wanted.is_empty(),
        (Value::Array(wanted), Value::Null) => wanted.is_empty(),
        (Value::Array(wanted), Value::Array(live)) if MERGED.contains(&field) => {
            wanted.iter().all(|item| live.iter().any(|other| is_subset(item, other)))
        }
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_subset(wanted, live))
        }
        (Value::String(wanted), Value::String(live)) if AMOUNTS.contains(&field) => {
            wanted == live || same_amount(wanted, live)
        }
        (Value::Number(wanted), Value::String(live)) if AMOUNTS.contains(&field) => {
            same_amount(&wanted.to_string(), live)
        }
        _ => wanted == live,
    }
}

/// Whether `live` is `wanted`, neither less nor more. Empty lists are not stored; empty selectors select everything, and mean
/// something else than none.
pub fn is_same(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.keys().chain(live.keys()).all(|key| is_same(of(wanted, key), of(live, key)))
        }
        (Value::Object(wanted), Value::Null) => wanted.is_empty(),
        (Value::Array(list), Value::Null) | (Value::Null, Value::Array(list)) => list.is_empty(),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_same(wanted, live))
        }
        _ => wanted == live,
    }
}

fn of<'a>(object: &'a Map<String, Value>, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

/// Paths of the values of `wanted` that are not in `live`, and of what is replaced as a whole and is not `wanted`.
pub fn differences(wanted: &Value, live: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect("", wanted, live, "", &mut paths);
    paths
}

fn collect(field: &str, wanted: &Value, live: &Value, path: &str, paths: &mut Vec<String>) {
    if is_held(field, wanted, live) {
        return;
    }
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) if !WHOLE.contains(&field) => {
            for (key, value) in wanted {
                let name = if AMOUNTS.contains(&field) { field } else { key };
                collect(name, value, of(live, key), &format!("{path}.{key}"), paths);
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() && !WHOLE.contains(&field) => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                collect("", wanted, live, &format!("{path}[{index}]"), paths);
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
            (json!({"requests": {"cpu": "1000m"}}), json!({"requests": {"cpu": "1"}}), true),
            (json!({"requests": {"cpu": 1}}), json!({"requests": {"cpu": "1"}}), true),
            (json!({"limits": {"memory": "1Gi"}}), json!({"limits": {"memory": "1024Mi"}}), true),
            (json!({"limits": {"memory": "1Gi"}}), json!({"limits": {"memory": "1G"}}), false),
            (json!({"sizeLimit": "1Gi"}), json!({"sizeLimit": "1024Mi"}), true),
            (json!({"value": "1000m"}), json!({"value": "1"}), false),
            (
                json!({"env": [{"name": "a", "x": 1}]}),
                json!({"env": [{"name": "injected"}, {"name": "a", "x": 1, "y": 0}]}),
                true,
            ),
            (json!({"env": [{"name": "a", "x": 1}]}), json!({"env": [{"name": "a", "x": 2}]}), false),
            (json!({"ports": [{"port": 1}]}), json!({"ports": [{"port": 2}, {"port": 1, "protocol": "TCP"}]}), true),
            (json!({"emptyDir": {}}), json!({}), true),
            (json!({"list": []}), json!({}), true),
        ] {
            assert_eq!(is_subset(&wanted, &live), expected, "{wanted} in {live}");
        }
    }

    #[test]
    fn an_addition_to_what_is_replaced_as_a_whole_is_a_difference() {
        let rule = |more: Value| {
            let mut rule = json!({"from": [{"podSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": 1}]});
            for (field, value) in more.as_object().unwrap() {
                rule[field] = value.clone();
            }
            json!({ "ingress": [rule] })
        };
        let open = json!([{"podSelector": {"matchLabels": {"a": "b"}}, "namespaceSelector": {}}]);
        for (wanted, live, expected) in [
            (json!({"args": ["a"]}), json!({"args": ["a", "b"]}), false),
            (json!({"drop": ["ALL"]}), json!({"drop": ["ALL"]}), true),
            (json!({"endpoints": [{"port": "a"}]}), json!({"endpoints": [{"port": "a", "scheme": "http"}]}), true),
            (json!({"endpoints": [{"port": "a"}]}), json!({"endpoints": [{"port": "a"}, {"port": "b"}]}), false),
            (json!({"selector": {"a": "b"}}), json!({"selector": {"a": "b", "c": "d"}}), false),
            (json!({"nodeSelector": {"a": "1"}}), json!({"nodeSelector": {"a": "1000m"}}), false),
            (json!({"podSelector": {}}), json!({"podSelector": {}}), true),
            (json!({"ingress": []}), json!({}), true),
            (rule(json!({})), rule(json!({})), true),
            (rule(json!({})), rule(json!({"ports": [{"port": 1}, {"port": 2}]})), false),
            (rule(json!({})), rule(json!({"from": open})), false),
            (rule(json!({"from": null})), rule(json!({})), false),
            (rule(json!({})), rule(json!({"from": []})), false),
            (rule(json!({"from": null})), rule(json!({"from": []})), true),
        ] {
            assert_eq!(is_subset(&wanted, &live), expected, "{wanted} in {live}");
        }
        let wanted = json!({ "spec": rule(json!({})) });
        let live = json!({ "spec": rule(json!({"from": open})) });
        assert_eq!(differences(&wanted, &live), ["spec.ingress"]);
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
