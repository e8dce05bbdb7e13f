//! What the handler says of a job while it runs and when it is over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::{id::MediaId, object_key::OutputPath};

/// The stage that a running job is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Waiting for a free slot of the handler.
    Queued,
    /// Bringing the source from its own URL to the gateway.
    Downloading,
    /// Getting the stored source.
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
    /// Bytes that a download has brought so far: all that can be told where the length is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
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
    /// SHA-256 of the source, lower-case hexadecimal, where the job did not name it and the handler
    /// has read it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
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

/// Why a job was not done as the handler's GPU promised when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FellBack {
    /// NVENC had too few sessions free: some renditions, or all, were encoded in software.
    EncoderSessions,
    /// NVDEC refused the stream: it was decoded in software.
    DecoderRefused,
    /// The GPU's memory was full.
    GpuMemory,
    /// The driver failed in mid-run.
    GpuLost,
    /// FFmpeg failed on the GPU for another reason, or for one that a newer handler has a word for.
    #[serde(other)]
    GpuFailed,
}

/// What an attempt cost, and what it was done with. Times are wall-clock seconds unless they say otherwise.
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
    /// The GPU that the platform gave the handler, as the platform names its types; it decides the
    /// price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_type: Option<String>,
    /// Model of the GPU, if it had a part in it, or else of the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What decoded the video: `nvdec` or `software`; absent without video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// FFmpeg's name of what encoded the video, `h264_nvenc+libx264` where both did; absent without
    /// video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Why not everything was done on the GPU that could have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fell_back: Option<FellBack>,
}
