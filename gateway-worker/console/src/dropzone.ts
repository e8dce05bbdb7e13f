// Where files come in: dropped anywhere on the page, or picked.

import { button, h, icon } from './dom.ts';
import { count } from './format.ts';
import type { Pipeline } from './types.ts';

export class Dropzone {
  readonly element: HTMLElement;
  #input = h('input', {
    type: 'file',
    multiple: true,
    accept: 'video/*,audio/*,.mkv,.mxf,.ts,.m2ts,.flac,.opus',
    class: 'visually-hidden',
    tabindex: -1,
    'aria-label': 'Video or audio files',
  });
  #waiting = h('p', { class: 'drop-waiting', role: 'status' });
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

  constructor(private readonly onFiles: (files: File[], pipeline: Pipeline) => void) {
    this.element = h(
      'section',
      { class: 'drop', 'aria-label': 'Upload' },
      h('div', { class: 'drop-mark' }, icon('upload')),
      h(
        'div',
        { class: 'drop-text' },
        h('h1', {}, 'Drop video or audio here'),
        h('p', {}, 'It plays while it is still being encoded.'),
        this.#waiting,
      ),
      h(
        'div',
        { class: 'drop-actions' },
        button('Choose files', () => this.#input.click(), { kind: 'primary' }),
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
      this.#take([...(this.#input.files ?? [])]);
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
      this.#take([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** Says how many files wait for their turn. */
  waiting(files: number): void {
    this.#waiting.textContent = files > 0 ? `${count(files, 'file')} waiting for a free lane` : '';
  }

  /** Small once there is a library to look at. */
  compact(compact: boolean): void {
    this.element.classList.toggle('compact', compact);
  }

  #take(files: File[]): void {
    if (files.length === 0) return;
    const pipeline: Pipeline = {};
    if (this.#format.value() === 'ts') pipeline.segmentFormat = 'ts';
    if (this.#seconds.value() !== '4') pipeline.segmentSeconds = Number(this.#seconds.value());
    if (this.#retry.value() === 'automatic') pipeline.retry = 'automatic';
    this.onFiles(files, pipeline);
  }
}

function choice(name: string, options: [value: string, label: string][]) {
  const select = h('select', {}, ...options.map(([value, label]) => h('option', { value }, label)));
  return { label: h('label', {}, h('span', {}, name), select), value: () => select.value };
}
