//! The fixtures are FFmpeg's own: `testsrc2=s=64x36:r=10:d=1`, one key frame, High profile. The
//! expected positions are those that ffprobe shows for the first packets.

use proptest::prelude::*;

use super::*;

const INIT: &[u8] = include_bytes!("fixtures/init.mp4");
const CMAF: &[u8] = include_bytes!("fixtures/0.m4s");
const TS: &[u8] = include_bytes!("fixtures/0.ts");

#[test]
fn finds_the_first_key_frame() {
    assert_eq!(first_key_frame(SegmentFormat::Cmaf, CMAF), Some(KeyFrame { end: 268 + 1514 }));
    assert_eq!(first_key_frame(SegmentFormat::Ts, TS), Some(KeyFrame { end: 2256 }));
}

#[test]
fn names_the_codec() {
    assert_eq!(video_codec(SegmentFormat::Cmaf, INIT).as_deref(), Some("avc1.64000a"));
    assert_eq!(video_codec(SegmentFormat::Ts, TS).as_deref(), Some("avc1.64000a"));
}

#[test]
fn a_lone_frame_ends_with_its_segment() {
    assert_eq!(first_key_frame(SegmentFormat::Ts, &TS[..2256]), Some(KeyFrame { end: 2256 }));
}

proptest! {
    #[test]
    fn survives_truncation_and_damage(cut in 0usize..4000, at in 0usize..800, value in any::<u8>()) {
        for (format, file) in [(SegmentFormat::Cmaf, INIT), (SegmentFormat::Cmaf, CMAF), (SegmentFormat::Ts, TS)] {
            let mut bytes = file[..cut.min(file.len())].to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = video_codec(format, &bytes);
            if let Some(frame) = first_key_frame(format, &bytes) {
                prop_assert!(frame.end <= bytes.len() as u64);
            }
        }
    }
}
