// Where files come in: dropped anywhere on the page, picked, or named by a URL.

import { button, h, icon, text } from './dom.ts';
import { bytes } from './format.ts';
import { accept, canPick, dropped, pick, plain, type Picked } from './picked.ts';
import type { Pipeline } from './types.ts';
import { UrlForm } from './url-form.ts';

export interface DropzoneEvents {
  files(picked: Picked[], pipeline: Pipeline): void;
  /** Rejects with a `Problem` if the gateway will not have it. */
  url(url: string, pipeline: Pipeline): Promise<void>;
}

export class Dropzone {
  readonly element: HTMLElement;
  #input = h('input', {
    type: 'file',
    multiple: true,
    accept,
    class: 'visually-hidden',
    tabindex: -1,
    'aria-label': 'Video or audio files',
  });
  #limit = h('span');
  #format = choice('Segments', [
    ['cmaf', 'Fragmented MP4 (CMAF)'],
    ['ts', 'MPEG-TS, for old players'],
  ]);
  #seconds = choice('Segment length', [
    ['4', '4 s, playable soonest'],
    ['5', '5 s'],
    ['6', '6 s'],
  ]);
  #retry = choice('After a failure', [
    ['manual', 'Wait for me'],
    ['automatic', 'Retry once by itself'],
  ]);
  /** Depth of nested dragenter events. */
  #depth = 0;

  constructor(private readonly events: DropzoneEvents) {
    const form = new UrlForm((url) => this.events.url(url, this.#pipeline()));
    this.element = h(
      'section',
      { class: 'drop', 'aria-label': 'Upload' },
      h('div', { class: 'drop-mark' }, icon('upload')),
      h(
        'div',
        { class: 'drop-text' },
        h('h1', {}, 'Drop video or audio here'),
        h('p', {}, 'It plays while it is still being encoded. ', this.#limit),
      ),
      h(
        'div',
        { class: 'drop-actions' },
        button('Choose files', () => void this.#choose(), { kind: 'primary' }),
        form.element,
        h(
          'details',
          { class: 'options' },
          h('summary', {}, 'Options'),
          h('div', {}, this.#format.label, this.#seconds.label, this.#retry.label),
        ),
      ),
      this.#input,
    );
    this.#input.addEventListener('change', () => {
      this.#take(plain(this.#input.files));
      this.#input.value = '';
    });
  }

  /** Listens on the whole page until `signal` aborts. */
  listen(signal: AbortSignal): void {
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const over = (on: boolean) => document.documentElement.classList.toggle('dragging', on);
    const on = (name: 'dragenter' | 'dragover' | 'dragleave' | 'drop', act: (e: DragEvent) => void) =>
      document.addEventListener(
        name,
        (event) => {
          if (!carriesFiles(event)) return;
          event.preventDefault();
          act(event);
        },
        { signal },
      );
    on('dragenter', () => over((this.#depth += 1) > 0));
    on('dragleave', () => over((this.#depth -= 1) > 0));
    on('dragover', () => {});
    on('drop', (event) => {
      this.#depth = 0;
      over(false);
      if (event.dataTransfer) void dropped(event.dataTransfer).then((picked) => this.#take(picked));
    });
  }

  /** Says how large a file may be. */
  limit(maxBytes: number): void {
    text(this.#limit, `Up to ${bytes(maxBytes)} a file.`);
  }

  /** Small once there is a library to look at. */
  compact(compact: boolean): void {
    this.element.classList.toggle('compact', compact);
  }

  async #choose(): Promise<void> {
    if (canPick) this.#take(await pick(true));
    else this.#input.click();
  }

  #take(picked: Picked[]): void {
    if (picked.length > 0) this.events.files(picked, this.#pipeline());
  }

  #pipeline(): Pipeline {
    const pipeline: Pipeline = {};
    if (this.#format.value() === 'ts') pipeline.segmentFormat = 'ts';
    if (this.#seconds.value() !== '4') pipeline.segmentSeconds = Number(this.#seconds.value());
    if (this.#retry.value() === 'automatic') pipeline.retry = 'automatic';
    return pipeline;
  }
}

function choice(name: string, options: [value: string, label: string][]) {
  const select = h('select', {}, ...options.map(([value, label]) => h('option', { value }, label)));
  return { label: h('label', {}, h('span', {}, name), select), value: () => select.value };
}
