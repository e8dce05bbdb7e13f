// BBC audiowaveform JSON (version 2) turned into what the waveform view draws.

export interface Audiowaveform {
  version: number;
  channels: number;
  sample_rate: number;
  samples_per_pixel: number;
  bits: 8 | 16;
  /** Points per channel. */
  length: number;
  /** min, max, min, max, … with channels interleaved. */
  data: number[];
}

/**
 * One array that alternates the lowest and the highest sample of each point over all channels, scaled
 * to ±1. Throws on anything that is not audiowaveform JSON.
 */
export function peaks(waveform: Audiowaveform): Float32Array {
  const { bits, channels = 1, length, data } = waveform;
  if (!Array.isArray(data) || (bits !== 8 && bits !== 16) || !(channels >= 1) || !(length >= 0)) {
    throw new TypeError('not an audiowaveform document');
  }
  const scale = bits === 8 ? 128 : 32768;
  const points = Math.min(length, Math.floor(data.length / (2 * channels)));
  const out = new Float32Array(2 * points);
  for (let point = 0; point < points; point += 1) {
    let low = Infinity;
    let high = -Infinity;
    for (let channel = 0; channel < channels; channel += 1) {
      const at = 2 * (point * channels + channel);
      low = Math.min(low, data[at] ?? 0);
      high = Math.max(high, data[at + 1] ?? 0);
    }
    out[2 * point] = low / scale;
    out[2 * point + 1] = high / scale;
  }
  return out;
}

/**
 * The coarsest of the stored zooms (samples per pixel) that still gives a point to each of `pixels`,
 * or the finest if none does. 48 kHz is assumed: a guess too high only picks one zoom finer.
 */
export function zoomFor(zooms: number[], duration: number, pixels: number): number | undefined {
  const coarseFirst = [...zooms].sort((a, b) => b - a);
  const enough = coarseFirst.find((zoom) => (duration * 48_000) / zoom >= pixels);
  return enough ?? coarseFirst.at(-1);
}
