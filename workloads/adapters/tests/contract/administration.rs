use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    event::LiveEvent,
    ids::{ChatId, MessageId, SessionId, UserId},
    keyring::{Keyring, WrappedKey},
    mail::{LinkPurpose, MAIL},
    ports::{AccountFilter, ProfileChange},
    report::{EVIDENCE, NewReport, Report, ReportReason, Reported, Resolution, SAME_REPORT_SECONDS},
    session::Session,
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores, all, is_not_found, mail, new_account};

fn entry(action: AuditAction, subject: UserId) -> AuditEntry {
    AuditEntry::now(action, None, Some(subject)).from_address("192.0.2.1").with_note(Some("why".into()))
}

async fn session(stores: &Stores, user_id: UserId) -> SessionId {
    let id = SessionId(Uuid::new_v4());
    stores.sessions.create_session(Session::begin(id, user_id, "test".into(), NOW)).await.unwrap();
    id
}

/// Whether the sessions ended, were published and are remembered.
async fn ended(stores: &Stores, told: Vec<SessionId>, expected: SessionId) {
    assert_eq!(told, [expected]);
    assert_eq!(stores.fanout.take(), [LiveEvent::SessionEnded { session_id: expected }]);
    assert_eq!(stores.sessions.session(expected).await.unwrap(), None);
    assert!(stores.sessions.ended_within(600).await.unwrap().contains(&expected));
}

pub async fn a_disabled_account_has_no_sessions(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let (its, other) = (session(stores, ann).await, session(stores, bob).await);
    stores.fanout.take();
    let link = mail::link(ann, LinkPurpose::ResetPassword);
    stores.mail.queue_link(link.clone()).await.unwrap();
    let disabling = entry(AuditAction::UserDisabled, ann);
    let told = stores.administration.set_disabled(ann, true, disabling.clone()).await.unwrap().unwrap();
    ended(stores, told, its).await;
    mail::is_withdrawn(stores, &link).await;
    let standing = stores.accounts.credentials(ann).await.unwrap().unwrap().standing;
    assert_eq!(standing.disabled_at, Some(disabling.at));
    assert_eq!(stores.administration.account_record(ann).await.unwrap().unwrap().standing, standing);
    assert!(stores.sessions.session(other).await.unwrap().is_some());

    let enabling = entry(AuditAction::UserEnabled, ann);
    let told = stores.administration.set_disabled(ann, false, enabling.clone()).await.unwrap();
    assert_eq!(told, Some(vec![]));
    assert_eq!(stores.accounts.credentials(ann).await.unwrap().unwrap().standing.disabled_at, None);
    assert_eq!(stores.administration.audit_log(Some(ann), None, 10).await.unwrap(), [enabling, disabling]);

    let nobody = UserId(Uuid::new_v4());
    let refused = stores.administration.set_disabled(nobody, true, entry(AuditAction::UserDisabled, nobody)).await;
    assert!(is_not_found(refused));
    assert!(stores.administration.audit_log(Some(nobody), None, 10).await.unwrap().is_empty());
}

pub async fn an_admin_is_made_and_unmade(stores: &Stores) {
    let ann = stores.account().await;
    let first = session(stores, ann.id).await;
    stores.fanout.take();
    let granted = entry(AuditAction::AdminGranted, ann.id);
    ended(stores, stores.administration.set_admin(ann.id, true, granted).await.unwrap(), first).await;
    let by_login = stores.accounts.credentials_by_login(ann.username.as_str()).await.unwrap().unwrap();
    assert!(by_login.standing.admin && by_login.standing.disabled_at.is_none());
    let second = session(stores, ann.id).await;
    let disabling = entry(AuditAction::UserDisabled, ann.id);
    assert_eq!(stores.administration.set_disabled(ann.id, true, disabling.clone()).await.unwrap(), None);
    assert_eq!(stores.accounts.credentials(ann.id).await.unwrap().unwrap().standing, by_login.standing);
    assert!(!stores.administration.audit_log(Some(ann.id), None, 10).await.unwrap().contains(&disabling));
    let revoked = entry(AuditAction::AdminRevoked, ann.id);
    ended(stores, stores.administration.set_admin(ann.id, false, revoked).await.unwrap(), second).await;
    assert!(!stores.accounts.credentials(ann.id).await.unwrap().unwrap().standing.admin);
    let third = session(stores, ann.id).await;
    let ending = entry(AuditAction::SessionsEnded, ann.id);
    ended(stores, stores.administration.end_all_sessions(ann.id, ending).await.unwrap(), third).await;
}

