//! Uploads straight into the bucket: part URLs, what is there, complete, abort.

use std::time::Duration;

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use futures_util::future::{Either, select};
use http::{StatusCode, request::Parts};
use reelmill_shared::{
    id::MediaId,
    media::{Source, State},
    multipart::{self, PartTag, Plan},
    object_key::ObjectKey,
    problem::ProblemCode,
    sniff,
    token::Grant,
};
use serde::{Deserialize, Serialize};
use worker::Delay;

use super::{media::show_record, media_id};
use crate::{
    app::{App, json},
    auth::{query, require_grant},
    clock,
    error::{ApiError, ApiResult},
    hex,
    log::log,
    media_object::{Command, UploadLock},
    s3::{S3, S3Error, StoredPart},
    view::Record,
};

/// Largest list of parts, in bytes of JSON: ten thousand parts, and room.
const MAX_LIST: usize = 2 * 1024 * 1024;
/// The most part URLs in one answer.
const MAX_PAGE: u16 = 1000;
/// How often the media's lock is renewed while the store makes the object.
const RENEW_EVERY: Duration = Duration::from_secs(8);

/// Body of `POST …/multipart/complete`. The S3 SDKs' own names are understood too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    #[serde(alias = "Parts")]
    parts: Vec<CompletePart>,
    sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CompletePart {
    #[serde(alias = "PartNumber", alias = "partNumber")]
    number: u16,
    #[serde(alias = "ETag")]
    etag: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    part_size: u64,
    part_count: u16,
    parts: Vec<ListedPart>,
}

#[derive(Serialize)]
struct ListedPart {
    number: u16,
    size: u64,
    etag: String,
}

/// `GET /api/media/{id}/multipart/parts`
#[worker::send]
pub(super) async fn parts(app: App, path: Path<String>, parts: Parts) -> ApiResult {
    let id = media_id(&path)?;
    require_grant(&app, &parts, id, Grant::Upload).await?;
    let number = |name: &'static str, default: u16| match query(&parts, name) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|number| *number >= 1).ok_or_else(|| {
            ApiError::invalid(format!("`{name}` must be a number from 1 to 10000."))
        }),
    };
    let (from, limit) = (number("from", 1)?, number("limit", 100)?.min(MAX_PAGE));
    let record: Record = app.media(id)?.send(&Command::KeepDirect).await?;
    let (config, s3) = (app.config(), s3(&app)?);
    let page = record.parts(&config.tokens, s3, app.now(), from, limit);
    json(StatusCode::OK, &page.ok_or(ProblemCode::MultipartNotFound)?)
}

/// `GET /api/media/{id}/multipart`
#[worker::send]
pub(super) async fn list(app: App, path: Path<String>, parts: Parts) -> ApiResult {
    let id = media_id(&path)?;
    require_grant(&app, &parts, id, Grant::Upload).await?;
    let record: Record = app.media(id)?.send(&Command::KeepDirect).await?;
    let (plan, upload) = plan(&record)?;
    let stored = s3(&app)?.list_parts(&key(id), upload, app.now()).await?;
    let parts = stored
        .into_iter()
        .map(|StoredPart { number, size, etag }| ListedPart {
            number,
            size,
            etag: etag.trim_matches('"').to_owned(),
        })
        .collect();
    let (part_size, part_count) = (plan.part_size(), plan.count());
    json(StatusCode::OK, &Listed { part_size, part_count, parts })
}

