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

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{id::MediaId, object_key::OutputPath};

/// The version of [`JobSpec`] that this build writes and the only one it reads.
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
    /// `http(s)` capability URL, or `file:` for a job run by hand.
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
    /// Prefix of every output's URL, ending in `/`: `http(s)` to `PUT` below it, or `file:` for a
    /// directory.
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

/// The stage that a running job is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Waiting for a free slot of the handler.
    Queued,
    /// Downloading the source.
    Fetching,
    /// Reading what the source contains.
    Probing,
    /// Encoding and uploading.
    Encoding,
    /// Encoding is done; the last outputs are being uploaded.
    Publishing,
}

/// A sign of life of a running job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The media that the job is for.
    pub media_id: MediaId,
    /// The attempt that the job is.
    pub attempt: u8,
    /// Current stage.
    pub stage: Stage,
    /// Share of the whole job that is done, 0 to 100, never falling within an attempt.
    pub percent: f32,
    /// Encoding speed as a multiple of real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// Estimated seconds until the job is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f32>,
    /// Whether `hls/main.m3u8` and a first segment of every rendition are stored.
    #[serde(default)]
    pub playable: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    /// The media that the job was for.
    pub media_id: MediaId,
    /// The attempt that the job was.
    pub attempt: u8,
    /// How it ended, and with what.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it cost.
    #[serde(default)]
    pub metrics: Metrics,
}

/// The result of an attempt, tagged by `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "status")]
pub enum Outcome {
    /// Every output is stored.
    Completed {
        /// Where the outputs lie, relative to the attempt's prefix.
        outputs: BTreeMap<OutputRole, OutputPath>,
        /// What the media is.
        summary: Summary,
    },
    /// The attempt made no complete set of outputs.
    Failed {
        /// Why.
        error: Failure,
    },
}

/// What an output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputRole {
    /// Multivariant HLS playlist.
    Hls,
    /// Poster image, JPEG.
    Poster,
    /// Storyboard: WebVTT that points into sprite sheets.
    Storyboard,
    /// Waveform, audiowaveform JSON, at the coarsest zoom.
    Waveform,
    /// Waveform, audiowaveform `.dat` v2, at the coarsest zoom.
    WaveformDat,
    /// `metadata.json`.
    Metadata,
}

/// The facts about a finished media that lists and webhooks show.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Duration in seconds.
    pub duration: f64,
    /// Display width in pixels, after rotation and pixel aspect; absent without video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Display height in pixels; absent without video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames per second of the outputs; absent without video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// Heights of the video renditions, largest first.
    pub renditions: Vec<u32>,
    /// How many audio renditions there are.
    pub audio_tracks: u32,
    /// How many subtitle renditions there are.
    pub subtitle_tracks: u32,
    /// Samples per pixel of every stored waveform zoom, finest first.
    pub waveform_zooms: Vec<u32>,
    /// FFmpeg's name of the video encoder that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// What is imperfect about the result, in words (a truncated source, a skipped track).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

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
    /// The source could not be fetched.
    FetchFailed = "fetch_failed", Transient;
    /// An output could not be stored.
    StoreFailed = "store_failed", Transient;
    /// FFmpeg stopped making progress or ran out of its time.
    TimedOut = "timed_out", Transient;
    /// FFmpeg or the handler failed for a reason of its own (memory, disk, a crash).
    Internal = "internal", Transient;
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

