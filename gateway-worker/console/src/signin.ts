// The one question before the console opens: the API key.

import { Api, Problem } from './api.ts';
import { h } from './dom.ts';

/** Shows the form until a key works; `reason` says why it is shown. */
export function signIn(parent: HTMLElement, reason: string, onKey: (key: string) => void): void {
  const input = h('input', {
    id: 'key',
    type: 'password',
    autocomplete: 'off',
    spellcheck: 'false',
    required: true,
    'aria-describedby': 'key-hint key-error',
  });
  const error = h('p', { id: 'key-error', class: 'form-error', role: 'alert' }, reason);
  const submit = h('button', { type: 'submit', class: 'button primary' }, 'Open the console');
  const form = h(
    'form',
    { class: 'signin' },
    h('h1', {}, 'Your media, milled.'),
    h('p', { class: 'lead' }, 'Upload, encode, sign and play, on your own accounts.'),
    h('label', { for: 'key' }, 'API key'),
    input,
    h('p', { id: 'key-hint', class: 'hint' }, 'scripts/run prints it when it starts. It stays in this tab.'),
    error,
    submit,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const key = input.value.trim();
    submit.disabled = true;
    void new Api(key)
      .list({ limit: 1 })
      .then(() => {
        form.remove();
        onKey(key);
      })
      .catch((cause: unknown) => {
        const problem = Problem.from(cause);
        error.textContent = problem.status === 401 ? `${problem.title}.` : problem.message;
        input.setAttribute('aria-invalid', 'true');
        input.select();
      })
      .finally(() => {
        submit.disabled = false;
      });
  });
  parent.replaceChildren(form);
  input.focus();
}
