//! SHELL: what the controller answers over HTTP: `/metrics`, `/livez`, `/readyz`, and `POST /hook/…` of senders of webhooks.

pub mod hooks;
mod listen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use hooks::Hooks;
pub use listen::bind;

/// Says whether the controller has seen its objects.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on `/readyz` says yes.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers until the process ends.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    hooks: Hooks,
) -> std::io::Result<()> {
    let listener = listen::Impatient::new(listener, listen::PATIENCE);
    axum::serve(listener, routes(readiness, metrics, hooks)).await
}

fn routes(readiness: Readiness, metrics: Arc<dyn Fn() -> String + Send + Sync>, hooks: Hooks) -> Router {
    let ready = move || async move {
        if readiness.0.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    };
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { (content_type, metrics()) }))
        .route("/hook/{hash}", post(hooks::knock))
        .with_state(hooks)
}

#[cfg(test)]
mod tests;
