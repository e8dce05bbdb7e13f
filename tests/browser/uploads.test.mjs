// Uploads from the console in a real browser: paused, reloaded, cut off, refused. Throttling makes
// room for what happens in the middle; every wait is for something that the page shows.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { base, encodeMs, file, key, noViolations, open } from './harness.mjs';

const MiB = 1024 * 1024;
/** More than the browser keeps a copy of. */
const large = 40 * MiB;

test('several files at once: each has its row, and a bad one stops no other', async (t) => {
  const { page, errors } = await open(t);
  await page.getByText(/Up to .* a file/).waitFor();
  const slow = await throttle(page, 100_000);
  const files = ['one.mp4', 'empty.mp4', 'two.mp4', 'three.mp4'].map((name) => ({
    name,
    mimeType: 'video/mp4',
    buffer: name.startsWith('empty') ? Buffer.alloc(0) : randomBytes(MiB),
  }));
  await page.setInputFiles('input[type=file]', files);
  const rows = page.locator('.uploads li');
  await row(page, 'empty.mp4').getByText('empty_upload').waitFor();
  await row(page, 'one.mp4').getByText(/Uploading \d+%/).waitFor();
  await row(page, 'three.mp4').getByText('Waiting for its turn').waitFor();
  assert.equal(await rows.count(), 4);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await noViolations(page);
  }
  await page.getByRole('button', { name: 'Pause all' }).click();
  await row(page, 'three.mp4').getByText('Paused').waitFor();
  await page.getByRole('button', { name: 'Resume all' }).click();
  await slow.stop();
  for (const name of ['one.mp4', 'two.mp4', 'three.mp4']) await row(page, name).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Cancel empty.mp4' }).click();
  await page.getByRole('region', { name: 'Uploads' }).waitFor({ state: 'hidden' });
  // The refusal of the empty file is logged by the browser itself.
  assert.deepEqual(errors.filter((error) => !error.includes('400')), []);
});

test('an upload is paused and resumed by keyboard, and its bytes arrive whole', async (t) => {
  const { page, errors } = await open(t);
  const offsets = watchOffsets(page);
  const slow = await throttle(page, 500_000);
  await page.setInputFiles('input[type=file]', file);
  await underWay(page, basename(file));
  const stopped = page.waitForEvent('requestfailed', (request) => request.method() === 'PATCH');
  await page.getByRole('button', { name: `Pause ${basename(file)}` }).press('Enter');
  await row(page, basename(file)).getByText('Paused').waitFor();
  await stopped;
  await slow.stop();
  // The keyboard stands on the button that took the other's place.
  await page.keyboard.press('Enter');
  await arrived(page, file);
  assert.ok(offsets.length === 2 && offsets[1] > 0, `it went on at ${offsets}`);
  assert.deepEqual(errors, []);
});

test('a reload in mid-upload goes on by itself', async (t) => {
  const { page, errors } = await open(t);
  const slow = await throttle(page, 500_000);
  await page.setInputFiles('input[type=file]', file);
  await underWay(page, basename(file));
  const offsets = watchOffsets(page);
  await page.reload();
  await page.waitForRequest((request) => request.method() === 'PATCH');
  await slow.stop();
  await arrived(page, file);
  assert.ok(offsets.length === 1 && offsets[0] > 0, `it went on at ${offsets}`);
  assert.deepEqual(errors, []);
});

test('a file that the browser did not keep is asked for, and goes on at its offset', async (t) => {
  const { page } = await open(t, { prepare: () => delete window.showOpenFilePicker });
  const directory = await temporary(t);
  const path = join(directory, 'large.mp4');
  await writeFile(path, randomBytes(large));
  const other = join(directory, 'other.mp4');
  await writeFile(other, randomBytes(MiB));
  const slow = await throttle(page, 4 * MiB);
  await page.setInputFiles('input[type=file]', path);
  await underWay(page, 'large.mp4');
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  const asking = row(page, 'large.mp4');
  await asking.getByText('Choose the same file to go on.').waitFor();
  await noViolations(page);
  await choose(page, asking, other);
  await asking.getByText(/That is another file/).waitFor();
  const offsets = watchOffsets(page);
  await slow.stop();
  await choose(page, asking, path);
  await arrived(page, path);
  assert.ok(offsets[0] > 0, `it went on at ${offsets}`);
});

