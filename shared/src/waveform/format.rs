//! audiowaveform's two file formats, for one channel.
//!
//! `.dat` version 2: six little-endian 32-bit fields (version, flags, sample rate, samples per
//! pixel, number of pixels, channels), then least and greatest sample of every pixel.

use std::fmt::Write;

use super::{Pixel, Waveform};

/// Bits of a stored sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// The upper half of a sample, rounded towards zero: what players of waveforms want.
    Eight,
    /// The whole sample.
    Sixteen,
}

impl Bits {
    fn of(self, sample: i16) -> i16 {
        match self {
            Self::Eight => sample / 256,
            Self::Sixteen => sample,
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }
}

/// The JSON form.
pub fn json(waveform: &Waveform, bits: Bits) -> String {
    let Waveform { sample_rate, samples_per_pixel, pixels } = waveform;
    let mut text = format!(
        "{{\"version\":2,\"channels\":1,\"sample_rate\":{sample_rate},\
         \"samples_per_pixel\":{samples_per_pixel},\"bits\":{},\"length\":{},\"data\":[",
        bits.number(),
        pixels.len()
    );
    for (number, Pixel { min, max }) in pixels.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(text, "{comma}{},{}", bits.of(*min), bits.of(*max)).expect("a string takes all");
    }
    text.push_str("]}\n");
    text
}

/// The binary form, version 2.
pub fn dat(waveform: &Waveform, bits: Bits) -> Vec<u8> {
    let eight = u32::from(bits == Bits::Eight);
    let length = u32::try_from(waveform.pixels.len()).unwrap_or(u32::MAX);
    let header = [2, eight, waveform.sample_rate, waveform.samples_per_pixel, length, 1];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    for pixel in &waveform.pixels {
        for sample in [pixel.min, pixel.max].map(|sample| bits.of(sample).to_le_bytes()) {
            bytes.extend_from_slice(if eight == 1 { &sample[..1] } else { &sample });
        }
    }
    bytes
}
