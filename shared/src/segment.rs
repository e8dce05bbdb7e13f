//! A look into the segments that FFmpeg writes: where the first key frame ends, and which codec
//! with which profile and level it is. Written by us, but read with care all the same.

mod cmaf;
mod ts;

use crate::job::SegmentFormat;

/// What a video segment begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFrame {
    /// Bytes from the start of the segment to the end of its first frame.
    pub end: u64,
}

/// Finds the end of the first frame of a video segment, which is a key frame since segments are
/// independent. `None` if the segment is not understood: the I-frame playlist is then left out.
pub fn first_key_frame(format: SegmentFormat, segment: &[u8]) -> Option<KeyFrame> {
    let end = match format {
        SegmentFormat::Cmaf => cmaf::first_sample_end(segment)?,
        SegmentFormat::Ts => ts::first_frame_end(segment)?,
    };
    (end <= segment.len()).then_some(KeyFrame { end: end as u64 })
}

/// The RFC 6381 name of the H.264 video, such as `avc1.64001f`: from the initialization segment for
/// CMAF, from any segment for TS.
pub fn video_codec(format: SegmentFormat, bytes: &[u8]) -> Option<String> {
    let [profile, compatibility, level] = match format {
        SegmentFormat::Cmaf => cmaf::h264_profile(bytes)?,
        SegmentFormat::Ts => ts::h264_profile(bytes)?,
    };
    Some(format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"))
}

#[cfg(test)]
mod tests;
