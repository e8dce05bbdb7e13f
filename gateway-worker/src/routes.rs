//! All routes, in one table.

mod console;
mod deliveries;
mod direct;
mod events;
mod handler;
mod health;
mod keys;
mod limits;
mod media;
mod play;
mod playback;
mod tus;
mod upload;
mod webhooks;

use axum::{
    Router,
    extract::Path,
    routing::{MethodRouter, any, delete, get, post, put},
};
use http::request::Parts;
use reelmill_shared::{id::MediaId, problem::ProblemCode};

use crate::error::{ApiError, ApiResult};

/// Where resumable uploads are created, and below which they lie.
pub const UPLOADS: &str = "/api/uploads";

pub use tus::abilities as tus_abilities;

/// The table. What it does not know is the console's, or a problem.
pub fn table() -> Router {
    let known = |methods: MethodRouter| methods.fallback(method_not_allowed);
    Router::new()
        .route("/api/media", known(post(media::create).get(media::list)))
        .route("/api/media/{id}", known(get(media::show).delete(media::delete)))
        .route("/api/media/{id}/source", known(put(upload::put)))
        .route("/api/media/{id}/multipart", known(get(direct::list).delete(direct::abort)))
        .route("/api/media/{id}/multipart/parts", known(get(direct::parts)))
        .route("/api/media/{id}/multipart/complete", known(post(direct::complete)))
        .route("/api/media/{id}/retry", known(post(media::retry)))
        .route("/api/media/{id}/cancel", known(post(media::cancel)))
        .route("/api/media/{id}/playback", known(post(playback::create)))
        .route("/api/media/{id}/events", known(get(events::open)))
        .route("/api/media/{id}/deliveries", known(get(deliveries::list)))
        .route("/api/media/{id}/deliveries/{message}/redeliver", known(post(deliveries::redeliver)))
        .route("/api/limits", known(get(limits::show)))
        .route(UPLOADS, any(tus::collection))
        // Many clients' examples have a slash at the end of their endpoint.
        .route("/api/uploads/", any(tus::collection))
        .route("/api/uploads/{id}", any(tus::upload))
        .route("/api/webhooks", known(post(webhooks::create).get(webhooks::list)))
        .route("/api/webhooks/{id}", known(get(webhooks::show).delete(webhooks::delete)))
        .route("/api/webhooks/{id}/rotate", known(post(webhooks::rotate)))
        .route("/api/keys", known(post(keys::create).get(keys::list)))
        .route("/api/keys/{id}", known(delete(keys::delete)))
        .route("/api/handler/progress", known(post(handler::progress)))
        .route("/api/handler/report", known(post(handler::report)))
        .route("/api/handler/hint/{token}", known(post(handler::hint)))
        .route("/api/handler/source/{token}", known(get(handler::source)))
        .route("/api/handler/outputs/{token}/{*path}", known(put(handler::store)))
        .route("/play/{token}/{*path}", known(get(play::serve)))
        .route("/health", known(get(health::show)))
        .fallback(any(console::serve))
}

async fn method_not_allowed(parts: Parts) -> ApiError {
    ApiError::new(ProblemCode::MethodNotAllowed, format!("{} is not allowed here.", parts.method))
}

/// The media id in a path.
fn media_id(path: &Path<String>) -> ApiResult<MediaId> {
    path.parse().map_err(|error| ApiError::new(ProblemCode::InvalidId, format!("{error}.")))
}
