//! The video track: which stream it is, how it looks to a viewer, and what its colours are.

use serde::Serialize;

use super::{Limits, decodable, ffprobe::Stream};
use crate::{
    frame_rate::FrameRate,
    job::{Failure, FailureCode},
};

/// The video track of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoTrack {
    /// Index among all streams of the source.
    pub index: u32,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Profile of the codec, as FFmpeg names it.
    pub profile: Option<String>,
    /// Width as it is coded, in pixels.
    pub coded_width: u32,
    /// Height as it is coded, in pixels.
    pub coded_height: u32,
    /// Width as a viewer sees it: turned, with square pixels.
    pub width: u32,
    /// Height as a viewer sees it.
    pub height: u32,
    /// Whether the source is to be turned or mirrored for display.
    pub rotated: bool,
    /// The constant frame rate to make.
    pub frame_rate: FrameRate,
    /// Whether it is to be deinterlaced.
    pub interlaced: bool,
    /// FFmpeg's name of the pixel format; unknown where nothing could be decoded while probing.
    pub pixel_format: Option<String>,
    /// Whether luma takes all values (0 to 255), and not those of television (16 to 235).
    pub full_range: bool,
    /// What the colours need.
    pub colour: Colour,
}

/// What the colours of a video need to be seen right on an SDR screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Colour {
    /// Nothing.
    Sdr,
    /// Wide gamut (BT.2020) at standard range: mapped to BT.709.
    Wide,
    /// HDR with the perceptual quantizer (SMPTE ST 2084, HDR10): tone-mapped.
    Pq,
    /// HDR with hybrid log-gamma (ARIB STD-B67): tone-mapped.
    Hlg,
}

/// Finds the video track: of those that are pictures in motion the one marked as default, and of
/// several the largest.
pub(super) fn select(
    streams: &[Stream],
    limits: &Limits,
    can_decode: &dyn Fn(&str) -> bool,
) -> Result<Option<VideoTrack>, Failure> {
    let motion = |stream: &&Stream| {
        stream.is("video") && !stream.has("attached_pic") && !stream.has("timed_thumbnails")
    };
    let rank = |stream: &Stream| {
        (stream.has("default"), u64::from(stream.width) * u64::from(stream.height))
    };
    // The first of equals: `max_by_key` would take the last.
    let Some(stream) = streams.iter().rev().filter(motion).max_by_key(|stream| rank(stream)) else {
        return Ok(None);
    };
    let codec = decodable(stream, can_decode)?;
    if stream.width == 0 || stream.height == 0 {
        return Err(Failure::new(FailureCode::CorruptMedia, "the video has no picture size"));
    }
    limits.check_pixels(stream.width, stream.height)?;
    let (width, height) = displayed(stream);
    let rate = |text: &Option<String>| text.as_deref().and_then(FrameRate::parse);
    let interlaced = interlaced(stream);
    let average = rate(&stream.avg_frame_rate);
    // Where fields are coded one by one, they are what is timed; woven, each two are a frame.
    let fields = |common: &FrameRate| interlaced && average.is_some_and(|a| common.doubles(a));
    let common = rate(&stream.r_frame_rate).filter(|common| !fields(common)).or(average);
    Ok(Some(VideoTrack {
        index: stream.index,
        codec: codec.to_owned(),
        profile: stream.profile.clone(),
        coded_width: stream.width,
        coded_height: stream.height,
        width,
        height,
        rotated: stream.rotated(),
        frame_rate: FrameRate::choose(common, average),
        interlaced,
        pixel_format: stream.pix_fmt.clone().filter(|format| format != "unknown"),
        full_range: stream.color_range.as_deref() == Some("pc")
            || stream.pix_fmt.as_deref().is_some_and(|format| format.starts_with("yuvj")),
        colour: colour(stream),
    }))
}

/// Whether the video may be interlaced; every frame says for itself whether it is. Of DV ffprobe tells
/// nothing, and hardly any is not.
fn interlaced(stream: &Stream) -> bool {
    match stream.field_order.as_deref() {
        Some("tt" | "bb" | "tb" | "bt") => true,
        None | Some("unknown") => stream.codec_name.as_deref() == Some("dvvideo"),
        Some(_) => false,
    }
}

/// Size with square pixels, then turned. Pixels are widened or heightened rather than narrowed, so
/// that no detail is lost; a pixel aspect beyond 1:8 is taken for nonsense.
fn displayed(stream: &Stream) -> (u32, u32) {
    let aspect = stream.sample_aspect_ratio.as_deref().and_then(|text| {
        let (horizontal, vertical) = text.split_once(':')?;
        let aspect = horizontal.parse::<f64>().ok()? / vertical.parse::<f64>().ok()?;
        (0.125..=8.0).contains(&aspect).then_some(aspect)
    });
    let (width, height) = match aspect {
        Some(wide) if wide > 1.0 => (scaled(stream.width, wide), stream.height),
        Some(tall) => (stream.width, scaled(stream.height, 1.0 / tall)),
        None => (stream.width, stream.height),
    };
    if stream.quarter_turned() { (height, width) } else { (width, height) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a u32 times at most 8, and `as` saturates"
)]
fn scaled(size: u32, factor: f64) -> u32 {
    (f64::from(size) * factor).round() as u32
}

fn colour(stream: &Stream) -> Colour {
    let wide = stream.color_primaries.as_deref() == Some("bt2020")
        || stream.color_space.as_deref() == Some("bt2020nc");
    match stream.color_transfer.as_deref() {
        Some("smpte2084") => Colour::Pq,
        Some("arib-std-b67") => Colour::Hlg,
        _ if wide => Colour::Wide,
        _ => Colour::Sdr,
    }
}
