//! Probes and metrics of the operator.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use sentinel_metrics::PrometheusHandle;

use crate::{answer::describe, chats::Chats};

/// What the probes report.
#[derive(Clone)]
pub struct Admin {
    ready: Arc<AtomicBool>,
    metrics: PrometheusHandle,
    chats: Chats,
}

impl Admin {
    /// Not ready yet.
    pub fn new(metrics: PrometheusHandle, chats: Chats) -> Self {
        Self { ready: Arc::default(), metrics, chats }
    }

    /// Changes what `/readyz` answers.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(scrape))
            .with_state(self)
    }
}

async fn scrape(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    let chats = admin.chats.scrape().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, describe(&error)))?;
    Ok(admin.metrics.render() + &chats)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server or the resource definition is not there yet")
    }
}
