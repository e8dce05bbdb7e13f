//! The job of bringing a source from its own URL to the gateway.
//!
//! The handler fetches it, because a Worker can neither see which address it connects to nor run for
//! hours, and uploads it as any client would, by tus 1.0 to a capability URL. The upload's end is the
//! job's end; a report matters only where there is no end to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{Callback, JobSpec};
use crate::{id::MediaId, source_url::SourceUrl};

/// Attempts beyond this number bring a source: its first ingest is attempt 101, the retry 102. So
/// one number fences everything that is ever done for a media.
pub const INGEST: u8 = 100;

/// One attempt at bringing a media's source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngestSpec {
    /// [`JOB_VERSION`](super::JOB_VERSION).
    pub version: u32,
    /// Tells this job from one that makes outputs.
    pub kind: Kind,
    /// The media that the job is for.
    pub media_id: MediaId,
    /// Which attempt this is, beyond [`INGEST`].
    pub attempt: u8,
    /// Where the source is.
    pub source_url: SourceUrl,
    /// Its size in bytes, if its owner declared one; a source of another size is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Largest source that is taken, in bytes.
    pub max_bytes: u64,
    /// Where it goes: a tus 1.0 creation endpoint, which needs nothing but its URL.
    pub upload_url: Url,
    /// Where to report.
    pub callback: Callback,
}

/// The kind of an [`IngestSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Bring a source.
    Ingest,
}

/// Any job that a handler can be given.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Job {
    /// Make outputs of a stored source.
    Transcode(Box<JobSpec>),
    /// Bring a source.
    Ingest(Box<IngestSpec>),
}

impl Job {
    /// Reads a job: one with a `kind` is an [`IngestSpec`], or unknown.
    ///
    /// # Errors
    /// What is missing or malformed.
    pub fn read(json: Value) -> Result<Self, serde_json::Error> {
        if json.get("kind").is_some() {
            serde_json::from_value(json).map(Self::Ingest)
        } else {
            serde_json::from_value(json).map(Self::Transcode)
        }
    }

    /// The version of its contract.
    pub fn version(&self) -> u32 {
        match self {
            Self::Transcode(spec) => spec.version,
            Self::Ingest(spec) => spec.version,
        }
    }

    /// The media that it is for, and which attempt it is.
    pub fn attempt(&self) -> (MediaId, u8) {
        match self {
            Self::Transcode(spec) => (spec.media_id, spec.attempt),
            Self::Ingest(spec) => (spec.media_id, spec.attempt),
        }
    }

    /// Which offer of the attempt it is: the `dispatch` of its callbacks, 0 where they have none.
    pub fn dispatch(&self) -> u8 {
        let number = self.callback().and_then(|callback| {
            let mut query = callback.report_url.query_pairs();
            query.find_map(|(name, value)| (name == "dispatch").then(|| value.parse().ok())?)
        });
        number.unwrap_or_default()
    }

    /// Where to report, unless the job is run by hand.
    pub fn callback(&self) -> Option<&Callback> {
        match self {
            Self::Transcode(spec) => spec.callback.as_ref(),
            Self::Ingest(spec) => Some(&spec.callback),
        }
    }
}
