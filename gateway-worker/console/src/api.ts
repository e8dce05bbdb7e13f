// The gateway's HTTP API (docs/api.md) as typed calls. Everything that goes wrong is a `Problem`.

import type { Delivery, DeliveryPage } from './delivery.ts';
import type { Health, Limits, Media, MediaPage, Pipeline, Playback, Status } from './types.ts';

/** An RFC 9457 problem, or a failure to reach the gateway at all (`status` 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
    this.name = 'Problem';
  }

  /** From an answer's status and body, whatever the body is. */
  static fromBody(status: number, body: string): Problem {
    try {
      const { code, title, detail } = JSON.parse(body) as Record<string, unknown>;
      if (typeof code === 'string') {
        return new Problem(status, code, String(title ?? code), String(detail ?? ''));
      }
    } catch {
      // No problem document: something in front of the gateway answered.
    }
    return new Problem(status, `http_${status}`, `The gateway answered ${status}`, '');
  }

  static unreachable(): Problem {
    return new Problem(
      0,
      'unreachable',
      'The gateway cannot be reached',
      'Check the connection and try again.',
    );
  }

  /** Any thrown thing as a problem. */
  static from(error: unknown): Problem {
    if (error instanceof Problem) return error;
    return new Problem(0, 'console_error', 'Something went wrong in this page', String(error));
  }
}

/**
 * The same resource by way of this page's own origin. The gateway writes absolute URLs for the world
 * outside (`PUBLIC_URL`); the console is served by that same gateway, whatever it is called here.
 */
export function local(url: string): string {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

export interface NewMedia {
  filename?: string;
  size?: number;
  contentType?: string;
  pipeline?: Pipeline;
  /** Fetched by the gateway instead of uploaded. */
  source?: { url: string };
}

/** What not every request has. */
interface Options {
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Ends the request, which then throws the signal's reason and no `Problem`. */
  signal?: AbortSignal | undefined;
}

export class Api {
  /** Called when the key turns out to be wrong. */
  onUnauthorized: (problem: Problem) => void = () => {};

  constructor(readonly key: string) {}

  list(options: { cursor?: string; status?: Status; limit?: number } = {}): Promise<MediaPage> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options)) {
      if (value !== undefined) query.set(name, String(value));
    }
    return this.#json('GET', `/api/media?${query}`);
  }

  get(id: string, signal?: AbortSignal): Promise<Media> {
    return this.#json('GET', path(id), { signal });
  }

  create(media: NewMedia, idempotencyKey: string): Promise<Media> {
    const headers = { 'Idempotency-Key': idempotencyKey };
    return this.#json('POST', '/api/media', { body: media, headers });
  }

  async delete(id: string): Promise<void> {
    await this.#fetch('DELETE', path(id));
  }

  retry(id: string): Promise<Media> {
    return this.#json('POST', path(id, '/retry'));
  }

  cancel(id: string): Promise<Media> {
    return this.#json('POST', path(id, '/cancel'));
  }

  playback(id: string, signal: AbortSignal, expiresIn?: number): Promise<Playback> {
    return this.#json('POST', path(id, '/playback'), { body: expiresIn ? { expiresIn } : {}, signal });
  }

  async deliveries(id: string, signal: AbortSignal): Promise<Delivery[]> {
    return (await this.#json<DeliveryPage>('GET', path(id, '/deliveries'), { signal })).items;
  }

  async redeliver(id: string, message: string): Promise<void> {
    await this.#fetch('POST', path(id, `/deliveries/${encodeURIComponent(message)}/redeliver`));
  }

  limits(): Promise<Limits> {
    return this.#json('GET', '/api/limits');
  }

  health(): Promise<Health> {
    return this.#json('GET', '/health');
  }

  /** The stream of a media's events, from after `lastEventId`. */
  events(id: string, lastEventId: string, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (lastEventId) headers['Last-Event-ID'] = lastEventId;
    return this.#fetch('GET', path(id, '/events'), { headers, signal });
  }

  async #json<T>(method: string, url: string, options: Options = {}): Promise<T> {
    const response = await this.#fetch(method, url, options);
    return (await response.json()) as T;
  }

  async #fetch(method: string, url: string, options: Options = {}): Promise<Response> {
    const { body, headers, signal } = options;
    const init: RequestInit = {
      method,
      headers: { ...headers, Authorization: `Bearer ${this.key}` },
    };
    if (signal) init.signal = signal;
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { ...init.headers, 'Content-Type': 'application/json' };
    }
    let response: Response;
    try {
      response = await fetch(url, init);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw Problem.unreachable();
    }
    if (response.ok) return response;
    const problem = Problem.fromBody(response.status, await response.text().catch(() => ''));
    if (problem.status === 401) this.onUnauthorized(problem);
    throw problem;
  }
}

function path(id: string, rest = ''): string {
  return `/api/media/${encodeURIComponent(id)}${rest}`;
}
