// One media in the library: a link with its picture, name and state.

import { address } from './app.ts';
import { h, icon, set, text } from './dom.ts';
import { ago, bytes, clock, percent, words } from './format.ts';
import { title, view } from './state.ts';
import type { Media } from './types.ts';
import type { Upload } from './upload-state.ts';

export class Card {
  readonly element: HTMLAnchorElement;
  /** Whether nobody has asked for its picture yet. */
  wantsPoster = true;
  #picture = h('div', { class: 'card-picture' });
  #placeholder = h('span', { class: 'card-placeholder' });
  #length = h('span', { class: 'card-length' });
  #name = h('span', { class: 'card-name' });
  #badge = h('span', { class: 'badge' });
  #meta = h('span', { class: 'card-meta' });
  #bar = h('span', { class: 'bar' }, h('i'));
  #kind = '';

  constructor(readonly id: string) {
    this.#picture.append(this.#placeholder, this.#length, this.#bar);
    this.element = h(
      'a',
      { class: 'card', href: address(id) },
      this.#picture,
      h('span', { class: 'card-text' }, this.#name, h('span', { class: 'card-line' }, this.#badge, this.#meta)),
    );
  }

  update(media: Media, upload: Upload | undefined, now: Date): void {
    const { label, tone, percent: share } = view(media, upload);
    const { summary } = media;
    text(this.#name, title(media));
    set(this.#name, { title: title(media) });
    text(this.#badge, share === undefined ? label : `${label} ${percent(share)}`);
    set(this.#badge, { 'data-tone': tone });
    text(this.#length, summary ? clock(summary.duration) : '');
    const size = media.source?.size ?? media.size;
    const code = tone === 'bad' ? words(media.error?.code ?? '') : '';
    const meta = [code || (size === undefined ? '' : bytes(size)), ago(media.createdAt, now)];
    text(this.#meta, meta.filter(Boolean).join(' · '));
    this.#bar.hidden = tone !== 'busy';
    this.#bar.classList.toggle('unmeasured', share === undefined);
    this.#bar.style.setProperty('--share', `${share ?? 0}%`);
    this.element.dataset['tone'] = tone;
    const sound = summary ? !summary.width : (media.contentType?.startsWith('audio/') ?? false);
    this.#glyph(tone === 'bad' ? 'alert' : sound ? 'wave' : 'film');
  }

  /** Shows the poster, unless `signal` is aborted before it is there; without one the placeholder stays. */
  poster(url: string, signal: AbortSignal): void {
    const image = h('img', { alt: '', decoding: 'async' });
    image.addEventListener('load', () => this.#placeholder.replaceWith(image), { once: true, signal });
    // Only without its source does an image stop loading.
    signal.addEventListener('abort', () => image.complete || image.removeAttribute('src'), { once: true });
    image.src = url;
  }

  select(selected: boolean): void {
    set(this.element, { 'aria-current': selected ? 'true' : null });
  }

  #glyph(name: 'alert' | 'wave' | 'film'): void {
    if (this.#kind === name) return;
    this.#kind = name;
    this.#placeholder.replaceChildren(icon(name));
  }
}
