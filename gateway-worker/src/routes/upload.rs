//! `PUT /api/media/{id}/source`: the whole file, streamed to R2 while it is hashed.
//!
//! One upload at a time holds the media's lock, renews it as bytes come in, and gives it back if it
//! fails. The work is tied to no answer: a caller who goes away in mid-upload leaves the media
//! waiting for its source, the lock free, and nothing in R2.

use std::cell::Cell;

use axum::extract::Path;
use futures_channel::oneshot;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, header, request::Parts};
use jiff::SignedDuration;
use reelmill_shared::{
    id::MediaId, media::Source, object_key::ObjectKey, problem::ProblemCode, token::Grant,
};
use worker::HttpMetadata;

use super::{media::show_record, media_id};
use crate::{
    app::App,
    auth::{query, require_grant},
    checksum, clock,
    error::{ApiError, ApiResult},
    hex,
    media_object::{Command, UploadLock},
    store_stream::{Upload, store},
    view::Record,
};

/// How often a running upload renews its lock.
const RENEW_EVERY: SignedDuration = SignedDuration::from_secs(8);

/// `PUT /api/media/{id}/source`
#[worker::send]
pub(super) async fn put(app: App, path: Path<String>, parts: Parts) -> ApiResult {
    let id = media_id(&path)?;
    require_grant(&app, &parts, id, Grant::Upload).await?;
    let length = content_length(&parts.headers)?;
    if length == 0 {
        return Err(ProblemCode::EmptyUpload.into());
    }
    check_size(length, app.config().max_upload)?;
    let fields = ["repr-digest", "content-digest", "digest"];
    let fields = fields.iter().filter_map(|name| parts.headers.get(*name)?.to_str().ok());
    let expected = checksum::declared(fields, query(&parts, "sha256").as_deref())
        .map_err(|error| ApiError::invalid(error.to_string()))?;

    let UploadLock { lock } = app.media(id)?.send(&Command::BeginUpload { size: length }).await?;
    let (sender, receiver) = oneshot::channel();
    let uploading = app.clone();
    app.wait_until(async move {
        let outcome = upload(&uploading, id, &lock, length, expected).await;
        if outcome.is_err()
            && let Ok(media) = uploading.media(id)
        {
            let _: ApiResult<()> = media.send(&Command::AbandonUpload { lock }).await;
        }
        // Nobody listens if the caller went away.
        let _ = sender.send(outcome);
    });
    let record = receiver.await.map_err(ApiError::internal)??;
    show_record(&app, StatusCode::OK, &record)
}

async fn upload(
    app: &App,
    id: MediaId,
    lock: &str,
    length: u64,
    expected: Option<[u8; 32]>,
) -> ApiResult<Record> {
    let bucket = app.bucket()?;
    let key = ObjectKey::Source(id).to_string();
    let body = app.take_body().ok_or(ProblemCode::LengthMismatch)?;
    // What an upload left behind that lost its lock or whose commit was lost: it does not count.
    bucket.delete(&key).await?;

    let renewed = Cell::new(clock::now());
    let mut renew = || {
        let now = clock::now();
        if renewed.get() + RENEW_EVERY > now {
            return async { Ok(()) }.boxed_local();
        }
        renewed.set(now);
        let (media, lock) = (app.media(id), lock.to_owned());
        async move { media?.send(&Command::KeepUpload { lock }).await }.boxed_local()
    };
    let stored = store(
        &bucket,
        Upload {
            key: key.clone(),
            body,
            length,
            metadata: HttpMetadata::default(),
            only_new: true,
            on_chunk: &mut renew,
        },
    )
    .await?;
    if expected.is_some_and(|expected| expected != stored.sha256) {
        bucket.delete(&key).await?;
        return Err(ApiError::new(
            ProblemCode::ChecksumMismatch,
            "What arrived has another SHA-256 than was declared. Upload it again.",
        ));
    }
    let source = Source {
        size: length,
        etag: stored.etag,
        sha256: Some(hex::encode(&stored.sha256)),
        content_type: None,
    };
    let command = Command::StoreSource { lock: lock.to_owned(), source };
    let committed = app.media(id)?.send(&command).await;
    if let Err(ApiError { code: ProblemCode::MediaDeleted | ProblemCode::UploadClosed, .. }) =
        committed
    {
        // The deletion did not see this object, and what was cancelled will never use it.
        bucket.delete(&key).await?;
    }
    committed
}

/// The length of a request's body; without one R2 cannot take it.
pub(super) fn content_length(headers: &HeaderMap) -> ApiResult<u64> {
    let value = headers.get(header::CONTENT_LENGTH).ok_or(ProblemCode::LengthRequired)?;
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.ok_or_else(|| ApiError::invalid("`Content-Length` is not a number."))
}

/// Refuses what is beyond the limit, naming it.
pub(super) fn check_size(size: u64, limit: u64) -> ApiResult<()> {
    if size <= limit {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::UploadTooLarge,
        format!("The file has {size} bytes; this gateway takes at most {limit}."),
    ))
}
