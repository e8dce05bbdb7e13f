//! Creating, listing, showing, retrying, cancelling and deleting media.

mod body;
mod create;

use axum::extract::Path;
use http::{StatusCode, request::Parts};
use serde::Serialize;

pub(super) use self::{
    body::CreateMedia,
    create::{create, creation_id},
};
use super::media_id;
use crate::{
    app::{App, json},
    auth::{Caller, query},
    catalogue::{self, Cursor},
    error::{ApiError, ApiResult},
    media_object::Command,
    view::{MediaView, Record},
};

/// States that the list can be filtered by.
const STATUSES: [&str; 5] = ["uploading", "uploaded", "transcoding", "ready", "failed"];

/// `GET /api/media`
#[worker::send]
pub(super) async fn list(app: App, _: Caller, parts: Parts) -> ApiResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        items: Vec<MediaView<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<String>,
    }
    let limit = match query(&parts, "limit") {
        None => 20,
        Some(text) => text
            .parse::<u32>()
            .map_err(|_| ApiError::invalid("`limit` must be a number from 1 to 100."))?
            .clamp(1, 100),
    };
    let status = query(&parts, "status");
    if status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        let known = STATUSES.join(", ");
        return Err(ApiError::invalid(format!("`status` must be one of {known}.")));
    }
    let cursor = query(&parts, "cursor")
        .map(|text| Cursor::parse(&text).ok_or_else(|| ApiError::invalid("`cursor` is not one.")))
        .transpose()?;
    let database = app.database()?;
    // One more than asked for tells whether there is a next page.
    let mut records = catalogue::list(&database, status.as_deref(), cursor, limit + 1).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let next_cursor = records.last().filter(|_| more).map(|last| Cursor::after(last).to_string());
    let (tokens, now) = (&app.config().tokens, app.now());
    let items = records.iter().map(|record| record.for_owner(tokens, now)).collect();
    json(StatusCode::OK, &Page { items, next_cursor })
}

/// `GET /api/media/{id}`
#[worker::send]
pub(super) async fn show(app: App, _: Caller, path: Path<String>) -> ApiResult {
    let record = app.media(media_id(&path)?)?.send(&Command::Get).await?;
    show_record(&app, StatusCode::OK, &record)
}

/// `DELETE /api/media/{id}`
#[worker::send]
pub(super) async fn delete(app: App, _: Caller, path: Path<String>) -> ApiResult {
    let () = app.media(media_id(&path)?)?.send(&Command::Delete).await?;
    Ok(axum::response::IntoResponse::into_response(StatusCode::NO_CONTENT))
}

/// `POST /api/media/{id}/retry`
#[worker::send]
pub(super) async fn retry(app: App, _: Caller, path: Path<String>) -> ApiResult {
    let record = app.media(media_id(&path)?)?.send(&Command::Retry).await?;
    show_record(&app, StatusCode::ACCEPTED, &record)
}

/// `POST /api/media/{id}/cancel`
#[worker::send]
pub(super) async fn cancel(app: App, _: Caller, path: Path<String>) -> ApiResult {
    let record = app.media(media_id(&path)?)?.send(&Command::Cancel).await?;
    show_record(&app, StatusCode::ACCEPTED, &record)
}

/// A media, as its owner sees it.
pub(super) fn show_record(app: &App, status: StatusCode, record: &Record) -> ApiResult {
    let config = app.config();
    json(status, &record.for_uploader(&config.tokens, config.s3.as_ref(), app.now()))
}
