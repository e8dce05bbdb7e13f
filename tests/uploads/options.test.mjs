// What else tus-js-client can be asked to do.

import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { FileUrlStorage } from 'tus-js-client';
import { MIB, api, base, bytes, expectation, isStored, network, run, seed, settings } from './harness.mjs';

/** The requests that an upload makes, as `POST` or `PATCH 3 MiB`, and the statuses of the answers. */
function watched(options, seen = []) {
  return {
    ...options,
    seen,
    onAfterResponse: (request, response) => {
      const method = request.getHeader('X-HTTP-Method-Override') ?? request.getMethod();
      seen.push(`${method} ${response.getStatus()}`);
    },
  };
}

test('three uploads at once become one (concatenation), though the network breaks', async (t) => {
  const data = bytes(25 * MIB + 7, seed + 10);
  const wire = await network(t);
  const options = { ...settings(wire.url), parallelUploads: 3, retryDelays: [0, 0, 0, 0, 0] };
  const watching = watched(options);
  const upload = await run(data, watching, () => wire.after(11 * MIB, () => wire.cut()));
  assert.ok(watching.seen.some((line) => line.startsWith('HEAD')), 'nothing was resumed');
  await isStored(upload.media, expectation(data));
});

test('a stream whose length nobody knows', async () => {
  const data = bytes(21 * MIB + 1, seed + 11);
  const pieces = (function* () {
    for (let at = 0; at < data.length; at += 300_001) yield data.subarray(at, at + 300_001);
  })();
  const options = { ...settings(base), uploadLengthDeferred: true, chunkSize: 5 * MIB };
  const upload = await run(Readable.from(pieces, { objectMode: false }), options);
  await isStored(upload.media, expectation(data));
});

test('a proxy that lets no PATCH through', async () => {
  const data = bytes(9 * MIB, seed + 12);
  const watching = watched({ ...settings(base), overridePatchMethod: true, chunkSize: 4 * MIB });
  const upload = await run(data, watching);
  assert.deepEqual(watching.seen, ['POST 201', 'PATCH 204', 'PATCH 204', 'PATCH 204']);
  await isStored(upload.media, expectation(data));
});

test('bytes that come along with the creation', async () => {
  const data = bytes(9 * MIB, seed + 13);
  const options = { ...settings(base), uploadDataDuringCreation: true };
  const whole = watched(options);
  await isStored((await run(data, whole)).media, expectation(data));
  assert.deepEqual(whole.seen, ['POST 201']);
  const first = watched({ ...options, chunkSize: 5 * MIB });
  await isStored((await run(data, first)).media, expectation(data));
  assert.deepEqual(first.seen, ['POST 201', 'PATCH 204']);
});

test('an upload that is given up leaves its media free for another', async (t) => {
  const data = bytes(20 * MIB, seed + 14);
  const wire = await network(t);
  const given = await run(data, settings(wire.url), (upload) => {
    wire.after(9 * MIB, () => upload.stop());
  });
  await given.abort(true);
  const headers = { 'tus-resumable': '1.0.0' };
  assert.equal((await fetch(given.url, { method: 'HEAD', headers })).status, 410);
  assert.equal((await api(`/api/media/${given.media}`)).status, 'uploading');

  const options = settings(base);
  const metadata = { ...options.metadata, mediaId: given.media };
  const upload = await run(data, { ...options, metadata });
  assert.equal(upload.media, given.media);
  await isStored(upload.media, expectation(data));
});

test('a media made beforehand takes an upload by its token alone', async () => {
  const data = bytes(1, seed + 15);
  const created = await api('/api/media', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ filename: 'a.mp4', size: data.length }),
  });
  const options = { ...settings(base), endpoint: created.upload.tus.url, headers: {} };
  const upload = await run(data, options);
  assert.equal(upload.media, created.id);
  await isStored(created.id, expectation(data));
});

test('a process that starts anew finds what an earlier one began', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'reelmill-uploads-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 'a.mp4');
  const data = bytes(30 * MIB, seed + 16);
  await writeFile(path, data);
  const wire = await network(t);
  const urlStorage = new FileUrlStorage(join(directory, 'urls.json'));
  const options = { ...settings(wire.url), urlStorage };
  const begun = await run(createReadStream(path), options, (upload) => {
    wire.after(17 * MIB, () => upload.stop());
  });
  const watching = watched(options);
  const upload = await run(createReadStream(path), watching, async (upload) => {
    const [previous] = await upload.findPreviousUploads();
    upload.resumeFromPreviousUpload(previous);
  });
  assert.equal(upload.url, begun.url);
  assert.deepEqual(watching.seen, ['HEAD 200', 'PATCH 204']);
  await isStored(upload.media, expectation(data));
});
