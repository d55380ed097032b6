//! The web client, served beside the API: from the same origin, so that it needs no CORS, by the process that every
//! gateway already reaches, so that any NGINX image will do.

mod encoding;
mod files;
mod policy;

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::{self, Next},
    response::Response,
};

pub use self::files::WebError;
use self::files::WebFiles;

/// Addresses that people type or keep. Only a browser that asks for a page gets it there, because routes of the API have
/// such paths too.
const PAGES: [&str; 4] = ["/chats", "/login", "/register", "/settings"];

/// What is shown where there is no web client.
const START_PAGE: &str = include_str!("web/start.html");

/// What browsers find at the base URL.
pub struct Site {
    files: WebFiles,
    policy: String,
}

impl Site {
    /// The web client that was built into `folder`; `media` are other origins that it may exchange files with.
    pub fn read(folder: &Path, media: &[String]) -> Result<Self, WebError> {
        let files = WebFiles::read(folder)?;
        Ok(Self { files, policy: policy::of_client(media) })
    }

    /// A page that says what this is, for deployments without a web client.
    pub fn start_page() -> Self {
        let files = WebFiles::of([("index.html".to_owned(), START_PAGE.into())].into());
        Self { files, policy: policy::OF_START_PAGE.to_owned() }
    }

    /// The answer to a request for one of its files; none when the request is for the API.
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        let file = match self.files.get(path) {
            Some(file) => file,
            None if path == "/" || (PAGES.contains(&path) && wants_page(headers)) => self.files.get("/index.html")?,
            None => return None,
        };
        Some(file.answer(headers, &self.policy))
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// Puts a site in front of `router`, outside of its rate limits: a page is many files, and an office one address.
pub fn in_front_of(router: Router, site: Site) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(site), serve))
}

async fn serve(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    match site.answer(request.method(), request.uri().path(), request.headers()) {
        Some(response) => response,
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests;
