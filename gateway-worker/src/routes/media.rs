//! Creating, listing, showing, retrying, cancelling and deleting media.

use axum::extract::Path;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use reelmill_shared::{
    id::MediaId,
    media::Details,
    problem::ProblemCode,
    source_url::{SourceUrl, SourceUrlRefused},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::media_id;
use crate::{
    app::{App, json},
    auth::{Caller, query},
    catalogue::{self, Cursor},
    clock,
    error::{ApiError, ApiResult},
    hex,
    media_object::{Command, Created},
    size::check_size,
    view::{MediaView, Record},
};

const MAX_FILENAME: usize = 255;
const MAX_CONTENT_TYPE: usize = 255;
const MAX_METADATA: usize = 16 * 1024;
const MAX_IDEMPOTENCY_KEY: usize = 255;
/// States that the list can be filtered by.
const STATUSES: [&str; 5] = ["uploading", "uploaded", "transcoding", "ready", "failed"];

/// Body of `POST /api/media`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateMedia {
    filename: Option<String>,
    size: Option<u64>,
    content_type: Option<String>,
    source: Option<CreateSource>,
    #[serde(default)]
    pipeline: reelmill_shared::job::Pipeline,
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
}

/// Where the source comes from, if it is not uploaded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateSource {
    url: String,
}

impl CreateMedia {
    pub(super) fn check(self, max_bytes: u64) -> ApiResult<Details> {
        let Self { filename, size, content_type, source, pipeline, metadata } = self;
        if filename.as_ref().is_some_and(|name| name.chars().count() > MAX_FILENAME) {
            return Err(ApiError::invalid("`filename` may have at most 255 characters."));
        }
        if content_type.as_ref().is_some_and(|kind| kind.len() > MAX_CONTENT_TYPE) {
            return Err(ApiError::invalid("`contentType` may have at most 255 characters."));
        }
        if serde_json::to_string(&metadata).map_err(ApiError::internal)?.len() > MAX_METADATA {
            return Err(ApiError::invalid("`metadata` may have at most 16384 bytes."));
        }
        match size {
            Some(0) => return Err(ProblemCode::EmptyUpload.into()),
            Some(size) => check_size(size, max_bytes)?,
            None => {}
        }
        let source_url = source.map(|source| source_url(&source.url)).transpose()?;
        Ok(Details { filename, size, content_type, source_url, pipeline, metadata })
    }
}

/// Reads the URL of a source. Whether its host is one that may be asked, the handler sees, who looks
/// up its address.
fn source_url(text: &str) -> ApiResult<SourceUrl> {
    SourceUrl::parse(text).map_err(|refused| {
        let code = match refused {
            SourceUrlRefused::Credentials => ProblemCode::SourceUrlCredentials,
            _ => ProblemCode::SourceUrlInvalid,
        };
        ApiError::new(code, format!("`source.url` {refused}."))
    })
}

/// `POST /api/media`
#[worker::send]
pub(super) async fn create(app: App, caller: Caller, headers: HeaderMap) -> ApiResult {
    let max_bytes = app.config().tiers.of(caller.tier());
    let details = app.json::<CreateMedia>().await?.check(max_bytes)?;
    let id = match headers.get("idempotency-key") {
        None => MediaId::new(clock::fresh_uuid(app.now())),
        Some(key) => {
            let key = key.to_str().ok().filter(|key| !key.is_empty());
            let key = key.filter(|key| key.len() <= MAX_IDEMPOTENCY_KEY).ok_or_else(|| {
                ApiError::invalid("`Idempotency-Key` must have 1 to 255 printable characters.")
            })?;
            MediaId::derived(&["idempotency", &caller.name(), key])
        }
    };
    let canonical = serde_json::to_vec(&details).map_err(ApiError::internal)?;
    let fingerprint = hex::encode(&Sha256::digest(canonical));
    let origin = app.origin().clone();
    let command = Command::Create { id, details, origin, max_bytes, fingerprint };
    let Created { record, fresh } = app.media(id)?.send(&command).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = show_record(&app, status, &record)?;
    let location = record.url(&format!("api/media/{id}"));
    let location = HeaderValue::try_from(location.as_str()).map_err(ApiError::internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

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
    json(status, &record.for_owner(&app.config().tokens, app.now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn check(body: Value) -> Result<Details, ProblemCode> {
        let body: CreateMedia =
            serde_json::from_value(body).map_err(|_| ProblemCode::InvalidRequest)?;
        body.check(1000).map_err(|error| error.code)
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(check(json!({})), Ok(Details::default()));
    }

    #[rstest]
    #[case(json!({"filename": "é".repeat(255)}), None)]
    #[case(json!({"filename": "é".repeat(256)}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"size": 1000}), None)]
    #[case(json!({"size": 1001}), Some(ProblemCode::UploadTooLarge))]
    #[case(json!({"size": 0}), Some(ProblemCode::EmptyUpload))]
    #[case(json!({"size": -1}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"metadata": {"a": "x".repeat(17_000)}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"metadata": []}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"pipeline": {"segmentSeconds": 5}}), None)]
    #[case(json!({"pipeline": {"segmentSeconds": 60}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"pipeline": {"unknown": 1}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"fileName": "a"}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": {"url": "https://example.com/a.mp4?key=1"}}), None)]
    #[case(json!({"source": {"url": "http://example.com/"}}), None)]
    #[case(json!({"source": {"url": "/a.mp4"}}), Some(ProblemCode::SourceUrlInvalid))]
    #[case(json!({"source": {"url": "file:///etc/passwd"}}), Some(ProblemCode::SourceUrlInvalid))]
    #[case(json!({"source": {"url": format!("https://a.example/{}", "a".repeat(2048))}}),
        Some(ProblemCode::SourceUrlInvalid))]
    #[case(json!({"source": {"url": "https://me:secret@example.com/"}}),
        Some(ProblemCode::SourceUrlCredentials))]
    #[case(json!({"source": {"uri": "https://example.com/"}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": "https://example.com/"}), Some(ProblemCode::InvalidRequest))]
    fn has_limits(#[case] body: Value, #[case] expected: Option<ProblemCode>) {
        assert_eq!(check(body).err(), expected);
    }
}
