//! `GET /health`: the gateway's own state and its handler's.

use http::StatusCode;
use serde_json::json;

use crate::{
    app::{App, json as answer},
    dispatch,
    error::ApiResult,
};

/// `GET /health`: `ok`, or `degraded` while the handler cannot be reached (uploads and playback go
/// on, jobs wait). Always 200: the gateway itself is well if it answers.
#[worker::send]
pub(super) async fn show(app: App) -> ApiResult {
    let version = env!("CARGO_PKG_VERSION");
    let body = match dispatch::health(app.config()).await {
        Ok(handler) => json!({"status": "ok", "version": version, "handler": handler}),
        Err(error) => {
            json!({"status": "degraded", "version": version, "handler": {"error": error}})
        }
    };
    answer(StatusCode::OK, &body)
}
