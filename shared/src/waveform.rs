//! Waveforms in the formats of the BBC's audiowaveform: JSON, and `.dat` version 2.
//!
//! [`Reducer`] takes interleaved 16-bit samples as they come and keeps the least and the greatest
//! of every pixel. As audiowaveform does by default, channels are mixed to one by their mean,
//! rounded towards zero. It is exact to the byte where the same samples are decoded.

mod format;

pub use format::{Bits, dat, json};

/// Samples per pixel of the zooms that are made, finest first; each is four times the one before.
pub const ZOOMS: [u32; 4] = [256, 1024, 4096, 16_384];

/// Pixels above which a zoom is left out, unless it is the coarsest: no screen shows more than that
/// at once, and memory stays bounded however long the sound is.
const MAX_PIXELS: usize = 1 << 20;

/// Least and greatest sample of one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixel {
    /// The least sample.
    pub min: i16,
    /// The greatest sample.
    pub max: i16,
}

impl Pixel {
    const EMPTY: Self = Self { min: i16::MAX, max: i16::MIN };

    const fn of(sample: i16) -> Self {
        Self { min: sample, max: sample }
    }

    fn join(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// A waveform at one zoom, mixed to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waveform {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples per pixel.
    pub samples_per_pixel: u32,
    /// The pixels; the last one may stand for fewer samples.
    pub pixels: Vec<Pixel>,
}

/// Reduces a stream of samples to the finest zoom that is kept.
#[derive(Debug)]
pub struct Reducer {
    channels: usize,
    waveform: Waveform,
    /// Zooms that may be made, finest first; the first is that of `waveform`.
    zooms: Vec<u32>,
    /// The pixel under way and how many samples it has.
    pixel: Pixel,
    filled: u32,
    /// Bytes of a frame that was cut by the end of a chunk.
    rest: Vec<u8>,
}

impl Reducer {
    /// For samples of `channels` channels (at least 1), to be made into `zooms`, each of which
    /// divides the next.
    pub fn new(sample_rate: u32, channels: usize, zooms: &[u32]) -> Self {
        let samples_per_pixel = zooms.first().copied().unwrap_or(ZOOMS[0]);
        Self {
            channels: channels.max(1),
            waveform: Waveform { sample_rate, samples_per_pixel, pixels: Vec::new() },
            zooms: zooms.to_vec(),
            pixel: Pixel::EMPTY,
            filled: 0,
            rest: Vec::new(),
        }
    }

    /// Takes the next bytes of interleaved little-endian samples, cut anywhere.
    pub fn push(&mut self, mut bytes: &[u8]) {
        let frame = self.channels * 2;
        if !self.rest.is_empty() {
            let missing = (frame - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < frame {
                return;
            }
            let rest = std::mem::take(&mut self.rest);
            self.add(mix(&rest));
        }
        let whole = bytes.len() - bytes.len() % frame;
        for frame in bytes[..whole].chunks_exact(frame) {
            self.add(mix(frame));
        }
        self.rest.extend_from_slice(&bytes[whole..]);
    }

    /// Seconds of sound so far.
    pub fn seconds(&self) -> f64 {
        let pixels = self.waveform.pixels.len() as f64 * f64::from(self.waveform.samples_per_pixel);
        (pixels + f64::from(self.filled)) / f64::from(self.waveform.sample_rate)
    }

    /// The waveforms, finest first; none if there was no sample.
    pub fn finish(mut self) -> Vec<Waveform> {
        if self.filled > 0 {
            self.waveform.pixels.push(self.pixel);
        }
        if self.waveform.pixels.is_empty() {
            return Vec::new();
        }
        let mut waveforms = vec![self.waveform];
        for zoom in &self.zooms[1..] {
            let finer = &waveforms[waveforms.len() - 1];
            let pixels = coarsen(&finer.pixels, zoom / finer.samples_per_pixel);
            let sample_rate = finer.sample_rate;
            waveforms.push(Waveform { sample_rate, samples_per_pixel: *zoom, pixels });
        }
        waveforms
    }

    fn add(&mut self, sample: i16) {
        self.pixel = self.pixel.join(Pixel::of(sample));
        self.filled += 1;
        if self.filled == self.waveform.samples_per_pixel {
            self.waveform.pixels.push(self.pixel);
            (self.pixel, self.filled) = (Pixel::EMPTY, 0);
            if self.waveform.pixels.len() == MAX_PIXELS && self.zooms.len() > 1 {
                self.drop_finest();
            }
        }
    }

    /// Goes on at the next zoom. The pixels so far fill whole ones there, since their number is a
    /// power of two.
    fn drop_finest(&mut self) {
        let finest = self.zooms.remove(0);
        self.waveform.pixels = coarsen(&self.waveform.pixels, self.zooms[0] / finest);
        self.waveform.samples_per_pixel = self.zooms[0];
    }
}

fn coarsen(pixels: &[Pixel], factor: u32) -> Vec<Pixel> {
    let join = |pixels: &[Pixel]| pixels.iter().copied().fold(Pixel::EMPTY, Pixel::join);
    pixels.chunks(factor.max(1) as usize).map(join).collect()
}

/// The mean of one frame's channels, rounded towards zero.
#[expect(clippy::cast_possible_truncation, reason = "a mean of 16-bit samples has 16 bits")]
fn mix(frame: &[u8]) -> i16 {
    let samples = frame.chunks_exact(2).map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]));
    let count = frame.len() as i64 / 2;
    (samples.map(i64::from).sum::<i64>() / count) as i16
}

#[cfg(test)]
mod tests;
