import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Problem, type Api } from '../src/api.ts';
import { follow, type Listener } from '../src/events.ts';
import type { Media, Status } from '../src/types.ts';

const media = (status: Status) => ({ id: 'med_1', status }) as Media;
const message = (id: number, event: string, data: unknown) =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

/** An API whose event streams are scripted; it notes from where each one was resumed. */
function scripted(...connections: (string | Error)[]) {
  const resumed: string[] = [];
  const events = async (_: string, lastEventId: string) => {
    resumed.push(lastEventId);
    const next = connections.shift();
    if (next === undefined) return new Promise<Response>(() => {});
    if (next instanceof Error) throw next;
    return new Response(next);
  };
  return { api: { events } as unknown as Api, resumed };
}

function recorder() {
  const log: string[] = [];
  const listener: Listener = {
    media: ({ status }) => log.push(status),
    progress: ({ percent }) => log.push(`${percent}%`),
    gone: () => log.push('gone'),
    connected: (connected) => log.push(connected ? 'on' : 'off'),
  };
  return { log, listener };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('resumes after a break with the last id, and stops when the media is ready', async () => {
  const { api, resumed } = scripted(
    message(1, 'media', media('transcoding')) + message(2, 'progress', { percent: 10 }),
    Problem.unreachable(),
    message(3, 'media', media('ready')),
  );
  const { log, listener } = recorder();
  follow(api, 'med_1', listener);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(resumed).toEqual(['', '2', '2']);
  expect(log).toEqual(['on', 'transcoding', '10%', 'off', 'off', 'on', 'ready']);
});

it('waits longer after every failure', async () => {
  const { api, resumed } = scripted(...Array.from({ length: 9 }, () => Problem.unreachable()));
  follow(api, 'med_1', recorder().listener);
  await vi.advanceTimersByTimeAsync(3400);
  expect(resumed).toHaveLength(3);
  await vi.advanceTimersByTimeAsync(200);
  expect(resumed).toHaveLength(4);
});

it.each([404, 410])('takes a %d for the end of the media', async (status) => {
  const { api, resumed } = scripted(new Problem(status, 'media_deleted', '', ''));
  const { log, listener } = recorder();
  follow(api, 'med_1', listener);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log).toEqual(['gone']);
  expect(resumed).toHaveLength(1);
});

it('does not come back after it was stopped', async () => {
  const { api, resumed } = scripted(message(1, 'media', media('transcoding')));
  const following = follow(api, 'med_1', recorder().listener);
  following.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(resumed).toHaveLength(1);
});
