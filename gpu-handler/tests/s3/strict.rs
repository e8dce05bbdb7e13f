//! Buckets on the disk, stricter than they are by themselves: a bucket must be there, `If-Match` is
//! heeded, checksums of parts are verified, parts must be equal. What was asked is kept.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::{TryStreamExt, stream};
use s3s::{
    Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    checksum::ChecksumHasher,
    crypto::{Checksum, Crc32},
    dto::*,
    s3_error,
};
use s3s_fs::FileSystem;
use tokio::sync::Semaphore;

/// What the server does, and what was done to it.
#[derive(Default)]
pub(crate) struct State {
    /// Operations, and the part number where there is one, in the order of their beginnings.
    pub(crate) log: Mutex<Vec<(&'static str, Option<i32>)>>,
    /// Refuse so many requests of an operation with this code, of one part or of any.
    pub(crate) faults: Mutex<Vec<Fault>>,
    /// Sizes of the parts of uploads that are neither completed nor aborted.
    pub(crate) open: Mutex<BTreeMap<String, BTreeMap<i32, usize>>>,
    /// CRC32s that came with requests, which were right.
    pub(crate) checksums: Mutex<Vec<String>>,
    /// The size of `zeros.bin`, which is in every bucket and nowhere.
    pub(crate) zeros: u64,
    /// Requests of this operation wait, of one part or of this offset and later.
    pub(crate) gate: Option<Gate>,
}

/// A refusal to come.
pub(crate) struct Fault {
    pub(crate) operation: &'static str,
    pub(crate) part: Option<i32>,
    /// A code that S3 does not know comes with status 429.
    pub(crate) code: S3ErrorCode,
    pub(crate) times: usize,
}

/// Where requests wait until they are let through.
pub(crate) struct Gate {
    pub(crate) operation: &'static str,
    /// The part, or the first byte, from which on requests wait.
    pub(crate) from: u64,
    /// How many have come.
    pub(crate) came: Semaphore,
    /// How many may go on.
    pub(crate) may_pass: Semaphore,
}

impl Gate {
    pub(crate) fn at(operation: &'static str, from: u64) -> Self {
        Self { operation, from, came: Semaphore::new(0), may_pass: Semaphore::new(0) }
    }
}

pub(crate) struct Strict {
    pub(crate) files: FileSystem,
    pub(crate) root: PathBuf,
    pub(crate) state: Arc<State>,
}

impl Strict {
    async fn enter(&self, operation: &'static str, bucket: &str, part: Option<i32>) -> S3Result {
        self.state.log.lock().expect("a lock").push((operation, part));
        self.pause(operation, part.unwrap_or_default().try_into().ok()).await;
        let mut faults = self.state.faults.lock().expect("a lock");
        let fault = faults.iter_mut().find(|fault| {
            fault.operation == operation
                && fault.times > 0
                && (fault.part.is_none() || fault.part == part)
        });
        if let Some(fault) = fault {
            fault.times -= 1;
            let mut error = S3Error::from(fault.code.clone());
            if let S3ErrorCode::Custom(_) = fault.code {
                error.set_status_code(StatusCode::TOO_MANY_REQUESTS);
            }
            return Err(error);
        }
        if self.root.join(bucket).is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    async fn pause(&self, operation: &'static str, place: Option<u64>) {
        let gate = self.state.gate.as_ref();
        let gate = gate.filter(|gate| gate.operation == operation && place >= Some(gate.from));
        if let Some(gate) = gate {
            gate.came.add_permits(1);
            gate.may_pass.acquire().await.expect("a gate").forget();
        }
    }

    /// Reads a body, and compares it with the checksum that came with it.
    async fn body(
        &self,
        body: Option<StreamingBlob>,
        claimed: Option<&String>,
    ) -> S3Result<(usize, Option<StreamingBlob>)> {
        let body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let whole = body.try_fold(BytesMut::new(), |mut whole, chunk| async move {
            whole.extend_from_slice(&chunk);
            Ok(whole)
        });
        let whole = whole.await.map_err(|error| s3_error!(InvalidRequest, "{error}"))?.freeze();
        if let Some(claimed) = claimed {
            let mut hasher = ChecksumHasher { crc32: Some(Crc32::new()), ..Default::default() };
            hasher.update(&whole);
            if hasher.finalize().checksum_crc32.as_ref() != Some(claimed) {
                return Err(s3_error!(BadDigest));
            }
            self.state.checksums.lock().expect("a lock").push(claimed.clone());
        }
        Ok((whole.len(), Some(Body::from(whole).into())))
    }

    fn zeros(&self, input: &GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        let size = self.state.zeros;
        let range = input.range.ok_or_else(|| s3_error!(InvalidRequest))?.check(size)?;
        let name = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        let mut left = range.end - range.start;
        let length = i64::try_from(left).expect("a length");
        let chunks = std::iter::from_fn(move || {
            let chunk = left.min(64 * 1024);
            left -= chunk;
            (chunk > 0).then(|| Ok::<_, std::io::Error>(Bytes::from(vec![0; chunk as usize])))
        });
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(stream::iter(chunks))),
            content_length: Some(length),
            content_range: Some(name),
            e_tag: Some(ETag::Strong("zeros".to_owned())),
            ..Default::default()
        }))
    }

    fn is_open(&self, upload: &str) -> S3Result {
        let open = self.state.open.lock().expect("a lock");
        if open.contains_key(upload) { Ok(()) } else { Err(s3_error!(NoSuchUpload)) }
    }
}

