//! `PUT /api/media/{id}/source`: the whole file, streamed to R2 while it is hashed.
//!
//! One upload at a time holds the media's lock, renews it as bytes come in, and gives it back if it
//! fails. The work is tied to no answer: a caller who goes away in mid-upload leaves the media
//! waiting for its source, the lock free, and nothing in R2.

use std::cell::Cell;

use axum::extract::Path;
use futures_util::FutureExt;
use http::{StatusCode, request::Parts};
use jiff::SignedDuration;
use reelmill_shared::{
    id::MediaId, media::Source, object_key::ObjectKey, problem::ProblemCode, sniff, token::Grant,
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
    size::{check_body, check_size, content_length},
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
    if length > app.config().max_body {
        let record: Record = app.media(id)?.send(&Command::Get).await?;
        check_size(length, record.max_bytes)?;
        let resumable = || record.tus_url(&app.config().tokens);
        check_body(length, app.config().max_body, resumable)?;
    }
    let fields = ["repr-digest", "content-digest", "digest"];
    let fields = fields.iter().filter_map(|name| parts.headers.get(*name)?.to_str().ok());
    let expected = checksum::declared(fields, query(&parts, "sha256").as_deref())
        .map_err(|error| ApiError::invalid(error.to_string()))?;

    let UploadLock { lock } = app.media(id)?.send(&Command::BeginUpload { size: length }).await?;
    let uploading = app.clone();
    let work = async move {
        let outcome = upload(&uploading, id, &lock, length, expected).await;
        if outcome.is_err()
            && let Ok(media) = uploading.media(id)
        {
            let _: ApiResult<()> = media.send(&Command::AbandonUpload { lock }).await;
        }
        outcome
    };
    let record = app.to_the_end(work).await?;
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
        content_type: sniff::content_type(&stored.first).map(str::to_owned),
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
