// The queue with a gateway, a disk and a network that are played here.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../src/api.ts';
import type { UploadRecord } from '../src/records.ts';
import { Store } from '../src/store.ts';
import type { Transfer } from '../src/transfer.ts';
import type { Media } from '../src/types.ts';
import type { Listed } from '../src/upload-item.ts';
import { Uploads } from '../src/uploads.ts';

interface Sending extends Transfer {
  resolve(): void;
  reject(problem: Problem): void;
}

/** Everything around the queue. */
function rig(disk = new Map<string, UploadRecord>()) {
  const media = new Map<string, Media>();
  const keys = new Map<string, string>();
  const sending: Sending[] = [];
  const rows = new Map<string, Listed>();
  const store = new Store();
  let online = true;
  const get = async (id: string) => {
    const found = media.get(id);
    if (!found) throw new Problem(404, 'media_not_found', 'There is no such media', '');
    return found;
  };
  const create = vi.fn(async (_: object, key: string) => {
    const id = keys.get(key) ?? `med_${keys.size + 1}`;
    keys.set(key, id);
    if (!media.has(id)) media.set(id, waiting(id));
    return get(id);
  });
  const records = {
    all: async () => [...disk.values()],
    save: async (record: UploadRecord) => void disk.set(record.key, structuredClone(record)),
    remove: async (key: string) => void disk.delete(key),
    clear: async () => disk.clear(),
  };
  const sender = async () => (_: Blob, transfer: Transfer) =>
    new Promise<void>((resolve, reject) => {
      sending.push({ ...transfer, resolve, reject });
      transfer.signal.addEventListener('abort', () => reject(transfer.signal.reason));
    });
  const uploads = new Uploads(
    { api: { create, get }, store, records, sender, online: () => online },
    {
      created: () => {},
      changed: (key, item) => void (item ? rows.set(key, item) : rows.delete(key)),
    },
  );
  const goOnline = (value: boolean) => {
    online = value;
    uploads.network(value);
  };
  const row = (name: string) => [...rows.values()].find((item) => item.name === name);
  const phases = () => [...rows.values()].map(({ upload }) => upload.phase);
  return { uploads, disk, media, create, sending, rows, row, phases, store, goOnline };
}

const waiting = (id: string): Media => ({
  id,
  status: 'uploading',
  playable: false,
  createdAt: '2026-11-21T10:00:00Z',
  updatedAt: '2026-11-21T10:00:00Z',
  attempts: 0,
  retriesLeft: 1,
  upload: { tus: { url: `https://gateway.example/api/uploads?token=${id}`, expiresAt: '' } },
});
const file = (name: string, size = 10) => new File(['x'.repeat(size)], name, { lastModified: 1 });
const picked = (...names: string[]) => names.map((name) => ({ file: file(name) }));
const settle = () => vi.advanceTimersByTimeAsync(0);
const down = Problem.unreachable();

