//! How an upload is cut into the parts of a multipart upload, by R2's rules: at most 10 000 parts,
//! each of 5 MiB to 5 GiB, and all of one size but the last, which may be smaller.

/// The most parts that an object can be made of.
pub const MAX_PARTS: u64 = 10_000;
/// The largest object in bytes: 5 TiB less 5 GiB, R2's limit for multipart uploads.
pub const MAX_OBJECT: u64 = (5 << 40) - (5 << 30);

const MIB: u64 = 1 << 20;
/// Above R2's minimum of 5 MiB: fewer requests, and still little to send again.
const LEAST: u64 = 8 * MIB;

/// The size in bytes of every part but the last, for an upload of at most `most` bytes: as small as
/// 10 000 parts allow, in whole MiB.
pub const fn part_size(most: u64) -> u64 {
    let needed = most.div_ceil(MAX_PARTS).div_ceil(MIB).saturating_mul(MIB);
    if needed < LEAST { LEAST } else { needed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(0, 8 * MIB)]
    #[case::one_byte(1, 8 * MIB)]
    #[case::last_that_fits(80_000 * MIB, 8 * MIB)]
    #[case::one_byte_more(80_000 * MIB + 1, 9 * MIB)]
    #[case::a_tebibyte(1 << 40, 105 * MIB)]
    #[case::the_largest(MAX_OBJECT, 524 * MIB)]
    fn is(#[case] most: u64, #[case] expected: u64) {
        assert_eq!(part_size(most), expected);
    }

    proptest! {
        #[test]
        fn obeys_the_rules_of_r2(most in 0..=MAX_OBJECT) {
            let size = part_size(most);
            prop_assert!(size.is_multiple_of(MIB));
            prop_assert!((5 * MIB..=5 << 30).contains(&size));
            prop_assert!(most.div_ceil(size) <= MAX_PARTS);
        }
    }
}
