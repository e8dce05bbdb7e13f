//! What a source is: ffprobe's output, read with suspicion, as one typed [`SourceInfo`].
//!
//! In scope: which streams count, how they look to a viewer, and what is refused and why. Nothing
//! claimed by a file is taken on trust beyond the [`Limits`]; what decodes, decides FFmpeg.

mod ffprobe;
mod limits;
mod video;

use serde::Serialize;

pub use ffprobe::Probe;
pub use limits::{FORMATS, Limits};
pub use video::{Colour, VideoTrack};

use crate::job::{Failure, FailureCode};

/// Most tracks of a kind that are made; more are left out with a warning.
pub const MAX_TRACKS: usize = 8;

/// Subtitle codecs that are text; bitmaps cannot become WebVTT.
const TEXT_SUBTITLES: &[&str] =
    &["subrip", "srt", "webvtt", "mov_text", "ass", "ssa", "text", "ttml", "microdvd", "subviewer"];

/// A source that can be made into something.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceInfo {
    /// FFmpeg's name of the container, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Claimed duration of what is made of it, in seconds; some containers have none.
    pub duration: Option<f64>,
    /// Claimed duration of the whole file, with streams that are left out or end later.
    pub container_duration: Option<f64>,
    /// Claimed bits per second of the whole file.
    pub bit_rate: Option<u64>,
    /// The one video track that is made; cover art is none.
    pub video: Option<VideoTrack>,
    /// Audio tracks, the default one first.
    pub audio: Vec<AudioTrack>,
    /// Text subtitle tracks.
    pub subtitles: Vec<SubtitleTrack>,
    /// What is left out of the result, in words.
    pub warnings: Vec<String>,
}

/// An audio track of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AudioTrack {
    /// Index among all streams of the source.
    pub index: u32,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Number of channels, at least 1.
    pub channels: u32,
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Language as the source spells it, mostly ISO 639-2.
    pub language: Option<String>,
    /// Title as the source spells it: hostile text.
    pub title: Option<String>,
    /// Whether the source marks it as the default.
    pub default: bool,
}

/// A text subtitle track of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubtitleTrack {
    /// Index among all streams of the source.
    pub index: u32,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Language as the source spells it, mostly ISO 639-2.
    pub language: Option<String>,
    /// Title as the source spells it: hostile text.
    pub title: Option<String>,
    /// Whether the source marks it as the default.
    pub default: bool,
    /// Whether it is to be shown even when subtitles are off.
    pub forced: bool,
    /// Whether it is for those who are hard of hearing.
    pub hearing_impaired: bool,
}

impl Probe {
    /// Decides what to make of the source, or why nothing: `unsupported_media` for what is no
    /// media, `limit_exceeded`, `unsupported_codec`, `no_streams`.
    ///
    /// `can_decode` says whether this FFmpeg has a decoder for a codec's name.
    pub fn check(
        &self,
        limits: &Limits,
        can_decode: &dyn Fn(&str) -> bool,
    ) -> Result<SourceInfo, Failure> {
        if !self.format.format_name.split(',').any(|name| FORMATS.contains(&name)) {
            return Err(Failure::new(
                FailureCode::UnsupportedMedia,
                "the source is no video or audio file of a supported kind",
            ));
        }
        limits.check_streams(self.streams.len())?;
        let mut warnings = Vec::new();
        let video = video::select(&self.streams, limits, can_decode)?;
        let audio = self.audio(limits, can_decode, video.is_some(), &mut warnings)?;
        if video.is_none() && audio.is_empty() {
            return Err(Failure::new(
                FailureCode::NoStreams,
                "the source has neither video nor audio",
            ));
        }
        let duration = self.duration(video.as_ref(), &audio);
        limits.check_duration(duration)?;
        let subtitles = self.subtitles(can_decode, &mut warnings);
        Ok(SourceInfo {
            format: self.format.format_name.clone(),
            duration,
            container_duration: self.container_duration(),
            bit_rate: self.format.bit_rate.as_deref().and_then(|rate| rate.parse().ok()),
            video,
            audio,
            subtitles,
            warnings,
        })
    }

