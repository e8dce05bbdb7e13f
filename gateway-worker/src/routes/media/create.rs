//! `POST /api/media`: a media that waits for its source, or one that brings it along.

use std::cell::RefCell;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reelmill_shared::{id::MediaId, media::Details, problem::ProblemCode};
use url::Url;

use super::{
    body::{CreateMedia, MAX_CONTENT_TYPE, Origin, read},
    show_record,
};
use crate::{
    app::{App, MAX_JSON},
    auth::Caller,
    clock,
    error::{ApiError, ApiResult},
    inline::{
        budget::Permit,
        data::{self, Decoding, MAX_DATA, MAX_DATA_JSON},
        form,
        reserved::{self, Creation, fingerprint, over_chunks},
    },
    media_object::{Command, Created},
    routes::direct,
    size::{check_body, check_size, declared_length},
};

const MAX_IDEMPOTENCY_KEY: usize = 255;
/// The most that a form may have beside its file, in bytes.
const FORM_OVERHEAD: u64 = 512 * 1024;
/// The memory that a form takes while it comes in, in bytes: one part of its file.
const FORM_MEMORY: u64 = 8 << 20;

/// `POST /api/media`
#[worker::send]
pub(in crate::routes) async fn create(app: App, caller: Caller, headers: HeaderMap) -> ApiResult {
    let max_bytes = app.config().tiers.of(caller.tier());
    let id = creation_id(&app, caller, &headers)?;
    let length = declared_length(&headers)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Created { record, fresh } = match form::boundary(kind.unwrap_or_default())? {
        Some(boundary) => by_form(&app, id, max_bytes, length, boundary).await?,
        None => by_json(&app, id, max_bytes, length).await?,
    };
    let record = direct::offer(&app, record).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = show_record(&app, status, &record)?;
    let location = record.url(&format!("api/media/{id}"));
    let location = HeaderValue::try_from(location.as_str()).map_err(ApiError::internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// A fresh id, or that of everything created with the same idempotency key.
pub(in crate::routes) fn creation_id(
    app: &App,
    caller: Caller,
    headers: &HeaderMap,
) -> ApiResult<MediaId> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(MediaId::new(clock::fresh_uuid(app.now())));
    };
    let key = key.to_str().ok().filter(|key| (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()));
    let key = key.ok_or_else(|| {
        ApiError::invalid("`Idempotency-Key` must have 1 to 255 printable characters.")
    })?;
    Ok(MediaId::derived(&["idempotency", &caller.name(), key]))
}

/// Where larger files go.
fn resumable(app: &App) -> Url {
    app.origin().join("api/uploads").expect("a fixed path")
}

async fn by_form(
    app: &App,
    id: MediaId,
    max_bytes: u64,
    length: Option<u64>,
    boundary: String,
) -> ApiResult<Created> {
    let limit = app.config().max_body;
    if let Some(length) = length {
        check_size(length.saturating_sub(FORM_OVERHEAD), max_bytes)?;
        check_body(length, limit, || resumable(app))?;
    }
    let permit = Permit::take(length.unwrap_or(limit).min(FORM_MEMORY))?;
    let body = app.take_body().ok_or(ProblemCode::FileMissing)?;
    let creation = Creation { id, max_bytes, expected: length };
    let working = app.clone();
    app.to_the_end(async move {
        let app = &working;
        let created = reserved::create(app, creation, async |writer| {
            let beyond = || ApiError::beyond_body(limit, resumable(app));
            let parse = async |chunks| form::read(chunks, boundary, writer, beyond).await;
            let form = over_chunks(body, limit, parse).await?;
            CreateMedia::from(form).check(max_bytes)
        })
        .await;
        drop(permit);
        created
    })
    .await
}

async fn by_json(
    app: &App,
    id: MediaId,
    max_bytes: u64,
    length: Option<u64>,
) -> ApiResult<Created> {
    let limit = match length {
        // A body of a length that nobody knows gets no memory beyond what any JSON gets.
        None => MAX_JSON as u64,
        Some(_) => MAX_DATA_JSON.min(app.config().max_body),
    };
    check_body(length.unwrap_or(0), limit, || resumable(app))?;
    let length = length.unwrap_or(0);
    // Once as it came, and once more if the string in it is no plain one.
    let permit = Permit::take(if length > MAX_JSON as u64 { 2 * length } else { 0 })?;
    let read = app.bytes(usize::try_from(limit).map_err(ApiError::internal)?).await;
    let bytes = read.map_err(|error| match error.code {
        ProblemCode::BodyTooLarge => ApiError::beyond_body(limit, resumable(app)),
        _ => error,
    })?;
    let working = app.clone();
    app.to_the_end(async move {
        let created = from_json(&working, id, max_bytes, &bytes).await;
        drop(permit);
        created
    })
    .await
}

async fn from_json(app: &App, id: MediaId, max_bytes: u64, bytes: &[u8]) -> ApiResult<Created> {
    let (body, source) = read(bytes)?;
    let mut details = body.check(max_bytes)?;
    match source {
        Some(Origin::Data(text)) => with_data(app, id, max_bytes, details, &text).await,
        Some(Origin::Url(url)) => {
            details.source_url = Some(url);
            plain(app, id, max_bytes, details).await
        }
        None => plain(app, id, max_bytes, details).await,
    }
}

/// A media that waits for its source, or whose source the handler brings.
async fn plain(app: &App, id: MediaId, max_bytes: u64, details: Details) -> ApiResult<Created> {
    let (origin, fingerprint) = (app.origin().clone(), fingerprint(&details, None)?);
    let carried = None;
    let command = Command::Create { id, details, origin, max_bytes, fingerprint, carried };
    app.media(id)?.send(&command).await
}

/// A media whose source is `text`, in base64.
async fn with_data(
    app: &App,
    id: MediaId,
    max_bytes: u64,
    mut details: Details,
    text: &str,
) -> ApiResult<Created> {
    let (kind, base64) = data::split(text)?;
    if details.content_type.is_none() {
        details.content_type =
            kind.filter(|kind| kind.len() <= MAX_CONTENT_TYPE).map(str::to_owned);
    }
    let creation = Creation { id, max_bytes, expected: Some(base64.len() as u64) };
    reserved::create(app, creation, async |writer| {
        let buffer = RefCell::new(Vec::new());
        let mut decoded = 0;
        for bytes in Decoding::new(base64, &buffer) {
            let bytes = bytes?;
            decoded += bytes.len() as u64;
            check_body(decoded, MAX_DATA, || resumable(app))?;
            writer.write(&bytes).await?;
        }
        Ok(details)
    })
    .await
}
