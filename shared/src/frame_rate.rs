//! Frame rates as exact fractions, and the choice of one constant rate for a source.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The highest rate that is made; faster sources are thinned out.
pub const MAX_OUTPUT: f64 = 60.0;
/// The lowest rate that is made; slower sources repeat frames, which costs next to nothing.
const MIN_OUTPUT: f64 = 5.0;
/// A claim above this is no frame rate but a time base.
const MAX_CLAIM: f64 = 240.0;

/// Frames per second as `numerator/denominator`, both above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

/// The rates that cameras and films have.
const STANDARD: [FrameRate; 14] = [
    FrameRate::new(5, 1),
    FrameRate::new(10, 1),
    FrameRate::new(25, 2),
    FrameRate::new(15, 1),
    FrameRate::new(20, 1),
    FrameRate::new(24_000, 1001),
    FrameRate::new(24, 1),
    FrameRate::new(25, 1),
    FrameRate::new(30_000, 1001),
    FrameRate::new(30, 1),
    FrameRate::new(48, 1),
    FrameRate::new(50, 1),
    FrameRate::new(60_000, 1001),
    FrameRate::new(60, 1),
];

impl FrameRate {
    /// A rate; `numerator` and `denominator` must not be 0.
    pub const fn new(numerator: u32, denominator: u32) -> Self {
        assert!(numerator > 0 && denominator > 0, "a frame rate has no zeroes");
        Self { numerator, denominator }
    }

    /// Reads `30000/1001`; `0/0` and the like are `None`, as ffprobe means them.
    pub fn parse(text: &str) -> Option<Self> {
        let (numerator, denominator) = text.split_once('/')?;
        let (numerator, denominator) = (numerator.parse().ok()?, denominator.parse().ok()?);
        (numerator > 0 && denominator > 0).then_some(Self { numerator, denominator })
    }

    /// The rate as a number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The constant rate to encode a source at, from ffprobe's two claims.
    ///
    /// `lowest_common` (`r_frame_rate`) is the slowest rate that hits every timestamp, `average`
    /// counts frames. Where they agree, that is the rate. Where they do not, the source is
    /// variable: up to 60 the lowest common rate loses no frame; a higher one is a mere time base,
    /// and at least 30 keeps bursts of motion.
    pub fn choose(lowest_common: Option<Self>, average: Option<Self>) -> Self {
        let sane = |rate: &Self| rate.as_f64() <= MAX_CLAIM;
        let chosen = match (lowest_common.filter(sane), average.filter(sane)) {
            (Some(common), Some(average)) if common.is_near(average, 0.02) => common,
            (Some(common), Some(_) | None) if common.as_f64() <= MAX_OUTPUT => common,
            (_, Some(average)) => Self::at_least(average.as_f64().max(30.0)),
            (Some(common), None) => common,
            (None, None) => Self::new(30, 1),
        };
        chosen.standardised()
    }

    /// Whether this is twice the other rate, but for rounding.
    pub fn doubles(self, other: Self) -> bool {
        (self.as_f64() / other.as_f64() / 2.0 - 1.0).abs() < 0.02
    }

    /// Snaps to a standard rate where the difference is mere rounding (less than that between 24
    /// and 23.976), and halves or clamps what lies outside the range of outputs.
    fn standardised(self) -> Self {
        let mut rate = self;
        while rate.as_f64() > MAX_OUTPUT * 1.001 && rate.denominator < u32::MAX / 2 {
            rate.denominator *= 2;
        }
        if rate.as_f64() < MIN_OUTPUT {
            return Self::at_least(MIN_OUTPUT);
        }
        STANDARD.into_iter().find(|standard| standard.is_near(rate, 0.0005)).unwrap_or(rate)
    }

    fn at_least(rate: f64) -> Self {
        let enough = |standard: &Self| standard.as_f64() >= rate * 0.9995;
        STANDARD.into_iter().find(enough).unwrap_or(Self::new(60, 1))
    }

    fn is_near(self, other: Self, tolerance: f64) -> bool {
        (self.as_f64() / other.as_f64() - 1.0).abs() < tolerance
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl Serialize for FrameRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a frame rate"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::constant("30/1", "30/1", "30/1")]
    #[case::ntsc("30000/1001", "30000/1001", "30000/1001")]
    #[case::film_is_not_23_976("24/1", "24/1", "24/1")]
    #[case::rounded("90000/3001", "90000/3001", "30/1")]
    #[case::phone("359/12", "2505000/83831", "359/12")]
    #[case::drops_half_its_frames("30/1", "630000/47281", "30/1")]
    #[case::field_coded("60000/1001", "30000/1001", "60000/1001")]
    #[case::screen_recording("1000/1", "8/1", "30/1")]
    #[case::time_base_and_fast("90000/1", "59/1", "60000/1001")]
    #[case::average_is_nonsense("60/1", "1000/1", "60/1")]
    #[case::action_camera("120/1", "120/1", "60/1")]
    #[case::ntsc_action_camera("120000/1001", "120000/1001", "60000/1001")]
    #[case::hostile("10000/1", "10000/1", "30/1")]
    #[case::slide_show("1/33333333", "1/33333333", "5/1")]
    #[case::unknown("0/0", "0/0", "30/1")]
    #[case::no_average("25/1", "0/0", "25/1")]
    #[case::malformed("25", "x/y", "30/1")]
    fn chooses(#[case] common: &str, #[case] average: &str, #[case] expected: &str) {
        let chosen = FrameRate::choose(FrameRate::parse(common), FrameRate::parse(average));
        assert_eq!(chosen.to_string(), expected);
    }
}
