// All media, newest first: pages by cursor, a filter by status, posters as they come into view.

import { local, Problem } from './api.ts';
import type { App } from './app.ts';
import { Card } from './card.ts';
import { button, h, set } from './dom.ts';
import { isActive } from './state.ts';
import { complain } from './toast.ts';
import type { Media, Status } from './types.ts';

const pollMs = 2000;
const pageSize = 24;

const filters: [label: string, status: Status | undefined][] = [
  ['All', undefined],
  ['Ready', 'ready'],
  ['In progress', 'transcoding'],
  ['Failed', 'failed'],
];

export class Library {
  readonly element: HTMLElement;
  #grid = h('div', { class: 'grid', 'aria-busy': 'true' });
  #empty = h('p', { class: 'empty', hidden: true });
  #more: HTMLButtonElement;
  #cards = new Map<string, Card>();
  #cursor: string | undefined;
  #filter: Status | undefined;
  #selected: string | undefined;
  #stopped = false;
  #seen: IntersectionObserver;
  /** Whether there is any media at all. */
  onCount: (count: number) => void = () => {};

  constructor(private readonly app: App) {
    this.#more = button('Show more', () => void this.#load());
    this.#seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        const card = this.#cards.get((target as HTMLElement).dataset['id'] ?? '');
        if (isIntersecting && card) void this.#poster(card);
      }
    });
    const choices = filters.map(([label, status]) => {
      const choice = button(label, () => {
        for (const other of choices) set(other, { 'aria-pressed': String(other === choice) });
        void this.show(status);
      });
      set(choice, { class: 'button chip', 'aria-pressed': String(status === undefined) });
      return choice;
    });
    this.element = h(
      'section',
      { class: 'library', 'aria-labelledby': 'library-title' },
      h(
        'header',
        {},
        h('h2', { id: 'library-title' }, 'Library'),
        h('div', { class: 'chips', role: 'group', 'aria-label': 'Filter by status' }, ...choices),
      ),
      this.#grid,
      this.#empty,
      h('div', { class: 'more' }, this.#more),
    );
    this.app.store.subscribe(({ id, media }) => (media ? this.#place(media) : this.#drop(id)));
    void this.#poll();
  }

  /** Starts over with the media of one status, or with all. */
  async show(status?: Status): Promise<void> {
    this.#filter = status;
    this.#cursor = undefined;
    for (const card of this.#cards.values()) card.element.remove();
    this.#cards.clear();
    this.#seen.disconnect();
    this.#grid.replaceChildren(...Array.from({ length: 8 }, () => h('div', { class: 'card ghost' })));
    await this.#load();
  }

  select(id: string | undefined): void {
    this.#selected = id;
    for (const card of this.#cards.values()) card.select(card.id === id);
  }

  stop(): void {
    this.#stopped = true;
    this.#seen.disconnect();
  }

  async #load(): Promise<void> {
    const filter = this.#filter;
    set(this.#grid, { 'aria-busy': 'true' });
    this.#more.disabled = true;
    try {
      const page = await this.app.api.list({
        limit: pageSize,
        ...(this.#cursor && { cursor: this.#cursor }),
        ...(filter && { status: filter }),
      });
      if (filter !== this.#filter) return;
      this.#cursor = page.nextCursor;
      for (const media of page.items) {
        // What is followed live is fresher than the list.
        const known = this.app.store.get(media.id);
        this.app.store.put(known && known.updatedAt >= media.updatedAt ? known : media);
      }
      // A new filter also shows what this page learned of meanwhile.
      for (const media of this.app.store.all()) this.#place(media);
    } catch (error) {
      complain(Problem.from(error), 'Library');
    }
    for (const ghost of this.#grid.querySelectorAll('.ghost')) ghost.remove();
    set(this.#grid, { 'aria-busy': null });
    this.#more.disabled = false;
    this.#more.hidden = this.#cursor === undefined;
    this.#counted();
  }

  #counted(): void {
    if (this.#grid.hasAttribute('aria-busy')) return;
    const none = this.#cards.size === 0;
    this.#empty.hidden = !none;
    this.element.classList.toggle('none', none && !this.#filter);
    this.#empty.textContent = this.#filter
      ? 'No media with this status.'
      : 'Your library is empty. The first file starts it.';
    if (!this.#filter) this.onCount(this.#cards.size);
  }

  /** Shows a media where it belongs by age, if it passes the filter. */
  #place(media: Media): void {
    if (this.#filter && media.status !== this.#filter) return this.#drop(media.id);
    let card = this.#cards.get(media.id);
    if (!card) {
      card = new Card(media.id);
      card.element.dataset['id'] = media.id;
      this.#cards.set(media.id, card);
      this.#grid.insertBefore(card.element, this.#firstOlder(media));
      card.select(media.id === this.#selected);
      this.#counted();
    }
    card.update(media, this.app.store.upload(media.id), new Date());
    if (media.status === 'ready' && card.wantsPoster) this.#seen.observe(card.element);
  }

  #firstOlder(media: Media): Element | null {
    for (const element of this.#grid.children) {
      const other = this.app.store.get((element as HTMLElement).dataset['id'] ?? '');
      if (!other || newer(media, other)) return element;
    }
    return null;
  }

  #drop(id: string): void {
    const card = this.#cards.get(id);
    if (!card) return;
    this.#cards.delete(id);
    this.#seen.unobserve(card.element);
    card.element.remove();
    this.#counted();
  }

  async #poster(card: Card): Promise<void> {
    this.#seen.unobserve(card.element);
    if (!card.wantsPoster) return;
    card.wantsPoster = false;
    const departing = this.app.departures.signal(card.id);
    try {
      const { poster } = await this.app.api.playback(card.id, departing);
      if (poster && !departing.aborted) card.poster(local(poster), departing);
    } catch {
      // A card without a picture is still a card.
    }
  }

  /** Asks after the media at work that nobody follows live. */
  async #poll(): Promise<void> {
    while (!this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      const { api, store, departures } = this.app;
      const watched = store
        .all()
        .filter((media) => isActive(media) && media.id !== this.#selected && !store.upload(media.id));
      for (const { id } of document.hidden ? [] : watched.slice(0, 8)) {
        const departing = departures.signal(id);
        if (departing.aborted) continue;
        try {
          const media = await api.get(id, departing);
          if (store.get(id)) store.put(media);
        } catch (error) {
          const { status } = Problem.from(error);
          if (status === 404 || status === 410) store.remove(id);
        }
      }
    }
  }
}

function newer(a: Media, b: Media): boolean {
  return a.createdAt > b.createdAt || (a.createdAt === b.createdAt && a.id > b.id);
}