pub async fn accounts_are_listed_for_admins(stores: &Stores) {
    let prefix = format!("l{}_", &Uuid::new_v4().simple().to_string()[..12]);
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let new = new_account(&format!("{prefix}{name}"), &format!("{prefix}{name}@example.com"));
        ids.push(stores.accounts.create_account(new).await.unwrap().id);
    }
    session(stores, ids[1]).await;
    session(stores, ids[1]).await;
    let list = |filter, after: Option<&'static str>, limit| {
        let (store, prefix) = (stores.administration.clone(), prefix.clone());
        async move {
            let after = after.map(|after| format!("{prefix}{after}"));
            let found = store.account_records(&prefix, filter, after.as_deref(), limit).await.unwrap();
            found.into_iter().map(|record| (record.account.id, record.sessions)).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(AccountFilter::All, None, 10).await, [(ids[0], 0), (ids[1], 2), (ids[2], 0)]);
    assert_eq!(list(AccountFilter::All, None, 2).await.len(), 2);
    assert_eq!(list(AccountFilter::All, Some("b"), 10).await, [(ids[2], 0)]);
    assert!(list(AccountFilter::Disabled, None, 10).await.is_empty());
    let disabling = entry(AuditAction::UserDisabled, ids[0]);
    stores.administration.set_disabled(ids[0], true, disabling).await.unwrap();
    stores.administration.set_admin(ids[2], true, entry(AuditAction::AdminGranted, ids[2])).await.unwrap();
    assert_eq!(list(AccountFilter::Disabled, None, 10).await, [(ids[0], 0)]);
    assert_eq!(list(AccountFilter::Admins, None, 10).await, [(ids[2], 0)]);
    let all = stores.administration.account_records("", AccountFilter::All, None, 3).await.unwrap();
    assert_eq!(all.len(), 3);

    let statistics = stores.administration.statistics().await.unwrap();
    assert!(statistics.users >= 3 && statistics.disabled >= 1 && statistics.admins >= 1, "{statistics:?}");
    assert!(statistics.sessions >= 2, "{statistics:?}");
}

pub async fn the_audit_log_is_paged_and_outlives_accounts(stores: &Stores) {
    let ann = stores.user().await;
    let mut entries = Vec::new();
    for number in 0..5 {
        let entry = AuditEntry {
            actor: Some(ann),
            ..entry(AuditAction::PasswordChanged, ann).with_note(Some(number.to_string()))
        };
        stores.administration.record(entry.clone()).await.unwrap();
        entries.insert(0, entry);
    }
    let first = stores.administration.audit_log(Some(ann), None, 3).await.unwrap();
    assert_eq!(first, entries[..3]);
    let next = stores.administration.audit_log(Some(ann), Some(first[2].id), 3).await.unwrap();
    assert_eq!(next, entries[3..]);
    assert_eq!(stores.administration.audit_log(None, None, 2).await.unwrap().len(), 2);
    stores.accounts.delete_account(ann).await.unwrap();
    assert_eq!(stores.administration.audit_log(Some(ann), None, 10).await.unwrap(), entries);
}

pub fn report(reporter: UserId, reported: UserId) -> NewReport {
    NewReport {
        id: Uuid::now_v7(),
        reporter,
        reported,
        message: Some((ChatId::of_pair(reporter, reported), MessageId(Uuid::now_v7()))),
        edited_at: None,
        reason: ReportReason::Harassment,
        comment: Some("again".into()),
        evidence: Some(WrappedKey { kek: "kek-0001".into(), bytes: vec![1, 2, 3] }),
        created_at: NOW,
    }
}

/// As it is listed while both accounts are there.
async fn listed(stores: &Stores, new: &NewReport) -> Report {
    let NewReport { id, reporter, reported, message, reason, comment, evidence, created_at, .. } = new.clone();
    let account = stores.accounts.account(reported).await.unwrap().unwrap();
    let reported = Reported {
        id: reported,
        username: account.username.to_string(),
        display_name: account.display_name,
        deleted: false,
    };
    let reporter = Some(reporter);
    Report { id, reporter, reported, message, reason, comment, evidence, created_at, resolution: None }
}

/// Keeps a report's evidence and a queued mail that are sealed with this ring.
#[allow(dead_code)] // not every test file needs it
pub async fn keep_sealed(stores: &Stores, keyring: &Keyring) {
    let (ann, eve) = (stores.user().await, stores.user().await);
    let new = report(ann, eve);
    let evidence = keyring.seal(EVIDENCE, new.id.as_bytes(), b"what was said").unwrap();
    stores.reports.create_report(NewReport { evidence: Some(evidence), ..new }).await.unwrap();
    let mut link = super::mail::link(ann, LinkPurpose::VerifyEmail);
    link.mail.sealed = keyring.seal(MAIL, link.mail.id.as_bytes(), b"a letter").unwrap();
    stores.mail.queue_link(link).await.unwrap();
}

