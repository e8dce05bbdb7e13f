// What a media's state looks like to a person. Pure.

import * as format from './format.ts';
import type { Media, Progress, Stage } from './types.ts';
import { uploadView, type Upload } from './upload-state.ts';

export type Tone = 'idle' | 'busy' | 'good' | 'bad';

export interface View {
  label: string;
  tone: Tone;
  /** 0 to 100, where something is going on that can be measured. */
  percent?: number;
  /** Speed and time to go. */
  note?: string;
}

const stages: Record<Stage, string> = {
  downloading: 'Downloading',
  queued: 'Queued',
  fetching: 'Fetching',
  probing: 'Inspecting',
  encoding: 'Encoding',
  publishing: 'Publishing',
};

/** How a media stands, in a few words. */
export function view(media: Media, upload?: Upload): View {
  switch (media.status) {
    case 'uploading':
      if (upload) return uploadView(upload);
      if (media.progress) return progressView(media.progress);
      return media.sourceUrl === undefined
        ? { label: 'Waiting for its file', tone: 'idle' }
        : { label: 'Downloading', tone: 'busy' };
    case 'uploaded':
      return { label: 'Queued', tone: 'busy' };
    case 'transcoding':
      return media.progress ? progressView(media.progress) : { label: 'Starting', tone: 'busy' };
    case 'ready':
      return { label: 'Ready', tone: 'good' };
    case 'failed':
      return media.error?.code === 'cancelled'
        ? { label: 'Cancelled', tone: 'idle' }
        : { label: 'Failed', tone: 'bad' };
    case 'deleted':
      return { label: 'Deleted', tone: 'idle' };
  }
}

function progressView({ stage, percent, speed, etaSeconds, bytes }: Progress): View {
  const notes = [
    bytes === undefined ? '' : format.bytes(bytes),
    speed === undefined ? '' : format.speed(speed),
    etaSeconds === undefined ? '' : format.left(etaSeconds),
  ];
  return { label: stages[stage] ?? 'Working', tone: 'busy', percent, note: notes.filter(Boolean).join(' · ') };
}

/** The steps of a media's way, as shown before it can be played. */
export const steps = ['Upload', 'Queue', 'Fetch', 'Inspect', 'Encode', 'Publish'] as const;

/** Which of [`steps`] a media is in; all of them are behind it when it is ready. */
export function step(media: Media): number {
  if (media.status === 'uploading') return 0;
  if (media.status === 'uploaded') return 1;
  if (media.status === 'ready') return steps.length;
  const order: Stage[] = ['queued', 'fetching', 'probing', 'encoding', 'publishing'];
  return media.progress ? 1 + order.indexOf(media.progress.stage) : 1;
}

/** Whether anything more will happen to the media by itself. */
export function isActive(media: Media): boolean {
  return media.status === 'uploading' || media.status === 'uploaded' || media.status === 'transcoding';
}

/** Whether a failed media has a retry left, and something to try again with. */
export function canRetry({ status, retriesLeft, source, sourceUrl }: Media): boolean {
  return status === 'failed' && retriesLeft > 0 && (source !== undefined || sourceUrl !== undefined);
}

/** The name a media goes by. */
export function title({ filename, sourceUrl, id }: Media): string {
  return filename || sourceUrl?.split('/').at(-1) || id;
}