test('a file with a handle goes on by itself, however large it is', async (t) => {
  // The browser's own picker cannot be driven; what it would give is a handle, and here is one.
  const { page } = await open(t, {
    prepare: () => {
      window.showOpenFilePicker = async () => {
        const root = await navigator.storage.getDirectory();
        return [await root.getFileHandle('handled.mp4')];
      };
    },
  });
  const size = await page.evaluate(async (size) => {
    const root = await navigator.storage.getDirectory();
    const writable = await (await root.getFileHandle('handled.mp4', { create: true })).createWritable();
    await writable.write(new Uint8Array(size).map((_, at) => at * 7 + at / 251));
    await writable.close();
    return size;
  }, large);
  const slow = await throttle(page, 4 * MiB);
  await page.getByRole('button', { name: 'Choose files' }).click();
  await underWay(page, 'handled.mp4');
  const offsets = watchOffsets(page);
  await page.reload();
  await page.waitForRequest((request) => request.method() === 'PATCH');
  await slow.stop();
  await row(page, 'handled.mp4').waitFor({ state: 'detached' });
  const media = await newest('handled.mp4');
  assert.equal(media.source.size, size);
  assert.ok(offsets[0] > 0, `it went on at ${offsets}`);
});

test('without a network it waits, says so, and goes on', async (t) => {
  const { context, page } = await open(t);
  const slow = await throttle(page, 500_000);
  await page.setInputFiles('input[type=file]', file);
  await underWay(page, basename(file));
  await slow.stop();
  await context.setOffline(true);
  await row(page, basename(file)).getByText('Waiting for the network').waitFor();
  await context.setOffline(false);
  await arrived(page, file);
});

test('a cancelled upload leaves nothing', async (t) => {
  const { page, errors } = await open(t);
  await throttle(page, 100_000);
  await page.setInputFiles('input[type=file]', { name: 'unwanted.mp4', mimeType: 'video/mp4', buffer: randomBytes(MiB) });
  await underWay(page, 'unwanted.mp4');
  await page.getByRole('button', { name: 'Cancel unwanted.mp4' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop upload' }).click();
  await page.getByRole('region', { name: 'Uploads' }).waitFor({ state: 'hidden' });
  await page.locator('.card').filter({ hasText: 'unwanted.mp4' }).waitFor({ state: 'detached' });
  assert.equal(await newest('unwanted.mp4'), undefined);
  await page.reload();
  await page.getByRole('heading', { name: 'Library' }).waitFor();
  assert.equal(await page.locator('.uploads li').count(), 0);
  assert.deepEqual(errors, []);
});

test('a URL is checked before it is sent, and refused in words where it leads to this network', async (t) => {
  const { page, errors } = await open(t);
  await page.getByText('From a URL').click();
  const field = page.getByLabel('Address of the file');
  await field.fill('ftp://example.com/a.mp4');
  await field.press('Enter');
  await page.getByText('begins with https:// or http://').waitFor();
  await noViolations(page);
  await field.fill('https://user:secret@example.com/a.mp4');
  await field.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'user name or password' }).waitFor();
  await field.fill('http://127.0.0.1:9/film.mp4?signature=secret');
  await field.press('Enter');
  await page.locator('.screen-failure').getByText('source_url_refused').waitFor({ timeout: encodeMs });
  await page.locator('.screen-failure').getByRole('button', { name: 'Retry' }).waitFor();
  assert.equal(await page.locator('#stage-title').textContent(), 'film.mp4');
  assert.ok(!(await page.content()).includes('secret'));
  // The refusal of the credentials is logged by the browser itself.
  assert.deepEqual(errors.filter((error) => !error.includes('400')), []);
});

/** The row of a file. */
function row(page, name) {
  return page.locator('.uploads li').filter({ has: page.getByText(name, { exact: true }) });
}

/** Waits until some of a file is on its way. */
async function underWay(page, name) {
  await row(page, name).getByText(/Uploading ([5-9]|[1-9]\d)%/).waitFor();
}

/** Slows the page's sending down to so many bytes a second, until it is stopped. */
async function throttle(page, uploadThroughput) {
  const session = await page.context().newCDPSession(page);
  const emulate = (uploadThroughput) =>
    session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  await session.send('Network.enable');
  await emulate(uploadThroughput);
  return { stop: () => emulate(-1) };
}

/** The offsets at which the page sends from now on. */
function watchOffsets(page) {
  const offsets = [];
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']));
  });
  return offsets;
}

/** Gives a row its file, by the input that stands in for the browser's picker. */
async function choose(page, row, path) {
  const chooser = page.waitForEvent('filechooser');
  await row.getByRole('button', { name: /^Choose the file/ }).click();
  await (await chooser).setFiles(path);
}

/** Waits until the gateway has a file, and compares what it has. */
async function arrived(page, path) {
  await row(page, basename(path)).waitFor({ state: 'detached', timeout: encodeMs });
  const { source } = await newest(basename(path));
  const bytes = await readFile(path);
  assert.equal(source.size, bytes.length);
  assert.equal(source.sha256, createHash('sha256').update(bytes).digest('hex'));
}

/** The newest media with a name, as the gateway has it. */
async function newest(name) {
  const answer = await fetch(`${base}/api/media`, { headers: { Authorization: `Bearer ${key}` } });
  return (await answer.json()).items.find(({ filename }) => filename === name);
}

async function temporary(t) {
  const directory = await mkdtemp(join(tmpdir(), 'reelmill-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}