/// They open with this ring.
#[allow(dead_code)] // not every test file needs it
pub async fn sealed_opens(stores: &Stores, keyring: &Keyring) {
    let reports = stores.reports.reports(true, None, 100).await.unwrap();
    let open = |report: &Report| keyring.open(EVIDENCE, report.id.as_bytes(), report.evidence.as_ref()?).ok();
    let evidence = reports.iter().find_map(open).unwrap();
    let later = Timestamp(NOW.0 + 1);
    let mail = stores.mail.take_mail(NOW, later, 1).await.unwrap().remove(0);
    let letter = keyring.open(MAIL, mail.id.as_bytes(), &mail.sealed).unwrap();
    assert_eq!((evidence.as_slice(), letter.as_slice()), (b"what was said".as_slice(), b"a letter".as_slice()));
}

async fn about(stores: &Stores, open: bool, reported: UserId) -> Vec<Report> {
    let mut found = stores.reports.reports(open, None, 100).await.unwrap();
    found.retain(|report| report.reported.id == reported);
    found
}

pub async fn reports_are_kept_and_resolved_once(stores: &Stores) {
    let (ann, eve, root) = (stores.user().await, stores.user().await, stores.user().await);
    let first = report(ann, eve);
    let bare = NewReport { message: None, comment: None, evidence: None, ..report(ann, eve) };
    for report in [&first, &bare] {
        stores.reports.create_report(report.clone()).await.unwrap();
    }
    let (first, bare) = (listed(stores, &first).await, listed(stores, &bare).await);
    assert_eq!(about(stores, true, eve).await, [bare.clone(), first.clone()]);
    let older = stores.reports.reports(true, Some(bare.id), 100).await.unwrap();
    assert!(older.contains(&first) && !older.contains(&bare));

    let resolution = Resolution { by: root, at: Timestamp(NOW.0 + 1), note: "warned".into() };
    let done = AuditEntry { actor: Some(root), ..entry(AuditAction::ReportResolved, root) };
    assert!(stores.reports.resolve_report(first.id, resolution.clone(), done.clone()).await.unwrap());
    let again = entry(AuditAction::ReportResolved, root);
    assert!(!stores.reports.resolve_report(first.id, resolution.clone(), again.clone()).await.unwrap());
    assert!(is_not_found(stores.reports.resolve_report(Uuid::new_v4(), resolution.clone(), again).await));
    assert_eq!(about(stores, true, eve).await, [bare]);
    assert_eq!(about(stores, false, eve).await, [Report { resolution: Some(resolution), ..first }]);
    assert_eq!(stores.administration.audit_log(Some(root), None, 10).await.unwrap(), [done]);
    let nobody = UserId(Uuid::new_v4());
    assert!(is_not_found(stores.reports.create_report(report(ann, nobody)).await));
}

pub async fn reports_outlive_both_accounts(stores: &Stores) {
    let (ann, bob, eve) = (stores.user().await, stores.user().await, stores.user().await);
    let (by_ann, by_bob, by_eve) = (report(ann, eve), report(bob, eve), report(eve, bob));
    for report in [&by_ann, &by_bob, &by_eve] {
        stores.reports.create_report(report.clone()).await.unwrap();
    }
    let renamed = ProfileChange { display_name: Some("Nobody in particular".into()), avatar_url: None };
    let (first, second) = (listed(stores, &by_ann).await, listed(stores, &by_bob).await);
    stores.accounts.change_profile(eve, renamed).await.unwrap();
    assert_eq!(about(stores, true, eve).await, [second.clone(), first.clone()], "names are those of then");

    stores.accounts.delete_account(ann).await.unwrap();
    let first = Report { reporter: None, ..first };
    assert_eq!(about(stores, true, eve).await, [second.clone(), first.clone()]);
    stores.accounts.delete_account(eve).await.unwrap();
    let gone = |report: Report| Report { reported: Reported { deleted: true, ..report.reported }, ..report };
    let (first, second) = (gone(first), gone(second));
    assert_eq!(about(stores, true, eve).await, [second.clone(), first.clone()]);
    assert_eq!(about(stores, true, bob).await[0].reporter, None);

    let resolution = Resolution { by: bob, at: Timestamp(NOW.0 + 1), note: "told the police".into() };
    let done = entry(AuditAction::ReportResolved, eve);
    assert!(stores.reports.resolve_report(first.id, resolution.clone(), done).await.unwrap());
    assert_eq!(about(stores, true, eve).await, [second]);
    assert_eq!(about(stores, false, eve).await, [Report { resolution: Some(resolution), ..first }]);
}

