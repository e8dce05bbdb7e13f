//! The multivariant playlist.

use std::fmt::{self, Display};

use super::{Bandwidth, text::Names};
use crate::{
    frame_rate::FrameRate,
    job::SegmentFormat,
    plan::{AUDIO_BIT_RATE, Plan},
    probe::{AudioTrack, SubtitleTrack},
};

/// RFC 6381 name of AAC-LC, which all audio renditions are.
const AAC_LC: &str = "mp4a.40.2";
/// What containers add to the cap of an encoder, at most: one part in this many.
const OVERHEAD: u64 = 10;

/// Everything that the multivariant playlist says.
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant {
    /// Container of the segments.
    pub segment_format: SegmentFormat,
    /// Video renditions, in the order to list them; none makes an audio-only playlist.
    pub video: Vec<Variant>,
    /// Audio renditions, the default one first.
    pub audio: Vec<AudioRendition>,
    /// Subtitle renditions.
    pub subtitles: Vec<SubtitleRendition>,
}

/// One video rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Directory of its playlists, such as `v720`.
    pub directory: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// RFC 6381 name of its codec with profile and level, once known.
    pub codec: Option<String>,
    /// The most bits per second that its encoder may spend.
    pub max_bit_rate: u32,
    /// Measured, once complete.
    pub bandwidth: Option<Bandwidth>,
    /// Measured bandwidth of its I-frame playlist, if there is one.
    pub i_frames: Option<Bandwidth>,
}

/// One audio rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioRendition {
    /// Directory of its playlist, such as `a0`.
    pub directory: String,
    /// The track that it is made of.
    pub track: AudioTrack,
    /// Measured, once complete.
    pub bandwidth: Option<Bandwidth>,
}

/// One subtitle rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct SubtitleRendition {
    /// Directory of its playlist, such as `s0`.
    pub directory: String,
    /// The track that it is made of.
    pub track: SubtitleTrack,
}

impl Multivariant {
    /// What a plan will make, with nothing measured and no subtitles yet.
    pub fn provisional(plan: &Plan) -> Self {
        let variants = plan.video.iter().map(|output| Variant {
            directory: output.directory.clone(),
            width: output.rendition.width,
            height: output.rendition.height,
            frame_rate: output.frame_rate,
            codec: None,
            max_bit_rate: output.rendition.max_bit_rate,
            bandwidth: None,
            i_frames: None,
        });
        let audio = plan.audio.iter().map(|output| AudioRendition {
            directory: output.directory.clone(),
            track: output.track.clone(),
            bandwidth: None,
        });
        Self {
            segment_format: plan.segment_format,
            video: variants.collect(),
            audio: audio.collect(),
            subtitles: Vec::new(),
        }
    }

    /// `BANDWIDTH` and, when all is measured, `AVERAGE-BANDWIDTH` of the largest audio rendition.
    fn audio_bandwidth(&self) -> (u64, Option<u64>) {
        let peak = |audio: &AudioRendition| {
            audio.bandwidth.map_or(with_overhead(AUDIO_BIT_RATE), |b| b.peak)
        };
        let average = |audio: &AudioRendition| audio.bandwidth.map(|b| b.average);
        let averages: Option<Vec<u64>> = self.audio.iter().map(average).collect();
        let largest = averages.map(|averages| averages.into_iter().max().unwrap_or(0));
        (self.audio.iter().map(peak).max().unwrap_or(0), largest)
    }

    fn write_audio(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Names::default();
        for (number, audio) in self.audio.iter().enumerate() {
            let track = &audio.track;
            let name = names.name(track.title.as_deref(), track.language.as_deref(), "Audio");
            write!(f, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{name}\"")?;
            write_language(f, track.language.as_deref())?;
            let default = if number == 0 { "YES" } else { "NO" };
            let directory = &audio.directory;
            writeln!(
                f,
                ",DEFAULT={default},AUTOSELECT=YES,CHANNELS=\"2\",URI=\"{directory}/index.m3u8\""
            )?;
        }
        Ok(())
    }

