// The upload queue: a few files at a time, each with its media in the store.

import { local, Problem, type Api } from './api.ts';
import type { Store } from './store.ts';
import type { Media, Pipeline } from './types.ts';
import { Cancelled, put, Rate, type Transfer } from './upload.ts';

/** Browsers allow six connections to a host; the others are for playing and for events. */
const parallel = 2;

interface Job {
  file: File;
  pipeline: Pipeline;
}

export interface UploadEvents {
  /** A media was made for a file. */
  created(media: Media, file: File): void;
  /** No media could be made for a file. */
  refused(file: File, problem: Problem): void;
  /** The number of files that wait for their turn. */
  waiting(count: number): void;
}

export class Uploads {
  #queue: Job[] = [];
  #running = 0;
  #transfers = new Map<string, Transfer>();
  #files = new Map<string, File>();

  constructor(
    private readonly api: Api,
    private readonly store: Store,
    private readonly events: UploadEvents,
  ) {}

  add(files: Iterable<File>, pipeline: Pipeline): void {
    for (const file of files) this.#queue.push({ file, pipeline });
    this.#next();
  }

  /** Whether a file is on its way or waiting, so that leaving the page would lose it. */
  get busy(): boolean {
    return this.#running > 0 || this.#queue.length > 0;
  }

  /** The file that this page uploads, or uploaded, to a media. */
  file(id: string): File | undefined {
    return this.#files.get(id);
  }

  /** Stops the transfer to a media, if there is one. */
  cancel(id: string): void {
    this.#transfers.get(id)?.cancel();
    this.#files.delete(id);
  }

  /** Sends the file again after the transfer broke. */
  again(media: Media): void {
    const file = this.#files.get(media.id);
    if (!file || this.#transfers.has(media.id)) return;
    this.#running += 1;
    // Only an answer to the owner carries the upload's URL, so what came by events will not do.
    void this.api
      .get(media.id)
      .then((fresh) => this.#transfer(fresh, file))
      .catch((error: unknown) => this.events.refused(file, Problem.from(error)))
      .finally(() => this.#finished());
  }

  #next(): void {
    while (this.#running < parallel) {
      const job = this.#queue.shift();
      if (!job) break;
      this.#running += 1;
      void this.#run(job).finally(() => this.#finished());
    }
    this.events.waiting(this.#queue.length);
  }

  #finished(): void {
    this.#running -= 1;
    this.#next();
  }

  async #run({ file, pipeline }: Job): Promise<void> {
    let media: Media;
    try {
      media = await this.api.create(
        {
          filename: file.name,
          size: file.size,
          ...(file.type && { contentType: file.type }),
          ...(Object.keys(pipeline).length > 0 && { pipeline }),
        },
        crypto.randomUUID(),
      );
    } catch (error) {
      this.events.refused(file, Problem.from(error));
      return;
    }
    this.#files.set(media.id, file);
    this.store.setUpload(media.id, { loaded: 0, total: file.size, rate: 0 });
    this.store.put(media);
    this.events.created(media, file);
    await this.#transfer(media, file);
  }

  async #transfer(media: Media, file: File): Promise<void> {
    const target = media.upload?.put;
    if (!target) return;
    const rate = new Rate();
    const progress = (loaded: number, error?: string) =>
      this.store.setUpload(media.id, {
        loaded,
        total: file.size,
        rate: error === undefined ? rate.add(performance.now(), loaded) : 0,
        ...(error !== undefined && { error }),
      });
    progress(0);
    const transfer = put(local(target.url), target.method, file, progress);
    this.#transfers.set(media.id, transfer);
    try {
      await transfer.done;
      await this.#refresh(media.id);
    } catch (error) {
      if (error instanceof Cancelled) return;
      const problem = Problem.from(error);
      progress(0, problem.detail || problem.title);
    } finally {
      this.#transfers.delete(media.id);
    }
  }

  /** The stored state is the truth; live events may have brought a later one meanwhile. */
  async #refresh(id: string): Promise<void> {
    if (this.store.get(id)?.status === 'uploading') this.store.put(await this.api.get(id));
  }
}
