//! Two replicas, one lease.

use std::time::{Duration, Instant};

use sentinel_operator::lease::Candidate;
use tokio::time::timeout;

use crate::api_server::{Answer, ApiServer};

#[tokio::test]
async fn one_leads_and_hands_over() {
    let server = ApiServer::default();
    let candidate = |identity: &str| Candidate::new(server.client(), "system", "operator", identity);
    let (mut first, mut second) = (candidate("first"), candidate("second"));
    first.acquire().await;
    assert!(timeout(Duration::from_secs(1), second.acquire()).await.is_err(), "both lead");
    let spec =
        |server: &ApiServer| server.get("coordination.k8s.io/v1/leases", "system", "operator").unwrap()["spec"].clone();
    // The name of a replica, and what tells it from another one of that name.
    let holder = |server: &ApiServer| {
        let holder = spec(server)["holderIdentity"].as_str().unwrap().to_owned();
        holder.split_once('_').unwrap().0.to_owned()
    };
    assert_eq!(holder(&server), "first");
    assert_eq!(spec(&server)["leaseTransitions"], 0);

    first.release().await;
    timeout(Duration::from_secs(10), second.acquire()).await.expect("nobody leads after a release");
    assert_eq!(holder(&server), "second");
    assert_eq!(spec(&server)["leaseTransitions"], 1, "it changed hands");
    timeout(Duration::from_secs(15), first.keep()).await.expect("the loser goes on");
    assert_eq!(holder(&server), "second", "a loser must not take the lease back");
}

#[tokio::test]
async fn a_leader_that_gets_no_answer_stops_before_another_one_begins() {
    let server = ApiServer::default();
    let mut leader = Candidate::new(server.client(), "system", "operator", "leader");
    leader.acquire().await;
    // Somebody writes the Lease, and then nothing answers any more.
    server.fault("PUT", "/leases/", Answer::Status(409, "modified"), 1);
    server.fault("PUT", "/leases/", Answer::Hang, 99);
    timeout(Duration::from_mins(1), leader.keep()).await.expect("it goes on for ever");
}

/// The others count from when its sign arrived, not from when it was told so.
#[tokio::test]
async fn a_leader_that_is_answered_late_stops_before_another_one_begins() {
    let server = ApiServer::default();
    let mut leader = Candidate::new(server.client(), "system", "operator", "leader");
    server.fault("POST", "/leases", Answer::Late(Duration::from_secs(8)), 1);
    server.fault("PUT", "/leases/", Answer::Hang, 99);
    let written = Instant::now();
    leader.acquire().await;
    leader.keep().await;
    assert!(written.elapsed() < Duration::from_secs(15), "{:?}: another one leads by now", written.elapsed());
}

#[tokio::test]
async fn two_processes_of_one_name_do_not_lead_both() {
    let server = ApiServer::default();
    let candidate = || Candidate::new(server.client(), "system", "operator", "operator-0");
    let (mut first, mut second) = (candidate(), candidate());
    first.acquire().await;
    assert!(timeout(Duration::from_secs(1), second.acquire()).await.is_err(), "both lead");
}

#[tokio::test]
async fn a_release_without_an_answer_ends_before_the_pod_is_killed() {
    let server = ApiServer::default();
    let mut leader = Candidate::new(server.client(), "system", "operator", "leader");
    leader.acquire().await;
    server.fault("PUT", "/leases/", Answer::Hang, 1);
    timeout(Duration::from_secs(10), leader.release()).await.expect("it waits for ever");
}