    fn write_subtitles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Names::default();
        for SubtitleRendition { directory, track } in &self.subtitles {
            let name = names.name(track.title.as_deref(), track.language.as_deref(), "Subtitles");
            write!(f, "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"{name}\"")?;
            write_language(f, track.language.as_deref())?;
            // Never shown unasked: files mark their first track as default out of habit.
            let forced = if track.forced { "YES" } else { "NO" };
            write!(f, ",DEFAULT=NO,AUTOSELECT=YES,FORCED={forced}")?;
            if track.hearing_impaired {
                f.write_str(
                    ",CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog,\
                     public.accessibility.describes-music-and-sound\"",
                )?;
            }
            writeln!(f, ",URI=\"{directory}/index.m3u8\"")?;
        }
        Ok(())
    }

    fn write_variant(&self, f: &mut fmt::Formatter<'_>, variant: &Variant) -> fmt::Result {
        let (audio_peak, audio_average) = self.audio_bandwidth();
        let video_peak = variant.bandwidth.map_or(with_overhead(variant.max_bit_rate), |b| b.peak);
        write!(f, "#EXT-X-STREAM-INF:BANDWIDTH={}", video_peak + audio_peak)?;
        if let (Some(video), Some(audio)) = (variant.bandwidth, audio_average) {
            write!(f, ",AVERAGE-BANDWIDTH={}", video.average + audio)?;
        }
        if let Some(codec) = &variant.codec {
            let audio = if self.audio.is_empty() { String::new() } else { format!(",{AAC_LC}") };
            write!(f, ",CODECS=\"{codec}{audio}\"")?;
        }
        let Variant { width, height, directory, .. } = variant;
        let rate = variant.frame_rate.as_f64();
        write!(f, ",RESOLUTION={width}x{height},FRAME-RATE={rate:.3}")?;
        if !self.audio.is_empty() {
            f.write_str(",AUDIO=\"audio\"")?;
        }
        if !self.subtitles.is_empty() {
            f.write_str(",SUBTITLES=\"subtitles\"")?;
        }
        writeln!(f, ",CLOSED-CAPTIONS=NONE\n{directory}/index.m3u8")
    }

    fn write_audio_only(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.audio.first() else { return Ok(()) };
        let (peak, average) = self.audio_bandwidth();
        write!(f, "#EXT-X-STREAM-INF:BANDWIDTH={peak}")?;
        if let Some(average) = average {
            write!(f, ",AVERAGE-BANDWIDTH={average}")?;
        }
        write!(f, ",CODECS=\"{AAC_LC}\",AUDIO=\"audio\"")?;
        if !self.subtitles.is_empty() {
            f.write_str(",SUBTITLES=\"subtitles\"")?;
        }
        writeln!(f, "\n{}/index.m3u8", first.directory)
    }
}

impl Display for Multivariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.segment_format {
            SegmentFormat::Cmaf => 7,
            SegmentFormat::Ts => 4,
        };
        writeln!(f, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-INDEPENDENT-SEGMENTS")?;
        self.write_audio(f)?;
        self.write_subtitles(f)?;
        if self.video.is_empty() {
            return self.write_audio_only(f);
        }
        for variant in &self.video {
            self.write_variant(f, variant)?;
        }
        for variant in &self.video {
            let (Some(bandwidth), Some(codec)) = (variant.i_frames, &variant.codec) else {
                continue;
            };
            let Bandwidth { peak, average } = bandwidth;
            let Variant { width, height, directory, .. } = variant;
            writeln!(
                f,
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},\
                 CODECS=\"{codec}\",RESOLUTION={width}x{height},URI=\"{directory}/iframes.m3u8\""
            )?;
        }
        Ok(())
    }
}

fn write_language(f: &mut fmt::Formatter<'_>, language: Option<&str>) -> fmt::Result {
    match language.and_then(super::language_tag) {
        Some(tag) => write!(f, ",LANGUAGE=\"{tag}\""),
        None => Ok(()),
    }
}

fn with_overhead(bit_rate: u32) -> u64 {
    u64::from(bit_rate) + u64::from(bit_rate) / OVERHEAD
}
