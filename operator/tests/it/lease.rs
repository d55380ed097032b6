//! Two replicas, one lease.

use std::time::Duration;

use sentinel_operator::lease::Candidate;
use tokio::time::timeout;

use crate::api_server::{Answer, ApiServer};

#[tokio::test]
async fn one_leads_and_hands_over() {
    let server = ApiServer::default();
    let candidate = |identity: &str| Candidate::new(server.client(), "system", "operator", identity.to_owned());
    let (mut first, mut second) = (candidate("first"), candidate("second"));
    first.acquire().await;
    assert!(timeout(Duration::from_secs(1), second.acquire()).await.is_err(), "both lead");
    let spec =
        |server: &ApiServer| server.get("coordination.k8s.io/v1/leases", "system", "operator").unwrap()["spec"].clone();
    let holder = |server: &ApiServer| spec(server)["holderIdentity"].clone();
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
    let mut leader = Candidate::new(server.client(), "system", "operator", "leader".to_owned());
    leader.acquire().await;
    // Somebody writes the Lease, and then nothing answers any more.
    server.fault("PUT", "/leases/", Answer::Status(409, "modified"), 1);
    server.fault("PUT", "/leases/", Answer::Hang, 99);
    timeout(Duration::from_mins(1), leader.keep()).await.expect("it goes on for ever");
}
