// The console in a real browser against a running Reelmill (harness.mjs says what it needs).
// Nothing here waits by the clock: every wait is for something that the page shows.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { encodeMs, file, noViolations, open } from './harness.mjs';

test('a wrong key is refused in words', async (t) => {
  const { page } = await open(t, { signedIn: false });
  await page.getByLabel('API key').fill('not-the-key');
  await page.getByRole('button', { name: 'Open the console' }).click();
  await page.getByRole('alert').filter({ hasText: 'No valid API key' }).waitFor();
  await noViolations(page);
});

test('the key leaves the address and stays in the tab', async (t) => {
  const { page, errors } = await open(t);
  assert.equal(new URL(page.url()).hash, '');
  await page.reload();
  await page.getByRole('heading', { name: 'Drop video or audio here' }).waitFor();
  assert.deepEqual(errors, []);
});

test('a file is uploaded, plays before it is ready, and goes on as VOD', async (t) => {
  const { page, errors } = await open(t);
  await page.setInputFiles('input[type=file]', file);
  const stage = page.getByRole('region', { name: basename(file) });
  await stage.waitFor();

  await until(page, () => document.querySelector('.player video')?.readyState >= 2);
  const first = await play(page, 0.5);
  t.diagnostic(`first played as “${first.badge}” at ${first.width}×${first.height}`);
  assert.ok(first.width > 0 && first.height > 0, 'there is a picture');
  assert.match(first.src, /^blob:/, 'hls.js feeds it through media source extensions');

  await until(page, () => document.querySelector('.panel .badge')?.textContent === 'Ready');
  // The ribbon goes when the playlist that was read last is complete.
  await page.waitForFunction(() => document.querySelector('.ribbon').hidden);
  const { duration } = await play(page, first.time + 0.5);
  assert.ok(Number.isFinite(duration) && duration > 0);

  await page.waitForFunction(waveformIsDrawn);
  await page.waitForFunction(() => document.querySelector('track[label=thumbnails]')?.track.cues?.length > 0);

  await page.evaluate(() => document.querySelector('.player video').pause());
  const box = await page.locator('.waveform').boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.waitForFunction(
    (half) => Math.abs(document.querySelector('.player video').currentTime - half) < half / 5,
    duration / 2,
  );

  await page.getByRole('button', { name: 'Copy URL' }).click();
  await page.getByText('Signed URL copied.').waitFor();
  const url = await page.evaluate(() => navigator.clipboard.readText());
  const playlist = await fetch(url);
  assert.equal(playlist.status, 200);
  assert.match(await playlist.text(), /^#EXTM3U/);

  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await noViolations(page);
  }
  assert.deepEqual(errors, []);
});

test('the library shows the media with its poster, and deletes it', async (t) => {
  const { page, errors } = await open(t);
  const card = page.locator('.card').filter({ hasText: basename(file) }).first();
  await card.locator('img').waitFor();
  const held = await holdBack(page, ['**/hls/*/*.m4s', '**/waveform/*.json', '**/storyboard.vtt']);
  await card.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: basename(file) }).waitFor();
  const id = await card.getAttribute('data-id');
  await held.underWay();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.locator(`.card[data-id="${id}"]`).waitFor({ state: 'detached' });
  // Their answer would be 404 now.
  await held.givenUp();
  assert.deepEqual(errors, []);
});

test('text with a hostile name fails in words, and its name stays text', async (t) => {
  const { page, errors } = await open(t);
  const name = '<img src=x onerror=alert(1)>"\'&amp;.mp4';
  let dialogs = 0;
  page.on('dialog', (dialog) => {
    dialogs += 1;
    void dialog.dismiss();
  });
  const buffer = await readFile(new URL(import.meta.url));
  await page.setInputFiles('input[type=file]', { name, mimeType: 'video/mp4', buffer });
  const failure = page.locator('.screen-failure');
  await failure.getByText('unsupported_media').waitFor({ timeout: encodeMs });
  assert.equal(await page.locator('#stage-title').textContent(), name);
  assert.equal(await page.locator('#stage-title img, .card-name img').count(), 0);
  assert.ok((await failure.locator('p').first().textContent()).length > 10, 'there is a message');
  await noViolations(page);
  assert.equal(dialogs, 0);
  assert.deepEqual(errors, []);
});

/**
 * Holds back the answers to whatever matches the patterns. `underWay` waits until one request of each
 * is held, `givenUp` until the page has given up all of them.
 */
async function holdBack(page, patterns) {
  const held = [];
  const first = patterns.map(() => {
    const seen = {};
    seen.promise = new Promise((resolve) => (seen.resolve = resolve));
    return seen;
  });
  for (const [at, pattern] of patterns.entries()) {
    await page.route(pattern, (route) => {
      const request = route.request();
      held.push(page.waitForEvent('requestfailed', (failed) => failed === request));
      first[at].resolve();
    });
  }
  return {
    underWay: () => Promise.all(first.map(({ promise }) => promise)),
    givenUp: () => Promise.all(held),
  };
}

/** Waits until `condition` holds in the page; a media that fails meanwhile fails the test at once. */
async function until(page, condition) {
  const failure = page.locator('.screen-failure code');
  const failed = failure.waitFor({ timeout: encodeMs }).then(
    async () => assert.fail(`the media failed: ${await page.locator('.screen-failure').innerText()}`),
    () => {},
  );
  await Promise.race([failed, page.waitForFunction(condition, null, { timeout: encodeMs })]);
}

/** Plays until `until` seconds have been reached, and tells what it saw. */
async function play(page, until) {
  await page.evaluate(() => document.querySelector('.player video').play());
  await page.waitForFunction(
    (seconds) => {
      const video = document.querySelector('.player video');
      return video.currentTime >= Math.min(seconds, video.duration - 0.1) && video.videoWidth > 0;
    },
    until,
    { timeout: 60_000 },
  );
  return page.evaluate(() => {
    const video = document.querySelector('.player video');
    return {
      time: video.currentTime,
      width: video.videoWidth,
      height: video.videoHeight,
      duration: video.duration,
      src: video.currentSrc,
      badge: document.querySelector('.panel .badge').textContent,
    };
  });
}

/** Whether anything is painted on the waveform's canvases. Runs in the page. */
function waveformIsDrawn() {
  const hosts = [...document.querySelectorAll('.waveform > div')];
  const canvases = hosts.flatMap((host) => [...(host.shadowRoot?.querySelectorAll('canvas') ?? [])]);
  return canvases.some((canvas) => {
    if (canvas.width === 0 || canvas.height === 0) return false;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value, index) => index % 4 === 3 && value > 0);
  });
}
