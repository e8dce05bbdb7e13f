// What these tests stand on: a gateway that can be killed, a network that breaks, bytes by seed.
//
//   REELMILL_URL      where the gateway listens, such as http://127.0.0.1:8787
//   REELMILL_API_KEY  a key that it takes
//   REELMILL_CONTROL  kills it and starts it again (tests/src/control.rs)
//   REELMILL_SEED     where accidents happen, and what is uploaded; 1 by default

import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import net from 'node:net';
import { Upload } from 'tus-js-client';

export const base = required('REELMILL_URL').replace(/\/$/, '');
export const key = required('REELMILL_API_KEY');
const control = required('REELMILL_CONTROL');
export const seed = Number(process.env.REELMILL_SEED ?? 1);
export const MIB = 1024 * 1024;

console.log(`REELMILL_SEED=${seed}`);

/** Whole numbers by seed, least and greatest included (mulberry32). */
export function numbers(seed) {
  let state = seed >>> 0;
  return (least, greatest) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const share = ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    return least + Math.floor(share * (greatest - least + 1));
  };
}

/** Bytes by seed that do not repeat and cannot be compressed. */
export function bytes(size, seed) {
  const key = createHash('sha256').update(`bytes ${seed}`).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

/** The gateway: killed as by a crash, and started again where it was. */
export const gateway = {
  kill: () => ask('/gateway/kill', 'POST'),
  start: () => ask('/gateway/start', 'POST'),
};

async function ask(path, method = 'GET') {
  const answer = await fetch(`${control}${path}`, { method });
  const text = await answer.text();
  assert.equal(answer.status, 200, `${path}: ${text}`);
  return JSON.parse(text);
}

export async function api(path, init = {}) {
  const headers = { authorization: `Bearer ${key}`, ...init.headers };
  const answer = await fetch(`${base}${path}`, { ...init, headers });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? null : answer.json();
}

/** What an upload must come to. */
export function expectation(data) {
  return { size: data.length, sha256: createHash('sha256').update(data).digest('hex') };
}

/**
 * The media's bytes as the handler reads them from R2 are those; so is what was said of them when the
 * job was handed over. Then the media is deleted.
 */
export async function isStored(media, expected) {
  const { input } = await ask(`/jobs/${media}`);
  const hash = createHash('sha256');
  let size = 0;
  const answer = await fetch(input.url);
  assert.equal(answer.status, 200);
  for await (const chunk of answer.body) {
    hash.update(chunk);
    size += chunk.length;
  }
  assert.deepEqual({ size, sha256: hash.digest('hex') }, expected);
  assert.equal(input.size, size);
  // Nobody knows it of an upload during which the gateway died.
  if (input.sha256) assert.equal(input.sha256, expected.sha256);
  await api(`/api/media/${media}`, { method: 'DELETE' });
  return input;
}

/**
 * The network between a client and the gateway, on a port of its own. `after(bytes, accident)` lets
 * so many bytes of requests pass, stops that connection there and causes the accident; `cut()` breaks
 * every connection.
 */
export async function network(t) {
  const { hostname, port } = new URL(base);
  const pairs = new Set();
  let left = Infinity;
  let accident = () => {};
  const server = net.createServer((client) => {
    const upstream = net.connect(port, hostname);
    const pair = [client, upstream];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    upstream.pipe(client);
    client.on('data', (chunk) => {
      const passed = chunk.subarray(0, Math.min(chunk.length, left));
      left -= passed.length;
      const flows = upstream.write(passed);
      if (left === 0) {
        // This connection is stuck from here on, once what may pass has passed.
        client.pause();
        left = Infinity;
        upstream.write('', accident);
      } else if (!flows) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut,
    after(bytes, happen) {
      left = bytes;
      accident = happen;
    },
  };
}

/** What every upload here is sent with. */
export function settings(url) {
  return {
    endpoint: `${url}/api/uploads`,
    headers: { authorization: `Bearer ${key}` },
    metadata: { filename: 'a.mp4', filetype: 'video/mp4' },
    retryDelays: null,
  };
}

/**
 * Runs an upload to its end and returns it, with `media`. `prepare` is given it before it starts; an
 * upload that was aborted by `stop` of it ends early, with `stopped`.
 */
export function run(source, options, prepare = () => {}) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(source, {
      ...options,
      onAfterResponse: (request, response) => {
        upload.media ??= response.getHeader('Reelmill-Media-Id');
        return options.onAfterResponse?.(request, response);
      },
      onSuccess: () => resolve(upload),
      onError: reject,
    });
    upload.stop = async () => {
      upload.stopped = true;
      await upload.abort();
      resolve(upload);
    };
    Promise.resolve(prepare(upload)).then(() => upload.start(), reject);
  });
}

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: see tests/uploads/harness.mjs`);
  return value;
}