pub async fn the_same_report_is_kept_once_also_under_a_race(stores: &Stores) {
    let (ann, bob, eve) = (stores.user().await, stores.user().await, stores.user().await);
    let first = report(ann, eve);
    let racing = all((0..8).map(|_| {
        let (stores, again) = (stores.clone(), NewReport { id: Uuid::now_v7(), ..first.clone() });
        async move { stores.reports.create_report(again).await.unwrap() }
    }));
    let ids = racing.await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let create =
        async |new: NewReport| stores.reports.create_report(NewReport { id: Uuid::now_v7(), ..new }).await.unwrap();
    assert_eq!(create(NewReport { evidence: None, ..first.clone() }).await, ids[0], "it says less");
    assert_eq!(about(stores, true, eve).await.len(), 1);
    let others = [
        NewReport { reporter: bob, ..first.clone() },
        NewReport { message: None, evidence: None, ..first.clone() },
        NewReport { reason: ReportReason::Spam, ..first.clone() },
        NewReport { comment: None, ..first.clone() },
    ];
    for (before, other) in others.into_iter().enumerate() {
        let made = create(other.clone()).await;
        assert_eq!(about(stores, true, eve).await.len(), before + 2, "{other:?}");
        assert_eq!(create(other).await, made);
    }
    let bare = NewReport { evidence: None, ..report(ann, bob) };
    assert_ne!(create(bare.clone()).await, create(NewReport { evidence: first.evidence.clone(), ..bare }).await);
    let resolution = Resolution { by: bob, at: Timestamp(NOW.0 + 1), note: "warned".into() };
    stores.reports.resolve_report(ids[0], resolution, entry(AuditAction::ReportResolved, eve)).await.unwrap();
    assert_ne!(create(first).await, ids[0], "what was resolved may happen again");
}

/// It is the same only for somebody who lost the answer.
pub async fn the_same_report_is_another_one_an_hour_later_or_after_an_edit(stores: &Stores) {
    let (ann, eve) = (stores.user().await, stores.user().await);
    let create =
        async |new: NewReport| stores.reports.create_report(NewReport { id: Uuid::now_v7(), ..new }).await.unwrap();
    let first = report(ann, eve);
    let at = |seconds: i64| NewReport { created_at: NOW.plus_seconds(seconds), ..first.clone() };
    let made = create(first.clone()).await;
    assert_eq!(create(at(SAME_REPORT_SECONDS - 1)).await, made);
    let edited = |seconds: i64| NewReport { edited_at: Some(NOW.plus_seconds(seconds)), ..at(60) };
    assert_eq!(create(edited(-30)).await, made, "it was edited before");
    let anew = create(edited(30)).await;
    assert_ne!(anew, made);
    assert_eq!(create(edited(30)).await, anew);
    let later = create(at(SAME_REPORT_SECONDS + 60)).await;
    assert!(![made, anew].contains(&later));
    assert_eq!(about(stores, true, eve).await.len(), 3);
}

pub async fn the_same_report_is_answered_though_the_reported_account_is_gone(stores: &Stores) {
    let (ann, eve) = (stores.user().await, stores.user().await);
    let first = report(ann, eve);
    let made = stores.reports.create_report(first.clone()).await.unwrap();
    stores.accounts.delete_account(eve).await.unwrap();
    let again = NewReport { id: Uuid::now_v7(), ..first };
    assert_eq!(stores.reports.create_report(again.clone()).await.unwrap(), made);
    assert!(is_not_found(stores.reports.create_report(NewReport { comment: None, ..again.clone() }).await));
    stores.accounts.delete_account(ann).await.unwrap();
    assert!(is_not_found(stores.reports.create_report(again).await));
}

pub async fn who_made_reports_finds_them(stores: &Stores) {
    let (ann, bob, eve) = (stores.user().await, stores.user().await, stores.user().await);
    let mut expected = Vec::new();
    for reported in [eve, bob, eve, bob, eve] {
        let new = report(ann, reported);
        stores.reports.create_report(new.clone()).await.unwrap();
        stores.reports.create_report(report(bob, eve)).await.unwrap();
        expected.insert(0, listed(stores, &new).await);
    }
    stores.accounts.delete_account(eve).await.unwrap();
    for report in expected.iter_mut().filter(|report| report.reported.id == eve) {
        report.reported.deleted = true;
    }
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = stores.reports.reports_by(ann, before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        found.extend(page);
    }
    assert_eq!(found, expected);
    assert!(stores.reports.reports_by(eve, None, 10).await.unwrap().is_empty());
}
