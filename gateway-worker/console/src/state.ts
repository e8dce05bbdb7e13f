// What a media's state looks like to a person. Pure.

import * as format from './format.ts';
import type { Media, Stage } from './types.ts';

/** An upload that this page is making. */
export interface Upload {
  loaded: number;
  total: number;
  /** Bytes a second, smoothed. */
  rate: number;
  /** Why it stopped, if it did. */
  error?: string;
}

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
      return upload ? uploadView(upload) : { label: 'Waiting for its file', tone: 'idle' };
    case 'uploaded':
      return { label: 'Queued', tone: 'busy' };
    case 'transcoding': {
      const progress = media.progress;
      if (!progress) return { label: 'Starting', tone: 'busy' };
      const notes = [
        progress.speed === undefined ? '' : format.speed(progress.speed),
        progress.etaSeconds === undefined ? '' : format.left(progress.etaSeconds),
      ];
      return {
        label: stages[progress.stage] ?? 'Working',
        tone: 'busy',
        percent: progress.percent,
        note: notes.filter(Boolean).join(' · '),
      };
    }
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

function uploadView(upload: Upload): View {
  if (upload.error) return { label: 'Upload stopped', tone: 'bad' };
  if (upload.total > 0 && upload.loaded >= upload.total) return { label: 'Storing', tone: 'busy' };
  const share = upload.total > 0 ? (100 * upload.loaded) / upload.total : 0;
  const rest = upload.rate > 0 ? (upload.total - upload.loaded) / upload.rate : undefined;
  const notes = [
    upload.rate > 0 ? `${format.bytes(upload.rate)}/s` : '',
    rest === undefined ? '' : format.left(rest),
  ];
  return { label: 'Uploading', tone: 'busy', percent: share, note: notes.filter(Boolean).join(' · ') };
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

/** The name a media goes by. */
export function title(media: Media): string {
  return media.filename || media.id;
}
