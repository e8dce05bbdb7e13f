//! Outputs into object storage, with the handler's own credentials.
//!
//! Small ones go by one `PutObject`, larger ones in equal parts, several at a time, of the one buffer
//! that the output is in. A multipart upload is completed or aborted, also when nobody waits for it
//! any more: parts that belong to nothing would be paid for, and nobody would see them.

mod multipart;

use std::time::Duration;

use aws_sdk_s3::{
    operation::put_object::PutObjectError, primitives::ByteStream, types::ChecksumAlgorithm,
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{job::Failure, multipart::Plan, object_key::OutputPath};
use tokio_util::task::TaskTracker;
use url::Url;

use super::Storage;
use crate::s3::{Location, Provider, S3, Side, failure};
use multipart::Upload;

/// Larger outputs are uploaded in parts.
const LARGEST_PUT: u64 = 16 << 20;
/// R2 takes one write a second to a key and answers more with 429.
const R2_REWRITE_INTERVAL: Duration = Duration::from_millis(1100);

/// Stores outputs below a prefix of a bucket.
#[derive(Debug)]
pub struct S3Storage {
    s3: S3,
    prefix: Location,
    /// The multipart uploads, which end by themselves.
    uploads: TaskTracker,
}

/// One output, and where it goes.
#[derive(Debug, Clone)]
struct Object {
    s3: S3,
    bucket: String,
    key: String,
    content_type: &'static str,
    cache_control: &'static str,
    body: Bytes,
}

impl S3Storage {
    /// Stores below an `s3:` URL that ends in a slash.
    ///
    /// # Errors
    /// `unsupported_job` where jobs may not write.
    pub fn new(s3: &S3, base_url: &Url) -> Result<Self, Failure> {
        let prefix = s3.prefix(base_url)?;
        let uploads = TaskTracker::new();
        // Closed means only that waiting for it may come to an end.
        uploads.close();
        Ok(Self { s3: s3.clone(), prefix, uploads })
    }
}

impl Storage for S3Storage {
    fn put<'a>(&'a self, path: &'a OutputPath, body: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        let object = Object {
            s3: self.s3.clone(),
            bucket: self.prefix.bucket.clone(),
            key: format!("{}{path}", self.prefix.key),
            content_type: path.content_type(),
            cache_control: path.cache_control(),
            body,
        };
        let size = object.body.len() as u64;
        match Plan::of(size).filter(|_| size > LARGEST_PUT) {
            Some(plan) => Upload::start(object, plan, &self.uploads).boxed(),
            None => object.put().boxed(),
        }
    }

    fn rewrite_interval(&self) -> Duration {
        match self.s3.provider() {
            Provider::R2 => R2_REWRITE_INTERVAL,
            Provider::Aws | Provider::Other => Duration::ZERO,
        }
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.uploads.wait().boxed()
    }
}

impl Object {
    async fn put(self) -> Result<(), Failure> {
        let request = self
            .s3
            .client()
            .put_object()
            .bucket(self.bucket)
            .key(self.key)
            .content_type(self.content_type)
            .cache_control(self.cache_control)
            .set_checksum_algorithm(checksum(&self.s3))
            .body(ByteStream::from(self.body));
        let answer = request.send().await;
        answer.map(drop).map_err(|error| failure::<PutObjectError>(&error, Side::Output))
    }
}

/// The checksum that is stored with an object, where there is one besides that of the signature.
fn checksum(s3: &S3) -> Option<ChecksumAlgorithm> {
    (s3.provider() == Provider::Aws).then_some(ChecksumAlgorithm::Crc32)
}
