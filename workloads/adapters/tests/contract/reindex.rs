//! What is known of the last rebuild of the search index. A database has one row of it, so each test needs its own.

use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    ids::{MessageId, UserId},
    reindex::{Reindex, ReindexAttempt, ReindexEnd, ReindexFailure, Skipped},
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores};

fn later(seconds: i64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

fn new(by: Option<UserId>) -> Reindex {
    Reindex { started_at: NOW, ..Reindex::now(by) }
}

pub async fn one_rebuild_runs_at_a_time(stores: &Stores) {
    let runs = &stores.reindex;
    assert_eq!(runs.last_reindex().await.unwrap(), None);
    assert_eq!(runs.take_reindex(NOW, later(30)).await.unwrap(), None);
    let admin = UserId(Uuid::new_v4());
    let first = new(Some(admin));
    let entry = || AuditEntry::now(AuditAction::ReindexStarted, Some(admin), None);
    assert!(runs.begin_reindex(first.clone(), NOW, Some(entry())).await.unwrap());
    assert!(!runs.begin_reindex(new(None), NOW, Some(entry())).await.unwrap(), "another has not ended");
    assert_eq!(runs.last_reindex().await.unwrap(), Some(first.clone()));
    let entries = stores.administration.audit_log(None, None, 10).await.unwrap();
    let actions: Vec<AuditAction> = entries.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [AuditAction::ReindexStarted], "what was refused leaves no entry");

    let taken = runs.take_reindex(NOW, later(30)).await.unwrap().unwrap();
    assert_eq!(taken, Reindex { attempts: 1, ..first });
    assert!(runs.keep_reindex(taken.attempt(), 7, Some(9), later(40)).await.unwrap());
    let last = runs.last_reindex().await.unwrap().unwrap();
    assert_eq!((last.done, last.total, last.end), (7, Some(9), None));
    let skipped = Skipped { count: 12, first: (0..10).map(|_| MessageId(Uuid::now_v7())).collect() };
    let end = ReindexEnd { at: later(50), failure: None, skipped };
    assert!(runs.end_reindex(taken.attempt(), 9, end.clone()).await.unwrap());
    let last = runs.last_reindex().await.unwrap().unwrap();
    assert_eq!((last.done, last.total, last.end), (9, Some(9), Some(end.clone())));
    // What has ended is nobody's, and the next may begin.
    assert!(!runs.keep_reindex(taken.attempt(), 1, None, later(99)).await.unwrap());
    assert!(!runs.end_reindex(taken.attempt(), 1, end).await.unwrap());
    assert_eq!(runs.take_reindex(later(99), later(120)).await.unwrap(), None);
    let second = new(None);
    assert!(runs.begin_reindex(second.clone(), NOW, None).await.unwrap());
    assert_eq!(runs.last_reindex().await.unwrap(), Some(second));
}

pub async fn a_rebuild_that_was_left_is_taken_up(stores: &Stores) {
    let runs = &stores.reindex;
    // As the command line begins: it has it from the beginning.
    let first = Reindex { attempts: 1, ..new(None) };
    assert!(runs.begin_reindex(first.clone(), later(30), None).await.unwrap());
    assert_eq!(runs.take_reindex(later(29), later(60)).await.unwrap(), None);
    assert!(runs.keep_reindex(first.attempt(), 3, None, later(35)).await.unwrap());
    assert_eq!(runs.take_reindex(later(34), later(60)).await.unwrap(), None);
    let taken = runs.take_reindex(later(35), later(60)).await.unwrap().unwrap();
    assert_eq!(taken, Reindex { attempts: 2, ..first.clone() }, "it begins at nothing");
    let end =
        ReindexEnd { at: later(40), failure: Some(ReindexFailure::StoreUnavailable), skipped: Skipped::default() };
    // Who had it before is told, and changes nothing.
    assert!(!runs.keep_reindex(first.attempt(), 5, None, later(90)).await.unwrap());
    assert!(!runs.end_reindex(first.attempt(), 5, end.clone()).await.unwrap());
    let unknown = ReindexAttempt { id: Uuid::now_v7(), number: 2 };
    assert!(!runs.end_reindex(unknown, 5, end.clone()).await.unwrap());
    assert_eq!(runs.last_reindex().await.unwrap(), Some(taken.clone()));
    assert!(runs.end_reindex(taken.attempt(), 4, end.clone()).await.unwrap());
    assert_eq!(runs.last_reindex().await.unwrap(), Some(Reindex { done: 4, end: Some(end), ..taken }));
}

pub async fn of_many_processes_one_takes_a_rebuild(stores: &Stores) {
    let begins = (0..8).map(|_| {
        let runs = stores.reindex.clone();
        tokio::spawn(async move { runs.begin_reindex(new(None), NOW, None).await.unwrap() })
    });
    let mut begun = 0;
    for begin in begins.collect::<Vec<_>>() {
        begun += usize::from(begin.await.unwrap());
    }
    assert_eq!(begun, 1);
    let takes = (0..8).map(|_| {
        let runs = stores.reindex.clone();
        tokio::spawn(async move { runs.take_reindex(NOW, later(30)).await.unwrap() })
    });
    let mut taken = 0;
    for take in takes.collect::<Vec<_>>() {
        taken += usize::from(take.await.unwrap().is_some());
    }
    assert_eq!(taken, 1);
}
