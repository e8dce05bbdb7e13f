//! The plan of a job: one FFmpeg command with one decode, and what it will leave where.
//!
//! Each operation is a file of its own ([`video`], [`audio`], [`subtitle`], [`still`]) that hangs
//! its taps on the shared decode; [`route`] says what of it a GPU does; [`command`] folds all of them
//! into one command line. Nothing from
//! the source's own text (names, titles) ever reaches the command line.
//!
//! FFmpeg runs in an empty directory with [`Plan::directories`] made; every path in the arguments is
//! relative to it. It writes PCM to file descriptor 1 and progress to file descriptor 0.

mod audio;
mod command;
mod hardware;
mod route;
mod still;
mod subtitle;
mod video;

use serde::Serialize;

use crate::{
    frame_rate::FrameRate,
    job::{Pipeline, SegmentFormat, SegmentSeconds},
    ladder::Rendition,
    probe::{AudioTrack, FORMATS, SourceInfo, SubtitleTrack},
};
use command::Builder;
use route::Route;

pub use audio::BIT_RATE as AUDIO_BIT_RATE;
pub use hardware::{Class, Deinterlacer, Hardware, Surface, sessions_wanted};
pub use still::{POSTER_FALLBACK_FILE, POSTER_FILE, Storyboard};

/// Presentation time of the first frame, in seconds.
///
/// Not 0, since FFmpeg's fragmented MP4 muxer would then hide the encoder's delay in an edit list
/// of two entries, which players that use Media Source Extensions mistake; so offset, one entry is
/// left and pictures and sound meet exactly. WebVTT is mapped onto it (RFC 8216 section 3.5).
pub const START_SECONDS: u32 = 10;

/// What decodes the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Decoder {
    /// FFmpeg, on the CPU.
    Software,
    /// NVDEC on an NVIDIA GPU.
    Nvdec,
}

impl Decoder {
    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Nvdec => "nvdec",
        }
    }
}

/// What encodes a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Encoder {
    /// libx264 on the CPU.
    #[serde(rename = "libx264")]
    X264,
    /// NVENC on an NVIDIA GPU.
    #[serde(rename = "h264_nvenc")]
    Nvenc,
}

impl Encoder {
    /// FFmpeg's name of the encoder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::Nvenc => "h264_nvenc",
        }
    }
}

/// What to plan for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The source.
    pub source: &'a SourceInfo,
    /// What the caller chose.
    pub pipeline: &'a Pipeline,
    /// What of a GPU may be used, with the NVENC sessions that are this job's own.
    pub hardware: &'a Hardware,
    /// The preset of x264, such as `veryfast`.
    pub preset: &'a str,
    /// The source as FFmpeg is to open it: `file:` and a name of our own making.
    pub input: &'a str,
    /// The most seconds to make of a source, whatever it claims.
    pub max_seconds: f64,
    /// Which take this is, from 1: from the second one on renditions lie in directories of their own
    /// (`v720-2`), since a segment that is published never changes.
    pub take: u8,
}

impl Request<'_> {
    /// The directory of a rendition that is called `name`.
    fn directory(&self, name: &str) -> String {
        if self.take > 1 { format!("{name}-{}", self.take) } else { name.to_owned() }
    }
}

/// One FFmpeg command and what it makes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The arguments, without the program's name.
    pub args: Vec<String>,
    /// Directories that must exist below the working directory.
    pub directories: Vec<String>,
    /// Claimed duration in seconds, to measure progress by.
    pub duration: Option<f64>,
    /// What decodes the video; absent without.
    pub decoder: Option<Decoder>,
    /// Container of the segments.
    pub segment_format: SegmentFormat,
    /// Length of a segment.
    pub segment_seconds: SegmentSeconds,
    /// Video renditions, largest first.
    pub video: Vec<VideoOutput>,
    /// Audio renditions, the default one first.
    pub audio: Vec<AudioOutput>,
    /// Subtitle renditions.
    pub subtitles: Vec<SubtitleOutput>,
    /// The storyboard; absent without video.
    pub storyboard: Option<Storyboard>,
    /// The samples on file descriptor 1; absent without audio.
    pub pcm: Option<Pcm>,
}

/// One video rendition: HLS media playlist and segments in a directory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoOutput {
    /// Directory, such as `v720`.
    pub directory: String,
    /// Size and cap.
    pub rendition: Rendition,
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// What encodes it.
    pub encoder: Encoder,
}

/// One audio rendition: HLS media playlist and segments in a directory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AudioOutput {
    /// Directory, such as `a0`.
    pub directory: String,
    /// The track that it is made of.
    pub track: AudioTrack,
    /// Samples per second and channel.
    pub sample_rate: u32,
}

/// One subtitle rendition: a WebVTT file, to be cut into segments.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubtitleOutput {
    /// Directory of its HLS rendition, such as `s0`.
    pub directory: String,
    /// File that FFmpeg writes.
    pub file: String,
    /// The track that it is made of.
    pub track: SubtitleTrack,
}

/// Interleaved signed 16-bit little-endian samples of the default audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pcm {
    /// Samples per second and channel: the source's own.
    pub sample_rate: u32,
    /// Number of channels: the source's own.
    pub channels: u32,
}

