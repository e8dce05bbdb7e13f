//! `GET /api/media/{id}/events`: server-sent events, straight from the media's object.

use axum::extract::Path;
use http::request::Parts;
use reelmill_shared::token::Grant;

use super::media_id;
use crate::{
    app::{App, raw},
    auth::require_grant,
    error::ApiResult,
    objects::respond,
};

/// `GET /api/media/{id}/events`
#[worker::send]
pub(super) async fn open(app: App, path: Path<String>, parts: Parts) -> ApiResult {
    let id = media_id(&path)?;
    require_grant(&app, &parts, id, Grant::Watch).await?;
    let last = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let stream: web_sys::Response = app.media(id)?.events(last).await?.into();
    // The object's own headers are immutable here.
    let headers =
        web_sys::Headers::new_with_headers(&stream.headers()).map_err(crate::objects::js)?;
    Ok(raw(respond(200, &headers, stream.body().as_ref())?))
}
