import { describe, expect, it } from 'vitest';
import { canRetry, isActive, step, steps, title, view } from '../src/state.ts';
import type { Media, Status } from '../src/types.ts';
import { fresh } from '../src/upload-state.ts';
import { Rate } from '../src/rate.ts';

const media = (status: Status, more: Partial<Media> = {}): Media => ({
  id: 'med_1',
  status,
  playable: false,
  createdAt: '2026-11-21T10:00:00Z',
  updatedAt: '2026-11-21T10:00:00Z',
  attempts: 1,
  retriesLeft: 1,
  ...more,
});

describe('view', () => {
  it('shows an upload of this page', () => {
    const upload = { ...fresh(100, 'sending'), loaded: 25, rate: 25 };
    expect(view(media('uploading'), upload)).toEqual({
      label: 'Uploading',
      tone: 'busy',
      percent: 25,
      note: '25 B of 100 B · 25 B/s · 3 s left',
    });
  });

  it('waits for a file that somebody else sends', () => {
    expect(view(media('uploading'))).toEqual({ label: 'Waiting for its file', tone: 'idle' });
  });

  it('shows how the gateway fetches it', () => {
    const fetched = { sourceUrl: 'https://elsewhere.example/v.mp4' };
    expect(view(media('uploading', fetched)).label).toBe('Downloading');
    const progress = { stage: 'downloading' as const, percent: 20, bytes: 3000 };
    const shown = view(media('uploading', { ...fetched, progress }));
    expect(shown).toMatchObject({ label: 'Downloading', percent: 20, note: '3.0 kB' });
  });

  it('shows stage, percentage, speed and time to go', () => {
    const progress = { stage: 'encoding' as const, percent: 41.5, speed: 3.2, etaSeconds: 12 };
    expect(view(media('transcoding', { progress }))).toEqual({
      label: 'Encoding',
      tone: 'busy',
      percent: 41.5,
      note: '3.2× · 12 s left',
    });
  });

  it('does not call a cancelled media failed', () => {
    const error = { code: 'cancelled', message: '', transient: false };
    expect(view(media('failed', { error })).label).toBe('Cancelled');
  });
});

describe('step', () => {
  it('goes through all steps in order', () => {
    const stages = ['queued', 'fetching', 'probing', 'encoding', 'publishing'] as const;
    const at = stages.map((stage) => step(media('transcoding', { progress: { stage, percent: 0 } })));
    expect([step(media('uploading')), ...at, step(media('ready'))]).toEqual([0, 1, 2, 3, 4, 5, steps.length]);
  });
});

it('offers a retry where there is something to try again with', () => {
  const sourceUrl = 'https://elsewhere.example/v.mp4';
  expect(canRetry(media('failed'))).toBe(false);
  expect(canRetry(media('failed', { sourceUrl }))).toBe(true);
  expect(canRetry(media('failed', { source: { size: 1 }, retriesLeft: 0 }))).toBe(false);
  expect(canRetry(media('ready', { source: { size: 1 } }))).toBe(false);
});

it('names a media by its file, its address or its id', () => {
  const sourceUrl = 'https://elsewhere.example/v.mp4';
  expect(title(media('ready', { filename: 'a.mp4', sourceUrl }))).toBe('a.mp4');
  expect(title(media('ready', { sourceUrl }))).toBe('v.mp4');
  expect(title(media('ready'))).toBe('med_1');
});

it('knows which media still move', () => {
  const moving = (['uploading', 'uploaded', 'transcoding', 'ready', 'failed'] as const).filter((status) =>
    isActive(media(status)),
  );
  expect(moving).toEqual(['uploading', 'uploaded', 'transcoding']);
});

it('measures the rate over the last seconds', () => {
  const rate = new Rate();
  expect(rate.add(0, 0)).toBe(0);
  expect(rate.add(1000, 500)).toBe(500);
  expect(rate.add(7000, 500)).toBe(0);
});
