//! Probes and metrics of the operator.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use sentinel_metrics::PrometheusHandle;

/// What the probes report.
#[derive(Clone)]
pub struct Admin {
    ready: Arc<AtomicBool>,
    metrics: PrometheusHandle,
}

impl Admin {
    /// Not ready yet.
    pub fn new(metrics: PrometheusHandle) -> Self {
        Self { ready: Arc::default(), metrics }
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
            .route("/metrics", get(|State(admin): State<Self>| async move { admin.metrics.render() }))
            .with_state(self)
    }
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server or the resource definition is not there yet")
    }
}
