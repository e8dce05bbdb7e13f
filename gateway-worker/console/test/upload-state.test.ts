import { describe, expect, it } from 'vitest';
import {
  fresh,
  isPassing,
  offline,
  pauseMs,
  step,
  turns,
  uploadView,
  type Phase,
  type Upload,
  type UploadEvent,
} from '../src/upload-state.ts';

const trouble = { title: 'Trouble', detail: 'in detail', code: 'internal' };
const broke: UploadEvent = { type: 'trouble', trouble, passing: true, online: true };
const sent = (loaded: number): UploadEvent => ({ type: 'sent', loaded, rate: 1 });
const run = (upload: Upload, ...events: UploadEvent[]) => events.reduce(step, upload);
const phases: Phase[] = ['queued', 'sending', 'waiting', 'paused', 'asking', 'failed', 'done'];

describe('step', () => {
  it('goes from the queue to the end', () => {
    const upload = run(fresh(100), { type: 'turn' }, sent(40), sent(100), { type: 'stored' });
    expect(upload).toMatchObject({ phase: 'done', loaded: 100 });
  });

  it.each<[UploadEvent, Phase, Phase[]]>([
    [{ type: 'turn' }, 'sending', ['queued']],
    [{ type: 'pause' }, 'paused', ['queued', 'sending', 'waiting']],
    [{ type: 'resume' }, 'queued', ['paused', 'failed', 'waiting']],
    [{ type: 'again' }, 'queued', ['waiting']],
    [{ type: 'offline' }, 'waiting', ['queued', 'sending']],
    [{ type: 'found' }, 'queued', ['asking']],
    [broke, 'waiting', ['sending']],
    [{ ...broke, passing: false }, 'failed', ['queued', 'sending', 'waiting', 'paused', 'asking']],
    [{ type: 'missing', wants: 'file' }, 'asking', ['queued', 'sending', 'waiting', 'paused', 'asking']],
    [{ type: 'stored' }, 'done', ['queued', 'sending', 'waiting', 'paused', 'asking']],
  ])('%o leads to %s from %j alone', (event, to, from) => {
    for (const phase of phases) {
      const upload = fresh(100, phase);
      const next = step(upload, event);
      if (from.includes(phase)) expect(next.phase).toBe(to);
      else expect(next).toBe(upload);
    }
  });

  it('sits trouble out, longer each time, and stops when it gets no further', () => {
    let upload = run(fresh(100), { type: 'turn' }, sent(40));
    for (let tries = 1; tries <= 8; tries += 1) {
      upload = run(upload, broke);
      expect(upload).toMatchObject({ phase: 'waiting', tries });
      // It gets as far as before, and no further.
      upload = run(upload, { type: 'again' }, { type: 'turn' }, sent(10), sent(40));
    }
    expect(run(upload, broke)).toMatchObject({ phase: 'failed', trouble });
    expect(run(upload, sent(41), broke)).toMatchObject({ phase: 'waiting', tries: 1 });
  });

  it('waits for the network without counting', () => {
    const gone: UploadEvent = { ...broke, online: false };
    let upload = run(fresh(100), { type: 'turn' });
    for (let times = 0; times < 20; times += 1) upload = run(upload, gone, { type: 'again' }, { type: 'turn' });
    expect(run(upload, gone)).toMatchObject({ phase: 'waiting', tries: 0, trouble: offline });
  });

  it('keeps what it has when it is paused, and begins counting anew when a person tries again', () => {
    const paused = run(fresh(100), { type: 'turn' }, sent(40), broke, { type: 'pause' });
    expect(paused).toMatchObject({ phase: 'paused', loaded: 40, rate: 0 });
    expect(run(paused, { type: 'resume' })).toMatchObject({ phase: 'queued', tries: 0 });
  });

  it('forgets trouble that is over', () => {
    const upload = run(fresh(100), { type: 'turn' }, broke, { type: 'again' }, { type: 'turn' });
    expect(upload.trouble).toEqual(trouble);
    expect(run(upload, sent(1)).trouble).toBeUndefined();
  });
});

it('pauses from one second to half a minute', () => {
  expect([1, 2, 3, 6, 20].map(pauseMs)).toEqual([1000, 2000, 4000, 30_000, 30_000]);
});

describe('turns', () => {
  const list = (...phases: Phase[]) => phases.map((phase, at) => [at, fresh(1, phase)] as const);
  it('gives free lanes to the first in the queue', () => {
    expect(turns(list('queued', 'paused', 'queued', 'queued'), 2)).toEqual([0, 2]);
    expect(turns(list('sending', 'queued', 'waiting', 'queued'), 2)).toEqual([1]);
    expect(turns(list('sending', 'sending', 'queued'), 2)).toEqual([]);
  });
});

it('tells what may pass from what will not', () => {
  const passing = [0, 408, 409, 423, 429, 500, 503].map((status) => isPassing(status, 'internal'));
  expect(passing).not.toContain(false);
  expect([400, 401, 403, 404, 410, 413].map((status) => isPassing(status, 'x'))).not.toContain(true);
  expect(isPassing(409, 'source_exists')).toBe(false);
});

describe('uploadView', () => {
  it('says for each phase what goes on', () => {
    const labels = phases.map((phase) => uploadView({ ...fresh(100, phase), trouble }).label);
    expect(labels).toEqual([
      'Waiting for its turn',
      'Uploading',
      'Trying again',
      'Paused',
      'Waiting for its file',
      'Upload stopped',
      'Uploaded',
    ]);
  });

  it('tells bytes, speed and time to go', () => {
    const upload = { ...fresh(4000, 'sending'), loaded: 1000, rate: 500 };
    expect(uploadView(upload)).toMatchObject({ percent: 25, note: '1.0 kB of 4.0 kB · 500 B/s · 6 s left' });
  });

  it('does not call it done before the gateway does', () => {
    expect(uploadView({ ...fresh(10, 'sending'), loaded: 10 })).toEqual({ label: 'Storing', tone: 'busy' });
  });

  it('asks for a click where that is enough', () => {
    const asking = run(fresh(10), { type: 'missing', wants: 'leave' });
    expect(uploadView(asking).note).toBe('May this page read the file again?');
  });
});
