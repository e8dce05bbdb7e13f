// Real tus-js-client, and everything that can go wrong in the middle of an upload: the client stops,
// the network breaks, the gateway is killed. Where is decided by seed and counted in bytes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB, bytes, expectation, gateway, isStored, network, numbers, run, seed, settings } from './harness.mjs';

const PATCH_SIZES = [Infinity, 1 * MIB, 5 * MIB, 9 * MIB];

test('fifty accidents in one upload', async (t) => {
  const random = numbers(seed);
  const data = bytes(56 * MIB, seed);
  const wire = await network(t);
  const options = settings(wire.url);
  // Every tenth time the gateway dies; otherwise the client stops or the network breaks.
  const kills = new Set([4, 14, 24, 34, 44]);
  let [url, media, offset] = [null, null, 0];
  for (let number = 0; number < 50; number++) {
    const kind = kills.has(number) ? 'killed' : ['stopped', 'cut'][random(0, 1)];
    // Always within the part of the file that is this accident's share, so that all fifty happen.
    const share = data.length / 50;
    const at = Math.max(1, Math.floor((number + 1) * share) - offset - random(0, Math.floor(share)));
    const chunkSize = PATCH_SIZES[random(0, PATCH_SIZES.length - 1)];
    let accident;
    const attempt = run(data, { ...options, uploadUrl: url, chunkSize }, (upload) => {
      upload.options.onUploadUrlAvailable = () => {
        url = upload.url;
        // From here on it is the file's bytes that count, and the few of the headers.
        wire.after(at, () => {
          accident = happen(kind, wire, upload);
        });
      };
    });
    const { upload, error } = await attempt.then(
      (upload) => ({ upload }),
      (error) => ({ error }),
    );
    assert.ok(accident, `accident ${number} (${kind}) did not happen: ${error ?? 'the end'}`);
    assert.equal(Boolean(error), kind !== 'stopped', `${kind}: ${error}`);
    await accident;
    media ??= upload?.media;
    offset = await offsetOf(url);
    assert.ok(offset <= data.length);
  }
  const upload = await run(data, { ...options, uploadUrl: url });
  await isStored(media ?? upload.media, expectation(data));
});

test('fifty uploads, each with an accident of its own, six at a time', async (t) => {
  const random = numbers(seed + 1);
  const plans = Array.from({ length: 50 }, (_, number) => {
    const size = random(1 * MIB, 10 * MIB);
    return { number, size, at: random(1, size - 1), kind: ['stopped', 'cut'][random(0, 1)] };
  });
  // Each time everything that is under way loses its gateway.
  for (const number of [11, 33]) plans[number].kind = 'killed';
  let up = Promise.resolve();
  const attempt = async ({ number, size, at, kind }) => {
    const data = bytes(size, seed * 1000 + number);
    const wire = await network(t);
    const options = {
      ...settings(wire.url),
      retryDelays: Array(20).fill(0),
      onShouldRetry: () => true,
      // A client that waits for its network, as a phone does.
      onBeforeRequest: () => up,
    };
    let accident;
    const first = await run(data, options, (upload) => {
      wire.after(at, () => {
        accident = happen(kind, wire, upload);
        if (kind === 'killed') up = accident;
      });
    });
    await accident;
    assert.ok(accident, `${kind} at ${at} of ${size}`);
    if (first.stopped) await run(data, { ...options, uploadUrl: first.url });
    return [first.media, expectation(data)];
  };
  const waiting = plans[Symbol.iterator]();
  const done = [];
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (const plan of waiting) done.push(await attempt(plan));
    }),
  );
  assert.equal(done.length, plans.length);
  for (const [media, expected] of done) await isStored(media, expected);
});

async function happen(kind, wire, upload) {
  if (kind === 'stopped') await upload.stop();
  if (kind === 'killed') await gateway.kill();
  wire.cut();
  if (kind === 'killed') await gateway.start();
}

async function offsetOf(url) {
  const answer = await fetch(url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
  assert.equal(answer.status, 200);
  return Number(answer.headers.get('upload-offset'));
}
