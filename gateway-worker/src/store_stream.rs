//! Streaming a request's body into R2 in constant memory.
//!
//! R2 wants to know the length beforehand, so the body goes through a `FixedLengthStream`. But for
//! the first few, the bytes never enter wasm: they are read into one JavaScript buffer, over and over, and from there
//! written to R2 and to the runtime's own `DigestStream`.

use futures_util::future::{LocalBoxFuture, join};
use reelmill_shared::{problem::ProblemCode, sniff::SNIFFED_BYTES};
use web_sys::{
    ReadableStream, ReadableStreamByobReader, ReadableStreamGetReaderOptions,
    ReadableStreamReaderMode, WritableStreamDefaultWriter,
};
use worker::{
    Bucket, Conditional, HttpMetadata, Object,
    crypto::{DigestStream, DigestStreamAlgorithm},
    js_sys::{BigInt, Reflect, Uint8Array},
    wasm_bindgen::{JsCast, JsValue},
    wasm_bindgen_futures::JsFuture,
    worker_sys::FixedLengthStream,
};

use crate::{
    error::{ApiError, ApiResult},
    objects::js,
};

/// How much is read at a time, in bytes.
const BUFFER: u32 = 256 * 1024;

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
    /// The first [`SNIFFED_BYTES`], or as many as there are.
    pub first: Vec<u8>,
    /// How many bytes there are.
    pub size: u64,
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
    let mode = ReadableStreamGetReaderOptions::new();
    mode.set_mode(ReadableStreamReaderMode::Byob);
    let reader: ReadableStreamByobReader = body.get_reader_with_options(&mode).unchecked_into();

    let mut first = Vec::new();
    let pump = async {
        let pumped = pump(&reader, &writer, &hasher, on_chunk, &mut first).await;
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
    Ok(Stored { etag: object.etag(), sha256, first, size: length })
}

async fn pump(
    reader: &ReadableStreamByobReader,
    writer: &WritableStreamDefaultWriter,
    hasher: &WritableStreamDefaultWriter,
    on_chunk: &mut dyn FnMut() -> LocalBoxFuture<'static, ApiResult<()>>,
    first: &mut Vec<u8>,
) -> ApiResult<()> {
    // A sender who goes away, sends less than declared or more: all show as a failing stream.
    let short = |_: JsValue| ApiError::from(ProblemCode::LengthMismatch);
    let mut buffer = Uint8Array::new_with_length(BUFFER);
    loop {
        let read = JsFuture::from(reader.read_with_array_buffer_view(&buffer)).await;
        let read = read.map_err(short)?;
        if Reflect::get(&read, &JsValue::from_str("done")).map_err(js)?.is_truthy() {
            break;
        }
        let value = Reflect::get(&read, &JsValue::from_str("value")).map_err(js)?;
        let chunk: Uint8Array = value.dyn_into().map_err(js)?;
        let wanted = SNIFFED_BYTES.saturating_sub(first.len());
        if wanted > 0 {
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(chunk.length());
            first.extend(chunk.subarray(0, wanted).to_vec());
        }
        // Both are done with the bytes once their promises resolve.
        let written = JsFuture::from(writer.write_with_chunk(&chunk));
        let hashed = JsFuture::from(hasher.write_with_chunk(&chunk));
        let (written, hashed) = join(written, hashed).await;
        written.map_err(short)?;
        hashed.map_err(js)?;
        // Reading took the buffer's memory away and gave it back within the chunk.
        buffer = Uint8Array::new(&chunk.buffer());
        on_chunk().await?;
    }
    JsFuture::from(writer.close()).await.map_err(short)?;
    JsFuture::from(hasher.close()).await.map_err(js)?;
    Ok(())
}
