//! The charts, as Helm renders them. They need no cluster.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use sentinel_e2e::{
    host::{folders, gotools::HELM},
    report::Report,
};
use serde::Deserialize as _;
use serde_json::{Value, json};

fn chart(name: &str) -> PathBuf {
    folders::repository().unwrap().join("charts").join(name)
}

/// What `helm template` makes of a chart, or why it refuses.
fn render(release: &str, chart: &Path, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let mut helm = Command::new(HELM.ensure(&Report::default()).unwrap());
    helm.args(["template", release]).arg(chart).args(["--kube-version", "1.34"]).args(arguments);
    let output = helm.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = serde_yaml_ng::Deserializer::from_str(&text).map(|object| Value::deserialize(object).unwrap());
    Ok(objects.filter(|object| !object.is_null()).collect())
}

fn operator(arguments: &[&str]) -> Result<Vec<Value>, String> {
    render("sentinel-operator", &chart("sentinel-operator"), arguments)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// Calls `found` with each value that Kubernetes takes as text only.
fn texts(node: &Value, found: &mut dyn FnMut(&str, &Value)) {
    match node {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "name" | "namespace" | "serviceAccountName" | "priorityClassName" => found(key, value),
                    "labels" | "matchLabels" | "annotations" | "nodeSelector" => {
                        for value in value.as_object().unwrap().values() {
                            found(key, value);
                        }
                    }
                    // Of the selector of a Service.
                    _ if key.starts_with("app.kubernetes.io/") => found(key, value),
                    _ => texts(value, found),
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                texts(value, found);
            }
        }
        _ => {}
    }
}

const MONITORED: &str = "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true";

#[test]
fn names_that_look_like_numbers_stay_names() {
    let named = "namespaces={3,4},serviceAccount.name=5,serviceAccount.annotations.a=6,priorityClassName=7,\
                 nodeSelector.a=8,podLabels.a=9,podAnnotations.a=10,metrics.serviceMonitor.labels.a=11,\
                 metrics.prometheusRule.labels.a=12";
    let arguments = ["--namespace", "2", "--set-string", named, "--set", MONITORED];
    let objects = render("1", &chart("sentinel-operator"), &arguments).unwrap();
    let mut seen = Vec::new();
    for object in &objects {
        texts(object, &mut |key, value| {
            let text = value.as_str().unwrap_or_else(|| panic!("{key} is {value} in {object}"));
            seen.push(text.to_owned());
        });
    }
    for number in 1..=12 {
        assert!(seen.contains(&number.to_string()), "{number} is not among {seen:?}");
    }
}

