//! Where outputs go: one small trait, so that tests can watch what is stored and in which order.

mod directory;
mod http;
mod metered;
mod object;

use std::{future::ready, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{
    job::{Failure, FailureCode},
    object_key::OutputPath,
};
use url::Url;

pub use directory::DirectoryStorage;
pub use http::HttpStorage;
pub use metered::MeteredStorage;
pub use object::S3Storage;

use crate::s3::{self, S3};

/// A place that takes the outputs of one attempt.
pub trait Storage: Send + Sync {
    /// Stores one whole output, replacing what lay at `path`. When it returns `Ok`, the output is
    /// durable and readable.
    ///
    /// # Errors
    /// `store_failed` when the place does not take it in spite of retries, `cancelled` when nobody
    /// waits for the attempt any more.
    fn put<'a>(&'a self, path: &'a OutputPath, body: Bytes) -> BoxFuture<'a, Result<(), Failure>>;

    /// The least time between two writes of one path, from the beginning of the first to the
    /// beginning of the second. Whoever rewrites a path keeps to it; a path written once is not
    /// concerned.
    fn rewrite_interval(&self) -> Duration;

    /// Waits for what goes on after its [`put`](Self::put) was dropped, so that nothing half-stored
    /// is left.
    fn settle(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// The storage behind a job's `output.baseUrl`.
///
/// # Errors
/// `unsupported_job` for a scheme that is not taken; `file:` is taken only if `local_files`,
/// `s3:` only for the buckets of `s3`.
pub fn open(
    base_url: &Url,
    local_files: bool,
    client: &reqwest::Client,
    s3: Option<&S3>,
) -> Result<Box<dyn Storage>, Failure> {
    let refuse = |message: &str| Err(Failure::new(FailureCode::UnsupportedJob, message));
    if !base_url.path().ends_with('/') || base_url.query().is_some() {
        return refuse("output.baseUrl must end in a slash and have no query");
    }
    match base_url.scheme() {
        "http" | "https" => Ok(Box::new(HttpStorage::new(client.clone(), base_url.clone()))),
        "file" if local_files => match base_url.to_file_path() {
            Ok(path) => Ok(Box::new(DirectoryStorage::new(path))),
            Err(()) => refuse("output.baseUrl is no local directory"),
        },
        "s3" => Ok(Box::new(S3Storage::new(s3::access(s3)?, base_url)?)),
        _ => refuse("output.baseUrl must be an http(s) or s3: URL"),
    }
}
