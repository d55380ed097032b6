use sentinel_domain::{
    account::Email,
    audit::{AuditAction, AuditEntry},
    event::LiveEvent,
    ids::{SessionId, UserId},
    mail::LinkPurpose,
    ports::{Beginning, ConfirmedRemoval, ProfileChange, StoreError, TakenField},
    session::Session,
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores, all, is_not_found, mail, new_account, sessions};

pub async fn names_and_addresses_are_unique_also_under_a_race(stores: &Stores) {
    let taken = stores.account().await;
    let same_name = new_account(taken.username.as_str(), "somebody@example.com");
    let same_email = new_account("somebody.else", taken.email.as_str());
    let name = stores.accounts.create_account(same_name).await.unwrap_err();
    let email = stores.accounts.create_account(same_email).await.unwrap_err();
    assert!(matches!(name, StoreError::Taken(TakenField::Username)), "{name:?}");
    assert!(matches!(email, StoreError::Taken(TakenField::Email)), "{email:?}");

    let unique = uuid::Uuid::new_v4().simple().to_string();
    let results = all((0..8).map(|number| {
        let new = new_account(&format!("r{}", &unique[..20]), &format!("{number}.{unique}@example.com"));
        let accounts = stores.accounts.clone();
        async move { accounts.create_account(new).await.is_ok() }
    }))
    .await;
    assert_eq!(results.into_iter().filter(|made| *made).count(), 1);
}

pub async fn accounts_are_found(stores: &Stores) {
    let ann = stores.account().await;
    assert_eq!(ann.display_name, ann.username.as_str());
    assert_eq!(stores.accounts.account(ann.id).await.unwrap(), Some(ann.clone()));
    for login in [ann.username.as_str(), ann.email.as_str()] {
        let found = stores.accounts.credentials_by_login(login).await.unwrap().unwrap();
        assert_eq!((found.account, found.password_hash.as_str()), (ann.clone(), "$argon2id$"));
    }
    assert!(stores.accounts.credentials_by_login("nobody.at.all").await.unwrap().is_none());
    let profile = stores.accounts.profile_by_username(&ann.username).await.unwrap().unwrap();
    assert_eq!(profile.user_id, ann.id);
    let unknown = sentinel_domain::ids::UserId(uuid::Uuid::new_v4());
    let profiles = stores.accounts.profiles(&[unknown, ann.id]).await.unwrap();
    assert_eq!(profiles, [profile]);
    assert!(stores.accounts.account(unknown).await.unwrap().is_none());
}

pub async fn addresses_are_kept_as_they_were_stored(stores: &Stores) {
    // As accounts were made under other rules.
    let unique = Uuid::new_v4().simple().to_string();
    for (number, older) in
        ["\"a b\"@example.com", "ann@bücher.example", "zoe\u{308}@example.com"].into_iter().enumerate()
    {
        let mut new = new_account(&format!("k{number}{}", &unique[..20]), "ann@example.com");
        new.email = Email::kept(format!("{unique}{older}"));
        let address = new.email.clone();
        let id = stores.accounts.create_account(new).await.unwrap().id;
        let found = stores.accounts.credentials_by_login(address.as_str()).await.unwrap().unwrap();
        assert_eq!((found.account.id, found.account.email), (id, address));
    }
}

pub async fn profiles_change(stores: &Stores) {
    let ann = stores.account().await;
    let picture = Some("https://example.com/a.png".to_owned());
    let change = ProfileChange { display_name: Some("Ann".into()), avatar_url: Some(picture.clone()) };
    let changed = stores.accounts.change_profile(ann.id, change).await.unwrap();
    assert_eq!((changed.display_name.as_str(), &changed.avatar_url), ("Ann", &picture));
    let unchanged = stores.accounts.change_profile(ann.id, ProfileChange::default()).await.unwrap();
    assert_eq!(unchanged, changed);
    let removal = ProfileChange { avatar_url: Some(None), ..ProfileChange::default() };
    assert_eq!(stores.accounts.change_profile(ann.id, removal).await.unwrap().avatar_url, None);

    let unknown = sentinel_domain::ids::UserId(uuid::Uuid::new_v4());
    assert!(is_not_found(stores.accounts.change_profile(unknown, ProfileChange::default()).await));
}

pub async fn a_hash_is_renewed_unless_the_password_was_changed(stores: &Stores) {
    let ann = stores.user().await;
    let renew = |old: &str, new: &str| stores.accounts.renew_password_hash(ann, old.into(), new.into());
    let stored = async || stores.accounts.credentials(ann).await.unwrap().unwrap().password_hash;
    renew("$argon2id$", "better").await.unwrap();
    assert_eq!(stored().await, "better");
    renew("$argon2id$", "of the password before").await.unwrap();
    assert_eq!(stored().await, "better");
    let unknown = UserId(Uuid::new_v4());
    stores.accounts.renew_password_hash(unknown, "$argon2id$".into(), "better".into()).await.unwrap();
}

