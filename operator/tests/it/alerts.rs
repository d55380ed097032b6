//! What tells somebody who does not look: conditions of chats as a metric, and the alerts that ask for it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use futures::FutureExt;
use sentinel_operator::{
    backoff::LONGEST,
    controller,
    settings::Settings,
    steps::status::{
        conditions::{CERTIFICATE, DEGRADED, PAUSED, READY},
        storage::{DATA_LOST, TERMINATING},
    },
};
use serde_json::{Value, json};

use crate::world::{CHATS, NS, World};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Waits until a scrape is as `is_right` has it.
async fn wait_for_scrape(world: &World, is_right: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let scraped = world.context.chats.scrape().unwrap();
        if is_right(&scraped) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{scraped}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn series(name: &str, type_: &str, status: &str, reason: &str) -> String {
    format!(
        "sentinel_operator_chat_condition{{namespace=\"{NS}\",name=\"{name}\",type=\"{type_}\",status=\"{status}\",\
         reason=\"{reason}\"}} 1"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_tells_how_each_chat_stands_and_nothing_of_those_that_are_gone() {
    let world = World::empty(Settings::default());
    world.apply("good", &json!({}));
    world.server.put(
        CHATS,
        NS,
        json!({ "metadata": { "name": "broken" }, "spec": { "gateway": { "replicas": "two" } } }),
    );
    // Its volume was lost before that, and its certificate had ended: that is so still, and nobody knows whether it is paused.
    let told = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({ "type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z" })
    };
    let conditions = [
        told("CertificateHealthy", "False", "CertificateExpired", ""),
        told("Degraded", "True", "DataLost", "volume claim data-lost-0 with uid 1: it is gone"),
        told("Paused", "True", "Paused", ""),
    ];
    world.server.put(
        CHATS,
        NS,
        json!({ "metadata": { "name": "lost" }, "spec": { "gateway": { "replicas": "two" } },
            "status": { "storage": { "claim": "data-lost-0", "uid": "1" }, "conditions": conditions } }),
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = stopped.map(|_| ()).shared();
    let context = world.context.clone();
    let running = tokio::spawn(async move { controller::run(context, &[], stopped).await });

    let expected = [
        series("good", "Ready", "False", "NotAvailable"),
        series("good", "Accepted", "True", "Valid"),
        series("broken", "Ready", "False", "Unreadable"),
        series("broken", "Degraded", "True", "Unreadable"),
        series("lost", "Ready", "False", "Unreadable"),
        series("lost", "Degraded", "True", "DataLost"),
        series("lost", "CertificateHealthy", "False", "CertificateExpired"),
    ];
    wait_for_scrape(&world, |scraped| expected.iter().all(|line| scraped.lines().any(|found| found == line))).await;
    let scraped = world.context.chats.scrape().unwrap();
    assert!(!scraped.lines().any(|line| line.contains("\"lost\"") && line.contains("\"Paused\"")), "{scraped}");
    world.run_everything();
    let ready = series("good", "Ready", "True", "AllAvailable");
    wait_for_scrape(&world, |scraped| {
        scraped.contains(&ready) && !scraped.contains(&expected[0]) && scraped.contains(&expected[2])
    })
    .await;
    world.server.delete(CHATS, NS, "good");
    wait_for_scrape(&world, |scraped| !scraped.contains("\"good\"") && scraped.contains(&expected[2])).await;

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
}

fn alerts() -> Vec<Value> {
    let file = fs::read_to_string(Path::new(ROOT).join("charts/sentinel-operator/files/alerts.yaml")).unwrap();
    let file: Value = serde_yaml_ng::from_str(&file).unwrap();
    let rules = |group: &Value| group["rules"].as_array().cloned().unwrap();
    file["groups"].as_array().unwrap().iter().flat_map(rules).collect()
}

#[test]
fn alerts_are_rules_as_prometheus_takes_them() {
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let text = |pointer: &str| alert.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("/alert");
        assert!(name.starts_with("Sentinel") && names.insert(name.clone()), "{name}");
        let expression = text("/expr");
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            assert_eq!(expression.matches(open).count(), expression.matches(close).count(), "{name}: {expression}");
        }
        assert!(matches!(text("/labels/severity").as_str(), "critical" | "warning"), "{name}");
        assert!(text("/annotations/summary").ends_with('.'), "{name}");
        let known = ["alert", "expr", "for", "labels", "annotations"];
        assert!(alert.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{name}");
    }
    let chart = fs::read_to_string(Path::new(ROOT).join("charts/sentinel-operator/templates/monitoring.yaml")).unwrap();
    assert!(chart.contains(".Files.Get \"files/alerts.yaml\""), "{chart}");
}

#[test]
fn alerts_ask_for_conditions_that_there_are() {
    let asked = alerts().into_iter().filter_map(|alert| alert["expr"].as_str().map(String::from));
    let mut count = 0;
    for expression in asked {
        for rest in expression.split("type=\"").skip(1) {
            let type_ = rest.split('"').next().unwrap();
            assert!([READY, DEGRADED, PAUSED, CERTIFICATE].contains(&type_), "{expression}");
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
}

#[test]
fn the_guide_names_alerts_that_there_are() {
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/operations.md")).unwrap();
    let section = guide.split("\n## What to watch\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let names: BTreeSet<String> =
        alerts().iter().filter_map(|alert| alert["alert"].as_str().map(String::from)).collect();
    let told: Vec<&str> = section.split('`').filter(|word| word.starts_with("Sentinel")).collect();
    assert!(told.len() >= 5, "{told:?}");
    for name in told {
        assert!(names.contains(name), "{name}");
    }
}

/// A reconcile that hangs fails once in the time that it has and the longest wait after that.
#[tokio::test]
async fn an_operator_that_fails_again_and_again_is_told_without_a_gap() {
    let alert = alerts().into_iter().find(|alert| alert["alert"] == "SentinelOperatorFailing").unwrap();
    let minutes = alert["expr"].as_str().unwrap().split_once('[').unwrap().1.split_once("m]").unwrap().0;
    let window = Duration::from_mins(minutes.parse().unwrap());
    let between = World::empty(Settings::default()).context.longest + LONGEST.mul_f64(1.25);
    // With scrapes a minute apart or less, of which the window has to hold one of before and one of after.
    assert!(window >= between + Duration::from_mins(2), "{window:?} {between:?}");
}

/// Nobody looks at a chat that is paused. Data that is lost counts all the same.
#[test]
fn what_was_so_before_a_pause_is_no_alert_unless_it_is_about_data() {
    let mut count = 0;
    for alert in alerts() {
        let expression = alert["expr"].as_str().unwrap();
        let is_told = expression.contains("sentinel_operator_chat_condition{") && expression.contains("status");
        let is_about_data = [DATA_LOST, TERMINATING].iter().any(|reason| expression.contains(reason));
        if is_told && !is_about_data {
            let paused = format!("unless on (namespace, name) sentinel_operator_chat_condition{{type=\"{PAUSED}\",");
            assert!(expression.contains(&paused), "{expression}");
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}

/// Each installation has its own replicas, and one that works does not speak for another.
#[test]
fn an_installation_that_does_not_work_is_told_beside_one_that_does() {
    let of_leaders = |alert: &Value| alert["expr"].as_str().unwrap().contains("sentinel_operator_leader");
    let alerts: Vec<Value> = alerts().into_iter().filter(of_leaders).collect();
    let by_installation = |alert: &&Value| {
        alert["expr"].as_str().unwrap().contains("unless on (namespace, job) (sum by (namespace, job)")
    };
    assert_eq!(alerts.iter().filter(by_installation).count(), 1, "{alerts:?}");
}

/// Degraded has the reason of the gravest trouble only.
#[test]
fn no_alert_needs_its_trouble_to_be_the_gravest() {
    for alert in alerts() {
        let expression = alert["expr"].as_str().unwrap();
        let by_reason = expression.split("sentinel_operator_chat_condition{").any(|asked| {
            let asked = asked.split('}').next().unwrap_or_default();
            let is_gravest = [DATA_LOST, TERMINATING].iter().any(|reason| asked.contains(reason));
            asked.contains("type=\"Degraded\"") && asked.contains("reason") && !is_gravest
        });
        assert!(!by_reason, "{expression}");
    }
}
