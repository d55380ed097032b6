//! Look-ups, the directory and blocks.

use serde_json::{Value, json};

use super::app::App;

#[tokio::test]
async fn people_are_found_by_name_and_by_id() {
    let app = App::new();
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    let expected = json!({ "username": "bob", "user_id": bob.id, "display_name": "bob", "avatar_url": null });
    for path in ["/users/show?username=Bob", "/users/username/bob", &format!("/users/user_id/{}", bob.id)] {
        let answer = app.get(path, &ann).await;
        assert_eq!((answer.status, answer.body), (200, expected.clone()), "{path}");
    }
}

#[tokio::test]
async fn unknown_and_impossible_names_are_the_same_404() {
    let app = App::new();
    let ann = app.register("ann").await;
    let unknown = app.get("/users/show?username=nobody", &ann).await;
    assert_eq!(unknown.code(), (404, "not_found"));
    for path in [
        "/users/username/nobody",
        "/users/username/a%20b",
        "/users/show?username=",
        "/users/user_id/0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10",
        "/no/such/path",
    ] {
        let answer = app.get(path, &ann).await;
        assert_eq!((answer.status, answer.anonymous()), (404, unknown.anonymous()), "{path}");
    }
    assert_eq!(app.get("/users/user_id/7", &ann).await.status, 422);
    assert_eq!(app.get("/users/username/%ff", &ann).await.status, 400);
}

#[tokio::test]
async fn search_needs_two_characters_and_finds_by_prefix() {
    let app = App::new();
    let ann = app.register("ann").await;
    for name in ["anna", "bob", "an_other"] {
        app.register(name).await;
    }
    let names =
        |body: &Value| body["users"].as_array().unwrap().iter().map(|it| it["username"].clone()).collect::<Vec<_>>();
    let found = app.get("/users/search?prefix=AN", &ann).await;
    assert_eq!((found.status, names(&found.body)), (200, vec![json!("an_other"), json!("ann"), json!("anna")]));
    assert_eq!(names(&app.get("/users/search?prefix=an&limit=1", &ann).await.body).len(), 1);
    assert_eq!(names(&app.get("/users/search?prefix=a%25", &ann).await.body), Vec::<Value>::new());
    assert_eq!(app.get("/users/search?prefix=a", &ann).await.code(), (422, "prefix_too_short"));
    assert_eq!(app.get("/users/search", &ann).await.body["errors"][0]["field"], "prefix");
    for limit in ["0", "101", "-1", "x"] {
        assert_eq!(app.get(&format!("/users/search?prefix=an&limit={limit}"), &ann).await.status, 422, "{limit}");
    }
}

#[tokio::test]
async fn the_directory_is_listed_only_when_open_and_page_by_page() {
    let closed = App::new();
    let ann = closed.register("ann").await;
    assert_eq!(closed.get("/users/show", &ann).await.code(), (403, "directory_closed"));

    let app = App::with(&json!({ "directory": "Open" }), &json!({}));
    let ann = app.register("ann").await;
    let bob = app.register("bob").await;
    app.register("cat").await;
    let first = app.get("/users/show?limit=2", &ann).await;
    assert_eq!(first.body["users"][1]["username"], "bob");
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = app.get(&format!("/users/show?limit=2&cursor={cursor}"), &ann).await;
    assert_eq!((&second.body["users"][0]["username"], &second.body["next_cursor"]), (&json!("cat"), &Value::Null));
    assert_eq!(app.get("/users/show?limit=2&cursor=", &ann).await.body, first.body, "no cursor, as everywhere");
    for (cursor, client) in [(cursor, &bob), ("forged", &ann)] {
        let answer = app.get(&format!("/users/show?cursor={cursor}"), client).await;
        assert_eq!(answer.code(), (400, "invalid_cursor"), "{cursor}");
    }
}

#[tokio::test]
async fn look_ups_are_limited_per_caller() {
    let app = App::with(&json!({}), &json!({ "requestsPerSecond": 5 }));
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    let mut refused = 0;
    for _ in 0..12 {
        refused += u32::from(app.get("/users/show?username=bob", &ann).await.code() == (429, "rate_limited"));
    }
    assert!(refused >= 1, "{refused}");
    assert_eq!(app.get("/users/show?username=ann", &bob).await.status, 200);
    assert_eq!(app.get("/me", &ann).await.status, 200);
}

#[tokio::test]
async fn blocks_are_put_listed_and_taken_back() {
    let app = App::new();
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    let path = format!("/users/{}/block", bob.id);
    for _ in 0..2 {
        assert_eq!(app.call("PUT", &path, Some(&ann.access), None).await.status, 204);
    }
    let blocks = app.get("/blocks", &ann).await.body["blocks"].as_array().unwrap().clone();
    assert_eq!((blocks.len(), &blocks[0]["username"], &blocks[0]["user_id"]), (1, &json!("bob"), &json!(bob.id)));
    assert!(blocks[0]["blocked_at"].is_string());
    assert_eq!(app.get("/blocks", &bob).await.body["blocks"], json!([]));
    for _ in 0..2 {
        assert_eq!(app.call("DELETE", &path, Some(&ann.access), None).await.status, 204);
    }
    assert_eq!(app.get("/blocks", &ann).await.body["blocks"], json!([]));
}

#[tokio::test]
async fn blocks_come_in_pages() {
    let app = App::new();
    let ann = app.register("ann").await;
    let names = ["bob", "eve", "dan"];
    for name in names {
        let path = format!("/users/{}/block", app.register(name).await.id);
        assert_eq!(app.call("PUT", &path, Some(&ann.access), None).await.status, 204);
    }
    let (mut listed, mut path) = (Vec::new(), "/blocks?limit=2".to_owned());
    loop {
        let page = app.get(&path, &ann).await.body;
        let blocks = page["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 2, "{page}");
        listed.extend(blocks.iter().map(|block| block["username"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/blocks?limit=2&cursor={cursor}");
        assert_eq!(app.get(&path.replace("blocks", "sessions"), &ann).await.code(), (400, "invalid_cursor"));
    }
    listed.sort();
    assert_eq!(listed, ["bob", "dan", "eve"]);
    assert_eq!(app.get("/blocks?limit=101", &ann).await.code(), (422, "out_of_range"));
}

#[tokio::test]
async fn nobody_blocks_themselves_or_a_stranger_who_is_not_there() {
    let app = App::new();
    let ann = app.register("ann").await;
    let block = async |id: &str| app.call("PUT", &format!("/users/{id}/block"), Some(&ann.access), None).await;
    assert_eq!(block(&ann.id).await.code(), (422, "cannot_block_self"));
    assert_eq!(block("0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10").await.code(), (404, "not_found"));
    assert_eq!(block("7").await.status, 422);
}
