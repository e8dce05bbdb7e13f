import { describe, expect, it } from 'vitest';
import * as format from '../src/format.ts';

describe('format', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [7_608_204, '7.6 MB'],
    [999_400, '999 kB'],
    [999_999, '1.0 MB'],
    [123_456_789_012, '123 GB'],
  ])('bytes(%d) is %s', (size, text) => expect(format.bytes(size)).toBe(text));

  it.each([
    [0, '0:00'],
    [0.42, '0.4 s'],
    [52.2, '0:52'],
    [59.6, '1:00'],
    [3723, '1:02:03'],
    [Number.NaN, '–'],
    [Infinity, '–'],
  ])('clock(%d) is %s', (seconds, text) => expect(format.clock(seconds)).toBe(text));

  it.each([
    [0.3, 'almost done'],
    [12, '12 s left'],
    [180, '3 min left'],
    [3900, '1 h 5 min left'],
  ])('left(%d) is %s', (seconds, text) => expect(format.left(seconds)).toBe(text));

  it('says 100% only when it is', () => {
    expect(format.percent(99.99)).toBe('99%');
    expect(format.percent(100)).toBe('100%');
    expect(format.percent(-1)).toBe('0%');
  });

  it('tells how long ago', () => {
    const now = new Date('2026-11-21T10:00:00Z');
    expect(format.ago('2026-11-21T09:59:30Z', now)).toBe('just now');
    expect(format.ago('2026-11-21T09:57:00Z', now)).toBe('3 min. ago');
    expect(format.ago('2026-11-20T09:00:00Z', now)).toBe('yesterday');
    expect(format.ago('2026-11-21T10:00:05Z', now)).toBe('soon');
    expect(format.ago('2026-11-21T10:05:00Z', now)).toBe('in 5 min.');
    expect(format.ago('never', now)).toBe('');
  });

  it('turns codes into words', () => {
    expect(format.words('unsupported_media')).toBe('Unsupported media');
  });
});
