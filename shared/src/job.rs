//! The contract between gateway and handler: one job out, progress and one report back.
//!
//! The JSON is camelCase and pinned by tests, since gateway and handler are deployed apart. A
//! handler needs no storage credentials: the job carries short-lived capability URLs.
//!
//! * In: `GET input.url` answers byte ranges of the source and honours `If-Match: <etag>`.
//! * Out: `PUT {output.baseUrl}{path}` stores one output, `path` being an [`OutputPath`]; the body
//!   needs a `Content-Length`. `Cache-Control` is taken over, the content type follows from the path.
//! * Back: `POST callback.progressUrl` with [`Progress`], `POST callback.reportUrl` with
//!   [`JobReport`], both signed as Standard Webhooks. `409` with code `stale_attempt` means that
//!   nobody waits for this attempt any more: stop working.
//!
//! A source that has a URL of its own is brought first, by a job of another kind: [`IngestSpec`]. And
//! [`WarmSpec`] is no job at all, but wakes a worker.

mod failure;
mod ingest;
mod report;
#[cfg(test)]
mod tests;
mod warm;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::id::MediaId;
#[cfg(doc)]
use crate::object_key::OutputPath;

pub use failure::{Failure, FailureCode};
pub use ingest::{INGEST, IngestSpec, Job, Kind};
pub use report::{FellBack, JobReport, Metrics, Outcome, OutputRole, Progress, Stage, Summary};
pub use warm::WarmSpec;

/// The version of [`JobSpec`] and [`IngestSpec`] that this build writes and the only one it reads.
pub const JOB_VERSION: u32 = 1;

/// One attempt at making a media's outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// [`JOB_VERSION`]; a handler refuses any other as `unsupported_job`.
    pub version: u32,
    /// The media that the job is for.
    pub media_id: MediaId,
    /// Which attempt this is, from 1. It fences everything that the handler sends.
    pub attempt: u8,
    /// What to make.
    #[serde(default)]
    pub pipeline: Pipeline,
    /// Where the source is.
    pub input: Input,
    /// Where outputs go.
    pub output: OutputTarget,
    /// Where to report; absent when the job is run by hand (`gpu-handler run job.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// The source of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// `http(s)` capability URL, `s3://bucket/key` where the handler has access of its own, or `file:`
    /// for a job run by hand.
    pub url: Url,
    /// Size in bytes; a source of another size is refused as `source_mismatch`.
    pub size: u64,
    /// Entity tag to send as `If-Match`, so that all ranges are of one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// SHA-256 of the source, lower-case hexadecimal; checked after fetching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Where the outputs of a job go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputTarget {
    /// Prefix of every output's URL, ending in `/`: `http(s)` to `PUT` below it, `s3://bucket/prefix/`
    /// where the handler has access of its own, or `file:` for a directory.
    pub base_url: Url,
}

/// How the handler reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Callback {
    /// Takes one [`JobReport`].
    pub report_url: Url,
    /// Takes [`Progress`], about once a second; each one renews the lease.
    pub progress_url: Url,
    /// After how many seconds of silence the attempt counts as lost.
    pub lease_seconds: u32,
}

/// What to make of a source: the choices a caller has. Everything has a default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Pipeline {
    /// Container of the HLS segments.
    pub segment_format: SegmentFormat,
    /// Length of a segment in seconds, 4 to 6.
    pub segment_seconds: SegmentSeconds,
    /// What follows a failed first attempt.
    pub retry: RetryPolicy,
}

/// Container of the HLS segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SegmentFormat {
    /// Fragmented MP4 (CMAF), RFC 8216bis `EXT-X-MAP`.
    #[default]
    Cmaf,
    /// MPEG-2 transport stream, for players from before 2016.
    Ts,
}

/// Length of a segment, 4 to 6 seconds (Apple's authoring specification asks for about 6; shorter
/// ones are playable sooner). The first segment is shorter by itself, for an early start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct SegmentSeconds(u8);

impl SegmentSeconds {
    /// The length in whole seconds.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for SegmentSeconds {
    fn default() -> Self {
        Self(4)
    }
}

impl From<SegmentSeconds> for u8 {
    fn from(seconds: SegmentSeconds) -> u8 {
        seconds.0
    }
}

impl TryFrom<u8> for SegmentSeconds {
    type Error = &'static str;

    fn try_from(seconds: u8) -> Result<Self, Self::Error> {
        if (4..=6).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err("segmentSeconds must be 4, 5 or 6")
        }
    }
}

/// What follows a failed first attempt. Either way there are at most two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryPolicy {
    /// The media stays `failed` until somebody asks for the retry.
    #[default]
    Manual,
    /// A transient failure is retried at once.
    Automatic,
}
