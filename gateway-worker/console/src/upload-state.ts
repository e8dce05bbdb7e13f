// One file on its way: what can happen to it, and what that makes of it. Pure.

import * as format from './format.ts';
import type { View } from './state.ts';

/**
 * - `queued`: wants a free lane.
 * - `sending`: has one.
 * - `waiting`: for the network, or for the next try.
 * - `paused`: by the person.
 * - `asking`: for the file, or for leave to read it.
 * - `failed`: stopped, with a reason.
 * - `done`: the gateway has every byte.
 */
export type Phase = 'queued' | 'sending' | 'waiting' | 'paused' | 'asking' | 'failed' | 'done';

export interface Trouble {
  title: string;
  detail: string;
  code: string;
}

export interface Upload {
  phase: Phase;
  /** Bytes that are there or on their way. */
  loaded: number;
  total: number;
  /** The most that ever were. */
  furthest: number;
  /** Bytes a second, smoothed. */
  rate: number;
  /** Troubles since it last got further. */
  tries: number;
  /** What is being sat out, or why it stopped. */
  trouble?: Trouble;
  /** While it asks: for a click, after which the page may read the file, or for the file itself. */
  wants?: 'leave' | 'file';
}

export type UploadEvent =
  /** A lane is free. */
  | { type: 'turn' }
  | { type: 'sent'; loaded: number; rate: number }
  | { type: 'trouble'; trouble: Trouble; passing: boolean; online: boolean }
  | { type: 'offline' }
  /** The network is back, or the pause before the next try is over. */
  | { type: 'again' }
  | { type: 'pause' }
  /** The person wants it to go on, or to be tried again. */
  | { type: 'resume' }
  | { type: 'missing'; wants: 'leave' | 'file'; trouble?: Trouble }
  | { type: 'found' }
  | { type: 'stored' };

/** Tries in a row that get no further, while the browser believes to be online. */
const maxTries = 8;
const longestPauseMs = 30_000;

export const offline: Trouble = {
  title: 'There is no network',
  detail: 'The upload goes on by itself when it is back.',
  code: 'offline',
};

export function fresh(total: number, phase: Phase = 'queued'): Upload {
  return { phase, loaded: 0, furthest: 0, total, rate: 0, tries: 0 };
}

/** What an event makes of an upload; the same object if it makes nothing of it. */
export function step(upload: Upload, event: UploadEvent): Upload {
  const { phase } = upload;
  // What is over stays over, but for a person who tries again.
  if (phase === 'done' || (phase === 'failed' && event.type !== 'resume')) return upload;
  switch (event.type) {
    case 'turn':
      return phase === 'queued' ? at(upload, 'sending') : upload;
    case 'sent': {
      if (phase !== 'sending') return upload;
      const { loaded, rate } = event;
      if (loaded <= upload.furthest) return { ...upload, loaded, rate };
      const { trouble: _, ...rest } = upload;
      return { ...rest, loaded, furthest: loaded, rate, tries: 0 };
    }
    case 'trouble': {
      const { trouble, passing, online } = event;
      if (phase !== 'sending' && passing) return upload;
      if (passing && !online) return { ...at(upload, 'waiting'), trouble: offline };
      const tries = upload.tries + 1;
      const stops = !passing || tries > maxTries;
      return { ...at(upload, stops ? 'failed' : 'waiting'), tries, trouble };
    }
    case 'offline':
      if (phase !== 'sending' && phase !== 'queued') return upload;
      return { ...at(upload, 'waiting'), trouble: offline };
    case 'again':
      return phase === 'waiting' ? at(upload, 'queued') : upload;
    case 'pause':
      return ['queued', 'sending', 'waiting'].includes(phase) ? at(upload, 'paused') : upload;
    case 'resume':
      if (phase !== 'paused' && phase !== 'failed' && phase !== 'waiting') return upload;
      return { ...at(upload, 'queued'), tries: 0 };
    case 'missing': {
      const next: Upload = { ...at(upload, 'asking'), wants: event.wants };
      return event.trouble ? { ...next, trouble: event.trouble } : next;
    }
    case 'found':
      return phase === 'asking' ? { ...at(upload, 'queued'), tries: 0 } : upload;
    case 'stored':
      return { ...at(upload, 'done'), loaded: upload.total };
  }
}

/** The upload in another phase. The reason of the phase before goes with it, unless it is being tried again. */
function at(upload: Upload, phase: Phase): Upload {
  const { trouble, wants: _, ...rest } = upload;
  const tried = trouble && upload.tries > 0 && (phase === 'queued' || phase === 'sending');
  return { ...rest, phase, rate: 0, ...(tried && { trouble }) };
}

/** How long to wait before the next try, in milliseconds. */
export function pauseMs(tries: number): number {
  return Math.min(longestPauseMs, 1000 * 2 ** Math.max(0, tries - 1));
}

/** Whose turn it is: as many of the queued as there are free lanes, first come, first served. */
export function turns<K>(uploads: Iterable<readonly [K, Upload]>, lanes: number): K[] {
  const all = [...uploads];
  const free = lanes - all.filter(([, { phase }]) => phase === 'sending').length;
  return all.filter(([, { phase }]) => phase === 'queued').slice(0, Math.max(0, free)).map(([key]) => key);
}

/** Whether an HTTP answer, or none (0), may be another one later. */
export function isPassing(status: number, code: string): boolean {
  if (status === 409) return code !== 'source_exists' && code !== 'upload_closed';
  return status === 0 || status === 408 || status === 423 || status === 429 || status >= 500;
}

/** How an upload stands, in a few words. */
export function uploadView(upload: Upload): View {
  const { phase, loaded, total, rate, trouble } = upload;
  const share = total > 0 ? (100 * Math.min(loaded, total)) / total : 0;
  const sizes = `${format.bytes(Math.min(loaded, total))} of ${format.bytes(total)}`;
  switch (phase) {
    case 'queued':
      return { label: 'Waiting for its turn', tone: 'idle', percent: share, note: sizes };
    case 'sending': {
      if (total > 0 && loaded >= total) return { label: 'Storing', tone: 'busy' };
      const rest = rate > 0 ? (total - loaded) / rate : undefined;
      const notes = [
        sizes,
        rate > 0 ? `${format.bytes(rate)}/s` : '',
        rest === undefined ? '' : format.left(rest),
        trouble?.title ?? '',
      ];
      return { label: 'Uploading', tone: 'busy', percent: share, note: notes.filter(Boolean).join(' · ') };
    }
    case 'waiting': {
      const label = trouble?.code === offline.code ? 'Waiting for the network' : 'Trying again';
      return { label, tone: 'idle', percent: share, note: trouble?.title ?? sizes };
    }
    case 'paused':
      return { label: 'Paused', tone: 'idle', percent: share, note: sizes };
    case 'asking': {
      const hint = upload.wants === 'leave' ? 'May this page read the file again?' : 'Choose the same file to go on.';
      const note = [trouble?.title ?? '', hint].filter(Boolean).join('. ');
      return { label: 'Waiting for its file', tone: 'idle', percent: share, note };
    }
    case 'failed':
      return { label: 'Upload stopped', tone: 'bad', note: trouble?.detail || trouble?.title || '' };
    case 'done':
      return { label: 'Uploaded', tone: 'good', percent: 100, note: format.bytes(total) };
  }
}
