use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    event::LiveEvent,
    ids::{SessionId, UserId},
    keyring::WrappedKey,
    mail::{LinkPurpose, LinkToken, NewLink, QueuedMail},
    session::Session,
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores, is_not_found};

const LIFETIME: i64 = 3600;

pub fn link(user: UserId, purpose: LinkPurpose) -> NewLink {
    let id = Uuid::now_v7();
    let expires_at = NOW.plus_seconds(LIFETIME);
    let sealed = WrappedKey { kek: "kek-0001".into(), bytes: id.as_bytes().to_vec() };
    let mail = QueuedMail { id, sealed, expires_at, attempts: 0 };
    NewLink { hash: LinkToken::random().unwrap().hash(), purpose, user, expires_at, mail }
}

fn entry(action: AuditAction, at: Timestamp) -> AuditEntry {
    AuditEntry { at, ..AuditEntry::now(action, None, None) }
}

/// Everything that is due, of which the test's own is looked at: others may use the database.
async fn taken(stores: &Stores, now: Timestamp, again_at: Timestamp, id: Uuid) -> Option<QueuedMail> {
    let due = stores.mail.take_mail(now, again_at, 1000).await.unwrap();
    due.into_iter().find(|mail| mail.id == id)
}

/// The link opens nothing, and its mail is not sent.
pub async fn is_withdrawn(stores: &Stores, link: &NewLink) {
    assert_eq!(stores.mail.link_owner(link.hash, link.purpose, NOW).await.unwrap(), None);
    assert_eq!(taken(stores, NOW, NOW, link.mail.id).await, None);
}

pub async fn is_good_and_queued(stores: &Stores, link: &NewLink) {
    assert_eq!(stores.mail.link_owner(link.hash, link.purpose, NOW).await.unwrap(), Some(link.user));
    assert!(taken(stores, NOW, NOW, link.mail.id).await.is_some());
}

pub async fn a_link_is_good_once_and_for_its_purpose(stores: &Stores) {
    let user = stores.user().await;
    let link = link(user, LinkPurpose::VerifyEmail);
    stores.mail.queue_link(link.clone()).await.unwrap();
    let late = NOW.plus_seconds(LIFETIME);
    for (purpose, at, expected) in [
        (LinkPurpose::VerifyEmail, NOW, Some(user)),
        (LinkPurpose::ResetPassword, NOW, None),
        (LinkPurpose::VerifyEmail, late, None),
    ] {
        assert_eq!(stores.mail.link_owner(link.hash, purpose, at).await.unwrap(), expected);
    }
    let reset = stores.mail.reset_password(link.hash, "new".into(), entry(AuditAction::PasswordReset, NOW)).await;
    assert_eq!(reset.unwrap(), None);
    let verify = |at| stores.mail.verify_email(link.hash, entry(AuditAction::EmailVerified, at));
    assert_eq!(verify(late).await.unwrap(), None);
    assert!(!stores.accounts.account(user).await.unwrap().unwrap().email_verified);
    assert_eq!(verify(NOW).await.unwrap(), Some(user));
    assert_eq!(verify(NOW).await.unwrap(), None);
    assert!(stores.accounts.account(user).await.unwrap().unwrap().email_verified);
    let log = stores.administration.audit_log(Some(user), None, 10).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].actor, log[0].action), (Some(user), AuditAction::EmailVerified));
    let nobody = self::link(UserId(Uuid::new_v4()), LinkPurpose::VerifyEmail);
    assert!(is_not_found(stores.mail.queue_link(nobody).await));
}

pub async fn a_newer_link_replaces_an_older_one(stores: &Stores) {
    let user = stores.user().await;
    let (old, new) = (link(user, LinkPurpose::ResetPassword), link(user, LinkPurpose::ResetPassword));
    let other = link(user, LinkPurpose::VerifyEmail);
    for link in [&old, &other, &new] {
        stores.mail.queue_link(link.clone()).await.unwrap();
    }
    is_withdrawn(stores, &old).await;
    for link in [&new, &other] {
        is_good_and_queued(stores, link).await;
    }
}

