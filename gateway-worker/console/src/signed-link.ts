// The signed URLs of a media: which one, for how long, and a button that copies it.

import { Problem, type Api } from './api.ts';
import { copy } from './app.ts';
import { button, h, text } from './dom.ts';
import { complain } from './toast.ts';
import type { Playback } from './types.ts';

const lifetimes: [label: string, seconds: number][] = [
  ['1 hour', 3600],
  ['12 hours', 43_200],
  ['7 days', 604_800],
  ['30 days', 2_592_000],
];

const outputs = [
  ['HLS stream', 'hls'],
  ['Poster', 'poster'],
  ['Storyboard', 'storyboard'],
  ['Waveform', 'waveform'],
  ['Metadata', 'metadata'],
] as const;

export class SignedLink {
  readonly element = h('div', { class: 'signed', hidden: true });
  #url = h('input', { class: 'url', readonly: true, 'aria-label': 'Signed URL', spellcheck: 'false' });
  #output = h('select', { 'aria-label': 'Output' });
  #lifetime = h(
    'select',
    { 'aria-label': 'Valid for' },
    ...lifetimes.map(([label, seconds]) => h('option', { value: seconds }, `For ${label}`)),
  );
  #until = h('small');
  #playback: Playback | undefined;

  constructor(
    private readonly api: Api,
    private readonly id: string,
    private readonly signal: AbortSignal,
  ) {
    const copyUrl = button('Copy URL', () => void copy(this.#url.value, 'Signed URL'), {
      icon: 'copy',
      kind: 'primary',
    });
    this.#lifetime.value = '43200';
    this.#url.addEventListener('focus', () => this.#url.select());
    this.#output.addEventListener('change', () => this.#render());
    this.#lifetime.addEventListener('change', () => void this.#renew());
    this.element.append(
      h('div', {}, this.#url, copyUrl),
      h('div', {}, this.#output, this.#lifetime),
      this.#until,
    );
  }

  /** A playback for as long as is chosen. */
  fetch(): Promise<Playback> {
    return this.api.playback(this.id, this.signal, Number(this.#lifetime.value));
  }

  show(playback: Playback): void {
    this.#playback = playback;
    const chosen = this.#output.value;
    const there = outputs.filter(([, name]) => playback[name]);
    this.#output.replaceChildren(...there.map(([label, name]) => h('option', { value: name }, label)));
    if (there.some(([, name]) => name === chosen)) this.#output.value = chosen;
    this.element.hidden = false;
    this.#render();
  }

  hide(): void {
    this.element.hidden = true;
  }

  #render(): void {
    const name = outputs.find(([, output]) => output === this.#output.value)?.[1] ?? 'hls';
    this.#url.value = this.#playback?.[name] ?? '';
    const until = this.#playback && new Date(this.#playback.expiresAt).toLocaleString();
    text(this.#until, until ? `Anyone with it can play until ${until}.` : '');
  }

  async #renew(): Promise<void> {
    try {
      this.show(await this.fetch());
    } catch (error) {
      if (!this.signal.aborted) complain(Problem.from(error));
    }
  }
}
