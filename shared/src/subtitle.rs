//! Subtitles: WebVTT as FFmpeg writes it, read with suspicion and cut into HLS segments.
//!
//! Cues come from hostile files. Times are clamped to the video; text keeps the few tags that
//! WebVTT knows and everything else is escaped; styles, regions and scripts do not survive.

mod cue;

use std::fmt::Write;

pub use cue::{Cue, parse};

use crate::plan::START_SECONDS;

/// `HH:MM:SS.mmm`, as WebVTT writes time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time in a media, above 0, and `as` saturates"
)]
pub fn timestamp(seconds: f64) -> String {
    let millis = (seconds.max(0.0) * 1000.0).round() as u64;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", millis / 1000 % 60, millis % 1000)
}

/// A segment of a subtitle rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct SubtitleSegment {
    /// Duration in seconds.
    pub seconds: f64,
    /// The WebVTT file.
    pub text: String,
}

/// Cuts cues into segments of `segment_seconds` that together last `duration`. A cue stands in
/// every segment that it touches (RFC 8216 section 3.5), with its own times.
pub fn segments(cues: &[Cue], duration: f64, segment_seconds: f64) -> Vec<SubtitleSegment> {
    let mut segments = Vec::new();
    let mut start = 0.0;
    // Cues are in order of their start: those before `first` have ended.
    let mut first = 0;
    while start < duration {
        let end = (start + segment_seconds).min(duration);
        while cues.get(first).is_some_and(|cue| cue.end <= start) {
            first += 1;
        }
        let touching = cues[first..].iter().take_while(|cue| cue.start < end);
        let mut text = head();
        for cue in touching.filter(|cue| cue.end > start) {
            let (from, to) = (timestamp(cue.start), timestamp(cue.end.min(duration)));
            write!(text, "\n{from} --> {to}\n{}\n", cue.text).expect("a string takes all");
        }
        segments.push(SubtitleSegment { seconds: end - start, text });
        start = end;
    }
    segments
}

/// The head of every segment: cue time 0 is the first frame's presentation time (90 kHz).
fn head() -> String {
    format!(
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{},LOCAL:00:00:00.000\n",
        u64::from(START_SECONDS) * 90_000
    )
}

#[cfg(test)]
mod tests;