pub async fn a_reset_changes_the_password_and_ends_sessions(stores: &Stores) {
    let user = stores.user().await;
    let id = SessionId(Uuid::new_v4());
    stores.sessions.create_session(Session::begin(id, user, "test".into(), NOW)).await.unwrap();
    let link = link(user, LinkPurpose::ResetPassword);
    stores.mail.queue_link(link.clone()).await.unwrap();
    stores.fanout.take();
    let reset = |at| stores.mail.reset_password(link.hash, "new".into(), entry(AuditAction::PasswordReset, at));
    assert_eq!(reset(NOW).await.unwrap(), Some(vec![id]));
    assert_eq!(reset(NOW).await.unwrap(), None);
    assert_eq!(stores.fanout.take(), [LiveEvent::SessionEnded { session_id: id }]);
    let credentials = stores.accounts.credentials(user).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash, "new");
    assert!(credentials.account.email_verified);
    assert!(stores.sessions.sessions(user).await.unwrap().is_empty());
    is_withdrawn(stores, &link).await;
}

pub async fn of_a_reset_and_a_change_at_once_each_ends_and_no_link_is_left(stores: &Stores) {
    for _ in 0..8 {
        let user = stores.user().await;
        let own = super::sessions::session(stores, user, NOW).await.id;
        let link = link(user, LinkPurpose::ResetPassword);
        stores.mail.queue_link(link.clone()).await.unwrap();
        let change = super::sessions::change(user, own);
        let reset = stores.mail.reset_password(link.hash, "reset".into(), entry(AuditAction::PasswordReset, NOW));
        let (reset, changed) = tokio::join!(reset, stores.accounts.change_password(change));
        let hash = stores.accounts.credentials(user).await.unwrap().unwrap().password_hash;
        match (reset.unwrap(), changed.unwrap()) {
            (Some(_), None) => assert_eq!(hash, "reset"),
            (None, Some(_)) => assert_eq!(hash, "new"),
            other => panic!("one of the two happened: {other:?}"),
        }
        is_withdrawn(stores, &link).await;
    }
}

pub async fn mail_is_taken_by_one_at_a_time_until_it_is_removed(stores: &Stores) {
    let user = stores.user().await;
    let link = link(user, LinkPurpose::VerifyEmail);
    let id = link.mail.id;
    stores.mail.queue_link(link.clone()).await.unwrap();
    let again_at = NOW.plus_seconds(60);
    let first = taken(stores, NOW, again_at, id).await.unwrap();
    assert_eq!(first, QueuedMail { attempts: 1, ..link.mail });
    assert_eq!(taken(stores, NOW.plus_seconds(59), again_at, id).await, None);
    stores.mail.postpone_mail(id, NOW.plus_seconds(10)).await.unwrap();
    assert_eq!(taken(stores, NOW.plus_seconds(9), again_at, id).await, None);
    let second = taken(stores, NOW.plus_seconds(10), again_at, id).await.unwrap();
    assert_eq!(second.attempts, 2);
    stores.mail.remove_mail(id).await.unwrap();
    assert_eq!(taken(stores, NOW.plus_seconds(1000), NOW.plus_seconds(2000), id).await, None);
}

pub async fn links_and_mail_go_with_the_account(stores: &Stores) {
    let user = stores.user().await;
    let link = link(user, LinkPurpose::VerifyEmail);
    stores.mail.queue_link(link.clone()).await.unwrap();
    stores.accounts.delete_account(user).await.unwrap();
    assert_eq!(stores.mail.link_owner(link.hash, link.purpose, NOW).await.unwrap(), None);
    assert_eq!(taken(stores, NOW, NOW, link.mail.id).await, None);
}
