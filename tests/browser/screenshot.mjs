// Takes the picture of the console that the README shows, of clips that FFmpeg makes up.
//
//   node screenshot.mjs FILE.webp     with REELMILL_URL, REELMILL_API_KEY and CHROMIUM as in the tests

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const run = promisify(execFile);
const { REELMILL_URL: base, REELMILL_API_KEY: key } = process.env;
const target = process.argv[2];
if (!base || !key || !target) throw new Error('REELMILL_URL, REELMILL_API_KEY and a file to write are needed');

const seconds = 20;
/** Swells and fades, so that the waveform has a shape. */
const sound = (hz) => `aevalsrc='0.8*sin(${hz}*2*PI*t)*abs(sin(t*0.9))*abs(sin(t*2.3+1))':d=${seconds}`;
/** Oldest first; the last one takes the stage. */
const clips = [
  ['test-card.mp4', `smptehdbars=s=1280x720:r=25:d=${seconds}`, sound(220)],
  ['voice-memo.flac', null, sound(140)],
  ['game-of-life.mp4', `life=s=320x180:mold=10:r=25:ratio=0.1:death_color=#C83232:life_color=#00ff00,scale=1280:720:flags=neighbor,trim=duration=${seconds}`, null],
  ['gradients.mp4', `gradients=s=1280x720:r=25:d=${seconds}:c0=#e8590c:c1=#1971c2:c2=#12b886:nb_colors=3:speed=0.02:seed=7`, sound(330)],
  ['mandelbrot-dive.mp4', `mandelbrot=s=1280x720:r=25:start_scale=2:end_scale=0.002:end_pts=600,trim=duration=${seconds}`, sound(90)],
];

const directory = await mkdtemp(join(tmpdir(), 'reelmill-screenshot-'));
let browser;
try {
  let id;
  for (const clip of clips) id = await ready(await upload(await generate(clip)));

  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--mute-audio'],
  });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 1180 },
    deviceScaleFactor: 1.5,
    colorScheme: 'light',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  await page.goto(`${base}/#key=${encodeURIComponent(key)}`);
  await page.locator(`.card[data-id="${id}"]`).click();
  await page.waitForFunction(() => document.querySelector('.player video')?.readyState >= 2);
  await page.locator('.waveform').waitFor();
  await page.evaluate(() => {
    const video = document.querySelector('.player video');
    video.currentTime = video.duration * 0.4;
    return new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true }));
  });
  await page.waitForFunction((count) => document.querySelectorAll('.card img').length >= count, clips.length - 1);
  const session = await context.newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 80 });
  await writeFile(target, Buffer.from(data, 'base64'));
} finally {
  await browser?.close();
  await rm(directory, { recursive: true });
}

/** Makes a clip with FFmpeg; answers with its path. */
async function generate([name, picture, tone]) {
  const inputs = [picture, tone].filter(Boolean).flatMap((graph) => ['-f', 'lavfi', '-i', graph]);
  const path = join(directory, name);
  const codecs = picture ? ['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p'] : [];
  await run('ffmpeg', ['-v', 'error', '-nostdin', ...inputs, ...codecs, '-t', String(seconds), path]);
  return { name, path };
}

/** Uploads a clip; answers with its media's id. */
async function upload({ name, path }) {
  const body = await readFile(path);
  const media = await api('POST', '/api/media', { filename: name, size: body.length });
  const answer = await fetch(media.upload.put.url, { method: 'PUT', body });
  if (!answer.ok) throw new Error(`${name}: ${await answer.text()}`);
  return media.id;
}

/** Follows a media's events until it is ready. */
async function ready(id) {
  const events = await fetch(`${base}/api/media/${id}/events`, { headers: { Authorization: `Bearer ${key}` } });
  // The stream ends with the media's last event.
  await events.text();
  const { status, error } = await api('GET', `/api/media/${id}`);
  if (status !== 'ready') throw new Error(`${id} is ${status}: ${error?.message}`);
  return id;
}

async function api(method, path, body) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  return answer.json();
}
