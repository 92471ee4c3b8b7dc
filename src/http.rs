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
pub struct Readiness {
    has_seen: Arc<AtomicBool>,
    works: Arc<AtomicBool>,
}

impl Readiness {
    /// From now on `/readyz` says yes.
    pub fn set(&self) {
        self.has_seen.store(true, Ordering::Relaxed);
    }

    /// From now on webhooks are taken: until then their senders are told to come again.
    pub fn works(&self) {
        self.works.store(true, Ordering::Relaxed);
    }
}

/// What the controller says of itself when it is asked.
#[derive(Clone)]
pub struct Pages {
    /// For `/readyz` and webhooks.
    pub readiness: Readiness,
    /// What stands still for good, for `/livez`.
    pub stuck: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// For `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Answers until the process ends.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, pages: Pages, hooks: Hooks) -> std::io::Result<()> {
    let listener = listen::Impatient::new(listener, listen::PATIENCE);
    axum::serve(listener, routes(pages, hooks)).await
}

fn routes(pages: Pages, hooks: Hooks) -> Router {
    let Pages { readiness: Readiness { has_seen, works }, stuck, metrics } = pages;
    let alive = move || async move {
        let Some(stuck) = stuck() else { return (StatusCode::OK, "ok\n") };
        // Its name is for those who may read the log.
        tracing::error!("{stuck}: only a new start helps");
        (StatusCode::SERVICE_UNAVAILABLE, "something stands still\n")
    };
    let ready = move || async move {
        if has_seen.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    };
    let knock = move |hooks: State<Hooks>, request: Request| async move {
        if works.load(Ordering::Relaxed) {
            return hooks::knock(hooks, request).await;
        }
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "waits for the lead\n").into_response()
    };
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { (content_type, metrics()) }))
        .route("/hook/{hash}", post(knock))
        .with_state(hooks)
}

#[cfg(test)]
mod tests;
