//! Preferences that several devices of a user change.

use super::*;

const PATH: &str = "/notifications/preferences";

impl World {
    /// Gets or puts Bob's preferences; gives the status, the version and the body.
    async fn preferences(&self, versions: Option<&str>, wanted: Option<Value>) -> (u16, String, Value) {
        let headers: Vec<_> = versions.map(|versions| ("if-match", versions)).into_iter().collect();
        let method = if wanted.is_some() { "PUT" } else { "GET" };
        let (status, headers, body) = self.request_with(&self.token(self.bob), method, PATH, &headers, wanted).await;
        let tag = headers.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (status, tag.unwrap_or_default(), body)
    }
}

#[tokio::test]
async fn who_says_what_is_changed_does_not_undo_the_change_of_another_device() {
    let world = World::new().await;
    let (_, first, _) = world.preferences(None, None).await;
    assert!(first.starts_with('"') && first.ends_with('"') && first.len() > 10, "{first}");
    let hours = json!({"from_minute": 1, "to_minute": 2, "utc_offset_minutes": 0});
    let (status, second, stored) = world.preferences(Some(&first), Some(json!({"quiet_hours": hours}))).await;
    assert_eq!((status, &stored["quiet_hours"]), (200, &hours));
    assert_ne!(second, first);
    assert_eq!(world.preferences(None, None).await.1, second, "the version is that of what is stored");

    // The other device still knows the first.
    let shown = json!({"show_content": true});
    for stale in [first.as_str(), "\"x\"", "x", ""] {
        let (status, _, problem) = world.preferences(Some(stale), Some(shown.clone())).await;
        assert_eq!((status, &problem["code"]), (412, &json!("preferences_changed")), "{stale}");
    }
    assert_eq!(world.preferences(None, None).await.2["quiet_hours"], hours, "nothing was undone");
    let both = json!({"show_content": true, "quiet_hours": hours, "muted": []});
    let (status, third, stored) = world.preferences(Some(&second), Some(both.clone())).await;
    assert_eq!((status, stored), (200, both));

    // Several versions, one that a proxy made weak, and any.
    for fits in [format!("{first}, {third}"), format!("W/{third}"), "*".into()] {
        assert_eq!(world.preferences(Some(&fits), Some(json!({"show_content": true}))).await.0, 200, "{fits}");
        let restored = json!({"show_content": true, "quiet_hours": hours});
        assert_eq!(world.preferences(None, Some(restored)).await.1, third, "the same has the same version");
    }
}

#[tokio::test]
async fn who_has_them_already_is_not_sent_them_again() {
    let world = World::new().await;
    let (_, first, _) = world.preferences(None, None).await;
    let get = async |known: &str| {
        let headers = [("if-none-match", known)];
        let (status, headers, body) = world.request_with(&world.token(world.bob), "GET", PATH, &headers, None).await;
        (status, headers["etag"].to_str().unwrap().to_owned(), body)
    };
    assert_eq!(get(&first).await, (304, first.clone(), Value::Null));
    let (_, second, _) = world.preferences(None, Some(json!({"show_content": true}))).await;
    let (status, version, stored) = get(&first).await;
    assert_eq!((status, version, &stored["show_content"]), (200, second, &json!(true)));
}

#[tokio::test]
async fn quiet_hours_are_given_back_as_they_were_set() {
    let world = World::new().await;
    let hours = |clock: Value| {
        let mut hours = json!({"from_minute": 1320, "to_minute": 420});
        hours.as_object_mut().unwrap().extend(clock.as_object().unwrap().clone());
        hours
    };
    let clocks = [
        (json!({"time_zone": "Europe/Berlin"}), json!({"utc_offset_minutes": 0, "time_zone": "Europe/Berlin"})),
        (
            json!({"utc_offset_minutes": 330, "time_zone": "Asia/Calcutta"}),
            json!({"utc_offset_minutes": 330, "time_zone": "Asia/Calcutta"}),
        ),
        (json!({"utc_offset_minutes": 60, "time_zone": null}), json!({"utc_offset_minutes": 60})),
        (json!({}), json!({"utc_offset_minutes": 0})),
    ];
    let mut versions = Vec::new();
    for (set, given) in clocks {
        let (status, version, stored) = world.preferences(None, Some(json!({"quiet_hours": hours(set)}))).await;
        assert_eq!((status, &stored["quiet_hours"]), (200, &hours(given)));
        assert_eq!(world.preferences(None, None).await.2, stored);
        versions.push(version);
    }
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 4, "a change of the time zone alone is one, too");
    let (_, _, problem) =
        world.preferences(None, Some(json!({"quiet_hours": hours(json!({"time_zone": "+02:00"}))}))).await;
    assert_eq!(problem["errors"][0]["code"], "unknown_time_zone");
    assert!(problem["detail"].as_str().unwrap().contains("such as Europe/Berlin"), "{problem}");
}
