//! Waveforms in the formats of BBC audiowaveform: minimum and maximum of every pixel's samples.
//!
//! A [`Reducer`] takes 16-bit PCM as it comes from the decoder and keeps nothing but the result,
//! at several zooms at once: a coarser zoom is reduced from the finer one's pixels, so each sample
//! is looked at once. Channels are mixed to one, as audiowaveform does by default.
//!
//! Formats: <https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md>.

use std::fmt::Write;

/// Samples per pixel of the zooms that are made, finest first. Each is a multiple of the one before.
pub const ZOOMS: [u32; 4] = [256, 1024, 4096, 16384];

/// The most pixels that one zoom may have. A finer zoom than that is of no use to a person and is
/// given up while it is made, so that memory stays bounded however long the source turns out.
pub const MAX_PIXELS: usize = 1 << 20;

/// Bits of a stored sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// One byte a value: what players want.
    Eight,
    /// Two bytes a value.
    Sixteen,
}

/// One waveform: a minimum and a maximum for each pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waveform {
    /// Samples a second of the audio.
    pub sample_rate: u32,
    /// Samples that one pixel stands for.
    pub samples_per_pixel: u32,
    pixels: Vec<Pixel>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pixel {
    min: i16,
    max: i16,
}

impl Pixel {
    fn including(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

impl Waveform {
    /// How many pixels there are.
    pub fn len(&self) -> usize {
        self.pixels.len()
    }

    /// Whether there is no pixel at all.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// audiowaveform's JSON, version 2, one channel.
    pub fn to_json(&self, bits: Bits) -> String {
        let (width, divisor) = bits.width_and_divisor();
        let mut json = String::with_capacity(96 + self.pixels.len() * 8);
        write!(
            json,
            r#"{{"version":2,"channels":1,"sample_rate":{},"samples_per_pixel":{},"bits":{width},"length":{},"data":["#,
            self.sample_rate, self.samples_per_pixel, self.pixels.len(),
        )
        .expect("writing to a string");
        for (index, pixel) in self.pixels.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(json, "{comma}{},{}", pixel.min / divisor, pixel.max / divisor)
                .expect("writing to a string");
        }
        json.push_str("]}\n");
        json
    }

    /// audiowaveform's binary `.dat`, version 2, one channel, little endian.
    pub fn to_dat(&self, bits: Bits) -> Vec<u8> {
        let (width, divisor) = bits.width_and_divisor();
        let mut dat = Vec::with_capacity(24 + self.pixels.len() * 4);
        dat.extend(2i32.to_le_bytes());
        dat.extend(u32::from(width == 8).to_le_bytes());
        dat.extend(self.sample_rate.to_le_bytes());
        dat.extend(self.samples_per_pixel.to_le_bytes());
        dat.extend((self.pixels.len() as u32).to_le_bytes());
        dat.extend(1i32.to_le_bytes());
        for value in self.pixels.iter().flat_map(|pixel| [pixel.min / divisor, pixel.max / divisor])
        {
            let bytes = value.to_le_bytes();
            dat.extend(&bytes[..usize::from(width / 8)]);
        }
        dat
    }
}

impl Bits {
    const fn width_and_divisor(self) -> (u8, i16) {
        match self {
            Self::Eight => (8, 256),
            Self::Sixteen => (16, 1),
        }
    }
}

/// Makes [`Waveform`]s from interleaved 16-bit little-endian PCM that arrives in pieces of any size.
#[derive(Debug)]
pub struct Reducer {
    sample_rate: u32,
    channels: usize,
    /// Bytes of a frame that the last piece cut in two.
    rest: Vec<u8>,
    levels: Vec<Level>,
}

/// One zoom while it is made.
#[derive(Debug)]
struct Level {
    samples_per_pixel: u32,
    /// How many items of the finer level, or samples, one pixel takes.
    ratio: u32,
    taken: u32,
    pixel: Option<Pixel>,
    /// `None` once it has outgrown [`MAX_PIXELS`].
    pixels: Option<Vec<Pixel>>,
}

impl Reducer {
    /// A reducer for audio of `channels` channels, at the given zooms, finest first.
    ///
    /// # Panics
    /// If a zoom is not a multiple of the one before, or there are no channels: both are constants
    /// of the plan.
    pub fn new(sample_rate: u32, channels: usize, zooms: &[u32]) -> Self {
        assert!(channels > 0, "audio has channels");
        let mut finer = 1;
        let levels = zooms.iter().map(|&samples_per_pixel| {
            assert!(samples_per_pixel % finer == 0, "each zoom is a multiple of the one before");
            let ratio = samples_per_pixel / finer;
            finer = samples_per_pixel;
            Level { samples_per_pixel, ratio, taken: 0, pixel: None, pixels: Some(Vec::new()) }
        });
        Self { sample_rate, channels, rest: Vec::new(), levels: levels.collect() }
    }

