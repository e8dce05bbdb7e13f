//! The ladder of video renditions.
//!
//! Each rung is a cap on size and bit rate, not a target: the encoder works at constant quality and
//! the cap only limits it. Sizes go by the *short side*, so that a portrait video's "1080p" is 1080
//! wide. Nothing is ever upscaled: the first rendition is the source's own size or the top rung's,
//! whichever is smaller, and smaller rungs follow.

use serde::Serialize;

/// A rung: short side in pixels and the most bits per second.
const RUNGS: [(u32, u32); 4] =
    [(1080, 5_000_000), (720, 2_500_000), (480, 1_000_000), (360, 600_000)];

/// The most renditions that a ladder has.
pub const MOST: u32 = 4;

/// The widest aspect at full height, 32:9. Beyond it, as with a panorama of many cameras,
/// the bit rate would not suffice and decoders give up.
const MAX_AREA: f64 = 32.0 / 9.0;

/// One video rendition to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendition {
    /// What it is called: the "720" of 720p, unique within a ladder.
    pub name: u32,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// The most bits per second that the encoder may spend.
    pub max_bit_rate: u32,
}

/// The renditions of a picture that is displayed at `width` × `height`, largest first; at least one.
pub fn ladder(width: u32, height: u32) -> Vec<Rendition> {
    let short_side = even_below(width.min(height)).min(RUNGS[0].0);
    // The source's own size, under the cap of the smallest rung that holds it, ...
    let (_, cap) = RUNGS.into_iter().rfind(|(side, _)| *side >= short_side).unwrap_or(RUNGS[0]);
    // ... and every rung that is noticeably smaller.
    let smaller = RUNGS.into_iter().filter(|(side, _)| side * 16 <= short_side * 15);
    std::iter::once((short_side, cap))
        .chain(smaller)
        .map(|(side, max_bit_rate)| rendition(width, height, side, max_bit_rate))
        .collect()
}

fn rendition(width: u32, height: u32, side: u32, max_bit_rate: u32) -> Rendition {
    let (source_width, source_height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let by_side = f64::from(side) / source_width.min(source_height);
    let area = f64::from(side) * f64::from(side) * MAX_AREA;
    let by_area = (area / (source_width * source_height)).sqrt();
    let scale = by_side.min(by_area);
    let fit = |size: u32| even(f64::from(size) * scale).min(even_below(size));
    Rendition { name: side, width: fit(width), height: fit(height), max_bit_rate }
}

/// The largest even size that is no upscaling, at least 2: 4:2:0 pictures have no odd sizes.
fn even_below(size: u32) -> u32 {
    (size / 2).max(1) * 2
}

/// The nearest even size.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive size of a picture, and `as` saturates"
)]
fn even(size: f64) -> u32 {
    ((size / 2.0).round() as u32).max(1) * 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn sizes(width: u32, height: u32) -> Vec<(u32, u32, u32)> {
        ladder(width, height).iter().map(|r| (r.name, r.width, r.height)).collect()
    }

    #[rstest]
    #[case::full_hd(1920, 1080, &[(1080, 1920, 1080), (720, 1280, 720), (480, 854, 480), (360, 640, 360)])]
    #[case::uhd(3840, 2160, &[(1080, 1920, 1080), (720, 1280, 720), (480, 854, 480), (360, 640, 360)])]
    #[case::hd(1280, 720, &[(720, 1280, 720), (480, 854, 480), (360, 640, 360)])]
    #[case::portrait(1080, 1920, &[(1080, 1080, 1920), (720, 720, 1280), (480, 480, 854), (360, 360, 640)])]
    #[case::cinema(1920, 800, &[(800, 1920, 800), (720, 1728, 720), (480, 1152, 480), (360, 864, 360)])]
    #[case::between(960, 540, &[(540, 960, 540), (480, 854, 480), (360, 640, 360)])]
    #[case::odd(853, 479, &[(478, 852, 478), (360, 642, 360)])]
    #[case::cropped(1920, 1078, &[(1078, 1920, 1078), (720, 1282, 720), (480, 854, 480), (360, 642, 360)])]
    #[case::hardly_smaller(660, 372, &[(372, 660, 372)])]
    #[case::tiny(160, 90, &[(90, 160, 90)])]
    #[case::speck(1, 1, &[(2, 2, 2)])]
    #[case::panorama(8192, 1080, &[(1080, 5608, 740), (720, 3740, 492), (480, 2492, 328), (360, 1870, 246)])]
    fn fits(#[case] width: u32, #[case] height: u32, #[case] expected: &[(u32, u32, u32)]) {
        assert_eq!(sizes(width, height), expected);
    }

    #[test]
    fn caps_are_those_of_the_rung_that_holds_the_picture() {
        let caps = |w, h| ladder(w, h).iter().map(|r| r.max_bit_rate).collect::<Vec<_>>();
        assert_eq!(caps(1920, 1080), [5_000_000, 2_500_000, 1_000_000, 600_000]);
        assert_eq!(caps(960, 540), [2_500_000, 1_000_000, 600_000]);
        assert_eq!(caps(160, 90), [600_000]);
    }

    proptest! {
        #[test]
        fn never_upscales_and_keeps_the_aspect(width in 16u32..16384, height in 16u32..16384) {
            let ladder = ladder(width, height);
            prop_assert!((1..=4).contains(&ladder.len()));
            for rendition in &ladder {
                prop_assert!(rendition.width % 2 == 0 && rendition.height % 2 == 0);
                prop_assert!(rendition.width <= width && rendition.height <= height);
                let long = f64::from(width.max(height)) / f64::from(width.min(height));
                let (w, h) = (f64::from(rendition.width), f64::from(rendition.height));
                prop_assert!((w.max(h) / w.min(h) / long - 1.0).abs() < 3.0 / w.min(h));
            }
            for pair in ladder.windows(2) {
                prop_assert!(pair[0].name > pair[1].name);
                prop_assert!(pair[0].max_bit_rate > pair[1].max_bit_rate);
            }
        }
    }
}