pub async fn an_account_begins_whole_or_not_at_all(stores: &Stores) {
    let unique = Uuid::new_v4().simple().to_string();
    let new = new_account(&format!("w{}", &unique[..20]), &format!("{unique}@example.com"));
    let of_another = sessions::session(stores, stores.user().await, NOW).await.id;
    let link = mail::link(new.id, LinkPurpose::VerifyEmail);
    let beginning = |id| {
        let session = Session::begin(id, new.id, "test".into(), NOW);
        Beginning { session: Some(session), link: Some(link.clone()) }
    };
    let owner = async || stores.mail.link_owner(link.hash, link.purpose, NOW).await.unwrap();
    // What can't be stored is found late: two sessions have no id in common.
    stores.accounts.register(new.clone(), beginning(of_another)).await.unwrap_err();
    assert!(stores.accounts.account(new.id).await.unwrap().is_none());
    assert!(stores.sessions.sessions(new.id).await.unwrap().is_empty());
    assert_eq!(owner().await, None);

    let whole = beginning(SessionId(Uuid::new_v4()));
    let account = stores.accounts.register(new.clone(), whole.clone()).await.unwrap();
    assert_eq!((account.id, account.username), (new.id, new.username));
    assert_eq!(stores.sessions.sessions(new.id).await.unwrap(), [whole.session.unwrap()]);
    assert_eq!(owner().await, Some(new.id));
    let due = stores.mail.take_mail(NOW, NOW, 1000).await.unwrap();
    assert!(due.iter().any(|mail| mail.id == link.mail.id), "the mail is queued");
}

pub async fn an_account_is_removed_by_whoever_knows_its_password_now(stores: &Stores) {
    let ann = stores.user().await;
    let entry = AuditEntry::now(AuditAction::AccountDeleted, Some(ann), Some(ann));
    let remove = |hash: &str| {
        let confirmed = ConfirmedRemoval { password_hash: hash.into(), entry: entry.clone() };
        stores.accounts.remove_account(ann, Some(confirmed))
    };
    let log = async || stores.administration.audit_log(Some(ann), None, 10).await.unwrap();
    assert!(!remove("the one before").await.unwrap());
    assert!(stores.accounts.account(ann).await.unwrap().is_some());
    assert!(log().await.is_empty());
    assert!(remove("$argon2id$").await.unwrap());
    assert!(stores.accounts.account(ann).await.unwrap().is_none());
    assert_eq!(log().await, std::slice::from_ref(&entry));
    assert!(is_not_found(remove("$argon2id$").await));
}

pub async fn the_directory_is_in_order(stores: &Stores) {
    let prefix = format!("d{}_", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    for (number, suffix) in ["b", "a", "_", ".", "9"].into_iter().enumerate() {
        let name = format!("{prefix}{suffix}");
        stores.accounts.create_account(new_account(&name, &format!("{number}.{prefix}@example.com"))).await.unwrap();
    }
    let found = stores.accounts.profiles_by_prefix(&prefix, 10).await.unwrap();
    let names: Vec<_> = found.iter().map(|profile| &profile.username.as_str()[prefix.len()..]).collect();
    assert_eq!(names, [".", "9", "_", "a", "b"]);
    assert_eq!(stores.accounts.profiles_by_prefix(&prefix, 2).await.unwrap().len(), 2);
    let after = format!("{prefix}9");
    let next = stores.accounts.directory(Some(&after), 2).await.unwrap();
    assert_eq!(next, found[2..4]);
    assert!(stores.accounts.directory(None, 3).await.unwrap().len() == 3);
}

pub async fn blocks_are_kept(stores: &Stores) {
    let (ann, bob, eve) = (stores.user().await, stores.user().await, stores.user().await);
    stores.fanout.take();
    stores.accounts.block(ann, bob, NOW).await.unwrap();
    let changed = [LiveEvent::BlockChanged { between: [ann, bob] }];
    assert_eq!(stores.fanout.take(), changed);
    stores.accounts.block(ann, eve, Timestamp(NOW.0 + 1)).await.unwrap();
    stores.accounts.block(ann, bob, Timestamp(NOW.0 + 2)).await.unwrap();
    let listed = async |before, limit| -> Vec<_> {
        let blocks = stores.accounts.blocks(ann, before, limit).await.unwrap();
        blocks.iter().map(|(profile, at)| (profile.user_id, *at)).collect()
    };
    let (newest, oldest) = ((eve, Timestamp(NOW.0 + 1)), (bob, NOW));
    assert_eq!(listed(None, 10).await, [newest, oldest]);
    assert_eq!(listed(None, 1).await, [newest]);
    assert_eq!(listed(Some((newest.1, newest.0)), 10).await, [oldest]);
    assert!(listed(Some((oldest.1, oldest.0)), 10).await.is_empty());
    assert!(stores.accounts.blocked_between(bob, ann).await.unwrap());
    assert!(stores.accounts.blocked_between(ann, bob).await.unwrap());
    assert!(!stores.accounts.blocked_between(bob, eve).await.unwrap());
    stores.fanout.take();
    stores.accounts.unblock(ann, bob).await.unwrap();
    assert_eq!(stores.fanout.take(), changed);
    stores.accounts.unblock(ann, bob).await.unwrap();
    assert!(!stores.accounts.blocked_between(ann, bob).await.unwrap());
    let unknown = sentinel_domain::ids::UserId(uuid::Uuid::new_v4());
    assert!(is_not_found(stores.accounts.block(ann, unknown, NOW).await));
    stores.fanout.take();
    stores.accounts.unblock(ann, unknown).await.unwrap();
    assert!(stores.fanout.take().is_empty(), "of an account that is none there is nothing to tell");
}
