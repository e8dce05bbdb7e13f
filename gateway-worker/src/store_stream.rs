//! Streaming a request's body into R2 in constant memory.
//!
//! R2 wants to know the length beforehand, so the body goes through a `FixedLengthStream`. The
//! bytes stay JavaScript buffers; hashing is the runtime's own `DigestStream`, fed beside.

use futures_util::future::{LocalBoxFuture, join};
use reelmill_shared::problem::ProblemCode;
use web_sys::{ReadableStream, ReadableStreamDefaultReader, WritableStreamDefaultWriter};
use worker::{
    Bucket, Conditional, HttpMetadata, Object,
    crypto::{DigestStream, DigestStreamAlgorithm},
    js_sys::{BigInt, Uint8Array},
    wasm_bindgen::{JsCast, JsValue},
    wasm_bindgen_futures::JsFuture,
    worker_sys::FixedLengthStream,
};

use crate::{
    app::read_chunk,
    error::{ApiError, ApiResult},
    objects::js,
};

/// What to store.
pub struct Upload<'a> {
    /// The object's key.
    pub key: String,
    /// The body.
    pub body: ReadableStream,
    /// Its declared length in bytes.
    pub length: u64,
    /// Stored with the object.
    pub metadata: HttpMetadata,
    /// Whether an object that is there already is left alone.
    pub only_new: bool,
    /// Called after every chunk; an error stops the upload.
    pub on_chunk: &'a mut dyn FnMut() -> LocalBoxFuture<'static, ApiResult<()>>,
}

/// A stored object.
pub struct Stored {
    /// R2's entity tag, without quotes.
    pub etag: String,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// Stores a body. Whatever fails, R2 keeps either the whole object or none.
pub async fn store(bucket: &Bucket, upload: Upload<'_>) -> ApiResult<Stored> {
    let Upload { key, body, length, metadata, only_new, on_chunk } = upload;
    let fixed = FixedLengthStream::new_big_int(BigInt::from(length)).map_err(js)?;
    let mut put = bucket.put(key, fixed.readable()).http_metadata(metadata);
    if only_new {
        put = put.only_if(Conditional {
            etag_does_not_match: Some("*".to_owned()),
            ..Conditional::default()
        });
    }
    let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
    let writer = fixed.writable().get_writer().map_err(js)?;
    let hasher = digest.raw().get_writer().map_err(js)?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();

    let pump = async {
        let pumped = pump(&reader, &writer, &hasher, on_chunk).await;
        if pumped.is_err() {
            let _ = reader.cancel();
            // Makes the put fail, so that nothing is stored.
            let _ = JsFuture::from(writer.abort()).await;
            let _ = JsFuture::from(hasher.abort()).await;
        }
        pumped
    };
    let (pumped, put) = join(pump, put.execute()).await;
    pumped?;
    let object: Object = put?.ok_or(ProblemCode::UploadInProgress)?;
    let mut sha256 = [0; 32];
    digest.digest().await?.copy_to(&mut sha256);
    Ok(Stored { etag: object.etag(), sha256 })
}

async fn pump(
    reader: &ReadableStreamDefaultReader,
    writer: &WritableStreamDefaultWriter,
    hasher: &WritableStreamDefaultWriter,
    on_chunk: &mut dyn FnMut() -> LocalBoxFuture<'static, ApiResult<()>>,
) -> ApiResult<()> {
    // A sender who goes away, sends less than declared or more: all show as a failing stream.
    let short = || ApiError::from(ProblemCode::LengthMismatch);
    while let Some(chunk) = read_chunk(reader).await.map_err(|_| short())? {
        let chunk: &Uint8Array = &chunk;
        let written = JsFuture::from(writer.write_with_chunk(chunk));
        let hashed = JsFuture::from(hasher.write_with_chunk(chunk));
        let (written, hashed): (Result<JsValue, JsValue>, _) = join(written, hashed).await;
        written.map_err(|_| short())?;
        hashed.map_err(js)?;
        on_chunk().await?;
    }
    JsFuture::from(writer.close()).await.map_err(|_| short())?;
    JsFuture::from(hasher.close()).await.map_err(js)?;
    Ok(())
}
