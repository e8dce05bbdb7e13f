// A media's live events: reconnects where it left off, stops when nothing more will come.

import { Api, Problem } from './api.ts';
import { SseParser } from './sse.ts';
import { isActive } from './state.ts';
import type { Media, ProgressEvent } from './types.ts';

/** The gateway says something at least every 15 s; silence this long means a dead connection. */
const silenceMs = 45_000;
const maxBackoffMs = 15_000;

export interface Listener {
  media(media: Media): void;
  progress(progress: ProgressEvent): void;
  /** The media does not exist any more. */
  gone(): void;
  connected(connected: boolean): void;
}

/** Follows a media until `stop` is called or the media has come to rest. */
export function follow(api: Api, id: string, listener: Listener): { stop(): void } {
  const abort = new AbortController();
  void run(api, id, listener, abort.signal);
  return { stop: () => abort.abort() };
}

async function run(api: Api, id: string, listener: Listener, stop: AbortSignal): Promise<void> {
  let lastEventId = '';
  let failures = 0;
  let resting = false;
  const parser = () =>
    new SseParser(({ event, data, id: eventId }) => {
      if (eventId) lastEventId = eventId;
      failures = 0;
      if (event === 'media') {
        const media = JSON.parse(data) as Media;
        resting = !isActive(media);
        if (media.status === 'deleted') listener.gone();
        else listener.media(media);
      } else if (event === 'progress') {
        listener.progress(JSON.parse(data) as ProgressEvent);
      }
    });
  while (!stop.aborted) {
    const sse = parser();
    try {
      await readOnce(api, id, lastEventId, sse, stop, () => listener.connected(true));
      if (resting) return;
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof Problem && (error.status === 404 || error.status === 410)) {
        listener.gone();
        return;
      }
      if (error instanceof Problem && error.status === 401) return;
    }
    if (stop.aborted) return;
    listener.connected(false);
    failures += 1;
    await pause(Math.min(maxBackoffMs, (sse.retry ?? 500) * 2 ** (failures - 1)), stop);
  }
}

/** Reads one connection to its end. Throws when it cannot be made, breaks or falls silent. */
async function readOnce(
  api: Api,
  id: string,
  lastEventId: string,
  parser: SseParser,
  stop: AbortSignal,
  onOpen: () => void,
): Promise<void> {
  const connection = new AbortController();
  const silence = () => setTimeout(() => connection.abort(), silenceMs);
  let watchdog = silence();
  try {
    const signal = AbortSignal.any([stop, connection.signal]);
    const response = await api.events(id, lastEventId, signal);
    if (!response.body) throw Problem.unreachable();
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = silence();
      parser.push(value);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
