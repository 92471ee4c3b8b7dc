//! SHELL: what the controller answers over HTTP: `/metrics`, `/livez`, `/readyz`, and `POST /hook/…` of senders of webhooks.

pub mod hooks;
mod listen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use hooks::Hooks;
pub use listen::bind;

/// Says whether the controller has seen its objects, and whether it is the replica that works.
#[derive(Clone, Default)]
pub struct Readiness(Arc<[AtomicBool; 2]>);

impl Readiness {
    /// From now on `/readyz` says yes.
    pub fn set(&self) {
        self.0[0].store(true, Ordering::Relaxed);
    }

    /// From now on webhooks are taken: until then their senders are told to come again.
    pub fn works(&self) {
        self.0[1].store(true, Ordering::Relaxed);
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
    let Readiness(flags) = readiness.clone();
    let ready = move || async move {
        if flags[0].load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    };
    let knock = move |hooks: State<Hooks>, request: Request| async move {
        if readiness.0[1].load(Ordering::Relaxed) {
            return hooks::knock(hooks, request).await;
        }
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "waits for the lead\n").into_response()
    };
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { (content_type, metrics()) }))
        .route("/hook/{hash}", post(knock))
        .with_state(hooks)
}

#[cfg(test)]
mod tests;
