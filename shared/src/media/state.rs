//! What a media is at rest: this is what is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::{
    job::{Failure, JobReport, Pipeline},
    source_url::SourceUrl,
};

/// What the creator of a media said of it. It never changes, but that the URL of a source loses its
/// query, which may be a credential, once it is not needed any more.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Name of the file, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Declared size in bytes; an upload of another size is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Declared media type, for people: what the source is, is decided by its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Where the source is to be fetched from; absent where it is uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<SourceUrl>,
    /// What to make.
    pub pipeline: Pipeline,
    /// The caller's own JSON object, handed back with every answer and webhook.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// A stored source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Size in bytes.
    pub size: u64,
    /// R2's entity tag, without quotes.
    pub etag: String,
    /// SHA-256, lower-case hexadecimal. Not known before `ready` where the bytes did not pass the
    /// gateway in one go (straight to R2, or an upload that outlived its Durable Object's memory):
    /// then the handler computes it while it fetches the source, and reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Media type by the first bytes, never by the name; absent where they are not known
    /// ([`crate::sniff`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Where a media stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "status")]
pub enum State {
    /// Waiting for its source.
    Uploading {
        /// When the wait ends.
        expires_at: Timestamp,
        /// The running attempt at bringing it from its URL, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ingest: Option<Box<Attempt>>,
    },
    /// The source is stored; an attempt is about to be dispatched.
    Uploaded {
        /// The source.
        source: Source,
    },
    /// An attempt is running.
    Transcoding {
        /// The source.
        source: Source,
        /// The running attempt.
        attempt: Box<Attempt>,
    },
    /// The outputs are complete.
    Ready {
        /// The source.
        source: Source,
        /// The attempt's own report: outputs, summary, metrics.
        report: Box<JobReport>,
    },
    /// The last attempt failed, or there was never a source.
    Failed {
        /// The source, if one was stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// Why.
        error: Failure,
    },
    /// Deleted; kept as a tombstone so that late reports find it.
    Deleted {
        /// When.
        at: Timestamp,
    },
}

impl State {
    /// The state's name as callers see it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Uploading { .. } => "uploading",
            Self::Uploaded { .. } => "uploaded",
            Self::Transcoding { .. } => "transcoding",
            Self::Ready { .. } => "ready",
            Self::Failed { .. } => "failed",
            Self::Deleted { .. } => "deleted",
        }
    }
}
