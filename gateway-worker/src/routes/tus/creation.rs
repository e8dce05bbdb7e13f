//! `POST /api/uploads`: a new upload, for a new media or for one that waits for its source.

use axum::{extract::FromRequestParts, response::Response};
use http::{StatusCode, request::Parts};
use reelmill_shared::{
    id::{MediaId, UploadId},
    job::INGEST,
    media::{Attempt, Details},
    problem::ProblemCode,
    token::Grant,
    upload::{
        concat::Concat,
        layout::MAX_OBJECT,
        metadata::Metadata,
        protocol::{self, Length},
    },
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{body_size, empty, patch, set, set_common, text};
use crate::{
    app::App,
    auth::{Caller, query},
    clock,
    error::{ApiError, ApiResult},
    hex,
    media_object::{self, Attached, Created},
    routes::media::{CreateMedia, creation_id},
    size::check_size,
    upload_object::{About, Chunk, Command, Patch, Piece, Purpose, View},
    view::Record,
};

/// What a creation asks for, as far as its headers tell.
struct Wanted {
    id: UploadId,
    length: Option<u64>,
    concat: Option<Concat>,
    metadata: Metadata,
    /// What is said of the bytes in the body, if there are any.
    bytes: Option<Patch>,
}

/// Who asks, and for which media.
struct Target {
    media: Owner,
    /// The most that may be uploaded, in bytes.
    max_bytes: u64,
}

/// The media that an upload is for.
#[derive(Clone, Copy)]
enum Owner {
    /// One that exists.
    Known(MediaId),
    /// One that is to be made, unless an earlier request with the same `Idempotency-Key` made it.
    New(MediaId),
}

/// Creates an upload.
pub(super) async fn create(app: &App, mut parts: Parts) -> ApiResult {
    let wanted = wanted(&parts)?;
    let target = target(app, &mut parts, &wanted.metadata).await?;
    if let Some(length) = wanted.length {
        check_size(length, target.max_bytes.min(MAX_OBJECT))?;
    }
    let header = |name| text(&parts.headers, name).map(str::to_owned);
    let about = About {
        id: wanted.id,
        purpose: Purpose::Piece,
        length: wanted.length,
        limit: target.max_bytes.min(MAX_OBJECT),
        metadata: header("upload-metadata").filter(|value| !value.is_empty()),
        concat: header("upload-concat"),
        created_at: app.now(),
        patience: app.config().rules.upload.as_secs(),
    };
    let view = match &wanted.concat {
        Some(Concat::Partial) => start(app, &wanted, about).await?,
        Some(Concat::Final(pieces)) => {
            let joined = join(app, wanted.id, pieces).await;
            let outcome = match joined {
                Ok(pieces) => assemble(app, &wanted, &target, about, pieces).await,
                Err(error) => Err(error),
            };
            if outcome.is_err() {
                leave(app, wanted.id, pieces).await;
            }
            outcome?
        }
        None => for_media(app, &wanted, &target, about).await?,
    };
    answer(app, &wanted, &view)
}

fn answer(app: &App, wanted: &Wanted, view: &View) -> ApiResult {
    let mut answer: Response = empty(StatusCode::CREATED);
    let location = app.origin().join(&format!("api/uploads/{}", wanted.id));
    set(&mut answer, "location", location.map_err(ApiError::internal)?)?;
    if wanted.bytes.is_some() {
        set(&mut answer, "upload-offset", view.offset()?)?;
    }
    set_common(&mut answer, view)?;
    Ok(answer)
}

fn wanted(parts: &Parts) -> ApiResult<Wanted> {
    let header = |name| text(&parts.headers, name);
    let concat = header("upload-concat").map(Concat::parse).transpose()?;
    let (length, defer) = (header("upload-length"), header("upload-defer-length"));
    let length = match concat {
        // "The Client MUST NOT include the `Upload-Length` header in the final upload creation."
        Some(Concat::Final(_)) if length.or(defer).is_some() => {
            let detail = "A final upload is as long as its partial ones: send no length.";
            return Err(ApiError::new(ProblemCode::InvalidUploadLength, detail));
        }
        Some(Concat::Final(_)) => None,
        _ => match protocol::new_length(length, defer)? {
            Length::Known(length) => Some(length),
            Length::Deferred => None,
        },
    };
    let metadata = header("upload-metadata").map(Metadata::parse).transpose()?.unwrap_or_default();
    let bytes = bytes(parts, length)?;
    if bytes.is_some() && matches!(concat, Some(Concat::Final(_))) {
        return Err(ProblemCode::FinalUpload.into());
    }
    Ok(Wanted { id: UploadId::new(clock::random_uuid()), length, concat, metadata, bytes })
}

/// What is said of the bytes that came along, if any did (Creation With Upload).
fn bytes(parts: &Parts, length: Option<u64>) -> ApiResult<Option<Patch>> {
    let content_type = text(&parts.headers, "content-type");
    if protocol::check_body_type(content_type).is_err() {
        return match body_size(&parts.headers)? {
            None | Some(0) => Ok(None),
            Some(_) => Ok(protocol::check_body_type(content_type).map(|()| None)?),
        };
    }
    let patch = Patch { length: None, ..patch(&parts.headers, 0)? };
    if let (Some(size), Some(length)) = (patch.size, length)
        && size > length
    {
        let detail = format!("The upload's length is {length} bytes.");
        return Err(ApiError::new(ProblemCode::LengthExceeded, detail));
    }
    Ok(Some(patch))
}

/// The media that is meant, by a token or by an API key and the metadata.
async fn target(app: &App, parts: &mut Parts, metadata: &Metadata) -> ApiResult<Target> {
    if let Some(token) = query(parts, "token") {
        let token = app.config().tokens.verify(&token, app.now())?;
        let bringer = match token.grant {
            Grant::Upload => None,
            Grant::BringSource { attempt, dispatch } => Some((attempt, dispatch)),
            _ => return Err(ProblemCode::TokenInvalid.into()),
        };
        return of_media(app, token.media, bringer).await;
    }
    let caller = Caller::from_request_parts(parts, &()).await?;
    match metadata.text(&["mediaId"])? {
        Some(id) => {
            let id = id.parse().map_err(|error| {
                ApiError::new(ProblemCode::InvalidId, format!("`mediaId` is {error}."))
            })?;
            of_media(app, id, None).await
        }
        None => Ok(Target {
            media: Owner::New(creation_id(app, caller, &parts.headers)?),
            max_bytes: app.config().tiers.of(caller.tier()),
        }),
    }
}

/// A media that exists. While its source is being fetched from its URL, nobody but the attempt that
/// does so is to upload it.
async fn of_media(app: &App, id: MediaId, bringer: Option<(u8, u8)>) -> ApiResult<Target> {
    let record: Record = app.media(id)?.send(&media_object::Command::Get).await?;
    let running = record.media.running().map(Attempt::id);
    match bringer {
        Some(_) if bringer != running => Err(ProblemCode::StaleAttempt.into()),
        None if matches!(running, Some((attempt, _)) if attempt > INGEST) => Err(ApiError::new(
            ProblemCode::UploadInProgress,
            "The source is being fetched from its URL.",
        )),
        _ => Ok(Target { media: Owner::Known(id), max_bytes: record.max_bytes }),
    }
}

/// Creates an upload, with the bytes that came along.
async fn start(app: &App, wanted: &Wanted, about: About) -> ApiResult<View> {
    let stub = app.upload(wanted.id)?;
    let view = stub.send(&Command::Create { about: Box::new(about) }).await?;
    let Some(patch) = &wanted.bytes else { return Ok(view) };
    let chunk = Chunk { patch: patch.clone(), body: app.take_body() };
    let outcome = stub.append(chunk).await;
    // A caller whose connection broke never learns of the upload; whose bytes are wrong neither.
    if outcome.is_err() {
        let _: ApiResult<()> = stub.send(&Command::Abort).await;
    }
    outcome
}

/// Creates the upload of a media's source, and the media if there is none.
async fn for_media(app: &App, wanted: &Wanted, target: &Target, about: About) -> ApiResult<View> {
    let size = about.length;
    let Owned { media, fresh } = owner(app, wanted, target).await?;
    let outcome = attach(app, wanted.id, media, size).await;
    let outcome = match outcome {
        Ok(attached) => {
            let about = About {
                purpose: Purpose::Source { media },
                length: about.length.or(attached.size),
                limit: attached.max_bytes.min(MAX_OBJECT),
                ..about
            };
            start(app, wanted, about).await
        }
        Err(error) => Err(error),
    };
    settle(app, wanted, Owned { media, fresh }, outcome).await
}

/// Creates the upload that is made of pieces.
async fn assemble(
    app: &App,
    wanted: &Wanted,
    target: &Target,
    about: About,
    pieces: Vec<Piece>,
) -> ApiResult<View> {
    let length = pieces.iter().fold(0_u64, |sum, piece| sum.saturating_add(piece.size));
    check_size(length, target.max_bytes.min(MAX_OBJECT))?;
    let Owned { media, fresh } = owner(app, wanted, target).await?;
    let outcome = match attach(app, wanted.id, media, Some(length)).await {
        Ok(_) => {
            let purpose = Purpose::Assembly { media, pieces };
            start(app, wanted, About { purpose, length: Some(length), ..about }).await
        }
        Err(error) => Err(error),
    };
    settle(app, wanted, Owned { media, fresh }, outcome).await
}

/// After a failure: a media that was made for the upload goes with it, another one is free again.
async fn settle(
    app: &App,
    wanted: &Wanted,
    owned: Owned,
    outcome: ApiResult<View>,
) -> ApiResult<View> {
    if outcome.is_err() {
        let command = if owned.fresh {
            media_object::Command::Delete
        } else {
            media_object::Command::DetachUpload { upload: wanted.id }
        };
        let _: ApiResult<()> = app.media(owned.media)?.send(&command).await;
    }
    outcome
}

async fn attach(
    app: &App,
    upload: UploadId,
    media: MediaId,
    size: Option<u64>,
) -> ApiResult<Attached> {
    app.media(media)?.send(&media_object::Command::AttachUpload { upload, size }).await
}

/// The media of an upload.
struct Owned {
    media: MediaId,
    /// Whether this request made it.
    fresh: bool,
}

/// The media that the upload is for; made of the metadata if there is none.
async fn owner(app: &App, wanted: &Wanted, target: &Target) -> ApiResult<Owned> {
    let id = match target.media {
        Owner::Known(media) => return Ok(Owned { media, fresh: false }),
        Owner::New(id) => id,
    };
    let details = details(&wanted.metadata, wanted.length, target.max_bytes)?;
    let canonical = serde_json::to_vec(&details).map_err(ApiError::internal)?;
    let command = media_object::Command::Create {
        id,
        details,
        origin: app.origin().clone(),
        max_bytes: target.max_bytes,
        fingerprint: hex::encode(&Sha256::digest(canonical)),
        carried: None,
    };
    let Created { fresh, .. } = app.media(id)?.send(&command).await?;
    Ok(Owned { media: id, fresh })
}

/// What the metadata says of a new media.
fn details(metadata: &Metadata, length: Option<u64>, max_bytes: u64) -> ApiResult<Details> {
    let object = |key: &str| {
        let text = metadata.text(&[key])?;
        text.map(serde_json::from_str::<serde_json::Value>).transpose().map_err(|error| {
            let detail = format!("`{key}` in `Upload-Metadata` is not JSON: {error}.");
            ApiError::new(ProblemCode::InvalidUploadMetadata, detail)
        })
    };
    let mut body = json!({
        "filename": metadata.text(&["filename", "name"])?,
        "contentType": metadata.text(&["filetype", "type"])?,
        // An empty file has a length, but no media is declared to be empty.
        "size": length.filter(|length| *length > 0),
    });
    for key in ["pipeline", "metadata"] {
        if let Some(value) = object(key)? {
            body[key] = value;
        }
    }
    let body: CreateMedia = serde_json::from_value(body).map_err(|error| {
        let detail = format!("`Upload-Metadata` is not what it should be: {error}.");
        ApiError::new(ProblemCode::InvalidUploadMetadata, detail)
    })?;
    body.check(max_bytes)
}

/// Keeps the pieces for an assembly, and returns them with their sizes.
async fn join(app: &App, assembly: UploadId, pieces: &[UploadId]) -> ApiResult<Vec<Piece>> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for (number, upload) in pieces.iter().enumerate() {
        let known = joined.iter().find(|piece| piece.upload == *upload).map(|piece| piece.size);
        let size = match known {
            Some(size) => size,
            None => {
                let size = app.upload(*upload)?.send(&Command::Join { assembly }).await;
                size.map_err(|error: ApiError| match error.code {
                    ProblemCode::PartialUploadMissing | ProblemCode::UploadNotFound => {
                        ApiError::new(
                            ProblemCode::PartialUploadMissing,
                            format!("Number {} is no finished partial upload.", number + 1),
                        )
                    }
                    _ => error,
                })?
            }
        };
        joined.push(Piece { upload: *upload, size });
    }
    Ok(joined)
}

async fn leave(app: &App, assembly: UploadId, pieces: &[UploadId]) {
    for upload in pieces {
        if let Ok(stub) = app.upload(*upload) {
            let _: ApiResult<()> = stub.send(&Command::Leave { assembly, done: false }).await;
        }
    }
}
