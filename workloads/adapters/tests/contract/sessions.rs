use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    event::LiveEvent,
    ids::{SessionId, UserId},
    mail::LinkPurpose::{ResetPassword, VerifyEmail},
    ports::PasswordChange,
    session::{REUSE_GRACE_SECONDS, Rotation, Session},
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores, all, is_not_found, mail};

const LIFETIME: u32 = 3600;

pub async fn session(stores: &Stores, user_id: UserId, created_at: Timestamp) -> Session {
    let session = Session::begin(SessionId(Uuid::new_v4()), user_id, "test".into(), created_at);
    stores.sessions.create_session(session.clone()).await.unwrap();
    session
}

fn ended(stores: &Stores) -> Vec<SessionId> {
    let events = stores.fanout.take();
    events
        .iter()
        .filter_map(|event| match event {
            LiveEvent::SessionEnded { session_id } => Some(*session_id),
            _ => None,
        })
        .collect()
}

pub async fn sessions_are_listed_and_end(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let old = session(stores, ann, NOW).await;
    let new = session(stores, ann, NOW.plus_seconds(1)).await;
    assert_eq!(stores.sessions.sessions(ann).await.unwrap(), [new.clone(), old.clone()]);
    assert_eq!(stores.sessions.session(old.id).await.unwrap(), Some(old.clone()));
    assert!(is_not_found(stores.sessions.end_session(bob, old.id).await));
    stores.sessions.end_session(ann, old.id).await.unwrap();
    assert!(is_not_found(stores.sessions.end_session(ann, old.id).await));
    assert_eq!(ended(stores), [old.id]);
    assert_eq!(stores.sessions.session(old.id).await.unwrap(), None);
    assert_eq!(stores.sessions.sessions(ann).await.unwrap(), [new]);
    assert!(stores.sessions.ended_within(600).await.unwrap().contains(&old.id));
    assert!(!stores.sessions.ended_within(-3600).await.unwrap().contains(&old.id));
}

pub async fn one_session_too_many_ends_the_one_that_was_not_used_for_longest(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let foreign = session(stores, bob, NOW).await;
    let mut old = Vec::new();
    for second in 0..100 {
        old.push(session(stores, ann, NOW.plus_seconds(second)).await.id);
    }
    assert!(ended(stores).is_empty());
    stores.sessions.rotate_session(old[0], 0, NOW.plus_seconds(200), LIFETIME).await.unwrap();
    // The clock of the process that it begins in is behind.
    let new = session(stores, ann, NOW.plus_seconds(-60)).await;
    assert_eq!(ended(stores), [old[1]]);
    assert!(stores.sessions.ended_within(600).await.unwrap().contains(&old[1]));
    let left = stores.sessions.sessions(ann).await.unwrap();
    assert_eq!((left.len(), left.last().map(|one| one.id)), (100, Some(new.id)));
    assert_eq!(stores.sessions.sessions(bob).await.unwrap(), [foreign]);
}

pub async fn a_session_moves_once_per_generation(stores: &Stores) {
    let ann = stores.user().await;
    let session = session(stores, ann, NOW).await;
    let soon = NOW.plus_seconds(5);
    let tries = all((0..8).map(|_| {
        let (sessions, id) = (stores.sessions.clone(), session.id);
        async move { sessions.rotate_session(id, 0, soon, LIFETIME).await.unwrap().unwrap() }
    }))
    .await;
    let advanced = tries.iter().filter(|(_, rotation)| *rotation == Rotation::Advance(1)).count();
    let repeated = tries.iter().filter(|(_, rotation)| *rotation == Rotation::Repeat(1)).count();
    assert_eq!((advanced, repeated), (1, 7));
    for (moved, _) in tries {
        assert_eq!((moved.generation, moved.refreshed_at), (1, soon));
    }
    assert_eq!(stores.sessions.session(session.id).await.unwrap().unwrap().generation, 1);
    assert!(stores.sessions.rotate_session(SessionId(Uuid::new_v4()), 0, NOW, LIFETIME).await.unwrap().is_none());
}

pub async fn a_late_refresh_gives_the_current_generation(stores: &Stores) {
    let ann = stores.user().await;
    let id = session(stores, ann, NOW).await.id;
    let at = |second| NOW.plus_seconds(second);
    let rotate = |generation, second| stores.sessions.rotate_session(id, generation, at(second), LIFETIME);
    for (generation, second) in [(0, 10), (1, 20), (2, 30)] {
        assert_eq!(rotate(generation, second).await.unwrap().unwrap().1, Rotation::Advance(generation + 1));
    }
    assert_eq!(stores.sessions.session(id).await.unwrap().unwrap().earlier_rotations, [at(20), at(10)]);
    assert_eq!(stores.sessions.sessions(ann).await.unwrap()[0].earlier_rotations, [at(20), at(10)]);
    let (session, late) = rotate(0, 40).await.unwrap().unwrap();
    assert_eq!((session.generation, late), (3, Rotation::Repeat(3)));
    assert_eq!(rotate(1, 50).await.unwrap().unwrap().1, Rotation::Repeat(3));
    assert!(ended(stores).is_empty());
    assert_eq!(
        rotate(0, 41).await.unwrap().unwrap().1,
        Rotation::Reused,
        "longer than the grace after it was replaced"
    );
    assert_eq!(ended(stores), [id]);
}

