// Elements without markup strings: text becomes text nodes, so a hostile file name stays text.

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | null | undefined;

/** Makes an element. `true` sets an empty attribute; `false`, `null` and `undefined` set none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes?: Record<string, Value>,
  ...children: Child[]
): HTMLElementTagNameMap[K];
export function h(tag: string, attributes?: Record<string, Value>, ...children: Child[]): HTMLElement;
export function h(
  tag: string,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElement {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets or removes attributes. */
export function set(element: Element, attributes: Record<string, Value>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
}

/** Sets an element's text, leaving the document alone when it is the same. */
export function text(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

/** A button with an icon and a label. */
export function button(
  label: string,
  onClick: (event: MouseEvent) => void,
  options: { icon?: IconName; kind?: 'primary' | 'plain' | 'danger'; bare?: boolean } = {},
): HTMLButtonElement {
  const { icon: name, kind = 'plain', bare = false } = options;
  const element = h(
    'button',
    { type: 'button', class: `button ${kind}${bare ? ' bare' : ''}`, 'aria-label': bare && label },
    name && icon(name),
    !bare && label,
  );
  if (bare) element.title = label;
  element.addEventListener('click', onClick);
  return element;
}

// Drawn on a 24 × 24 grid with a 1.75 stroke.
const icons = {
  upload: 'M12 16V4m0 0L7 9m5-5 5 5M4 16v2.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V16',
  copy: 'M9 9V5.5A1.5 1.5 0 0 1 10.5 4h8A1.5 1.5 0 0 1 20 5.5v8a1.5 1.5 0 0 1-1.5 1.5H15M5.5 9h8A1.5 1.5 0 0 1 15 10.5v8a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 4 18.5v-8A1.5 1.5 0 0 1 5.5 9Z',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  retry: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.300L19.5 9m0-5v5h-5',
  stop: 'M7.5 6.5h9a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1Z',
  trash: 'M4.5 7h15M10 11v5m4-5v5M6.5 7l.8 11.5a1.5 1.5 0 0 0 1.5 1.5h6.400a1.5 1.5 0 0 0 1.5-1.5L17.5 7M9 7V4.5h6V7',
  pause: 'M9 6v12M15 6v12',
  play: 'M8 5.5v13l10.500-6.500L8 5.5Z',
  close: 'm6 6 12 12M18 6 6 18',
  film: 'M5.5 4h13A1.5 1.5 0 0 1 20 5.5v13a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 18.5v-13A1.5 1.5 0 0 1 5.5 4ZM8 4v16m8-16v16M4 8h4m-4 4h16M4 16h4m8-8h4m-4 8h4',
  wave: 'M4 10.5v3m4-7v11m4-14v17m4-13v9m4-6.5v4',
  alert: 'M12 8v5m0 3.200v.1M12 3.5 21 19.5H3L12 3.5Z',
  theme: 'M12 3.5a8.5 8.5 0 1 0 0 17v-17Zm0 0a8.5 8.5 0 0 1 0 17',
  exit: 'M14 4.5h4A1.5 1.5 0 0 1 19.5 6v12a1.5 1.5 0 0 1-1.5 1.5h-4M10 8l-4 4m0 0 4 4m-4-4h9',
  send: 'M20 4 3.5 11l6.5 3 3 6.5L20 4ZM10 14l4-4',
} as const;

export type IconName = keyof typeof icons;

/** A decorative icon: it says nothing to a screen reader, so its button needs a label. */
export function icon(name: IconName): SVGSVGElement {
  const namespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(namespace, 'svg');
  set(svg, { viewBox: '0 0 24 24', 'aria-hidden': 'true', class: 'icon' });
  const path = document.createElementNS(namespace, 'path');
  path.setAttribute('d', icons[name]);
  svg.append(path);
  return svg;
}
