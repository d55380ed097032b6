//! Questions by HTTP to what runs in somebody's namespace. Who answers there may be anybody: no answer may take more of
//! the operator than it is worth, nor send it elsewhere.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// No connection, or no answer in time.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The answer has more bytes than it may have.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// How many it may have.
        limit: usize,
    },
}

/// A client for questions that are asked seldom, so it is not kept; each may take `patience` from the connection to the last
/// byte. What is asked has no TLS, and an image may have no authorities.
pub fn client(patience: Duration) -> Result<Client, reqwest::Error> {
    Client::builder().no_proxy().redirect(Policy::none()).tls_certs_only([]).timeout(patience).build()
}

/// Sends a request and reads its answer, if that has no more than `limit` bytes.
pub async fn ask(request: RequestBuilder, limit: usize) -> Result<(StatusCode, String), Error> {
    let mut answer = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status(), String::from_utf8_lossy(&body).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{
        Router,
        body::{Body, Bytes},
        response::Redirect,
        routing::get,
    };
    use futures::stream;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    async fn server(router: Router) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn asked(address: SocketAddr, path: &str) -> Result<(StatusCode, String), Error> {
        ask(client(PATIENCE).unwrap().get(format!("http://{address}{path}")), 1024).await
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit_and_no_further() {
        let endless = || async {
            Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 512]))))
        };
        let address = server(
            Router::new()
                .route("/fits", get(|| async { "x".repeat(1024) }))
                .route("/long", get(|| async { "x".repeat(1025) }))
                .route("/endless", get(endless)),
        )
        .await;
        assert_eq!(asked(address, "/fits").await.unwrap(), (StatusCode::OK, "x".repeat(1024)));
        for path in ["/long", "/endless"] {
            assert!(matches!(asked(address, path).await, Err(Error::TooLong { limit: 1024 })), "{path}");
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_but_who_was_meant() {
        let address = server(
            Router::new()
                .route("/findings", get(|| async { Redirect::temporary("/elsewhere") }))
                .route("/elsewhere", get(|| async { "told" })),
        )
        .await;
        assert_eq!(asked(address, "/findings").await.unwrap(), (StatusCode::TEMPORARY_REDIRECT, String::new()));
    }

    #[tokio::test]
    async fn an_answer_that_trickles_in_does_not_take_longer_than_one_that_does_not_come() {
        let trickle = || async {
            Body::from_stream(stream::unfold((), async |()| {
                tokio::time::sleep(PATIENCE / 5).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
            }))
        };
        let address = server(Router::new().route("/", get(trickle))).await;
        let asked = tokio::time::timeout(PATIENCE * 4, asked(address, "/")).await.expect("it ends by itself");
        assert!(matches!(asked, Err(Error::Http(error)) if error.is_timeout()));
    }
}
