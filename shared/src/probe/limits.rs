//! How much of a source is taken on, and which containers.

use crate::job::{Failure, FailureCode};

/// The demuxers that may open a source, spelt for FFmpeg's `-format_whitelist`.
///
/// Containers of one media only: nothing here follows references to other files or hosts, as
/// playlists, `concat`, SDP, DASH or image sequences do. And nothing that has no mark to know it by:
/// FFmpeg takes junk for bare AMR or GSM frames (`amrnb`, `amrwb`, `gsm`), which decode to noise.
pub const FORMATS: &[&str] = &[
    "mov",
    "mp4",
    "m4a",
    "3gp",
    "3g2",
    "mj2",
    "matroska",
    "webm",
    "avi",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "flv",
    "asf",
    "ogg",
    "mxf",
    "ivf",
    "h264",
    "hevc",
    "m4v",
    "dv",
    "wtv",
    "rm",
    "nut",
    "mp3",
    "wav",
    "w64",
    "flac",
    "aac",
    "ac3",
    "eac3",
    "dts",
    "truehd",
    "caf",
    "aiff",
    "au",
    "amr",
    "ape",
    "wv",
    "tta",
    "voc",
];

/// Upper bounds on a source. Whoever offers more gets `limit_exceeded`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Streams of any kind.
    pub streams: usize,
    /// Pixels of one frame.
    pub pixels: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Channels of one audio track.
    pub channels: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 32, pixels: 8192 * 4320, seconds: 12.0 * 3600.0, channels: 16 }
    }
}

/// The lowest sample rate that is taken, in Hz.
pub(super) const MIN_SAMPLE_RATE: u32 = 1_000;
/// The highest sample rate that is taken, in Hz.
pub(super) const MAX_SAMPLE_RATE: u32 = 768_000;

impl Limits {
    pub(super) fn check_streams(&self, streams: usize) -> Result<(), Failure> {
        within(streams <= self.streams, || format!("{streams} streams, at most {}", self.streams))
    }

    pub(super) fn check_duration(&self, seconds: Option<f64>) -> Result<(), Failure> {
        within(seconds.is_none_or(|seconds| seconds <= self.seconds), || {
            format!("{:.0} s long, at most {:.0} s", seconds.unwrap_or(0.0), self.seconds)
        })
    }

    pub(super) fn check_pixels(&self, width: u32, height: u32) -> Result<(), Failure> {
        within(u64::from(width) * u64::from(height) <= self.pixels, || {
            format!("{width}x{height}, at most {} pixels", self.pixels)
        })
    }

    pub(super) fn check_audio(&self, channels: u32, sample_rate: u32) -> Result<(), Failure> {
        within((1..=self.channels).contains(&channels), || {
            format!("{channels} audio channels, at most {}", self.channels)
        })?;
        within((MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate), || {
            format!("{sample_rate} Hz, from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
        })
    }
}

fn within(ok: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if ok {
        return Ok(());
    }
    let message = format!("the source is out of bounds: {} are taken", what());
    Err(Failure::new(FailureCode::LimitExceeded, message))
}
