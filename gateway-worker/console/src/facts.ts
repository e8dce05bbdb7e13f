// The facts about a media, as a description list.

import { h } from './dom.ts';
import { bytes, clock, count } from './format.ts';
import type { Media } from './types.ts';

/** Name and value of everything that is known. */
export function facts(media: Media): [name: string, value: string][] {
  const { summary, source } = media;
  const all: [string, string | undefined][] = [
    ['Duration', summary && clock(summary.duration)],
    ['Picture', summary?.width ? picture(summary) : undefined],
    ['Renditions', summary?.renditions?.length ? summary.renditions.map((p) => `${p}p`).join(' · ') : undefined],
    ['Tracks', summary && tracks(summary)],
    ['Encoder', summary?.encoder],
    ['Size', size(source?.size ?? media.size)],
    ['Type', media.contentType],
    ['From', media.sourceUrl],
    ['Created', new Date(media.createdAt).toLocaleString()],
    ['Attempts', media.attempts > 0 ? `${media.attempts} of ${media.attempts + media.retriesLeft}` : undefined],
    ['SHA-256', source?.sha256],
    ['Id', media.id],
  ];
  return all.filter((fact): fact is [string, string] => Boolean(fact[1]));
}

function picture({ width, height, frameRate }: NonNullable<Media['summary']>): string {
  const rate = frameRate ? ` · ${Number(frameRate.toFixed(2))} fps` : '';
  return `${width} × ${height}${rate}`;
}

function tracks({ audioTracks = 0, subtitleTracks = 0 }: NonNullable<Media['summary']>): string {
  const parts = [
    audioTracks > 0 ? count(audioTracks, 'audio track') : '',
    subtitleTracks > 0 ? count(subtitleTracks, 'subtitle track') : '',
  ];
  return parts.filter(Boolean).join(', ');
}

function size(value: number | undefined): string | undefined {
  return value === undefined ? undefined : bytes(value);
}

/** The list, and below it what is imperfect about the result. */
export function factsView(media: Media): Node[] {
  const list = h('dl', { class: 'facts' });
  for (const [name, value] of facts(media)) {
    const long = name === 'SHA-256' || name === 'Id';
    list.append(h('div', {}, h('dt', {}, name), h('dd', { class: long && 'mono', title: long && value }, value)));
  }
  const warnings = (media.summary?.warnings ?? []).map((warning) => h('li', {}, warning));
  if (warnings.length === 0) return [list];
  return [list, h('ul', { class: 'warnings', 'aria-label': 'Warnings' }, ...warnings)];
}
