//! `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing::error;

use crate::health::Probe;
use crate::metrics::Metrics;

/// Listens.
///
/// # Errors
/// When the address can't be had.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("can't listen on {address}; choose another with --listen"))
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, probe: Probe) {
    let (alive, ready) = (probe.clone(), probe);
    let router = Router::new()
        .route("/metrics", get(async move || exposed(&metrics)))
        .route(
            "/healthz",
            get(async move || answer(alive.alive(Instant::now()))),
        )
        .route("/readyz", get(async move || answer(ready.ready())));
    if let Err(error) = axum::serve(listener, router).await {
        error!(%error, "the HTTP server ended, so metrics and probes are not answered any more");
    }
}

fn exposed(metrics: &Metrics) -> impl IntoResponse + use<> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text())
}

fn answer(found: Result<(), String>) -> (StatusCode, String) {
    match found {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
