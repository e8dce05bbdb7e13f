// A question before something that cannot be undone.

import { button, h } from './dom.ts';

/** Asks; resolves to whether the answer was yes. Escape and the backdrop mean no. */
export function confirm(question: string, detail: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const close = (answer: boolean) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = h(
      'dialog',
      { class: 'dialog', 'aria-labelledby': 'dialog-title', 'aria-describedby': 'dialog-detail' },
      h('h2', { id: 'dialog-title' }, question),
      h('p', { id: 'dialog-detail' }, detail),
      h(
        'div',
        { class: 'dialog-actions' },
        button('Keep it', () => close(false)),
        button(yes, () => close(true), { kind: 'danger' }),
      ),
    );
    dialog.addEventListener('cancel', (event) => {
      event.preventDefault();
      close(false);
    });
    dialog.addEventListener('click', (event) => event.target === dialog && close(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}
