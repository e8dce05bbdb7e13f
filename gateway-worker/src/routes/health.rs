//! `GET /health`: the gateway's own state and its backends'.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    app::{App, json as answer},
    error::ApiResult,
};

/// `GET /health`: `ok`, or `degraded` while a backend cannot be reached (uploads and playback go on,
/// jobs wait or go elsewhere). Always 200: the gateway itself is well if it answers.
#[worker::send]
pub(super) async fn show(app: App) -> ApiResult {
    let asked = app.config().backends.iter().map(async |(name, backend)| {
        let health = backend.health().await;
        let well = health.is_ok();
        (name.to_owned(), health.unwrap_or_else(|error| json!({ "error": error })), well)
    });
    let answers = join_all(asked).await;
    let well = answers.iter().all(|(_, _, well)| *well);
    let backends: Map<String, Value> =
        answers.iter().map(|(name, health, _)| (name.clone(), health.clone())).collect();
    let body = json!({
        "status": if well { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        // The default one's, by itself: there may be no other.
        "handler": answers.first().map(|(_, health, _)| health),
        "backends": backends,
    });
    answer(StatusCode::OK, &body)
}
