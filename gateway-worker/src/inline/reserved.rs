//! The order of things: reserve the id, store the bytes, create the media with its source.

use std::{cell::Cell, rc::Rc};

use futures_channel::mpsc;
use futures_util::{
    FutureExt, SinkExt,
    future::{Either, select},
};
use jiff::SignedDuration;
use reelmill_shared::{
    id::MediaId,
    media::{Details, Source},
    object_key::ObjectKey,
    problem::ProblemCode,
    sniff,
};
use sha2::{Digest, Sha256};
use web_sys::{ReadableStream, ReadableStreamDefaultReader};
use worker::wasm_bindgen::JsCast;

use super::{
    form::{BodyError, Sink},
    writer::{Destination, Writer},
};
use crate::{
    app::{App, read_chunk},
    clock,
    error::{ApiError, ApiResult},
    hex,
    media_object::{Carried, Command, Created, Reserved},
};

/// How often the reservation is renewed while bytes come in.
const RENEW_EVERY: SignedDuration = SignedDuration::from_secs(8);

/// What is to be created.
pub struct Creation {
    /// Its id; fresh, or derived from an idempotency key.
    pub id: MediaId,
    /// Largest source that its creator may upload, in bytes.
    pub max_bytes: u64,
    /// The most bytes that this request can carry, if that is known.
    pub expected: Option<u64>,
}

/// Creates a media with the source that `feed` writes; `feed` returns what is said of it. If the
/// media is there already, the bytes are only hashed, and must be the same.
pub async fn create(
    app: &App,
    creation: Creation,
    feed: impl AsyncFnOnce(&mut Writer<'_>) -> ApiResult<Details>,
) -> ApiResult<Created> {
    let Creation { id, max_bytes, expected } = creation;
    let media = app.media(id)?;
    let Reserved { lock } = media.send(&Command::Reserve { id }).await?;
    let (bucket, key) = (app.bucket()?, ObjectKey::Source(id).to_string());
    let renewed = Rc::new(Cell::new(clock::now()));
    let mut tell = |multipart: Option<String>| {
        let now = clock::now();
        let Some(lock) = lock.clone() else { return async { Ok(()) }.boxed_local() };
        if multipart.is_none() && renewed.get() + RENEW_EVERY > now {
            return async { Ok(()) }.boxed_local();
        }
        renewed.set(now);
        let media = app.media(id);
        async move { media?.send(&Command::KeepReservation { id, lock, multipart }).await }
            .boxed_local()
    };
    let destination = lock.as_ref().map(|_| Destination { bucket: &bucket, key, tell: &mut tell });
    let limit = max_bytes.min(app.config().max_body);
    let mut writer = Writer::new(destination, limit, expected)?;

    let outcome = async {
        let details = feed(&mut writer).await?;
        let stored = writer.finish().await?;
        if let Some(declared) = details.size.filter(|declared| *declared != stored.size) {
            return Err(ApiError::new(
                ProblemCode::LengthMismatch,
                format!("`size` says {declared} bytes, the file has {}.", stored.size),
            ));
        }
        let sha256 = hex::encode(&stored.sha256);
        let fingerprint = fingerprint(&details, Some(&sha256))?;
        let source = Source {
            size: stored.size,
            etag: stored.etag,
            sha256: Some(sha256),
            content_type: sniff::content_type(&stored.first).map(str::to_owned),
        };
        let carried = lock.clone().map(|lock| Carried { lock, source });
        let origin = app.origin().clone();
        media.send(&Command::Create { id, details, origin, max_bytes, fingerprint, carried }).await
    }
    .await;
    if outcome.is_err()
        && let Some(lock) = lock.clone()
    {
        // If this fails too, the reservation's own deadline cleans up.
        let cleaned = writer.abandon().await.is_ok();
        let _: ApiResult<()> = media.send(&Command::AbandonReservation { lock, cleaned }).await;
    }
    outcome
}

/// A digest of everything that a creation says: a repetition must have the same. `sha256` is the
/// source's, where it comes along.
pub fn fingerprint(details: &Details, sha256: Option<&str>) -> ApiResult<String> {
    let mut canonical = serde_json::to_vec(details).map_err(ApiError::internal)?;
    canonical.extend(sha256.unwrap_or_default().bytes());
    Ok(hex::encode(&Sha256::digest(canonical)))
}

/// Runs `parse` over the chunks of `body`, at most `limit` bytes, and lets go of what it leaves.
pub async fn over_chunks<T>(
    body: ReadableStream,
    limit: u64,
    parse: impl AsyncFnOnce(mpsc::Receiver<Result<bytes::Bytes, BodyError>>) -> T,
) -> T {
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let (mut sender, receiver) = mpsc::channel(0);
    let reading = reader.clone();
    // The sender goes with the pump: that is the end for the parser.
    let pump = async move {
        let mut taken = 0;
        loop {
            let chunk = match read_chunk(&reading).await {
                Ok(None) => return,
                Ok(Some(chunk)) => {
                    taken += u64::from(chunk.length());
                    if taken > limit { Err(BodyError::TooLong) } else { Ok(chunk.to_vec().into()) }
                }
                Err(_) => Err(BodyError::Broken),
            };
            let last = chunk.is_err();
            if sender.send(chunk).await.is_err() || last {
                return;
            }
        }
    };
    let outcome = match select(Box::pin(parse(receiver)), Box::pin(pump)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), parse)) => parse.await,
    };
    let _ = reader.cancel();
    outcome
}

impl Sink for Writer<'_> {
    async fn write(&mut self, bytes: &[u8]) -> ApiResult<()> {
        Writer::write(self, bytes).await
    }
}
