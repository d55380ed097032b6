//! The listener that the gateway does not route: health, readiness, metrics, and for the operator what is wrong with the
//! stores.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use sentinel_domain::findings::Findings;
use sentinel_metrics::PrometheusHandle;

use crate::platform::Stores;

/// What the admin listener looks at.
#[derive(Clone)]
pub struct Admin {
    /// Off while draining: no new traffic, please.
    pub accepting: Arc<AtomicBool>,
    /// The stores that must answer, for as long as they are open. A connection that is kept alive must not keep them open.
    pub stores: Weak<Stores>,
    /// Where metrics are kept.
    pub metrics: PrometheusHandle,
}

/// The routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/findings", get(findings))
        .route("/metrics", get(|State(admin): State<Admin>| async move { admin.metrics.render() }))
        .with_state(admin)
}

async fn findings(State(admin): State<Admin>) -> Result<Json<Findings>, StatusCode> {
    let stores = admin.stores.upgrade().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(stores.findings()))
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    if !admin.accepting.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into());
    }
    let Some(stores) = admin.stores.upgrade() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    };
    match stores.check().await {
        Ok(()) => (StatusCode::OK, stores.advice().map_or_else(|| "ok\n".into(), |advice| format!("ok: {advice}\n"))),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the stores can't be used from here: the log says why\n".into())
        }
    }
}
