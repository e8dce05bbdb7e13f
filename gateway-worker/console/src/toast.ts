// Short notices in the corner, read out by screen readers. Errors stay until they are dismissed.

import type { Problem } from './api.ts';
import { button, h, icon } from './dom.ts';

const noticeMs = 4000;
const list = h('div', { class: 'toasts', role: 'region', 'aria-label': 'Notices' });
const polite = h('div', { class: 'visually-hidden', 'aria-live': 'polite' });

/** Puts the (empty) list into the page, where live regions must be before they speak. */
export function mountToasts(parent: HTMLElement): void {
  parent.append(list, polite);
}

/** Tells screen readers only. */
export function announce(message: string): void {
  polite.textContent = message;
}

export function notice(message: string): void {
  const toast = h('div', { class: 'toast', role: 'status' }, icon('check'), h('p', {}, message));
  list.append(toast);
  setTimeout(() => toast.remove(), noticeMs);
}

/** Shows a problem: title, detail and code. `about` names what it happened to. */
export function complain(problem: Problem, about = ''): void {
  const toast = h(
    'div',
    { class: 'toast bad', role: 'alert' },
    icon('alert'),
    h(
      'div',
      {},
      h('strong', {}, about ? `${about}: ${problem.title}` : problem.title),
      problem.detail && problem.detail !== problem.title ? h('p', {}, problem.detail) : null,
      h('code', {}, problem.code),
    ),
    button('Dismiss', () => toast.remove(), { icon: 'close', bare: true }),
  );
  list.append(toast);
}
