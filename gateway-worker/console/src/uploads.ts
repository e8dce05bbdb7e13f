// All files on their way: a few at a time, each with its media in the store and its record on disk.
// What happens to one is decided in upload-state.ts; here it is carried out.

import { Problem, type Api } from './api.ts';
import type { Picked } from './picked.ts';
import { Rate } from './rate.ts';
import { find, isKept, isSame, own, record, type Records, type UploadRecord } from './records.ts';
import type { Store } from './store.ts';
import type { transfer } from './transfer.ts';
import type { Media, Pipeline } from './types.ts';
import { asTrouble, isReadable, listed, tooLarge, type Item, type Listed } from './upload-item.ts';
import { fresh, isPassing, pauseMs, step, turns, type UploadEvent } from './upload-state.ts';

/** Browsers allow six connections to a host; the others are for playing and for events. */
const lanes = 2;
/** How often an upload that the gateway forgot is begun again. */
const maxBeginnings = 3;

export interface UploadEvents {
  /** A media was made for a file. */
  created(media: Media): void;
  /** A file changed, or is on its way no more (`undefined`). */
  changed(key: string, item: Listed | undefined): void;
}

/** What the page gives. */
export interface Surroundings {
  api: Pick<Api, 'create' | 'get'>;
  store: Store;
  records: Pick<Records, 'all' | 'save' | 'remove' | 'clear'>;
  /** What sends; it comes with the first file. */
  sender(): Promise<typeof transfer>;
  online(): boolean;
}

export class Uploads {
  /** Largest file that the gateway takes, in bytes, as far as that is known. */
  maxBytes = Infinity;
  #items = new Map<string, Item>();
  #files = new Map<string, File>();

  constructor(
    private readonly around: Surroundings,
    private readonly events: UploadEvents,
  ) {}

  /** Takes files. One that an upload waits for goes to that upload. */
  add(picked: Picked[], pipeline: Pipeline): void {
    for (const one of picked) {
      const asking = [...this.#items.values()].find(
        (item) => item.upload.phase === 'asking' && item.record.name === one.file.name && isSame(item.record, one.file),
      );
      if (asking) this.#found(asking, one);
      else void this.#enter(record(one, pipeline, Date.now()), one.file);
    }
  }

