use std::path::PathBuf;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn reduce(samples: &[i16], channels: usize, zooms: &[u32]) -> Vec<Waveform> {
    let mut reducer = Reducer::new(48_000, channels, zooms);
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    reducer.push(&bytes);
    reducer.finish()
}

fn pairs(waveform: &Waveform) -> Vec<(i16, i16)> {
    waveform.pixels.iter().map(|pixel| (pixel.min, pixel.max)).collect()
}

#[test]
fn keeps_least_and_greatest_and_the_rest() {
    let waveforms = reduce(&[3, -1, 2, 7, 5], 1, &[2, 4]);
    assert_eq!(pairs(&waveforms[0]), [(-1, 3), (2, 7), (5, 5)]);
    assert_eq!(pairs(&waveforms[1]), [(-1, 7), (5, 5)]);
}

#[test]
fn mixes_by_the_mean_towards_zero() {
    assert_eq!(pairs(&reduce(&[-3, 0, 3, 0], 2, &[1])[0]), [(-1, -1), (1, 1)]);
    assert_eq!(pairs(&reduce(&[i16::MIN; 16], 16, &[1])[0]), [(i16::MIN, i16::MIN)]);
}

#[test]
fn nothing_in_nothing_out() {
    assert_eq!(reduce(&[], 2, &ZOOMS), []);
    assert_eq!(reduce(&[1], 2, &ZOOMS), [], "half a frame is no sample");
}

#[test]
fn drops_the_finest_zoom_of_a_long_sound() {
    let mut reducer = Reducer::new(8000, 1, &[1, 4, 16]);
    let ramp: Vec<u8> = (0..1000i16).flat_map(i16::to_le_bytes).collect();
    for _ in 0..1100 {
        reducer.push(&ramp);
    }
    assert!((reducer.seconds() - 137.5).abs() < 1e-9);
    let waveforms = reducer.finish();
    assert_eq!(waveforms.iter().map(|w| w.samples_per_pixel).collect::<Vec<_>>(), [4, 16]);
    assert_eq!(waveforms[0].pixels.len(), 275_000);
    assert_eq!(pairs(&waveforms[0])[249], (996, 999));
    assert_eq!(pairs(&waveforms[0])[274_999], (996, 999));
}

#[test]
fn formats_are_pinned() {
    let waveform = &reduce(&[-13_606, 16_602], 1, &[256])[0];
    assert_eq!(
        json(waveform, Bits::Eight),
        "{\"version\":2,\"channels\":1,\"sample_rate\":48000,\"samples_per_pixel\":256,\"bits\":8,\
         \"length\":1,\"data\":[-53,64]}\n"
    );
    let eight = dat(waveform, Bits::Eight);
    assert_eq!(eight[..8], [2, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(eight[16..], [1, 0, 0, 0, 1, 0, 0, 0, 0xcb, 0x40]);
    assert_eq!(dat(waveform, Bits::Sixteen)[24..], [0xda, 0xca, 0xda, 0x40]);
}

/// The samples of a WAV file: what follows `data` and its length.
fn wav_samples(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|window| window == b"data").expect("a data chunk");
    &file[at + 8..]
}

#[expect(clippy::disallowed_methods, reason = "test media lie beside the repository")]
fn read(path: &std::path::Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// audiowaveform's own test files, byte for byte.
#[rstest]
#[case::json("test_file_stereo_8bit_64spp_wav.json")]
#[case::eight_bits("test_file_stereo_8bit_64spp_wav_v2.dat")]
#[case::sixteen_bits("test_file_stereo_16bit_64spp_wav_v2.dat")]
fn agrees_with_audiowaveform(#[case] oracle: &str) {
    let media = option_env!("REELMILL_TEST_MEDIA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/media")),
        PathBuf::from,
    );
    let directory = media.join("waveform");
    let Some(wav) = read(&directory.join("test_file_stereo.wav")) else {
        eprintln!("skipped: no test media at {}", media.display());
        return;
    };
    let mut reducer = Reducer::new(16_000, 2, &[64]);
    for chunk in wav_samples(&wav).chunks(4093) {
        reducer.push(chunk);
    }
    let waveform = &reducer.finish()[0];
    let ours = match oracle {
        name if name.ends_with(".json") => json(waveform, Bits::Eight).into_bytes(),
        name if name.contains("16bit") => dat(waveform, Bits::Sixteen),
        _ => dat(waveform, Bits::Eight),
    };
    let theirs = read(&directory.join(oracle)).expect("the oracle");
    assert!(ours == theirs, "{oracle} differs");
}

proptest! {
    #[test]
    fn chunks_may_be_cut_anywhere(
        samples in prop::collection::vec(any::<i16>(), 0..400),
        channels in 1usize..4,
        cut in 1usize..50,
    ) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut reducer = Reducer::new(48_000, channels, &[4, 8]);
        for chunk in bytes.chunks(cut) {
            reducer.push(chunk);
        }
        prop_assert_eq!(reducer.finish(), reduce(&samples, channels, &[4, 8]));
    }
}