beforeEach(() => {
  vi.useFakeTimers();
  // Node's own locks would outlive a test.
  vi.stubGlobal('navigator', {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('Uploads', () => {
  it('sends two files at a time, each to a media of its own', async () => {
    const { uploads, sending, phases, media, store, rows } = rig();
    uploads.add(picked('a', 'b', 'c'), {});
    await settle();
    expect(phases()).toEqual(['sending', 'sending', 'queued']);
    media.set('med_1', { ...waiting('med_1'), status: 'uploaded' });
    sending[0]?.resolve();
    await settle();
    expect(store.get('med_1')?.status).toBe('uploaded');
    expect(rows.size).toBe(2);
    expect(sending.map(({ target }) => target)).toEqual(
      [1, 2, 3].map((id) => ({ endpoint: `https://gateway.example/api/uploads?token=med_${id}` })),
    );
  });

  it('pauses, and goes on at the same upload', async () => {
    const { uploads, sending, row } = rig();
    uploads.add(picked('a'), {});
    await settle();
    sending[0]?.located('https://gateway.example/api/uploads/1');
    sending[0]?.sent(4);
    const key = row('a')?.key ?? '';
    uploads.pause(key);
    expect(sending[0]?.signal.aborted).toBe(true);
    expect(row('a')?.upload).toMatchObject({ phase: 'paused', loaded: 4 });
    await settle();
    uploads.resume(key);
    await settle();
    expect(sending[1]?.target).toEqual({ url: 'https://gateway.example/api/uploads/1' });
  });

  it('tries again by itself, and says why meanwhile', async () => {
    const { uploads, sending, row } = rig();
    uploads.add(picked('a'), {});
    await settle();
    sending[0]?.reject(new Problem(503, 'unavailable', 'Not available right now', ''));
    await settle();
    expect(row('a')?.upload).toMatchObject({ phase: 'waiting', trouble: { code: 'unavailable' } });
    await vi.advanceTimersByTimeAsync(1000);
    expect(row('a')?.upload.phase).toBe('sending');
    expect(sending).toHaveLength(2);
  });

  it('waits for the network, and goes on when it is back', async () => {
    const { uploads, sending, row, goOnline } = rig();
    uploads.add(picked('a'), {});
    await settle();
    goOnline(false);
    expect(sending[0]?.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(row('a')?.upload).toMatchObject({ phase: 'waiting', trouble: { code: 'offline' } });
    goOnline(true);
    await settle();
    expect(row('a')?.upload.phase).toBe('sending');
  });

  it('keeps one bad file from stopping the others', async () => {
    const { uploads, create, row, disk } = rig();
    create.mockRejectedValueOnce(new Problem(413, 'upload_too_large', 'The upload is beyond the limit', 'At most 5 B.'));
    uploads.add(picked('a', 'b'), {});
    await settle();
    expect(row('a')?.upload).toMatchObject({ phase: 'failed', trouble: { code: 'upload_too_large' } });
    expect(row('b')?.upload.phase).toBe('sending');
    expect([...disk.values()].map(({ name }) => name)).toEqual(['b']);
  });

  it('says that a file is too large before anything is sent', async () => {
    const { uploads, create, row } = rig();
    uploads.maxBytes = 9;
    uploads.add(picked('a'), {});
    await settle();
    expect(row('a')?.upload).toMatchObject({ phase: 'failed', trouble: { code: 'upload_too_large' } });
    expect(create).not.toHaveBeenCalled();
  });

  it('begins again when the gateway forgot the upload, but not the media', async () => {
    const { uploads, sending } = rig();
    uploads.add(picked('a'), {});
    await settle();
    sending[0]?.located('https://gateway.example/api/uploads/1');
    sending[0]?.reject(new Problem(410, 'upload_gone', 'The upload has expired or was ended', ''));
    await vi.advanceTimersByTimeAsync(1000);
    expect(sending[1]?.target).toEqual({ endpoint: 'https://gateway.example/api/uploads?token=med_1' });
  });

  it('stops when its media was deleted', async () => {
    const { uploads, sending, media, rows, disk } = rig();
    uploads.add(picked('a'), {});
    await settle();
    media.clear();
    sending[0]?.located('https://gateway.example/api/uploads/1');
    sending[0]?.reject(new Problem(404, 'upload_not_found', 'There is no such upload', ''));
    await vi.advanceTimersByTimeAsync(1000);
    expect([rows.size, disk.size]).toEqual([0, 0]);
  });

  it('is done when the last answer got lost', async () => {
    const { uploads, sending, media, store, rows } = rig();
    uploads.add(picked('a'), {});
    await settle();
    sending[0]?.located('https://gateway.example/api/uploads/1');
    media.set('med_1', { ...waiting('med_1'), status: 'uploaded', source: { size: 10 } });
    sending[0]?.reject(new Problem(404, 'upload_not_found', 'There is no such upload', ''));
    await vi.advanceTimersByTimeAsync(1000);
    expect(rows.size).toBe(0);
    expect(store.get('med_1')?.status).toBe('uploaded');
  });

  it('is cancelled with its media', async () => {
    const { uploads, sending, rows, disk } = rig();
    uploads.add(picked('a'), {});
    await settle();
    uploads.cancel('med_1');
    expect(sending[0]?.signal.aborted).toBe(true);
    await settle();
    expect([rows.size, disk.size]).toEqual([0, 0]);
  });
});

describe('after a reload', () => {
  /** A page that goes away in mid-upload; what it leaves. */
  async function left(size?: number) {
    const before = rig();
    before.uploads.add([{ file: file('a', size) }], {});
    await settle();
    before.sending[0]?.located('https://gateway.example/api/uploads/1');
    before.sending[0]?.sent(4);
    await before.uploads.close(false);
    const after = rig(before.disk);
    after.media.set('med_1', waiting('med_1'));
    return after;
  }

  it('goes on by itself where the browser kept the file', async () => {
    const { uploads, sending, create } = await left();
    await uploads.restore();
    await settle();
    expect(sending[0]?.target).toEqual({ url: 'https://gateway.example/api/uploads/1' });
    expect(create).not.toHaveBeenCalled();
  });

  it('asks for the same file where it did not, and takes no other', async () => {
    const { uploads, disk, row, sending } = await left();
    for (const [key, { copy: _, ...rest }] of disk) disk.set(key, rest);
    await uploads.restore();
    expect(row('a')?.upload).toMatchObject({ phase: 'asking', wants: 'file' });
    const key = row('a')?.key ?? '';
    expect(uploads.provide(key, { file: file('a', 11) })).toBe(false);
    expect(uploads.provide(key, { file: file('renamed') })).toBe(true);
    await settle();
    expect(sending[0]?.target).toEqual({ url: 'https://gateway.example/api/uploads/1' });
  });

  it('takes a file that is dropped again for the one it waits for', async () => {
    const { uploads, disk, rows, create } = await left();
    for (const [key, { copy: _, ...rest }] of disk) disk.set(key, rest);
    await uploads.restore();
    uploads.add(picked('a', 'b'), {});
    await settle();
    expect(rows.size).toBe(2);
    expect(create).toHaveBeenCalledTimes(1);
  });

  it('stays paused', async () => {
    const { uploads, disk, row, sending } = await left();
    for (const [key, record] of disk) disk.set(key, { ...record, paused: true });
    await uploads.restore();
    await settle();
    expect(row('a')?.upload.phase).toBe('paused');
    expect(sending).toHaveLength(0);
  });

  it('forgets what has come to its end elsewhere', async () => {
    for (const media of [undefined, { ...waiting('med_1'), status: 'ready' as const }]) {
      const after = await left();
      if (media) after.media.set('med_1', media);
      else after.media.clear();
      await after.uploads.restore();
      await settle();
      expect([after.rows.size, after.disk.size]).toEqual([0, 0]);
    }
  });

  it('would ask for a file that is too large to be kept', async () => {
    const { uploads } = rig();
    uploads.add(picked('a'), {});
    await settle();
    expect(uploads.wouldAsk).toBe(false);
    const large = file('large');
    Object.defineProperty(large, 'size', { value: 1e9 });
    uploads.add([{ file: large }], {});
    await settle();
    expect(uploads.wouldAsk).toBe(true);
  });

  it('does not survive signing out', async () => {
    const { uploads, disk } = rig();
    uploads.add(picked('a'), {});
    await settle();
    await uploads.close(true);
    expect(disk.size).toBe(0);
  });
});

it('gives up after some tries, and tries again when asked', async () => {
  const { uploads, sending, row } = rig();
  uploads.add(picked('a'), {});
  await settle();
  for (let tries = 1; tries <= 9; tries += 1) {
    sending.at(-1)?.reject(down);
    await vi.advanceTimersByTimeAsync(30_000);
  }
  expect(row('a')?.upload).toMatchObject({ phase: 'failed', trouble: { code: 'unreachable' } });
  uploads.resume(row('a')?.key ?? '');
  await settle();
  expect(row('a')?.upload.phase).toBe('sending');
});
