//! What ffprobe prints: `-of json -show_format -show_streams`, as far as it is of use.
//!
//! Numbers come as strings, and anything may be missing or absurd, since the file may be hostile.

use std::collections::BTreeMap;

use serde::Deserialize;

/// ffprobe's output.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Probe {
    /// All streams, in the file's order.
    #[serde(default)]
    pub(super) streams: Vec<Stream>,
    /// The container.
    #[serde(default)]
    pub(super) format: Format,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Format {
    #[serde(default)]
    pub(super) format_name: String,
    pub(super) duration: Option<String>,
    pub(super) bit_rate: Option<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Stream {
    pub(super) index: u32,
    pub(super) codec_type: Option<String>,
    pub(super) codec_name: Option<String>,
    pub(super) profile: Option<String>,
    #[serde(default)]
    pub(super) width: u32,
    #[serde(default)]
    pub(super) height: u32,
    pub(super) pix_fmt: Option<String>,
    pub(super) sample_aspect_ratio: Option<String>,
    pub(super) r_frame_rate: Option<String>,
    pub(super) avg_frame_rate: Option<String>,
    pub(super) field_order: Option<String>,
    pub(super) color_range: Option<String>,
    pub(super) color_transfer: Option<String>,
    pub(super) color_primaries: Option<String>,
    pub(super) color_space: Option<String>,
    pub(super) start_time: Option<String>,
    pub(super) duration: Option<String>,
    pub(super) sample_rate: Option<String>,
    #[serde(default)]
    pub(super) channels: u32,
    #[serde(default)]
    pub(super) disposition: BTreeMap<String, i64>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) side_data_list: Vec<SideData>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct SideData {
    /// Degrees, counter-clockwise, from the display matrix.
    pub(super) rotation: Option<f64>,
}

impl Probe {
    /// Reads ffprobe's JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

impl Stream {
    pub(super) fn is(&self, kind: &str) -> bool {
        self.codec_type.as_deref() == Some(kind)
    }

    pub(super) fn has(&self, disposition: &str) -> bool {
        self.disposition.get(disposition).is_some_and(|flag| *flag != 0)
    }

    /// The codec's name; ffprobe leaves it out or says so when it knows none.
    pub(super) fn codec(&self) -> Option<&str> {
        self.codec_name.as_deref().filter(|name| !matches!(*name, "unknown" | "none"))
    }

    /// A tag's value, in whatever case its key is written, shortened to 100 characters.
    pub(super) fn tag(&self, key: &str) -> Option<String> {
        let value = tag(&self.tags, key)?.trim();
        let value: String = value.chars().filter(|c| !c.is_control()).take(100).collect();
        (!value.is_empty()).then_some(value)
    }

    /// Start and end on the container's clock in seconds, as far as it or the tag `DURATION` claims
    /// them, in which Matroska has what its own header does not.
    pub(super) fn span(&self, container: &Format) -> Option<(f64, f64)> {
        let start = self.start_time.as_deref().and_then(|text| text.parse::<f64>().ok());
        let start = start.filter(|seconds| seconds.is_finite()).unwrap_or(0.0);
        if let Some(length) = seconds(self.duration.as_deref()) {
            return Some((start, start + length));
        }
        let tagged = clock(tag(&self.tags, "DURATION")?)?;
        // FFmpeg's muxer writes when the stream ends, others how long it lasts.
        let ends = tag(&container.tags, "ENCODER").is_some_and(|name| name.starts_with("Lavf"));
        let end = if ends && tagged > start { tagged } else { start + tagged };
        // Tags outlive cutting and splicing.
        Some((start, seconds(container.duration.as_deref()).map_or(end, |whole| whole.min(end))))
    }

    /// Whether the picture is turned by a quarter.
    pub(super) fn quarter_turned(&self) -> bool {
        let rotation = self.side_data_list.iter().find_map(|side| side.rotation).unwrap_or(0.0);
        (rotation.rem_euclid(180.0) - 90.0).abs() < 45.0
    }

    pub(super) fn rotated(&self) -> bool {
        self.side_data_list.iter().any(|side| side.rotation.is_some())
    }
}

/// A tag's value, in whatever case its key is written.
fn tag<'a>(tags: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    let (_, value) = tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
    Some(value)
}

/// `HH:MM:SS.fraction` in seconds, above 0.
fn clock(text: &str) -> Option<f64> {
    let [hours, minutes, rest] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let whole =
        f64::from(hours.parse::<u32>().ok()?) * 60.0 + f64::from(minutes.parse::<u32>().ok()?);
    Some(whole * 60.0 + seconds(Some(rest)).unwrap_or(0.0)).filter(|total| *total > 0.0)
}

/// A number of seconds that makes sense: finite and above 0.
pub(super) fn seconds(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0)
}