  /** Takes up what an earlier page left. */
  async restore(): Promise<void> {
    for (const record of await this.around.records.all(Date.now())) {
      if (!this.#items.has(record.key)) await this.#enter(record, await find(record));
    }
  }

  /** Everything that is on its way. */
  list(): Listed[] {
    return [...this.#items.values()].map(listed);
  }

  /** Whether leaving the page would need a person to choose a file again. */
  get wouldAsk(): boolean {
    return [...this.#items.values()].some(
      ({ upload, record }) => !isKept(record) && upload.phase !== 'failed' && upload.phase !== 'asking',
    );
  }

  /** The file that this page uploads, or uploaded, to a media. */
  file(id: string): File | undefined {
    return this.#files.get(id);
  }

  /** The upload to a media. */
  of(id: string): Listed | undefined {
    const item = this.#of(id);
    return item && listed(item);
  }

  pause(key: string): void {
    this.#remember(key, true);
    this.#apply(key, { type: 'pause' });
  }

  /** Goes on after a pause, or tries again after a failure. */
  resume(key: string): void {
    this.#remember(key, false);
    this.#apply(key, { type: 'resume' });
  }

  /** Asks for leave to read the file again. Has to be called on a click. */
  async allow(key: string): Promise<void> {
    const item = this.#items.get(key);
    if (!item) return;
    const file = await find(item.record, true);
    if (file instanceof File) this.#found(item, { file });
    else this.#apply(key, { type: 'missing', wants: file });
  }

  /** Gives an upload its file; says whether it is the same. */
  provide(key: string, picked: Picked): boolean {
    const item = this.#items.get(key);
    if (!item || !isSame(item.record, picked.file)) return false;
    this.#found(item, picked);
    return true;
  }

  /** Ends the upload to a media, if there is one. */
  cancel(id: string): void {
    const item = this.#of(id);
    if (item) this.drop(item.record.key);
    this.#files.delete(id);
  }

  /** Forgets a file. */
  drop(key: string): void {
    const item = this.#items.get(key);
    if (!item) return;
    this.#items.delete(key);
    item.stop?.abort();
    clearTimeout(item.retry);
    void this.around.records.remove(key).then(item.release);
    this.events.changed(key, undefined);
    this.#admit();
  }

  /** The network went or came. */
  network(online: boolean): void {
    for (const key of [...this.#items.keys()]) this.#apply(key, { type: online ? 'again' : 'offline' });
  }

  /** Stops everything; the records stay for the next page unless they are to be forgotten. */
  async close(forget: boolean): Promise<void> {
    for (const item of this.#items.values()) {
      item.stop?.abort();
      clearTimeout(item.retry);
      item.release?.();
    }
    this.#items.clear();
    if (forget) await this.around.records.clear();
  }

  async #enter(record: UploadRecord, file: File | 'leave' | 'file'): Promise<void> {
    const { key } = record;
    const upload = fresh(record.size, record.paused ? 'paused' : 'queued');
    const item: Item = { record, upload, beginnings: 0 };
    this.#items.set(key, item);
    const release = await own(key);
    // Another tab has it, or it was given up meanwhile.
    if (!release || this.#items.get(key) !== item) {
      this.#items.delete(key);
      return release?.();
    }
    item.release = release;
    if (file instanceof File) item.file = file;
    else item.upload = step(item.upload, { type: 'missing', wants: file });
    if (record.size > this.maxBytes) return this.#apply(key, tooLarge(this.maxBytes));
    void this.around.records.save(record);
    if (record.mediaId) await this.#reunite(item, record.mediaId);
    else this.#changed(item);
    this.#admit();
  }

  /** Looks after the media of an earlier page's upload. */
  async #reunite(item: Item, id: string): Promise<void> {
    try {
      this.#known(item, await this.around.api.get(id));
    } catch (error) {
      this.#failed(item, Problem.from(error));
    }
  }

  #found(item: Item, { file, handle }: Picked): void {
    item.file = file;
    const { copy: _, ...rest } = item.record;
    if (handle) item.record = { ...rest, handle };
    if (item.record.mediaId) this.#files.set(item.record.mediaId, file);
    void this.around.records.save(item.record);
    this.#apply(item.record.key, { type: 'found' });
  }

  /** The media of an item as it is now. `false` if it takes no bytes any more. */
  #known(item: Item, media: Media): boolean {
    const { record, file } = item;
    if (record.mediaId !== media.id) {
      item.record = { ...record, mediaId: media.id };
      void this.around.records.save(item.record);
    }
    if (file) this.#files.set(media.id, file);
    if (media.status === 'uploading') {
      this.around.store.setUpload(media.id, item.upload);
      this.around.store.put(media);
      this.#changed(item);
      return true;
    }
    this.around.store.put(media);
    const { error, source } = media;
    if (media.status === 'failed' && !source && error) {
      const trouble = { title: 'The media takes no file any more', detail: error.message, code: error.code };
      this.#apply(record.key, { type: 'trouble', trouble, passing: false, online: true });
    } else {
      this.#apply(record.key, { type: 'stored' });
    }
    return false;
  }

  /** Lets an event happen, and carries out what follows from it. */
  #apply(key: string, event: UploadEvent): void {
    const item = this.#items.get(key);
    if (!item) return;
    const before = item.upload;
    const after = step(before, event);
    if (after === before) return;
    item.upload = after;
    clearTimeout(item.retry);
    if (before.phase === 'sending' && after.phase !== 'sending') {
      item.stop?.abort();
      delete item.stop;
    }
    if (after.phase === 'waiting' && this.around.online()) {
      item.retry = setTimeout(() => this.#apply(key, { type: 'again' }), pauseMs(after.tries));
    }
    if (after.phase === 'done') return this.drop(key);
    // What was refused would be refused again after a reload.
    if (after.phase === 'failed' && event.type === 'trouble' && !event.passing) void this.around.records.remove(key);
    this.#changed(item);
    if (after.phase !== before.phase) this.#admit();
  }

