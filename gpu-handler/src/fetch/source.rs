//! Where the bytes of a download come from.

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use reelmill_shared::job::{Failure, FailureCode};

/// The bytes of one range, as they arrive.
pub(super) type Chunks = BoxStream<'static, Result<Bytes, &'static str>>;

/// A source that answers ranges, all of one object.
pub(super) trait Origin: Send + Sync {
    /// Asks for the bytes `from..end`. What comes may end early, or break off.
    fn open(&self, from: u64, end: u64) -> BoxFuture<'_, Result<Chunks, Trouble>>;
}

/// Why a range does not come.
pub(super) enum Trouble {
    /// Trying again may help.
    Passing(&'static str),
    /// It will not.
    Lasting(Failure),
}

impl Trouble {
    pub(super) fn mismatch(message: &str) -> Self {
        Self::Lasting(Failure::new(FailureCode::SourceMismatch, message))
    }

    pub(super) fn failed(message: &str) -> Self {
        Self::Lasting(Failure::new(FailureCode::FetchFailed, message))
    }
}

/// The range that was answered (`Content-Range`) must begin where it was asked for, and be of a
/// source of `total` bytes (RFC 9110 §14.4).
pub(super) fn check_range(range: Option<&str>, from: u64, total: u64) -> Result<(), Trouble> {
    let (bytes, complete) = range
        .and_then(|range| range.strip_prefix("bytes ")?.split_once('/'))
        .ok_or(Trouble::Passing("a range was not named"))?;
    if complete != "*" && complete.parse() != Ok(total) {
        return Err(Trouble::mismatch("the source is not as long as the job says"));
    }
    let first = bytes.split_once('-').and_then(|(first, _)| first.parse().ok());
    if first == Some(from) { Ok(()) } else { Err(Trouble::Passing("another range was answered")) }
}

/// An entity tag in the form of a header (RFC 9110 §8.8.3): R2 tells it without quotes.
pub(super) fn quoted(etag: &str) -> String {
    if etag.starts_with('"') || etag.starts_with("W/") {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}