/// `DELETE /api/media/{id}/multipart`
#[worker::send]
pub(super) async fn abort(app: App, path: Path<String>, parts: Parts) -> ApiResult<Response> {
    let id = media_id(&path)?;
    require_grant(&app, &parts, id, Grant::Upload).await?;
    let () = app.media(id)?.send(&Command::AbandonDirect).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/media/{id}/multipart/complete`
#[worker::send]
pub(super) async fn complete(app: App, path: Path<String>, parts: Parts) -> ApiResult {
    let id = media_id(&path)?;
    require_grant(&app, &parts, id, Grant::Upload).await?;
    let body: Complete = serde_json::from_slice(&app.bytes(MAX_LIST).await?).map_err(|error| {
        ApiError::invalid(format!("The body is not what it should be: {error}."))
    })?;
    let sha256 = body.sha256.as_deref().map(|text| {
        let digest: Option<[u8; 32]> = hex::decode(text);
        digest
            .map(|digest| hex::encode(&digest))
            .ok_or_else(|| ApiError::invalid("`sha256` must be 64 hexadecimal digits."))
    });
    let (sha256, working) = (sha256.transpose()?, app.clone());
    let record =
        app.to_the_end(async move { finish(&working, id, &body.parts, sha256).await }).await?;
    show_record(&app, StatusCode::OK, &record)
}

async fn finish(
    app: &App,
    id: MediaId,
    parts: &[CompletePart],
    sha256: Option<String>,
) -> ApiResult<Record> {
    let media = app.media(id)?;
    let record: Record = media.send(&Command::Get).await?;
    if record.direct.as_ref().is_some_and(|direct| direct.stored) {
        return repeated(record, parts);
    }
    let size = record.media.details.size.unwrap_or(0);
    let UploadLock { lock } = media.send(&Command::BeginUpload { size }).await?;
    let outcome = keeping(app, id, &lock, async {
        let (plan, upload) = plan(&record)?;
        let tags = named(plan, parts)?;
        let source = assemble(app, s3(app)?, &key(id), upload, plan, &tags, sha256).await?;
        let (lock, upload) = (lock.clone(), upload.to_owned());
        media.send(&Command::StoreDirect { lock, upload, source }).await
    })
    .await;
    if let Err(error) = &outcome {
        if matches!(error.code, ProblemCode::MediaDeleted | ProblemCode::UploadClosed) {
            // What ended the media did not see this object.
            s3(app)?.delete(&key(id), clock::now()).await?;
        }
        let _: ApiResult<()> = media.send(&Command::AbandonUpload { lock }).await;
    }
    outcome
}

/// The same answer again, to whoever asks for the same again.
fn repeated(record: Record, parts: &[CompletePart]) -> ApiResult<Record> {
    let source = match &record.media.state {
        State::Uploaded { source }
        | State::Transcoding { source, .. }
        | State::Ready { source, .. }
        | State::Failed { source: Some(source), .. } => source,
        _ => return Err(ProblemCode::SourceExists.into()),
    };
    let tags = record.plan().map(|plan| named(plan, parts)).transpose()?;
    if tags.is_some_and(|tags| multipart::composite_tag(&tags) == source.etag) {
        Ok(record)
    } else {
        Err(ProblemCode::SourceExists.into())
    }
}

/// Makes one object of the parts, unless that was done before, and checks that it is the whole.
async fn assemble(
    app: &App,
    s3: &S3,
    key: &str,
    upload: &str,
    plan: Plan,
    tags: &[PartTag],
    sha256: Option<String>,
) -> ApiResult<Source> {
    let completed = match s3.list_parts(key, upload, app.now()).await {
        Ok(stored) => {
            let found = stored.iter().map(|part| (part.number, part.size, part.etag.as_str()));
            multipart::stored(plan, tags, found).map_err(not_whole)?;
            let etags: Vec<_> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
            s3.complete_multipart(key, upload, &etags, clock::now()).await
        }
        Err(error) => Err(error),
    };
    match completed {
        // Gone: whoever completed it fell over before it could say so. The object tells.
        Ok(()) | Err(S3Error::Absent) => {}
        Err(S3Error::Refused { code, .. }) if is_about_parts(&code) => {
            return Err(ApiError::new(
                ProblemCode::PartsInvalid,
                format!("The store refuses these parts: {code}."),
            ));
        }
        Err(error) => return Err(error.into()),
    }
    let seen = s3.look(key, clock::now()).await?;
    if (seen.size, &seen.etag) != (plan.size(), &multipart::composite_tag(tags)) {
        return Err(match completed {
            Ok(()) => {
                s3.delete(key, clock::now()).await?;
                ProblemCode::ChecksumMismatch.into()
            }
            Err(_) => ProblemCode::MultipartNotFound.into(),
        });
    }
    let content_type = sniff::content_type(&seen.first).map(str::to_owned);
    Ok(Source { size: seen.size, etag: seen.etag, sha256, content_type })
}

/// Renews the media's lock while `work` goes on.
async fn keeping<T>(
    app: &App,
    id: MediaId,
    lock: &str,
    work: impl Future<Output = ApiResult<T>>,
) -> ApiResult<T> {
    let mut work = Box::pin(work);
    loop {
        match select(work, Delay::from(RENEW_EVERY)).await {
            Either::Left((outcome, _)) => return outcome,
            Either::Right(((), rest)) => work = rest,
        }
        let lock = lock.to_owned();
        let () = app.media(id)?.send(&Command::KeepUpload { lock }).await?;
    }
}

fn named(plan: Plan, parts: &[CompletePart]) -> ApiResult<Vec<PartTag>> {
    let named = parts.iter().map(|part| (part.number, part.etag.as_str()));
    multipart::whole(plan, named).map_err(not_whole)
}

fn not_whole(error: multipart::NotWhole) -> ApiError {
    ApiError::new(ProblemCode::PartsInvalid, format!("This is not the whole: {error}."))
}

/// Codes of S3 that are about what a client did, and not about us.
fn is_about_parts(code: &str) -> bool {
    matches!(code, "EntityTooSmall" | "EntityTooLarge" | "InvalidPart" | "InvalidPartOrder")
}

fn plan(record: &Record) -> ApiResult<(Plan, &str)> {
    let plan = record.plan().ok_or(ProblemCode::MultipartNotFound)?;
    let direct = record.direct.as_ref().ok_or(ProblemCode::MultipartNotFound)?;
    Ok((plan, &direct.upload))
}

fn key(id: MediaId) -> String {
    ObjectKey::Source(id).to_string()
}

fn s3(app: &App) -> ApiResult<&S3> {
    app.config().s3.as_ref().ok_or_else(|| ProblemCode::MultipartNotFound.into())
}

/// Begins a multipart upload for a media that waits for its source, where that is possible. If the
/// store cannot be asked the media goes without: there are other ways.
pub(super) async fn offer(app: &App, record: Record) -> ApiResult<Record> {
    let waits = matches!(record.media.state, State::Uploading { .. });
    let wanted = waits && record.direct.is_none() && record.media.details.source_url.is_none();
    let plan = record.media.details.size.filter(|_| wanted).and_then(Plan::of);
    let (Some(s3), Some(plan)) = (&app.config().s3, plan) else { return Ok(record) };
    let id = record.media.id;
    let upload = match s3.create_multipart(&key(id), app.now()).await {
        Ok(upload) => upload,
        Err(error) => {
            log("direct", &error.to_string());
            return Ok(record);
        }
    };
    let command = Command::OfferDirect { upload: upload.clone(), part_size: plan.part_size() };
    let offered: ApiResult<Record> = app.media(id)?.send(&command).await;
    let is_ours = offered.as_ref().ok().and_then(|record| record.direct.as_ref());
    if is_ours.is_none_or(|direct| direct.upload != upload) {
        // Somebody was quicker, or has brought the source meanwhile.
        s3.abort_multipart(&key(id), &upload, app.now()).await?;
    }
    offered.or(Ok(record))
}
