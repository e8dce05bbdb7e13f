// Numbers and times as people read them. Pure: "now" is an argument.

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** A size in bytes with a decimal unit: `7.6 MB`. */
export function bytes(size: number): string {
  let unit = 0;
  let value = size;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A running time in seconds: `0:52`, `1:02:03`; below a second, `0.4 s`. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–';
  if (seconds > 0 && seconds < 1) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Time to go, coarsely: `12 s left`, `3 min left`, `1 h 5 min left`. */
export function left(seconds: number): string {
  if (seconds < 1) return 'almost done';
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min left`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
}

/** A whole percentage that says 100 only when it is: `41%`. */
export function percent(value: number): string {
  return `${Math.floor(Math.min(100, Math.max(0, value)))}%`;
}

/** A multiple of real time: `3.2×`. */
export function speed(value: number): string {
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)}×`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

/** How far `iso` is from now: `3 min. ago`, `yesterday`, `in 5 min.`. */
export function ago(iso: string, now: Date): string {
  const seconds = (Date.parse(iso) - now.getTime()) / 1000;
  if (Number.isNaN(seconds)) return '';
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [
    ['year', 31_536_000],
    ['month', 2_592_000],
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ];
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return seconds > 0 ? 'soon' : 'just now';
}

/** A stable code as words: `unsupported_media` → `Unsupported media`. */
export function words(code: string): string {
  const text = code.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `1 file`, `3 files`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
