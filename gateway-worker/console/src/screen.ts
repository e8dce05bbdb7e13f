// What stands in the player's place until there is something to play: how far the media is, or why
// it went no further.

import { button, h, icon, set, text } from './dom.ts';
import { percent, words } from './format.ts';
import { canRetry, step, steps, view } from './state.ts';
import type { Media } from './types.ts';
import type { Upload } from './upload-state.ts';

export interface ScreenActions {
  retry(): void;
  sendAgain(): void;
}

export class Screen {
  readonly element: HTMLElement;
  #preview: HTMLVideoElement | undefined;
  #number = h('span', { class: 'screen-number', 'aria-hidden': 'true' });
  #label = h('span', { class: 'screen-label' });
  #note = h('span', { class: 'screen-note' });
  #bar = h('div', { class: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('i'));
  #steps = steps.map((name) => h('li', {}, h('i'), name));
  #progress: HTMLElement;
  #failure = h('div', { class: 'screen-failure', role: 'alert', hidden: true });
  #shown = '';

  constructor(private readonly actions: ScreenActions) {
    this.#progress = h(
      'div',
      { class: 'screen-progress' },
      h('div', { class: 'screen-head' }, this.#number, h('div', {}, this.#label, this.#note)),
      this.#bar,
      h('ol', { class: 'steps' }, ...this.#steps),
    );
    this.element = h('div', { class: 'screen' }, this.#progress, this.#failure);
  }

  /** Shows a frame of the file that is being uploaded, behind the numbers. */
  preview(file: File): void {
    if (this.#preview || !file.type.startsWith('video/')) return;
    const video = h('video', { class: 'screen-preview', 'aria-hidden': 'true', tabindex: -1 });
    video.muted = true;
    video.preload = 'metadata';
    video.addEventListener('loadedmetadata', () => {
      video.currentTime = Math.min(3, video.duration / 3 || 0);
    });
    video.addEventListener('seeked', () => video.classList.add('shown'), { once: true });
    video.src = URL.createObjectURL(file);
    this.#preview = video;
    this.element.prepend(video);
  }

  update(media: Media, upload: Upload | undefined): void {
    const { label, percent: share, note, tone } = view(media, upload);
    const failed = media.status === 'failed';
    const broken = upload?.phase === 'failed' && media.status === 'uploading';
    this.#progress.hidden = failed || broken;
    this.#failure.hidden = !(failed || broken);
    if (failed) this.#showFailure(media);
    else if (broken) this.#showBroken(upload?.trouble);
    else this.#shown = '';
    text(this.#number, share === undefined ? '' : percent(share));
    text(this.#label, label);
    text(this.#note, note ?? '');
    this.element.dataset['tone'] = tone;
    this.#bar.classList.toggle('unmeasured', share === undefined);
    set(this.#bar, { 'aria-label': label, 'aria-valuenow': share === undefined ? null : Math.floor(share) });
    this.#bar.style.setProperty('--share', `${share ?? 0}%`);
    const current = step(media);
    this.#steps.forEach((item, index) => {
      set(item, {
        class: index < current ? 'past' : index === current ? 'now' : null,
        'aria-current': index === current ? 'step' : null,
      });
    });
  }

  destroy(): void {
    if (!this.#preview) return;
    URL.revokeObjectURL(this.#preview.src);
    this.#preview.removeAttribute('src');
  }

  #showFailure(media: Media): void {
    const { code, message } = media.error ?? { code: 'internal', message: 'No reason was given.' };
    const again = canRetry(media);
    const hint = again
      ? null
      : h('p', { class: 'hint' }, 'There is no retry left. Upload the file again as a new media.');
    this.#show(`${media.id} ${media.attempts} ${code} ${again}`, [
      icon('alert'),
      h('h3', {}, code === 'cancelled' ? 'Cancelled' : words(code)),
      h('p', {}, message),
      h('code', {}, code),
      again ? button('Retry', () => this.actions.retry(), { icon: 'retry', kind: 'primary' }) : hint,
    ]);
  }

  #showBroken(trouble: Upload['trouble']): void {
    const { title, detail, code } = trouble ?? { title: '', detail: '', code: '' };
    this.#show(`${title} ${detail} ${code}`, [
      icon('alert'),
      h('h3', {}, 'The upload stopped'),
      h('p', {}, detail || title),
      h('code', {}, code),
      button('Send again', () => this.actions.sendAgain(), { icon: 'retry', kind: 'primary' }),
    ]);
  }

  /** Rebuilds the failure only when it is another one, so that a focused button stays. */
  #show(key: string, children: (Node | null)[]): void {
    if (this.#shown === key) return;
    this.#shown = key;
    this.#failure.replaceChildren(...children.filter((child) => child !== null));
  }
}
