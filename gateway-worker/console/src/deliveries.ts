// The media's webhook messages, with redelivery.

import { Problem, type Api } from './api.ts';
import type { Delivery } from './delivery.ts';
import { button, h } from './dom.ts';
import { ago, count, words } from './format.ts';
import { complain, notice } from './toast.ts';

export class Deliveries {
  readonly element: HTMLElement;
  #body = h('div', { class: 'deliveries' });

  constructor(
    private readonly api: Api,
    private readonly id: string,
    private readonly signal: AbortSignal,
  ) {
    this.element = h('details', { class: 'fold' }, h('summary', {}, 'Webhook deliveries'), this.#body);
    this.element.addEventListener('toggle', () => void this.load());
  }

  /** Fetches the list if it is unfolded. */
  async load(): Promise<void> {
    if (!(this.element as HTMLDetailsElement).open) return;
    try {
      this.#show(await this.api.deliveries(this.id, this.signal));
    } catch (error) {
      this.#body.replaceChildren(h('p', { class: 'hint' }, Problem.from(error).message));
    }
  }

  #show(items: Delivery[]): void {
    if (items.length === 0) {
      const hint = 'No webhook endpoint has been told about this media. Add one with POST /api/webhooks.';
      this.#body.replaceChildren(h('p', { class: 'hint' }, hint));
      return;
    }
    this.#body.replaceChildren(h('ul', {}, ...items.map((item) => this.#row(item))));
  }

  #row(item: Delivery): HTMLElement {
    const last = item.attempts.at(-1);
    const now = new Date();
    const next = item.state === 'pending' && last && item.nextAttemptAt;
    const note = [
      count(item.attempts.length, 'attempt'),
      last ? (last.status ? `HTTP ${last.status}` : (last.error ?? 'no answer')) : '',
      last ? ago(last.at, now) : '',
      next ? `next ${ago(next, now)}` : '',
    ];
    return h(
      'li',
      { 'data-state': item.state },
      h(
        'div',
        {},
        h('strong', {}, item.type),
        h('span', { class: 'state' }, words(item.state)),
        h('small', { title: `To ${item.endpointId}${last?.response ? `: ${last.response}` : ''}` }, note.filter(Boolean).join(' · ')),
      ),
      button('Redeliver', () => void this.#redeliver(item), { icon: 'send', bare: true }),
    );
  }

  async #redeliver(item: Delivery): Promise<void> {
    try {
      await this.api.redeliver(this.id, item.messageId);
      notice(`${item.type} is sent again.`);
      await this.load();
    } catch (error) {
      complain(Problem.from(error), item.type);
    }
  }
}