/// What an attempt cost. Times are wall-clock seconds unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// When the handler began, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Waiting, fetching, probing, encoding, publishing, all together.
    pub total_seconds: f64,
    /// Downloading the source.
    pub fetch_seconds: f64,
    /// Encoding and uploading.
    pub encode_seconds: f64,
    /// From the job's start until the media was playable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playable_seconds: Option<f64>,
    /// FFmpeg's CPU time.
    pub cpu_seconds: f64,
    /// Bytes of the source.
    pub input_bytes: u64,
    /// Bytes of all outputs.
    pub output_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn round_trip<T>(value: serde_json::Value) -> T
    where
        T: Serialize + serde::de::DeserializeOwned,
    {
        let parsed: T = serde_json::from_value(value.clone()).expect("the pinned form parses");
        assert_eq!(serde_json::to_value(&parsed).expect("json"), value, "written as it was read");
        parsed
    }

    const MEDIA: &str = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

    #[test]
    fn job_is_pinned() {
        let job: JobSpec = round_trip(json!({
            "version": 1,
            "mediaId": MEDIA,
            "attempt": 2,
            "pipeline": {"segmentFormat": "ts", "segmentSeconds": 6, "retry": "automatic"},
            "input": {
                "url": "https://gateway.example/api/handler/source/AQ",
                "size": 7608204, "etag": "0cc175b9", "sha256": "ca97",
            },
            "output": {"baseUrl": "https://gateway.example/api/handler/outputs/AQ/"},
            "callback": {
                "reportUrl": "https://gateway.example/api/handler/report",
                "progressUrl": "https://gateway.example/api/handler/progress",
                "leaseSeconds": 60,
            },
        }));
        assert_eq!(job.pipeline.segment_seconds.get(), 6);
    }

    #[test]
    fn progress_is_pinned() {
        round_trip::<Progress>(json!({
            "mediaId": MEDIA, "attempt": 1, "stage": "encoding", "percent": 41.5, "speed": 3.25,
            "etaSeconds": 12.0, "playable": true,
        }));
    }

    #[test]
    fn reports_are_pinned() {
        let metrics = json!({
            "startedAt": "2026-11-21T10:00:00Z", "totalSeconds": 4.5, "fetchSeconds": 0.5,
            "encodeSeconds": 4.0, "playableSeconds": 1.5, "cpuSeconds": 7.0, "inputBytes": 1,
            "outputBytes": 2,
        });
        round_trip::<JobReport>(json!({
            "mediaId": MEDIA, "attempt": 1, "status": "completed",
            "outputs": {
                "hls": "hls/main.m3u8", "poster": "poster.jpg", "storyboard": "storyboard/storyboard.vtt",
                "waveform": "waveform/16384.json", "waveformDat": "waveform/16384.dat",
                "metadata": "metadata.json",
            },
            "summary": {
                "duration": 52.2, "width": 1280, "height": 720, "frameRate": 24.0,
                "renditions": [720, 480, 360], "audioTracks": 1, "subtitleTracks": 0,
                "waveformZooms": [256, 16384], "encoder": "libx264", "warnings": ["The source is cut off."],
            },
            "metrics": metrics.clone(),
        }));
        let failed: JobReport = round_trip(json!({
            "mediaId": MEDIA, "attempt": 1, "status": "failed",
            "error": {"code": "timed_out", "message": "FFmpeg made no progress.", "transient": true},
            "metrics": metrics,
        }));
        assert!(matches!(failed.outcome, Outcome::Failed { error } if error.code.is_transient()));
    }

    #[rstest::rstest]
    #[case::too_short(json!({"segmentSeconds": 3}))]
    #[case::too_long(json!({"segmentSeconds": 7}))]
    #[case::unknown_format(json!({"segmentFormat": "dash"}))]
    #[case::unknown_option(json!({"flags": "-vf drawtext"}))]
    fn refuses_pipelines(#[case] pipeline: serde_json::Value) {
        assert!(serde_json::from_value::<Pipeline>(pipeline).is_err());
    }

    #[test]
    fn an_output_role_cannot_point_outside_its_attempt() {
        let report = json!({
            "mediaId": MEDIA, "attempt": 1, "status": "completed", "summary": {},
            "outputs": {"hls": "../../med_ffffffffffffffffffffffffffffffff/source"},
        });
        assert!(serde_json::from_value::<JobReport>(report).is_err());
    }
}