impl Plan {
    /// Plans everything for a source.
    pub fn new(request: &Request<'_>) -> Self {
        let source = request.source;
        let video = source.video.as_ref().map(|track| {
            let renditions = video::renditions(request, track);
            let nvenc = renditions.iter().any(|(_, encoder)| *encoder == Encoder::Nvenc);
            let route = Route::new(request, track, &renditions[0].0, nvenc);
            (track, renditions, route)
        });
        let hardware = video.as_ref().map_or(&[][..], |(_, _, route)| route.options());
        let mut builder = Builder::new(input(request, hardware));
        let mut outputs = Vec::new();
        let storyboard = video.as_ref().map(|(track, renditions, route)| {
            outputs = video::add(request, track, renditions, route, &mut builder);
            still::add_poster(track, source.duration, route, &mut builder);
            still::add_storyboard(track, source.duration, route, &mut builder)
        });
        let (audio, pcm) = audio::add(request, &mut builder);
        let subtitles = subtitle::add(source, &mut builder);
        let directories = outputs.iter().map(|output| &output.directory);
        let directories = directories.chain(audio.iter().map(|output| &output.directory));
        Self {
            directories: directories.cloned().collect(),
            args: builder.build(),
            duration: source.duration,
            decoder: video.map(|(_, _, route)| route.decoder),
            segment_format: request.pipeline.segment_format,
            segment_seconds: request.pipeline.segment_seconds,
            video: outputs,
            audio,
            subtitles,
            storyboard,
            pcm,
        }
    }

    /// Whether a GPU has a part in it.
    pub fn uses_gpu(&self) -> bool {
        self.decoder == Some(Decoder::Nvdec) || self.sessions() > 0
    }

    /// How many NVENC sessions it opens.
    pub fn sessions(&self) -> u32 {
        self.video.iter().filter(|output| output.encoder == Encoder::Nvenc).map(|_| 1).sum()
    }

    /// FFmpeg's name of the video encoder; where there are two, `h264_nvenc+libx264`. Absent without
    /// video.
    pub fn encoder(&self) -> Option<String> {
        let used = |encoder| self.video.iter().any(|output| output.encoder == encoder);
        let names = [Encoder::Nvenc, Encoder::X264].into_iter().filter(|encoder| used(*encoder));
        let names: Vec<&str> = names.map(Encoder::name).collect();
        (!names.is_empty()).then(|| names.join("+"))
    }
}

/// The input and its options, with everything off that could open a second file.
fn input(request: &Request<'_>, hardware: &[&str]) -> Vec<String> {
    let mut args: Vec<String> = hardware.iter().map(|arg| (*arg).to_owned()).collect();
    args.extend(confinement());
    // Against files that claim to end soon and never do. Where a container has no true duration
    // (raw streams, some MP3), FFmpeg's guess may be far too short.
    let exact = ["mov", "matroska", "avi", "wav", "flac", "ogg", "asf", "mxf"];
    let claims = [request.source.duration, request.source.container_duration];
    let limit = match claims.into_iter().flatten().reduce(f64::max) {
        Some(duration) if exact.iter().any(|name| request.source.format.starts_with(name)) => {
            (duration * 1.1 + 10.0).min(request.max_seconds)
        }
        _ => request.max_seconds,
    };
    if !request.source.subtitles.is_empty() {
        // Captions are often not in UTF-8, and FFmpeg would leave those out: whoever reads its
        // WebVTT finds out what they are in.
        args.extend(["-sub_charenc_mode:s", "ignore"].map(str::to_owned));
    }
    args.extend(["-t", &format!("{limit:.3}"), "-i", request.input].map(str::to_owned));
    args
}

/// Options before an input (of ffmpeg and ffprobe alike) that keep it from opening anything but
/// that one file, as one of [`FORMATS`].
pub fn confinement() -> [String; 4] {
    ["-protocol_whitelist", "file", "-format_whitelist", &FORMATS.join(",")].map(str::to_owned)
}

/// How many groups of pictures a segment has, such that key frames are at most two seconds apart.
///
/// FFmpeg is told to cut at every group, and the handler joins the pieces: so the first segment can
/// be a single group, and a player begin sooner, while all others have their full length.
pub const fn groups_per_segment(segment: SegmentSeconds) -> u8 {
    segment.get().div_ceil(2)
}

/// Length of a group for the muxer: rounded down to the microsecond, so that rounding never makes
/// it wait for the next key frame.
fn group_seconds(segment: SegmentSeconds) -> String {
    let micros = u32::from(segment.get()) * 1_000_000 / u32::from(groups_per_segment(segment));
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The arguments of an HLS output into `directory`, to be followed by nothing.
fn hls_output(directory: &str, pipeline: &Pipeline) -> Vec<String> {
    let (kind, options, extension) = match pipeline.segment_format {
        // An index in each piece would be wrong once pieces are joined.
        SegmentFormat::Cmaf => ("fmp4", "movflags=+frag_discont+skip_sidx", "m4s"),
        // Timestamps as they are: without the muxer's own delay both formats start alike.
        SegmentFormat::Ts => ("mpegts", "mpegts_copyts=1", "ts"),
    };
    let offset = START_SECONDS.to_string();
    let seconds = group_seconds(pipeline.segment_seconds);
    let segments = format!("{directory}/%06d.{extension}");
    let playlist = format!("{directory}/index.m3u8");
    [
        "-map_metadata",
        "-1",
        "-map_chapters",
        "-1",
        "-output_ts_offset",
        &offset,
        "-f",
        "hls",
        "-hls_time",
        &seconds,
        "-hls_list_size",
        "0",
        "-hls_playlist_type",
        "event",
        "-hls_flags",
        "independent_segments+temp_file",
        "-hls_segment_type",
        kind,
        "-hls_segment_options",
        options,
        "-hls_fmp4_init_filename",
        "init.mp4",
        "-hls_segment_filename",
        &segments,
        &playlist,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests;