    /// Takes the next bytes of PCM.
    pub fn push(&mut self, mut bytes: &[u8]) {
        let frame = self.channels * 2;
        if !self.rest.is_empty() {
            let missing = (frame - self.rest.len()).min(bytes.len());
            self.rest.extend(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < frame {
                return;
            }
            let whole = std::mem::take(&mut self.rest);
            self.push_frames(&whole);
        }
        let whole = bytes.len() - bytes.len() % frame;
        self.push_frames(&bytes[..whole]);
        self.rest.extend(&bytes[whole..]);
    }

    fn push_frames(&mut self, bytes: &[u8]) {
        for frame in bytes.chunks_exact(self.channels * 2) {
            let sum: i32 = frame
                .chunks_exact(2)
                .map(|sample| i32::from(i16::from_le_bytes([sample[0], sample[1]])))
                .sum();
            // The mean of 16-bit values fits 16 bits; towards zero, as audiowaveform does.
            let sample = (sum / self.channels as i32) as i16;
            push(&mut self.levels, Pixel { min: sample, max: sample });
        }
    }

    /// The waveforms, finest first, without the zooms that grew beyond [`MAX_PIXELS`]. A last,
    /// partly filled pixel counts.
    pub fn finish(mut self) -> Vec<Waveform> {
        for index in 0..self.levels.len() {
            if let Some(pixel) = self.levels[index].pixel.take() {
                self.levels[index].keep(pixel);
                push(&mut self.levels[index + 1..], pixel);
            }
        }
        let sample_rate = self.sample_rate;
        self.levels
            .into_iter()
            .filter_map(|Level { samples_per_pixel, pixels, .. }| {
                Some(Waveform { sample_rate, samples_per_pixel, pixels: pixels? })
            })
            .collect()
    }
}

fn push(levels: &mut [Level], item: Pixel) {
    let Some((level, coarser)) = levels.split_first_mut() else { return };
    let pixel = level.pixel.map_or(item, |pixel| pixel.including(item));
    level.taken += 1;
    if level.taken < level.ratio {
        level.pixel = Some(pixel);
        return;
    }
    level.taken = 0;
    level.pixel = None;
    level.keep(pixel);
    push(coarser, pixel);
}

impl Level {
    fn keep(&mut self, pixel: Pixel) {
        if let Some(pixels) = &mut self.pixels {
            pixels.push(pixel);
            if pixels.len() > MAX_PIXELS {
                self.pixels = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::path::PathBuf;

    fn reduce(pcm: &[u8], rate: u32, channels: usize, zooms: &[u32]) -> Vec<Waveform> {
        let mut reducer = Reducer::new(rate, channels, zooms);
        reducer.push(pcm);
        reducer.finish()
    }

    /// audiowaveform's own inputs and outputs, which are not ours to ship.
    #[expect(clippy::disallowed_methods, reason = "tests may read files")]
    fn oracle(name: &str) -> Option<Vec<u8>> {
        let media = std::env::var_os("REELMILL_TEST_MEDIA").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/media"),
            PathBuf::from,
        );
        let bytes = std::fs::read(media.join("waveform").join(name)).ok();
        if bytes.is_none() {
            println!("skipped: no waveform/{name} under REELMILL_TEST_MEDIA");
        }
        bytes
    }

    /// The samples of a canonical WAV file.
    fn pcm(wav: &[u8]) -> &[u8] {
        let data = wav.windows(4).position(|chunk| chunk == b"data").expect("a data chunk");
        &wav[data + 8..]
    }

    #[rstest]
    #[case("test_file_stereo_8bit_64spp_wav_v2.dat", Bits::Eight)]
    #[case("test_file_stereo_16bit_64spp_wav_v2.dat", Bits::Sixteen)]
    fn dat_is_byte_exact(#[case] expected: &str, #[case] bits: Bits) {
        let (Some(wav), Some(expected)) = (oracle("test_file_stereo.wav"), oracle(expected)) else {
            return;
        };
        assert!(reduce(pcm(&wav), 16000, 2, &[64])[0].to_dat(bits) == expected);
    }

    #[test]
    fn json_is_byte_exact() {
        let (Some(wav), Some(expected)) =
            (oracle("test_file_stereo.wav"), oracle("test_file_stereo_8bit_64spp_wav.json"))
        else {
            return;
        };
        assert!(reduce(pcm(&wav), 16000, 2, &[64])[0].to_json(Bits::Eight).as_bytes() == expected);
    }

    #[test]
    fn no_samples_make_an_empty_waveform() {
        let empty = &reduce(&[], 8000, 1, &[256])[0];
        assert!(empty.is_empty());
        assert_eq!(
            empty.to_json(Bits::Eight),
            "{\"version\":2,\"channels\":1,\"sample_rate\":8000,\"samples_per_pixel\":256,\"bits\":8,\"length\":0,\"data\":[]}\n"
        );
    }

    #[test]
    fn a_zoom_that_grows_too_long_is_given_up() {
        let waveforms = reduce(&vec![0; (MAX_PIXELS + 1) * 4], 8000, 1, &[2, 4]);
        let zooms: Vec<_> = waveforms.iter().map(|waveform| waveform.samples_per_pixel).collect();
        assert_eq!(zooms, [4]);
    }

    proptest! {
        /// Pieces of any size, and zooms from zooms, give what the naive definition gives.
        #[test]
        fn equals_the_definition(
            samples in prop::collection::vec(any::<i16>(), 0..600),
            channels in 1usize..4, cuts in prop::collection::vec(1usize..50, 1..20),
        ) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let mut reducer = Reducer::new(48_000, channels, &[4, 16]);
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().expect("cycles")).min(rest.len()));
                reducer.push(piece);
                rest = after;
            }
            let mono: Vec<i16> = samples.chunks_exact(channels)
                .map(|frame| (frame.iter().map(|s| i32::from(*s)).sum::<i32>() / channels as i32) as i16)
                .collect();
            for waveform in reducer.finish() {
                let expected: Vec<_> = mono.chunks(waveform.samples_per_pixel as usize)
                    .map(|chunk| Pixel {
                        min: *chunk.iter().min().expect("not empty"), max: *chunk.iter().max().expect("not empty"),
                    })
                    .collect();
                prop_assert_eq!(waveform.pixels, expected);
            }
        }
    }
}
