use sentinel_domain::{
    event::LiveEvent,
    ids::{SessionId, UserId},
    session::{REUSE_GRACE_SECONDS, Rotation, Session},
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores, all, is_not_found};

const LIFETIME: u32 = 3600;

async fn session(stores: &Stores, user_id: UserId, created_at: Timestamp) -> Session {
    let session = Session {
        id: SessionId(Uuid::new_v4()),
        user_id,
        device: "test".into(),
        created_at,
        refreshed_at: created_at,
        generation: 0,
    };
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
    let before = Timestamp::now();
    stores.sessions.end_session(ann, old.id).await.unwrap();
    assert!(is_not_found(stores.sessions.end_session(ann, old.id).await));
    assert_eq!(ended(stores), [old.id]);
    assert_eq!(stores.sessions.session(old.id).await.unwrap(), None);
    assert_eq!(stores.sessions.sessions(ann).await.unwrap(), [new]);
    assert!(stores.sessions.ended_since(before.plus_seconds(-1)).await.unwrap().contains(&old.id));
    assert!(!stores.sessions.ended_since(before.plus_seconds(3600)).await.unwrap().contains(&old.id));
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
    let remembered = stores.sessions.ended_since(NOW).await.unwrap();
    assert!(remembered.contains(&stolen.id) && remembered.contains(&idle.id));
}

pub async fn all_others_end(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let (kept, other) = (session(stores, ann, NOW).await, session(stores, ann, NOW).await);
    let foreign = session(stores, bob, NOW).await;
    stores.sessions.end_other_sessions(ann, kept.id).await.unwrap();
    assert_eq!(ended(stores), [other.id]);
    assert_eq!(stores.sessions.sessions(ann).await.unwrap(), [kept]);
    assert_eq!(stores.sessions.sessions(bob).await.unwrap(), [foreign]);
}
