import { describe, expect, it } from 'vitest';
import { peaks, zoomFor, type Audiowaveform } from '../src/peaks.ts';

const waveform = (more: Partial<Audiowaveform>): Audiowaveform => ({
  version: 2,
  channels: 1,
  sample_rate: 48_000,
  samples_per_pixel: 256,
  bits: 8,
  length: 2,
  data: [-128, 64, -32, 0],
  ...more,
});

describe('peaks', () => {
  it('scales 8 and 16 bits to one', () => {
    expect([...peaks(waveform({}))]).toEqual([-1, 0.5, -0.25, 0]);
    expect([...peaks(waveform({ bits: 16, length: 1, data: [-16384, 32767] }))][0]).toBe(-0.5);
  });

  it('takes the extremes over the channels', () => {
    const stereo = waveform({ channels: 2, length: 1, data: [-32, 32, -64, 16] });
    expect([...peaks(stereo)]).toEqual([-0.5, 0.25]);
  });

  it('believes no length beyond the data', () => {
    expect(peaks(waveform({ length: 1_000_000 }))).toHaveLength(4);
  });

  it('refuses what is no waveform', () => {
    expect(() => peaks({} as Audiowaveform)).toThrow(TypeError);
  });
});

describe('zoomFor', () => {
  const zooms = [256, 1024, 4096, 16384];
  it('takes the coarsest that fills the width', () => {
    expect(zoomFor(zooms, 52, 1600)).toBe(1024);
    expect(zoomFor(zooms, 3600, 1600)).toBe(16384);
  });
  it('takes the finest when none does', () => expect(zoomFor(zooms, 1, 1600)).toBe(256));
  it('knows when there is none', () => expect(zoomFor([], 1, 1600)).toBeUndefined());
});
