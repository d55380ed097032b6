//! Generated files are in step with the code, and the definition is one that API servers take.

use std::{collections::BTreeSet, fs, path::Path};

use sentinel_operator::{api::rules, crd, generate, settings::StoreImages};
use serde_json::Value;

#[test]
fn generated_files_are_in_step() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for file in generate::files().unwrap() {
        let found = fs::read_to_string(root.join(file.path)).unwrap_or_default();
        assert!(found == file.content, "{} is out of step: run cargo run -p sentinel-operator --bin crdgen", file.path);
    }
}

/// What a release has to change: a file that is forgotten would install an older platform.
#[test]
fn one_version_is_named_everywhere() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (file, begin, times) in [
        ("charts/sentinel-crds/Chart.yaml", "ersion: ", 2),
        ("charts/sentinel-operator/Chart.yaml", "ersion: ", 2),
        ("charts/sentinel-operator/values.yaml", "sentinelImage: sentinel:", 1),
        ("charts/sentinel-operator/README.md", "/sentinel:", 1),
        ("config/manager/kustomization.yaml", "newTag: ", 1),
        ("config/samples/distributed-external.yaml", "example.com/sentinel\n    tag: ", 1),
        ("config/samples/distributed-production.yaml", "example.com/sentinel\n    tag: ", 1),
        ("config/samples/embedded-ingress.yaml", "example.com/sentinel\n    tag: ", 1),
        ("docs/operations.md", "/sentinel:", 2),
        ("docs/operations.md", "/sentinel-s3:", 1),
        ("docs/operations.md", "image.tag=", 1),
    ] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let named: Vec<&str> = text
            .split(begin)
            .skip(1)
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            .map(|rest| rest.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(named, vec![env!("CARGO_PKG_VERSION"); times], "{file}, after {begin:?}");
    }
}

#[test]
fn managed_stores_have_the_version_that_is_tested() {
    let stores = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/stores"));
    let images = StoreImages::default();
    for (image, store, tag) in
        [(images.kafka_image, "kafka", "version"), (images.elasticsearch_image, "elasticsearch", "engine.version")]
    {
        let text = fs::read_to_string(stores.join(store).join("pom.xml")).unwrap();
        let version = image.rsplit_once(':').unwrap().1;
        assert!(text.contains(&format!("<{tag}>{version}</{tag}>")), "{image} is not what {store} is tested with");
    }
}

fn walk(node: &Value, path: &str, check: &mut dyn FnMut(&str, &serde_json::Map<String, Value>)) {
    if let Some(map) = node.as_object() {
        check(path, map);
        for (key, value) in map {
            if key != "default" && key != "enum" {
                walk(value, &format!("{path}/{key}"), check);
            }
        }
    }
}

#[test]
fn schema_is_bounded_and_has_no_unsigned_format() {
    let definition = crd::definition().unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    walk(schema, "", &mut |path, node| {
        let is_schema = !path.ends_with("/properties");
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            assert!(!format.starts_with("uint"), "{path} has format {format}");
        }
        if is_schema && node.get("type").is_some_and(|t| t == "array") {
            assert!(node.contains_key("maxItems"), "{path} has no maxItems");
        }
        let is_text = node.get("type").is_some_and(|t| t == "string");
        if is_schema && is_text && path.starts_with("/properties/spec") {
            let is_bounded = node.contains_key("maxLength") || node.contains_key("enum");
            assert!(is_bounded, "{path} has no maxLength");
        }
    });
    assert!(definition.to_string().len() < 200_000, "the definition must fit into an annotation of 256 KiB");
}

#[test]
fn every_port_is_one_that_something_can_listen_at() {
    let definition = crd::definition().unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut ports = 0;
    walk(schema, "", &mut |path, node| {
        let name = path.trim_end_matches("/items").rsplit('/').next().unwrap().to_lowercase();
        if (name.ends_with("port") || name.ends_with("ports")) && node.get("type").is_some_and(|t| t == "integer") {
            let bounds = (node["minimum"].as_f64(), node["maximum"].as_f64());
            assert_eq!(bounds, (Some(1.0), Some(65_535.0)), "{path}");
            ports += 1;
        }
        for rule in node.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            let rule = rule["rule"].as_str().unwrap();
            assert!(!rule.contains(":[0-9]"), "{path} has a port of any digits: {rule}");
        }
    });
    assert_eq!(
        ports,
        1 + 1 + 1 + 6,
        "of the gateway, of the mail relay, of Redis servers, and further ones of each store"
    );
}

#[test]
fn the_chart_may_hold_the_definition() {
    let text = serde_yaml_ng::to_string(&crd::definition().unwrap()).unwrap();
    assert!(!text.contains("{{"), "Helm would take this for a template");
}

#[test]
fn charts_ask_for_an_api_server_that_knows_the_rules() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../charts"));
    assert!(rules::all().any(|(_, rule)| rule.rule.contains("isCIDR(")), "Kubernetes 1.30 would do");
    for chart in ["sentinel-crds", "sentinel-operator"] {
        let text = fs::read_to_string(root.join(chart).join("Chart.yaml")).unwrap();
        let chart: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(chart["kubeVersion"], ">=1.31.0-0", "{text}");
    }
}

#[test]
fn every_rule_has_a_resource_that_breaks_it() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    let mut expected = BTreeSet::new();
    let mut count = 0;
    for sub in ["invalid", "invalid-update"] {
        for entry in fs::read_dir(folder.join(sub)).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let line = text.lines().next().unwrap();
            expected.insert(line.strip_prefix("# expect: ").expect("the first line tells the message").to_owned());
            count += 1;
        }
    }
    assert!(count >= 30, "only {count}");
    for (_, rule) in rules::all() {
        assert!(expected.iter().any(|text| rule.message.contains(text.as_str())), "nothing breaks: {}", rule.message);
    }
}
