// Light or dark: the system's choice until the person makes one.

const slot = 'reelmill.theme';

export function startTheme(): void {
  const stored = localStorage.getItem(slot);
  if (stored === 'light' || stored === 'dark') document.documentElement.dataset['theme'] = stored;
}

/** Switches to the other scheme and remembers it. */
export function toggleTheme(): void {
  const root = document.documentElement;
  const dark = root.dataset['theme']
    ? root.dataset['theme'] === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset['theme'] = dark ? 'light' : 'dark';
  localStorage.setItem(slot, root.dataset['theme']);
  document.dispatchEvent(new Event('themechange'));
}
