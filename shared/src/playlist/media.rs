//! Media playlists and I-frame playlists.

use std::fmt::{self, Display, Write};

use crate::job::{SegmentFormat, SegmentSeconds};

/// One stored media segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Duration in seconds.
    pub seconds: f64,
    /// Size in bytes.
    pub bytes: u64,
    /// Size of its head up to the end of the first key frame, in bytes; `None` without video.
    pub key_frame_bytes: Option<u64>,
}

/// What the segments of a rendition are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Cmaf,
    Ts,
    WebVtt,
}

/// The playlist of one rendition, whose segments are named by their number.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist {
    container: Container,
    nominal_seconds: u8,
    /// The segments so far.
    pub segments: Vec<Segment>,
    /// Whether they are all.
    pub ended: bool,
}

impl MediaPlaylist {
    /// An empty playlist of audio or video.
    pub const fn new(format: SegmentFormat, nominal: SegmentSeconds) -> Self {
        let container = match format {
            SegmentFormat::Cmaf => Container::Cmaf,
            SegmentFormat::Ts => Container::Ts,
        };
        Self { container, nominal_seconds: nominal.get(), segments: Vec::new(), ended: false }
    }

    /// A complete playlist of WebVTT segments that last `seconds` each. Subtitles may have a target
    /// duration of their own (RFC 8216 section 6.2.4).
    pub fn web_vtt(seconds: &[f64]) -> Self {
        let segment = |&seconds| Segment { seconds, bytes: 0, key_frame_bytes: None };
        Self {
            container: Container::WebVtt,
            nominal_seconds: 1,
            segments: seconds.iter().map(segment).collect(),
            ended: true,
        }
    }

    /// Name of a segment's file, such as `000007.m4s`.
    pub fn segment_name(&self, number: usize) -> String {
        let extension = match self.container {
            Container::Cmaf => "m4s",
            Container::Ts => "ts",
            Container::WebVtt => "vtt",
        };
        format!("{number:06}.{extension}")
    }

    /// Name of the initialization segment's file, if the container has one.
    pub fn init_name(&self) -> Option<&'static str> {
        (self.container == Container::Cmaf).then_some("init.mp4")
    }

    /// `EXT-X-TARGETDURATION`: no segment rounds to more, and, as it must not change while the
    /// playlist grows, never less than what segments are meant to last.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of one segment, above 0, and `as` saturates"
    )]
    pub fn target_seconds(&self) -> u32 {
        let longest = self.segments.iter().map(|segment| segment.seconds).fold(0.0, f64::max);
        (longest.round() as u32).max(u32::from(self.nominal_seconds))
    }

    /// The I-frame playlist: the first frame of every segment. `None` unless all segments have one.
    pub fn i_frames(&self) -> Option<String> {
        let mut text = self.head(true);
        for (number, segment) in self.segments.iter().enumerate() {
            let bytes = segment.key_frame_bytes?;
            let name = self.segment_name(number);
            let seconds = segment.seconds;
            let entry = format!("#EXTINF:{seconds:.5},\n#EXT-X-BYTERANGE:{bytes}@0\n{name}\n");
            text.push_str(&entry);
        }
        text.push_str("#EXT-X-ENDLIST\n");
        (!self.segments.is_empty()).then_some(text)
    }

    fn head(&self, i_frames_only: bool) -> String {
        // RFC 8216 section 7: EXT-X-MAP outside I-frame playlists needs 6, ranges need 4.
        let version = if self.container == Container::Cmaf { 7 } else { 4 };
        let target = self.target_seconds();
        let kind = if self.ended { "VOD" } else { "EVENT" };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n\
             #EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:{kind}\n"
        );
        if i_frames_only {
            text.push_str("#EXT-X-I-FRAMES-ONLY\n");
        } else {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if let Some(name) = self.init_name() {
            writeln!(text, "#EXT-X-MAP:URI=\"{name}\"").expect("a string takes all");
        }
        text
    }
}

impl Display for MediaPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head(false))?;
        for (number, segment) in self.segments.iter().enumerate() {
            let name = self.segment_name(number);
            writeln!(f, "#EXTINF:{:.5},\n{name}", segment.seconds)?;
        }
        if self.ended { f.write_str("#EXT-X-ENDLIST\n") } else { Ok(()) }
    }
}

/// A segment that FFmpeg has finished writing.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalSegment {
    /// Name of its file.
    pub name: String,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Reads the playlist that FFmpeg's HLS muxer keeps while it works: the finished segments after the
/// first `skip`, and whether there will be no more.
pub fn read_local(text: &str, skip: usize) -> (Vec<LocalSegment>, bool) {
    let mut segments = Vec::new();
    let mut seconds = None;
    let mut seen = 0;
    let mut ended = false;
    for line in text.lines() {
        if let Some(duration) = line.strip_prefix("#EXTINF:") {
            seconds = duration.trim_end_matches(',').parse().ok();
        } else if line == "#EXT-X-ENDLIST" {
            ended = true;
        } else if !line.starts_with('#')
            && let Some(seconds) = seconds.take()
        {
            if seen >= skip {
                segments.push(LocalSegment { name: line.to_owned(), seconds });
            }
            seen += 1;
        }
    }
    (segments, ended)
}