  #changed(item: Item): void {
    const { record, upload } = item;
    const media = record.mediaId && this.around.store.get(record.mediaId);
    if (media && media.status === 'uploading') this.around.store.setUpload(media.id, upload);
    this.events.changed(record.key, listed(item));
  }

  #admit(): void {
    // Those that are only being looked at have no lock yet.
    const ready = [...this.#items].filter(([, { release }]) => release);
    for (const key of turns(ready.map(([key, { upload }]) => [key, upload] as const), lanes)) {
      const item = this.#items.get(key);
      // The change of another may have given it its turn already.
      if (item?.upload.phase !== 'queued') continue;
      this.#apply(key, { type: 'turn' });
      const stop = new AbortController();
      item.stop = stop;
      void this.#send(item, stop.signal).catch((error: unknown) => {
        if (!stop.signal.aborted) void this.#broke(item, Problem.from(error));
      });
    }
  }

  async #send(item: Item, signal: AbortSignal): Promise<void> {
    const { record, file } = item;
    if (!file) return this.#apply(record.key, { type: 'missing', wants: 'file' });
    let target: { endpoint: string } | { url: string };
    if (record.url) {
      target = { url: record.url };
    } else {
      const media = await this.#media(item);
      if (signal.aborted || !this.#known(item, media)) return;
      const endpoint = media.upload?.tus?.url;
      if (!endpoint) {
        throw new Problem(501, 'no_resumable_upload', 'The gateway takes no resumable uploads', '');
      }
      target = { endpoint };
    }
    const rate = new Rate();
    const send = await this.around.sender();
    await send(file, {
      target,
      signal,
      located: (url) => {
        item.record = { ...item.record, url };
        void this.around.records.save(item.record);
      },
      sent: (loaded) => {
        if (signal.aborted) return;
        this.#apply(record.key, { type: 'sent', loaded, rate: rate.add(performance.now(), loaded) });
      },
    });
    if (signal.aborted) return;
    const id = item.record.mediaId;
    this.#apply(record.key, { type: 'stored' });
    // The stored state is the truth; live events may have brought a later one meanwhile.
    if (id && this.around.store.get(id)?.status === 'uploading') {
      this.around.store.put(await this.around.api.get(id));
    }
  }

  /** The media of an item: the one that is there, or a new one. */
  async #media({ record }: Item): Promise<Media> {
    if (record.mediaId) return this.around.api.get(record.mediaId);
    const { key, name, size, type, pipeline } = record;
    const media = await this.around.api.create(
      {
        filename: name,
        size,
        ...(type && { contentType: type }),
        ...(Object.keys(pipeline).length > 0 && { pipeline }),
      },
      key,
    );
    this.around.store.put(media);
    this.events.created(media);
    return media;
  }

  /** Sending broke off. */
  async #broke(item: Item, problem: Problem): Promise<void> {
    const { record, file } = item;
    if (problem.status === 0 && file && !(await isReadable(file))) {
      const trouble = { title: 'The file changed or went away', detail: '', code: 'file_unreadable' };
      return this.#apply(record.key, { type: 'missing', wants: 'file', trouble });
    }
    const forgotten = problem.status === 404 || problem.status === 410;
    const over = problem.code === 'upload_closed' || problem.code === 'source_exists';
    if (record.url && (forgotten || over) && item.beginnings < maxBeginnings) {
      // The upload is gone; the media says whether another one may begin.
      item.beginnings += 1;
      const { url: _, ...rest } = item.record;
      item.record = rest;
      void this.around.records.save(rest);
      const trouble = asTrouble(problem);
      return this.#apply(record.key, { type: 'trouble', trouble, passing: true, online: this.around.online() });
    }
    this.#failed(item, problem);
  }

  #failed(item: Item, problem: Problem): void {
    const { key, mediaId } = item.record;
    // The media was deleted, so there is nothing to upload to.
    if (mediaId && (problem.status === 404 || problem.status === 410)) {
      this.drop(key);
      this.around.store.remove(mediaId);
      return;
    }
    const passing = isPassing(problem.status, problem.code);
    this.#apply(key, { type: 'trouble', trouble: asTrouble(problem), passing, online: this.around.online() });
  }

  #remember(key: string, paused: boolean): void {
    const item = this.#items.get(key);
    if (!item) return;
    item.record = { ...item.record, paused };
    void this.around.records.save(item.record);
  }

  #of(id: string): Item | undefined {
    return [...this.#items.values()].find(({ record }) => record.mediaId === id);
  }
}