#[async_trait]
impl S3 for Strict {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &request.input;
        self.enter("GetObject", &input.bucket, None).await?;
        let first = match input.range {
            Some(Range::Int { first, .. }) => Some(first),
            _ => None,
        };
        self.pause("GetRange", first).await;
        let wanted = input.if_match.clone();
        let answer = if input.key == "zeros.bin" {
            self.zeros(input)?
        } else {
            self.files.get_object(request).await?
        };
        match (wanted.as_ref().and_then(ETagCondition::as_etag), &answer.output.e_tag) {
            (Some(wanted), Some(tag)) if !wanted.strong_cmp(tag) => {
                Err(s3_error!(PreconditionFailed))
            }
            _ => Ok(answer),
        }
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        self.enter("PutObject", &input.bucket, None).await?;
        let body = self.body(input.body.take(), input.checksum_crc32.as_ref()).await?;
        input.body = body.1;
        self.files.put_object(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.enter("CreateMultipartUpload", &request.input.bucket, None).await?;
        let answer = self.files.create_multipart_upload(request).await?;
        let upload = answer.output.upload_id.clone().expect("an id");
        self.state.open.lock().expect("a lock").insert(upload, BTreeMap::new());
        Ok(answer)
    }

    async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = &mut request.input;
        self.enter("UploadPart", &input.bucket, Some(input.part_number)).await?;
        self.is_open(&input.upload_id)?;
        let (size, body) = self.body(input.body.take(), input.checksum_crc32.as_ref()).await?;
        input.body = body;
        let (upload, number) = (input.upload_id.clone(), input.part_number);
        let checksum_crc32 = input.checksum_crc32.clone();
        let mut answer = self.files.upload_part(request).await?;
        answer.output.checksum_crc32 = checksum_crc32;
        let mut open = self.state.open.lock().expect("a lock");
        open.entry(upload).or_default().insert(number, size);
        Ok(answer)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.enter("CompleteMultipartUpload", &request.input.bucket, None).await?;
        let upload = request.input.upload_id.clone();
        self.is_open(&upload)?;
        let sizes: Vec<usize> = {
            let open = self.state.open.lock().expect("a lock");
            open[&upload].values().copied().collect()
        };
        // R2's rule: all but the last are of one size, and the last is no larger.
        let (last, others) = sizes.split_last().ok_or_else(|| s3_error!(InvalidPart))?;
        if others.iter().any(|size| size != &others[0] || size < last) {
            return Err(s3_error!(InvalidPart, "all non-trailing parts must have the same length"));
        }
        let answer = self.files.complete_multipart_upload(request).await?;
        self.state.open.lock().expect("a lock").remove(&upload);
        Ok(answer)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.enter("AbortMultipartUpload", &request.input.bucket, None).await?;
        let upload = request.input.upload_id.clone();
        self.is_open(&upload)?;
        let answer = self.files.abort_multipart_upload(request).await?;
        self.state.open.lock().expect("a lock").remove(&upload);
        Ok(answer)
    }
}
