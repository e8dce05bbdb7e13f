//! Bit rates measured from segments.

use super::Segment;

/// Bits per second of a rendition, containers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bandwidth {
    /// The peak: of any run of segments that together last between half and one and a half target
    /// durations, the highest (RFC 8216 section 4.1).
    pub peak: u64,
    /// All bits over the whole duration.
    pub average: u64,
}

impl Bandwidth {
    /// Measures the segments of one rendition; `None` if there are none, or none that last.
    pub fn measure(segments: &[Segment], target_seconds: u32) -> Option<Self> {
        let average = rate(segments)?;
        let target = f64::from(target_seconds);
        let mut peak: Option<u64> = None;
        for start in 0..segments.len() {
            let (mut seconds, mut end) = (0.0, start);
            while end < segments.len() && seconds + segments[end].seconds <= target * 1.5 {
                seconds += segments[end].seconds;
                end += 1;
                if seconds >= target * 0.5 {
                    peak = peak.max(rate(&segments[start..end]));
                }
            }
        }
        // A clip shorter than half a segment has no such run: it is its own peak.
        Some(Self { peak: peak.unwrap_or(average), average })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sizes of files, far below 2^52 bits"
)]
fn rate(segments: &[Segment]) -> Option<u64> {
    let seconds: f64 = segments.iter().map(|segment| segment.seconds).sum();
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    (seconds > 0.0).then(|| (bytes as f64 * 8.0 / seconds).ceil() as u64)
}
