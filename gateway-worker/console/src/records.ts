// What outlives a reload of the page: in IndexedDB, one record a file that is not uploaded yet.

import { clear, createStore, del, set, values, type UseStore } from 'idb-keyval';
import type { Picked } from './picked.ts';
import type { Pipeline } from './types.ts';

/** A file that gives no handle is kept as a copy, if it is no larger. */
const largestCopy = 32 * 1024 * 1024;
/** Gateways keep no unfinished upload longer. */
const oldestMs = 7 * 24 * 3600 * 1000;
/** How long the page that was here before may take to let go of its uploads. */
const handoverMs = 2000;

export interface UploadRecord {
  /** Names the upload here, and creates its media once (`Idempotency-Key`). */
  key: string;
  name: string;
  size: number;
  type: string;
  lastModified: number;
  pipeline: Pipeline;
  paused: boolean;
  /** When it was added, in milliseconds since 1970. */
  at: number;
  mediaId?: string;
  /** The tus upload. Who knows it may send to it. */
  url?: string;
  handle?: FileSystemFileHandle;
  copy?: File;
}

export function record({ file, handle }: Picked, pipeline: Pipeline, now: number): UploadRecord {
  const { name, size, type, lastModified } = file;
  const base = { key: crypto.randomUUID(), name, size, type, lastModified, pipeline, paused: false, at: now };
  if (handle) return { ...base, handle };
  return size <= largestCopy ? { ...base, copy: file } : base;
}

/** Whether a file is the one of a record, as far as can be seen from outside. */
export function isSame(record: Pick<UploadRecord, 'size' | 'lastModified'>, file: File): boolean {
  return file.size === record.size && file.lastModified === record.lastModified;
}

/** Whether a reload would go on by itself. */
export function isKept({ handle, copy }: UploadRecord): boolean {
  return handle !== undefined || copy !== undefined;
}

/**
 * The file of a record, if the page can read it now; `leave` if a person has to allow that first, or
 * `file` if it has to be chosen again. `ask` asks for leave, which browsers allow only on a click.
 */
export async function find(record: UploadRecord, ask = false): Promise<File | 'leave' | 'file'> {
  const { handle, copy } = record;
  try {
    if (copy) return copy;
    if (!handle) return 'file';
    const mode = { mode: 'read' } as const;
    const state = (await (ask ? handle.requestPermission?.(mode) : handle.queryPermission?.(mode))) ?? 'granted';
    if (state === 'prompt') return 'leave';
    if (state === 'denied') return 'file';
    const file = await handle.getFile();
    return isSame(record, file) ? file : 'file';
  } catch {
    // Gone, or moved.
    return 'file';
  }
}

/** The records of this origin. Without IndexedDB (some private windows) nothing outlives a reload. */
export class Records {
  #store: UseStore | undefined;

  constructor() {
    try {
      this.#store = createStore('reelmill-uploads', 'uploads');
    } catch {
      // As above.
    }
  }

  /** All that may still be gone on with, oldest first. */
  async all(now: number): Promise<UploadRecord[]> {
    const found = (await this.#try((store) => values<UploadRecord>(store))) ?? [];
    for (const { key } of found.filter(({ at }) => now - at > oldestMs)) await this.remove(key);
    return found.filter(({ at }) => now - at <= oldestMs).sort((a, b) => a.at - b.at);
  }

  async save(record: UploadRecord): Promise<void> {
    await this.#try((store) => set(record.key, record, store));
  }

  async remove(key: string): Promise<void> {
    await this.#try((store) => del(key, store));
  }

  async clear(): Promise<void> {
    await this.#try((store) => clear(store));
  }

  async #try<T>(action: (store: UseStore) => Promise<T>): Promise<T | undefined> {
    if (!this.#store) return undefined;
    try {
      return await action(this.#store);
    } catch {
      // Full or refused: the upload goes on, and a reload will ask for the file.
      return undefined;
    }
  }
}

/** Keeps an upload for this tab; `undefined` if another tab has it. Ends with the page. */
export function own(key: string): Promise<(() => void) | undefined> {
  // Without a secure context there are no locks.
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((resolve) => {
    const held = () => new Promise<void>((release) => resolve(release));
    const options = { signal: AbortSignal.timeout(handoverMs) };
    navigator.locks.request(`reelmill-upload-${key}`, options, held).catch(() => resolve(undefined));
  });
}
