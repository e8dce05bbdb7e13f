//! What the handler calls: signed reports, and storage by capability.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use futures_channel::oneshot;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, request::Parts};
use reelmill_shared::{
    id::MediaId,
    job::{JobReport, Progress},
    object_key::{ObjectKey, OutputPath},
    problem::ProblemCode,
    token::{Grant, Token},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use serde::de::DeserializeOwned;
use worker::HttpMetadata;

use crate::{
    app::{App, json, raw},
    auth::query,
    error::{ApiError, ApiResult},
    media_object::Command,
    objects::{self, Served},
    size::{check_size, content_length},
    store_stream::{Upload, store as store_body},
};

/// Largest report, in bytes.
const MAX_REPORT: usize = 1024 * 1024;
/// Largest output, in bytes: an R2 object put in one piece.
const MAX_OUTPUT: u64 = 5 << 30;

/// `POST /api/handler/progress`
#[worker::send]
pub(super) async fn progress(app: App, parts: Parts) -> ApiResult {
    let progress: Progress = signed(&app, &parts.headers).await?;
    let (media, dispatch) = (progress.media_id, dispatch(&parts)?);
    tell(&app, media, Command::Progress { progress, dispatch }).await
}

/// `POST /api/handler/report`
#[worker::send]
pub(super) async fn report(app: App, parts: Parts) -> ApiResult {
    let report: JobReport = signed(&app, &parts.headers).await?;
    let (media, dispatch) = (report.media_id, dispatch(&parts)?);
    tell(&app, media, Command::Report { report, dispatch }).await
}

/// Which offer of the attempt the handler works on: its callbacks' `?dispatch=`, 0 without one.
fn dispatch(parts: &Parts) -> ApiResult<u8> {
    let Some(text) = query(parts, "dispatch") else { return Ok(0) };
    text.parse().map_err(|_| ApiError::invalid("`dispatch` is a number from 0 to 255."))
}

/// Reads a signed body: the signature first, over the raw bytes, and only then the JSON.
async fn signed<T: DeserializeOwned>(app: &App, headers: &HeaderMap) -> ApiResult<T> {
    let body = app.bytes(MAX_REPORT).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    app.config().handler_secrets.verify(
        header(ID_HEADER),
        header(TIMESTAMP_HEADER),
        header(SIGNATURE_HEADER),
        &body,
        app.now(),
    )?;
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("The body is not what it should be: {error}.")))
}

async fn tell(app: &App, media: MediaId, command: Command) -> ApiResult {
    match app.media(media)?.send(&command).await {
        Ok(()) => json(StatusCode::OK, &serde_json::json!({})),
        // Nobody waits for a media that is not there, either: the handler is to stop.
        Err(ApiError { code: ProblemCode::MediaNotFound | ProblemCode::MediaDeleted, .. }) => {
            Err(ProblemCode::StaleAttempt.into())
        }
        Err(error) => Err(error),
    }
}

/// `POST /api/handler/hint/{token}`: for platforms that sign nothing. What they say is not even read;
/// the job's own platform is asked. Whether there was anything to ask about, nobody is told.
#[worker::send]
pub(super) async fn hint(app: App, Path(token): Path<String>) -> ApiResult {
    let Token { media, grant: Grant::Hint { attempt, dispatch }, .. } =
        app.config().tokens.verify(&token, app.now())?
    else {
        return Err(ProblemCode::TokenInvalid.into());
    };
    // A hint that gets lost is made up for by the next look that is due anyhow.
    let _ = tell(&app, media, Command::Hint { attempt, dispatch }).await;
    json(StatusCode::OK, &serde_json::json!({}))
}

/// `GET|HEAD /api/handler/source/{token}`
#[worker::send]
pub(super) async fn source(app: App, Path(token): Path<String>, parts: Parts) -> ApiResult {
    let Token { media, grant: Grant::ReadSource { .. }, .. } =
        app.config().tokens.verify(&token, app.now())?
    else {
        return Err(ProblemCode::TokenInvalid.into());
    };
    let key = ObjectKey::Source(media).to_string();
    let served = Served { content_type: "application/octet-stream", cache_control: "no-store" };
    objects::serve(&app.bucket()?, &key, &parts.method, &parts.headers, &served).await.map(raw)
}

/// `PUT /api/handler/outputs/{token}/{path}`
#[worker::send]
pub(super) async fn store(app: App, parts: Parts) -> ApiResult<Response> {
    let (token, path) = split(parts.uri.path()).ok_or(ProblemCode::NotFound)?;
    let Token { media, grant: Grant::WriteOutputs { attempt, dispatch }, .. } =
        app.config().tokens.verify(token, app.now())?
    else {
        return Err(ProblemCode::TokenInvalid.into());
    };
    let length = content_length(&parts.headers)?;
    check_size(length, MAX_OUTPUT)?;
    tell(&app, media, Command::CheckAttempt { attempt, dispatch }).await?;

    // Goes on although the caller goes away, so that what became of it is looked at in any case.
    let (sender, receiver) = oneshot::channel();
    let storing = app.clone();
    app.wait_until(async move {
        let _ = sender.send(store_output(&storing, media, (attempt, dispatch), path, length).await);
    });
    let etag = format!("\"{}\"", receiver.await.map_err(ApiError::internal)??);
    Ok((StatusCode::OK, [(http::header::ETAG, etag)]).into_response())
}

/// Stores an output and returns its entity tag. An attempt may end while its bytes come in, after
/// a deletion has looked for objects to delete: what is stored then goes at once.
async fn store_output(
    app: &App,
    media: MediaId,
    (attempt, dispatch): (u8, u8),
    path: OutputPath,
    length: u64,
) -> ApiResult<String> {
    let bucket = app.bucket()?;
    let metadata = HttpMetadata {
        content_type: Some(path.content_type().to_owned()),
        cache_control: Some(path.cache_control().to_owned()),
        ..HttpMetadata::default()
    };
    let key = ObjectKey::Output(media, attempt, path).to_string();
    let etag = match app.take_body().filter(|_| length > 0) {
        None => bucket
            .put(&key, Vec::new())
            .http_metadata(metadata)
            .execute()
            .await?
            .map(|object| object.etag()),
        Some(body) => {
            let mut on_chunk = || async { Ok(()) }.boxed_local();
            let key = key.clone();
            let upload =
                Upload { key, body, length, metadata, only_new: false, on_chunk: &mut on_chunk };
            Some(store_body(&bucket, upload).await?.etag)
        }
    };
    let checked = tell(app, media, Command::CheckStored { attempt, dispatch }).await;
    if let Err(ApiError { code: ProblemCode::StaleAttempt, .. }) = checked {
        bucket.delete(&key).await?;
    }
    checked?;
    Ok(etag.unwrap_or_default())
}

/// Token and path, as they stand in the URL; see [`super::play`].
fn split(path: &str) -> Option<(&str, OutputPath)> {
    let (token, path) = path.strip_prefix("/api/handler/outputs/")?.split_once('/')?;
    Some((token, path.parse().ok()?))
}
