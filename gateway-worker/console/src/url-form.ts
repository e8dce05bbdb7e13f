// A file that lies elsewhere: the gateway fetches it.

import { Problem } from './api.ts';
import { h, set } from './dom.ts';

export class UrlForm {
  readonly element: HTMLElement;
  #input = h('input', {
    id: 'source-url',
    type: 'url',
    required: true,
    placeholder: 'https://example.com/video.mp4',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-describedby': 'source-url-error',
  });
  #error = h('p', { id: 'source-url-error', class: 'form-error', role: 'alert' });
  #submit = h('button', { type: 'submit', class: 'button' }, 'Fetch');

  constructor(private readonly onUrl: (url: string) => Promise<void>) {
    const form = h(
      'form',
      { class: 'url-form', novalidate: true },
      h('label', { for: 'source-url' }, 'Address of the file'),
      h('div', {}, this.#input, this.#submit),
      this.#error,
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.element = h(
      'details',
      { class: 'options from-url' },
      h('summary', {}, 'From a URL'),
      form,
    );
    this.element.addEventListener('toggle', () => (this.element as HTMLDetailsElement).open && this.#input.focus());
  }

  async #send(): Promise<void> {
    const url = this.#input.value.trim();
    if (!isFetchable(url)) return this.#say('Give a whole address that begins with https:// or http://.');
    this.#submit.disabled = true;
    this.#say('');
    try {
      await this.onUrl(url);
      this.#input.value = '';
      (this.element as HTMLDetailsElement).open = false;
    } catch (error) {
      this.#say(Problem.from(error).message);
      this.#input.select();
    } finally {
      this.#submit.disabled = false;
    }
  }

  #say(error: string): void {
    this.#error.textContent = error;
    set(this.#input, { 'aria-invalid': error === '' ? null : 'true' });
    if (error) this.#input.focus();
  }
}

/** Whether the gateway could fetch it at all; whether it may is the gateway's to say. */
export function isFetchable(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}
