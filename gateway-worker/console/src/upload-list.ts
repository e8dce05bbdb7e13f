// The files on their way, one row each, with what can be done about them.

import { address, cancel, type App } from './app.ts';
import { button, h, set, text, type IconName } from './dom.ts';
import { bytes, count, percent } from './format.ts';
import { canPick, pick, plain } from './picked.ts';
import { announce } from './toast.ts';
import { uploadView, type Upload } from './upload-state.ts';
import type { Listed } from './upload-item.ts';

export class UploadList {
  readonly element: HTMLElement;
  #title = h('h2', { id: 'uploads-title', tabindex: -1 }, 'Uploads');
  #summary = h('p', { class: 'hint' });
  #pause = button('Pause all', () => this.#all('pause'));
  #resume = button('Resume all', () => this.#all('resume'));
  #list = h('ul');
  #rows = new Map<string, Row>();

  constructor(private readonly app: () => App) {
    this.element = h(
      'section',
      { class: 'uploads', 'aria-labelledby': 'uploads-title', hidden: true },
      h('header', {}, h('div', {}, this.#title, this.#summary), h('div', { class: 'uploads-all' }, this.#pause, this.#resume)),
      this.#list,
    );
  }

  /** Shows a file as it is now, or takes it off the list. */
  update(key: string, item: Listed | undefined): void {
    let row = this.#rows.get(key);
    if (!item) {
      if (row) this.#remove(key, row);
    } else {
      if (!row) {
        row = new Row(item, this.app);
        this.#rows.set(key, row);
        this.#list.append(row.element);
      }
      row.update(item);
    }
    this.#summarise();
  }

  #remove(key: string, row: Row): void {
    const focused = row.element.contains(document.activeElement);
    const neighbour = (row.element.nextElementSibling ?? row.element.previousElementSibling) as HTMLElement | null;
    this.#rows.delete(key);
    row.element.remove();
    // The keyboard must not fall out of the list with the row.
    if (focused) (neighbour?.querySelector<HTMLElement>('button:not([hidden])') ?? this.#title).focus();
  }

  #summarise(): void {
    const uploads = [...this.#rows.values()].map(({ item }) => item.upload);
    this.element.hidden = uploads.length === 0;
    const [loaded, total] = uploads.reduce(([a, b], { loaded, total }) => [a + loaded, b + total], [0, 0]);
    const share = total > 0 ? ` · ${percent((100 * loaded) / total)} of ${bytes(total)}` : '';
    text(this.#summary, `${count(uploads.length, 'file')}${share}`);
    this.#pause.hidden = uploads.length < 2 || !uploads.some(isPausable);
    this.#resume.hidden = uploads.length < 2 || !uploads.some(({ phase }) => phase === 'paused');
  }

  #all(action: 'pause' | 'resume'): void {
    const { uploads } = this.app();
    for (const { key, upload } of uploads.list()) {
      if (action === 'pause' ? isPausable(upload) : upload.phase === 'paused') uploads[action](key);
    }
  }
}

class Row {
  readonly element: HTMLElement;
  item: Listed;
  #name = h('a', { class: 'upload-name' });
  #label = h('span', { class: 'badge' });
  #note = h('p', { class: 'upload-note' });
  #code = h('code');
  #bar = h('div', { class: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('i'));
  #input = h('input', { type: 'file', class: 'visually-hidden', tabindex: -1, 'aria-hidden': 'true' });
  #pause: HTMLButtonElement;
  #resume: HTMLButtonElement;
  #allow: HTMLButtonElement;
  #choose: HTMLButtonElement;
  #drop: HTMLButtonElement;
  #announced = '';

  constructor(item: Listed, private readonly app: () => App) {
    this.item = item;
    const { key, name } = item;
    const uploads = () => app().uploads;
    const action = (verb: string, icon: IconName, act: () => void) =>
      button(`${verb} ${name}`, act, { icon, bare: true });
    this.#pause = action('Pause', 'pause', () => this.#keepFocus(() => uploads().pause(key)));
    this.#resume = action('Resume', 'play', () => this.#keepFocus(() => uploads().resume(key)));
    this.#allow = button('Allow and go on', () => void uploads().allow(key));
    this.#choose = button('Choose the file', () => void this.#ask());
    this.#drop = action('Cancel', 'close', () => this.#cancel());
    set(this.#choose, { 'aria-label': `Choose the file ${name}` });
    this.#input.addEventListener('change', () => {
      const [picked] = plain(this.#input.files);
      if (picked) this.#provide(picked);
      this.#input.value = '';
    });
    set(this.#bar, { 'aria-label': `Upload of ${name}` });
    const buttons = [this.#allow, this.#choose, this.#pause, this.#resume, this.#drop];
    this.element = h(
      'li',
      {},
      h('div', { class: 'upload-text' }, this.#name, this.#label, this.#note, this.#code),
      h('div', { class: 'upload-actions' }, ...buttons, this.#input),
      this.#bar,
    );
    text(this.#name, name);
    set(this.#name, { title: name });
  }

  update(item: Listed): void {
    this.item = item;
    const { upload, name, mediaId } = item;
    const { label, tone, percent: share, note } = uploadView(upload);
    const { phase } = upload;
    set(this.#name, { href: mediaId && address(mediaId) });
    text(this.#label, share === undefined || tone === 'bad' ? label : `${label} ${percent(share)}`);
    set(this.#label, { 'data-tone': tone });
    text(this.#note, note ?? '');
    text(this.#code, phase === 'failed' ? (upload.trouble?.code ?? '') : '');
    const done = (100 * upload.loaded) / (upload.total || 1);
    this.#bar.style.setProperty('--share', `${Math.min(100, done)}%`);
    set(this.#bar, { 'aria-valuenow': Math.floor(Math.min(100, done)), 'aria-valuetext': `${label}, ${percent(done)}` });
    set(this.element, { 'data-phase': phase });
    this.#pause.hidden = !isPausable(upload);
    this.#resume.hidden = phase !== 'paused' && phase !== 'failed' && phase !== 'waiting';
    const verb = phase === 'paused' ? 'Resume' : 'Try again';
    set(this.#resume, { 'aria-label': `${verb} ${name}`, title: `${verb} ${name}` });
    this.#allow.hidden = phase !== 'asking' || upload.wants !== 'leave';
    this.#choose.hidden = phase !== 'asking';
    if (label !== this.#announced) {
      if (this.#announced || phase === 'asking' || phase === 'failed') announce(`${name}: ${label}. ${note ?? ''}`);
      this.#announced = label;
    }
  }

  /** One of two buttons takes the other's place: the keyboard goes along. */
  #keepFocus(act: () => void): void {
    act();
    [this.#pause, this.#resume].find(({ hidden }) => !hidden)?.focus();
  }

  async #ask(): Promise<void> {
    if (!canPick) return this.#input.click();
    const [picked] = await pick(false);
    if (picked) this.#provide(picked);
  }

  #provide(picked: Parameters<App['uploads']['provide']>[1]): void {
    if (this.app().uploads.provide(this.item.key, picked)) return;
    const { file } = picked;
    const why = `That is another file, or it has changed: “${file.name}” has ${bytes(file.size)}.`;
    text(this.#note, why);
    announce(why);
  }

  #cancel(): void {
    const app = this.app();
    const { key, mediaId } = this.item;
    const media = mediaId && app.store.get(mediaId);
    if (media) void cancel(app, media);
    else app.uploads.drop(key);
  }
}

function isPausable({ phase }: Upload): boolean {
  return phase === 'queued' || phase === 'sending' || phase === 'waiting';
}