    /// How long the streams that count claim to last together, or else the container: its own claim
    /// includes streams that are left out, and in MP4 the time before the first frame.
    fn duration(&self, video: Option<&VideoTrack>, audio: &[AudioTrack]) -> Option<f64> {
        let counts = |index| {
            video.is_some_and(|video| video.index == index)
                || audio.iter().any(|audio| audio.index == index)
        };
        let streams = self.streams.iter().filter(|stream| counts(stream.index));
        let spans: Option<Vec<(f64, f64)>> =
            streams.map(|stream| stream.span(&self.format)).collect();
        let together = spans.map(|spans| {
            let start = spans.iter().map(|span| span.0).fold(f64::INFINITY, f64::min);
            spans.iter().map(|span| span.1).fold(f64::NEG_INFINITY, f64::max) - start
        });
        let together = together.filter(|seconds| *seconds > 0.0);
        together.or_else(|| self.container_duration())
    }

    fn container_duration(&self) -> Option<f64> {
        ffprobe::seconds(self.format.duration.as_deref())
    }

    /// Audio tracks that can be made. One that cannot is left out with a warning, unless nothing
    /// else would remain.
    fn audio(
        &self,
        limits: &Limits,
        can_decode: &dyn Fn(&str) -> bool,
        has_video: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<AudioTrack>, Failure> {
        let mut tracks = Vec::new();
        let mut first_failure = None;
        for stream in self.streams.iter().filter(|stream| stream.is("audio")) {
            match audio_track(stream, limits, can_decode) {
                Ok(track) => tracks.push(track),
                Err(failure) => {
                    warnings.push(format!(
                        "audio stream {} left out: {}",
                        stream.index, failure.message
                    ));
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if let Some(failure) = first_failure.filter(|_| tracks.is_empty() && !has_video) {
            return Err(failure);
        }
        tracks.sort_by_key(|track| !track.default);
        truncate(&mut tracks, "audio", warnings);
        Ok(tracks)
    }

    fn subtitles(
        &self,
        can_decode: &dyn Fn(&str) -> bool,
        warnings: &mut Vec<String>,
    ) -> Vec<SubtitleTrack> {
        let mut tracks = Vec::new();
        for stream in self.streams.iter().filter(|stream| stream.is("subtitle")) {
            let usable = |codec: &&str| TEXT_SUBTITLES.contains(codec) && can_decode(codec);
            let Some(codec) = stream.codec().filter(usable) else {
                warnings.push(format!("subtitle stream {} left out: it is no text", stream.index));
                continue;
            };
            tracks.push(SubtitleTrack {
                index: stream.index,
                codec: codec.to_owned(),
                language: stream.tag("language"),
                title: stream.tag("title"),
                default: stream.has("default"),
                forced: stream.has("forced"),
                hearing_impaired: stream.has("hearing_impaired"),
            });
        }
        truncate(&mut tracks, "subtitle", warnings);
        tracks
    }
}

fn audio_track(
    stream: &ffprobe::Stream,
    limits: &Limits,
    can_decode: &dyn Fn(&str) -> bool,
) -> Result<AudioTrack, Failure> {
    let codec = decodable(stream, can_decode)?;
    let rate = stream.sample_rate.as_deref().and_then(|rate| rate.parse().ok()).unwrap_or(0);
    limits.check_audio(stream.channels, rate)?;
    Ok(AudioTrack {
        index: stream.index,
        codec: codec.to_owned(),
        channels: stream.channels,
        sample_rate: rate,
        language: stream.tag("language"),
        title: stream.tag("title"),
        default: stream.has("default"),
    })
}

fn decodable<'a>(
    stream: &'a ffprobe::Stream,
    can_decode: &dyn Fn(&str) -> bool,
) -> Result<&'a str, Failure> {
    stream.codec().filter(|codec| can_decode(codec)).ok_or_else(|| {
        // A codec's name is FFmpeg's own word, never the file's.
        let name = stream.codec().unwrap_or("unknown");
        let message = format!("stream {} has a codec that cannot be decoded: {name}", stream.index);
        Failure::new(FailureCode::UnsupportedCodec, message)
    })
}

fn truncate<T>(tracks: &mut Vec<T>, kind: &str, warnings: &mut Vec<String>) {
    if let Some(excess) = tracks.len().checked_sub(MAX_TRACKS + 1) {
        warnings.push(format!("{} {kind} tracks left out: at most {MAX_TRACKS}", excess + 1));
        tracks.truncate(MAX_TRACKS);
    }
}

#[cfg(test)]
mod tests;