#[test]
fn numbers_are_refused_where_they_would_become_others() {
    for value in [
        "podLabels.a",
        "podAnnotations.a",
        "serviceAccount.annotations.a",
        "nodeSelector.a",
        "metrics.serviceMonitor.labels.a",
        "metrics.prometheusRule.labels.a",
    ] {
        let said = operator(&["--set", &format!("{value}=1000000")]).expect_err(value);
        assert!(said.contains(&value.replace('.', "/")), "{value}: {said}");
        let whole = operator(&["--set-string", &format!("{value}=1000000"), "--set", MONITORED]).unwrap();
        assert!(whole.iter().any(|object| object.to_string().contains(r#""a":"1000000""#)), "{value}");
    }
}

#[test]
fn labels_of_ones_own_replace_none_of_the_chart() {
    for (value, kind, labels) in [
        ("podLabels", "Deployment", "/spec/template/metadata/labels"),
        ("metrics.serviceMonitor.labels", "ServiceMonitor", "/metadata/labels"),
        ("metrics.prometheusRule.labels", "PrometheusRule", "/metadata/labels"),
    ] {
        let instance = r"app\.kubernetes\.io/instance";
        let wanted = format!("{MONITORED},{value}.team=a,{value}.{instance}=other");
        let objects = operator(&["--set", &wanted]).unwrap();
        let labels = of_kind(&objects, kind).pointer(labels).unwrap();
        assert_eq!(labels["team"], "a", "{value}");
        assert_eq!(labels["app.kubernetes.io/instance"], "sentinel-operator", "{value}");
        assert_eq!(labels["app.kubernetes.io/name"], "sentinel-operator", "{value}");
    }
}

#[test]
fn a_chart_may_have_these_and_switch_them_off() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["sentinel-operator", "sentinel-crds"];
    let condition = |name: &str| json!({ "name": name, "version": "*", "condition": format!("{name}.enabled") });
    let parent = json!({
        "apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": names.map(condition),
    });
    fs::write(folder.path().join("Chart.yaml"), parent.to_string()).unwrap();
    fs::create_dir(folder.path().join("charts")).unwrap();
    for name in names {
        symlink(chart(name), folder.path().join("charts").join(name)).unwrap();
    }
    let kinds = |operator: bool, definition: bool| {
        let values = format!("sentinel-operator.enabled={operator},sentinel-crds.enabled={definition}");
        let objects = render("parent", folder.path(), &["--set", &values]).unwrap();
        let has = |kind: &str| objects.iter().any(|object| object["kind"] == kind);
        (has("Deployment"), has("CustomResourceDefinition"))
    };
    for asked in [(true, true), (true, false), (false, true)] {
        assert_eq!(kinds(asked.0, asked.1), asked);
    }
}

#[test]
fn what_an_installation_says_to_do_works_in_the_namespaces_that_it_looks_after() {
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-R").arg(chart("sentinel-operator")).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    // Helm shows notes only where it installs.
    let copy = folder.path().join("sentinel-operator");
    let notes = fs::read_to_string(copy.join("templates/NOTES.txt")).unwrap();
    fs::write(copy.join("templates/_told.tpl"), format!("{{{{ define \"told\" }}}}{notes}{{{{ end }}}}")).unwrap();
    fs::write(copy.join("templates/told.yaml"), "told: {{ include \"told\" . | quote }}\n").unwrap();
    for (values, at) in [("replicas=2", ""), ("namespaces={team-a,team-b}", " -n team-a")] {
        let told = render("sentinel-operator", &copy, &["-s", "templates/told.yaml", "--set", values]).unwrap();
        let told = told[0]["told"].as_str().unwrap();
        for command in [format!("kubectl apply{at} -f -"), format!("kubectl wait{at} --for=")] {
            assert!(told.contains(&command), "{command}: {told}");
        }
    }
}

#[test]
fn installing_without_helm_makes_the_same_roles_and_service() {
    let objects = operator(&["--namespace", "sentinel-system"]).unwrap();
    let root = folders::repository().unwrap().join("config");
    let mut compared = Vec::new();
    for folder in ["rbac", "manager"] {
        let read = |file: &str| fs::read_to_string(root.join(folder).join(file)).unwrap();
        let parts: Value = serde_yaml_ng::from_str(&read("kustomization.yaml")).unwrap();
        for file in parts["resources"].as_array().unwrap() {
            let text = read(file.as_str().unwrap());
            for object in serde_yaml_ng::Deserializer::from_str(&text) {
                let object = Value::deserialize(object).unwrap();
                let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
                let is_same = |other: &&Value| other["kind"] == *kind && other["metadata"]["name"] == *name;
                // The Role for the Lease is called otherwise in the chart.
                let Some(other) = objects.iter().find(is_same) else { continue };
                assert_eq!(object["rules"], other["rules"], "{kind} {name}");
                assert_eq!(object["spec"]["ports"], other["spec"]["ports"], "{kind} {name}");
                let labels = object["metadata"]["labels"].as_object();
                for (label, value) in labels.into_iter().flatten() {
                    assert_eq!(other["metadata"]["labels"][label], *value, "{kind} {name}");
                }
                compared.push(format!("{} {}", kind.as_str().unwrap(), name.as_str().unwrap()));
            }
        }
    }
    compared.sort();
    let expected = [
        "ClusterRole sentinel-operator",
        "ClusterRole sentinel-operator-edit",
        "ClusterRole sentinel-operator-view",
        "ClusterRoleBinding sentinel-operator",
        "Deployment sentinel-operator",
        "Service sentinel-operator",
        "ServiceAccount sentinel-operator",
    ];
    assert_eq!(compared, expected);
}
