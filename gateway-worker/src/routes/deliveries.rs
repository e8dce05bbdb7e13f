//! The webhook log of one media.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use reelmill_shared::{id::MessageId, problem::ProblemCode};

use super::media_id;
use crate::{
    app::{App, json},
    auth::Caller,
    error::{ApiError, ApiResult},
    media_object::{Command, Delivery},
};

/// `GET /api/media/{id}/deliveries`
#[worker::send]
pub(super) async fn list(app: App, _: Caller, path: Path<String>) -> ApiResult {
    let items: Vec<Delivery> = app.media(media_id(&path)?)?.send(&Command::Deliveries).await?;
    json(StatusCode::OK, &serde_json::json!({"items": items}))
}

/// `POST /api/media/{id}/deliveries/{message}/redeliver`
#[worker::send]
pub(super) async fn redeliver(
    app: App,
    _: Caller,
    Path((media, message)): Path<(String, String)>,
) -> ApiResult<Response> {
    let message: MessageId = message
        .parse()
        .map_err(|error| ApiError::new(ProblemCode::InvalidId, format!("{error}.")))?;
    let id = media_id(&Path(media))?;
    let () = app.media(id)?.send(&Command::Redeliver { message }).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
