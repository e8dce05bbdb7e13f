// Server-sent events off a byte stream, as the HTML standard parses them (section 9.2.6). The
// browser's EventSource cannot send an Authorization header; this can.

export interface ServerEvent {
  event: string;
  data: string;
  /** The last id seen so far, to resume from. */
  id: string;
}

/** Feed it text as it comes; it calls back for every complete event. */
export class SseParser {
  /** Reconnection time that the server asked for, in milliseconds. */
  retry: number | undefined;
  #buffer = '';
  #event = '';
  #data: string[] = [];
  #id = '';
  #start = true;

  constructor(private readonly onEvent: (event: ServerEvent) => void) {}

  push(text: string): void {
    this.#buffer += text;
    if (this.#start && this.#buffer.length > 0) {
      this.#start = false;
      if (this.#buffer.startsWith('\uFEFF')) this.#buffer = this.#buffer.slice(1);
    }
    for (;;) {
      const end = this.#buffer.search(/[\r\n]/);
      if (end < 0) return;
      const carriage = this.#buffer[end] === '\r';
      // A carriage return at the very end may be half of a CRLF: wait for what follows.
      if (carriage && end + 1 === this.#buffer.length) return;
      const line = this.#buffer.slice(0, end);
      const width = carriage && this.#buffer[end + 1] === '\n' ? 2 : 1;
      this.#buffer = this.#buffer.slice(end + width);
      this.#line(line);
    }
  }

  #line(line: string): void {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? '' : line.slice(colon + 1);
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #dispatch(): void {
    const data = this.#data;
    const event = this.#event || 'message';
    this.#data = [];
    this.#event = '';
    if (data.length > 0) this.onEvent({ event, data: data.join('\n'), id: this.#id });
  }
}
