// One file on its way to the gateway. XMLHttpRequest, because fetch reports no upload progress.

import { Problem } from './api.ts';

export interface Transfer {
  done: Promise<void>;
  cancel(): void;
}

/** Thrown when the transfer was cancelled here. */
export class Cancelled extends Error {}

/** Puts `file` to `url`; `onProgress` gets bytes sent so far. */
export function put(
  url: string,
  method: string,
  file: Blob,
  onProgress: (loaded: number) => void,
): Transfer {
  const request = new XMLHttpRequest();
  const done = new Promise<void>((resolve, reject) => {
    request.open(method, url);
    if (file.type) request.setRequestHeader('Content-Type', file.type);
    request.upload.addEventListener('progress', (event) => onProgress(event.loaded));
    request.addEventListener('load', () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(Problem.fromBody(request.status, request.responseText));
    });
    request.addEventListener('error', () => reject(Problem.unreachable()));
    request.addEventListener('abort', () => reject(new Cancelled()));
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}

/** Bytes a second over the last few seconds, from cumulative counts. */
export class Rate {
  #samples: [ms: number, loaded: number][] = [];

  /** The rate after `loaded` bytes at `ms`. */
  add(ms: number, loaded: number): number {
    this.#samples.push([ms, loaded]);
    while (this.#samples.length > 2 && ms - (this.#samples[0]?.[0] ?? ms) > 5000) {
      this.#samples.shift();
    }
    const [from, before] = this.#samples[0] ?? [ms, loaded];
    return ms - from >= 250 ? ((loaded - before) * 1000) / (ms - from) : 0;
  }
}
