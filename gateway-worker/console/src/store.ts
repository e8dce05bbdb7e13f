// All media that this page knows of, and who wants to hear of their changes.

import type { Media, ProgressEvent } from './types.ts';
import type { Upload } from './upload-state.ts';

export type Change = { id: string; media: Media | undefined; upload: Upload | undefined };

export class Store {
  #media = new Map<string, Media>();
  #uploads = new Map<string, Upload>();
  #listeners = new Set<(change: Change) => void>();

  /** Calls back on every change until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(id: string): Media | undefined {
    return this.#media.get(id);
  }

  upload(id: string): Upload | undefined {
    return this.#uploads.get(id);
  }

  all(): Media[] {
    return [...this.#media.values()];
  }

  put(media: Media): void {
    this.#media.set(media.id, media);
    // The upload is over once the gateway says so.
    if (media.status !== 'uploading') this.#uploads.delete(media.id);
    this.#changed(media.id);
  }

  progress(event: ProgressEvent): void {
    const media = this.#media.get(event.mediaId);
    if (!media || media.attempts > event.attempt) return;
    // What has come to rest does not move again without a word from the gateway.
    if (media.status === 'ready' || media.status === 'failed') return;
    const { stage, percent, speed, etaSeconds, bytes } = event;
    // A download ends before the first attempt begins.
    if (stage === 'downloading' && media.status !== 'uploading') return;
    const progress = {
      stage,
      percent,
      ...(speed !== undefined && { speed }),
      ...(etaSeconds !== undefined && { etaSeconds }),
      ...(bytes !== undefined && { bytes }),
    };
    const status = stage === 'downloading' ? 'uploading' : 'transcoding';
    this.put({ ...media, status, playable: event.playable, progress });
  }

  setUpload(id: string, upload: Upload): void {
    this.#uploads.set(id, upload);
    this.#changed(id);
  }

  remove(id: string): void {
    this.#uploads.delete(id);
    if (this.#media.delete(id)) this.#changed(id);
  }

  #changed(id: string): void {
    const change = { id, media: this.get(id), upload: this.upload(id) };
    for (const listener of this.#listeners) listener(change);
  }
}