pub async fn a_reused_or_expired_session_ends(stores: &Stores) {
    let ann = stores.user().await;
    let (stolen, idle) = (session(stores, ann, NOW).await, session(stores, ann, NOW).await);
    stores.sessions.rotate_session(stolen.id, 0, NOW, LIFETIME).await.unwrap();
    let late = NOW.plus_seconds(REUSE_GRACE_SECONDS + 1);
    let (_, reused) = stores.sessions.rotate_session(stolen.id, 0, late, LIFETIME).await.unwrap().unwrap();
    assert_eq!(reused, Rotation::Reused);
    let later = NOW.plus_seconds(i64::from(LIFETIME) + 1);
    let (_, expired) = stores.sessions.rotate_session(idle.id, 0, later, LIFETIME).await.unwrap().unwrap();
    assert_eq!(expired, Rotation::Expired);
    assert_eq!(ended(stores), [stolen.id, idle.id]);
    assert!(stores.sessions.sessions(ann).await.unwrap().is_empty());
    // By the store's clock: that of the process that ended them is years behind.
    let remembered = stores.sessions.ended_within(600).await.unwrap();
    assert!(remembered.contains(&stolen.id) && remembered.contains(&idle.id));
}

/// A change from the password that accounts of the suite begin with.
pub fn change(user: UserId, session: SessionId) -> PasswordChange {
    let entry = AuditEntry::now(AuditAction::PasswordChanged, Some(user), Some(user));
    PasswordChange { user, confirmed: "$argon2id$".into(), password_hash: "new".into(), session, entry }
}

pub async fn a_new_password_ends_all_others(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let (kept, other) = (session(stores, ann, NOW).await, session(stores, ann, NOW).await);
    let foreign = session(stores, bob, NOW).await;
    let change = change(ann, kept.id);
    let [resets, verifies, foreign_resets] = [(ann, ResetPassword), (ann, VerifyEmail), (bob, ResetPassword)]
        .map(|(user, purpose)| mail::link(user, purpose));
    for link in [&resets, &verifies, &foreign_resets] {
        stores.mail.queue_link(link.clone()).await.unwrap();
    }
    assert_eq!(stores.accounts.change_password(change.clone()).await.unwrap(), Some(vec![other.id]));
    mail::is_withdrawn(stores, &resets).await;
    for kept in [&verifies, &foreign_resets] {
        mail::is_good_and_queued(stores, kept).await;
    }
    assert_eq!(ended(stores), [other.id]);
    assert_eq!(stores.sessions.sessions(ann).await.unwrap(), [kept]);
    assert_eq!(stores.sessions.sessions(bob).await.unwrap(), [foreign]);
    assert!(stores.sessions.ended_within(600).await.unwrap().contains(&other.id));
    assert_eq!(stores.accounts.credentials(ann).await.unwrap().unwrap().password_hash, "new");
    assert_eq!(stores.administration.audit_log(Some(ann), None, 10).await.unwrap(), [change.entry]);
}

pub async fn a_password_is_changed_by_whoever_knows_the_one_until_now(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let (own, ends) = (session(stores, ann, NOW).await, session(stores, ann, NOW).await);
    let foreign = session(stores, bob, NOW).await;
    stores.sessions.end_session(ann, ends.id).await.unwrap();
    ended(stores);
    let link = mail::link(ann, ResetPassword);
    stores.mail.queue_link(link.clone()).await.unwrap();
    let older = PasswordChange { confirmed: "the one before".into(), ..change(ann, own.id) };
    for refused in [older, change(ann, ends.id), change(ann, foreign.id), change(UserId(Uuid::new_v4()), own.id)] {
        assert_eq!(stores.accounts.change_password(refused.clone()).await.unwrap(), None, "{refused:?}");
    }
    assert_eq!(stores.accounts.credentials(ann).await.unwrap().unwrap().password_hash, "$argon2id$");
    assert_eq!(stores.sessions.sessions(ann).await.unwrap(), std::slice::from_ref(&own));
    assert!(ended(stores).is_empty());
    assert!(stores.administration.audit_log(Some(ann), None, 10).await.unwrap().is_empty());

    mail::is_good_and_queued(stores, &link).await;

    // Of several who know it, one changes it.
    let changes = all((0..4).map(|number| {
        let (accounts, change) = (stores.accounts.clone(), change(ann, own.id));
        let change = PasswordChange { password_hash: format!("new {number}"), ..change };
        async move { accounts.change_password(change).await.unwrap().is_some() }
    }))
    .await;
    assert_eq!(changes.into_iter().filter(|changed| *changed).count(), 1);
}
