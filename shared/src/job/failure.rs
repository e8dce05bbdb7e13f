//! Why attempts fail: one list of codes, each permanent or transient.

use serde::{Deserialize, Serialize};

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Stable code.
    pub code: FailureCode,
    /// One sentence for a person, free of paths, URLs and secrets.
    pub message: String,
    /// Whether the same job may succeed when tried again.
    pub transient: bool,
}

impl Failure {
    /// A failure whose transience follows from its code.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), transient: code.is_transient() }
    }

    /// Nobody brought the source in time.
    pub(crate) fn upload_expired() -> Self {
        Self::new(FailureCode::UploadExpired, "The upload did not finish in time.")
    }
}

macro_rules! failure_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $transience:ident;)*) => {
        /// Every way in which an attempt can fail, with its stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FailureCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl FailureCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as callers see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// Whether the same job may succeed when tried again.
            pub const fn is_transient(self) -> bool {
                matches!(match self { $(Self::$name => Transience::$transience),* }, Transience::Transient)
            }
        }
    };
}

enum Transience {
    Permanent,
    Transient,
}

failure_codes! {
    /// The source is empty, is no media, or is of a kind that is not taken (playlists, images).
    UnsupportedMedia = "unsupported_media", Permanent;
    /// The container is understood, but a stream's codec cannot be decoded.
    UnsupportedCodec = "unsupported_codec", Permanent;
    /// The source has neither video nor audio.
    NoStreams = "no_streams", Permanent;
    /// The source is damaged: it decodes to nothing, or to much less than it claims.
    CorruptMedia = "corrupt_media", Permanent;
    /// Too many streams, pixels, frames per second or seconds.
    LimitExceeded = "limit_exceeded", Permanent;
    /// The source is not the one the job names (size, entity tag or checksum).
    SourceMismatch = "source_mismatch", Permanent;
    /// The job is of an unknown version or malformed.
    UnsupportedJob = "unsupported_job", Permanent;
    /// The source's URL, or one that it redirects to, leads where it must not: an address that is not
    /// public, another scheme, credentials, from https to http, or more than five redirects away.
    SourceUrlRefused = "source_url_refused", Permanent;
    /// There is nothing at the source's URL (404, 410).
    SourceNotFound = "source_not_found", Permanent;
    /// The source's server refuses (401, 403 and the like), or answers what is no file.
    SourceRefused = "source_refused", Permanent;
    /// The source is larger than the limit, or never ends.
    SourceTooLarge = "source_too_large", Permanent;
    /// What is at the source's URL is not media: a page, text, a picture, an archive, or empty.
    SourceNotMedia = "source_not_media", Permanent;
    /// The source is not as long as its server or its owner says.
    SourceLengthMismatch = "source_length_mismatch", Permanent;
    /// The source changed while it was fetched.
    SourceChanged = "source_changed", Transient;
    /// The source's server was too slow.
    SourceTimedOut = "source_timed_out", Transient;
    /// The source's server could not be reached, or failed (429, 5xx).
    SourceUnreachable = "source_unreachable", Transient;
    /// The source could not be fetched.
    FetchFailed = "fetch_failed", Transient;
    /// The storage that the handler reaches with its own credentials denies it the source or the
    /// place for outputs.
    AccessDenied = "access_denied", Permanent;
    /// The bucket of the source or of the outputs does not exist, or not in the handler's region.
    BucketNotFound = "bucket_not_found", Permanent;
    /// An output could not be stored.
    StoreFailed = "store_failed", Transient;
    /// FFmpeg stopped making progress or ran out of its time.
    TimedOut = "timed_out", Transient;
    /// The time that its host gives a job is over before the job, or is sure to be.
    Deadline = "deadline", Transient;
    /// The handler's disk has no room for the source and what is made of it.
    NoSpace = "no_space", Transient;
    /// FFmpeg or the handler failed for a reason of its own (memory, a crash).
    Internal = "internal", Transient;
    /// A GPU is demanded, and there is none, it gave up, or it can do nothing for this source.
    NoGpu = "no_gpu", Transient;
    /// The handler was shut down in mid-job.
    HandlerStopped = "handler_stopped", Transient;
    /// The handler fell silent past its lease.
    HandlerLost = "handler_lost", Transient;
    /// No handler took the job.
    DispatchFailed = "dispatch_failed", Transient;
    /// Somebody cancelled the media.
    Cancelled = "cancelled", Permanent;
    /// The upload did not finish in time.
    UploadExpired = "upload_expired", Permanent;
}

impl std::fmt::Display for FailureCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
