// Real Uppy in a real browser, in a page of another origin: what CORS does not expose it cannot see.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { MIB, base, bytes, expectation, gateway, isStored, key, seed } from './harness.mjs';

let browser;
let server;
let origin;

before(async () => {
  const esbuild = createRequire(import.meta.url).resolve('esbuild/bin/esbuild');
  const page = fileURLToPath(new URL('page/uppy.js', import.meta.url));
  const script = execFileSync(esbuild, [page, '--bundle', '--format=iife']);
  server = createServer((request, response) => {
    const isScript = request.url === '/uppy.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : '<!doctype html><title>Uppy</title><script src="/uppy.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update'],
  });
});

after(async () => {
  await browser?.close();
  server?.close();
});

/** Uploads in a page of its own and checks every file. */
async function upload(t, sizes, options, accidents = []) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.exposeFunction('crash', async () => {
    await gateway.kill();
    await gateway.start();
  });
  await page.goto(origin);
  const data = new Map(sizes.map((size, number) => [`${number}.mp4`, bytes(size, seed + 20 + number)]));
  const files = [...data].map(([name, data]) => ({ name, data: data.toString('base64') }));
  const settings = { endpoint: `${base}/api/uploads`, headers: { authorization: `Bearer ${key}` } };
  const outcome = await page.evaluate(
    ([files, options, accidents]) => window.upload(files, options, accidents),
    [files, { ...settings, ...options }, accidents],
  );
  assert.deepEqual(outcome.failed, []);
  assert.equal(outcome.missed, 0, 'accidents that did not happen');
  assert.equal(new Set(Object.values(outcome.media)).size, sizes.length);
  for (const [name, bytes] of data) await isStored(outcome.media[name], expectation(bytes));
}

test('Uppy: several files, paused and resumed', async (t) => {
  const accidents = [1, 6, 13].map((at) => ({ at: at * MIB, kind: 'pause' }));
  await upload(t, [17 * MIB + 1, 1, 3 * MIB], { chunkSize: 2 * MIB }, accidents);
});

test('Uppy: the gateway is killed twice', async (t) => {
  const accidents = [5, 12].map((at) => ({ at: at * MIB, kind: 'crash' }));
  await upload(t, [20 * MIB, 9 * MIB], {}, accidents);
});

test('Uppy: parts at the same time, and bytes with the creation', async (t) => {
  await upload(t, [19 * MIB], { parallelUploads: 3 });
  await upload(t, [2 * MIB], { uploadDataDuringCreation: true });
});
