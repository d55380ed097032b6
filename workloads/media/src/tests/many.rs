//! Details of several files at once.

use sentinel_domain::{
    account::Username,
    ids::{SessionId, UserId},
};
use sentinel_http::layers;

use super::*;

#[tokio::test]
async fn what_is_left_of_the_requests_is_told_after_all_that_were_counted() {
    let world = World::new().await;
    let service = &world.service;
    let (router, _) = crate::router(service.clone()).split_for_parts();
    let router = layers::apply(router, &service.config, service.tokens.clone(), service.limits.clone());
    let (session, name) = (SessionId(Uuid::new_v4()), Username::parse("ann").unwrap());
    let left = async |user: UserId, files: usize| {
        let token = service.tokens.issue(user, session, &name, Timestamp::now()).unwrap().token;
        let ids: Vec<String> = (0..files).map(|_| Uuid::new_v4().to_string()).collect();
        let request = Request::get(format!("/media/details?ids={}", ids.join(",")));
        let request = request.header("host", "127.0.0.1:1").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let told = |header: &str| response.headers()[header].to_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(told("ratelimit-limit"), 500);
        told("ratelimit-remaining")
    };
    let (few, many) = (UserId(Uuid::new_v4()), UserId(Uuid::new_v4()));
    assert_eq!(left(few, 10).await, 499);
    // Fifty a second come back meanwhile.
    let left = left(many, 100).await;
    assert!((490..498).contains(&left), "{left}");
}
