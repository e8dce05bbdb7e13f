//! Bytes of unknown number into R2: in one piece if they fit into a buffer, else as a multipart
//! upload with equal parts, so that one buffer is all the memory they need.

use futures_util::future::{LocalBoxFuture, join};
use reelmill_shared::{problem::ProblemCode, sniff::SNIFFED_BYTES, upload::layout};
use web_sys::WritableStreamDefaultWriter;
use worker::{
    Bucket, Conditional, Data, MultipartUpload, UploadedPart,
    crypto::{DigestStream, DigestStreamAlgorithm},
    js_sys::{BigInt, Uint8Array},
    wasm_bindgen_futures::JsFuture,
    worker_sys::FixedLengthStream,
};

use crate::{
    error::{ApiError, ApiResult},
    objects::js,
    size::check_size,
    store_stream::Stored,
};

/// How the writer tells that it goes on, and what R2 calls the multipart upload once there is one.
/// An error stops it.
pub type Tell<'a> = dyn FnMut(Option<String>) -> LocalBoxFuture<'static, ApiResult<()>> + 'a;

/// Where the bytes go.
pub struct Destination<'a> {
    /// The bucket.
    pub bucket: &'a Bucket,
    /// The object's key.
    pub key: String,
    /// Called before anything is sent to R2.
    pub tell: &'a mut Tell<'a>,
}

/// A stream of bytes on its way.
pub struct Writer<'a> {
    /// `None` if the bytes are only hashed.
    destination: Option<Destination<'a>>,
    /// The most bytes that are taken.
    limit: u64,
    buffer: Uint8Array,
    filled: u32,
    multipart: Option<MultipartUpload>,
    parts: Vec<UploadedPart>,
    digest: DigestStream,
    hasher: WritableStreamDefaultWriter,
    first: Vec<u8>,
    size: u64,
}

impl<'a> Writer<'a> {
    /// Takes at most `limit` bytes. `expected` is the most that may come, if that is known.
    pub fn new(
        destination: Option<Destination<'a>>,
        limit: u64,
        expected: Option<u64>,
    ) -> ApiResult<Self> {
        let part = layout::part_size(limit);
        let size = expected.map_or(part, |expected| part.min(expected.max(1)));
        let size = u32::try_from(size).map_err(ApiError::internal)?;
        let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
        let hasher = digest.raw().get_writer().map_err(js)?;
        Ok(Self {
            destination,
            limit,
            buffer: Uint8Array::new_with_length(size),
            filled: 0,
            multipart: None,
            parts: Vec::new(),
            digest,
            hasher,
            first: Vec::new(),
            size: 0,
        })
    }

    /// Takes bytes in.
    pub async fn write(&mut self, mut bytes: &[u8]) -> ApiResult<()> {
        self.size += bytes.len() as u64;
        check_size(self.size, self.limit)?;
        let wanted = SNIFFED_BYTES.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend(&bytes[..wanted]);
        while !bytes.is_empty() {
            // Only now: the last part may be of any size, but it must not be empty.
            if self.filled == self.buffer.length() {
                self.send_part().await?;
            }
            let room = (self.buffer.length() - self.filled) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let end = self.filled + now.len() as u32;
            self.buffer.subarray(self.filled, end).copy_from(now);
            self.filled = end;
            bytes = later;
        }
        Ok(())
    }

    /// Stores what is left; `empty_upload` if there was nothing at all.
    pub async fn finish(&mut self) -> ApiResult<Stored> {
        if self.size == 0 {
            return Err(ProblemCode::EmptyUpload.into());
        }
        let mut etag = String::new();
        if self.multipart.is_none() {
            etag = self.put().await?;
        } else {
            self.send_part().await?;
            if let Some(multipart) = self.multipart.take() {
                etag = multipart.complete(std::mem::take(&mut self.parts)).await?.etag();
            }
        }
        JsFuture::from(self.hasher.close()).await.map_err(js)?;
        let mut sha256 = [0; 32];
        self.digest.digest().await?.copy_to(&mut sha256);
        Ok(Stored { etag, sha256, first: std::mem::take(&mut self.first), size: self.size })
    }

    /// The whole of it in one piece; only hashed, where it is to go nowhere.
    async fn put(&mut self) -> ApiResult<String> {
        let bytes = self.buffer.subarray(0, self.filled);
        let Some(Destination { bucket, key, tell }) = &mut self.destination else {
            self.hash(&bytes).await?;
            return Ok(String::new());
        };
        tell(None).await?;
        let (data, write) = piece(&bytes)?;
        // Whoever lost its reservation overwrites nothing.
        let absent =
            Conditional { etag_does_not_match: Some("*".to_owned()), ..Conditional::default() };
        let put = bucket.put(key.clone(), data).only_if(absent).execute();
        let (object, written) = join(put, write).await;
        let object = object?.ok_or(ProblemCode::UploadInProgress)?;
        written?;
        self.hash(&bytes).await?;
        Ok(object.etag())
    }

    /// What the buffer holds, as the next part.
    async fn send_part(&mut self) -> ApiResult<()> {
        let bytes = self.buffer.subarray(0, std::mem::take(&mut self.filled));
        if let Some(Destination { bucket, key, tell }) = &mut self.destination {
            let multipart = match &mut self.multipart {
                Some(multipart) => {
                    tell(None).await?;
                    multipart
                }
                none => {
                    let begun = bucket.create_multipart_upload(key.clone()).execute().await?;
                    let multipart = none.insert(begun);
                    tell(Some(multipart.upload_id().await)).await?;
                    multipart
                }
            };
            let number = u16::try_from(self.parts.len() + 1).map_err(ApiError::internal)?;
            let (data, write) = piece(&bytes)?;
            let (part, written) = join(multipart.upload_part(number, data), write).await;
            self.parts.push(part?);
            written?;
        }
        self.hash(&bytes).await
    }

    async fn hash(&self, bytes: &Uint8Array) -> ApiResult<()> {
        JsFuture::from(self.hasher.write_with_chunk(bytes)).await.map_err(js)?;
        Ok(())
    }

    /// Leaves nothing of it.
    pub async fn abandon(mut self) -> ApiResult<()> {
        if let Some(multipart) = self.multipart.take() {
            multipart.abort().await?;
        }
        if let Some(Destination { bucket, key, .. }) = self.destination {
            bucket.delete(key).await?;
        }
        Ok(())
    }
}

/// A piece as R2 takes it, without a copy: a stream of known length, and what writes to it.
fn piece(bytes: &Uint8Array) -> ApiResult<(Data, impl Future<Output = ApiResult<()>> + use<>)> {
    let fixed = FixedLengthStream::new_big_int(BigInt::from(bytes.length())).map_err(js)?;
    let writer = fixed.writable().get_writer().map_err(js)?;
    let bytes = bytes.clone();
    let write = async move {
        JsFuture::from(writer.write_with_chunk(&bytes)).await.map_err(js)?;
        JsFuture::from(writer.close()).await.map_err(js)?;
        Ok(())
    };
    Ok((fixed.readable().into(), write))
}
