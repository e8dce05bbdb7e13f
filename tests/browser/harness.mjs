// A browser with the console open in it.
//
//   REELMILL_URL        where the gateway listens, such as http://127.0.0.1:8787
//   REELMILL_API_KEY    a key that it takes
//   REELMILL_TEST_FILE  a video with sound
//   CHROMIUM            the browser, /usr/bin/chromium by default

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

export const base = required('REELMILL_URL').replace(/\/$/, '');
export const key = required('REELMILL_API_KEY');
export const file = required('REELMILL_TEST_FILE');
/** Longer than the file takes to encode on a busy machine. */
export const encodeMs = 300_000;

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--mute-audio',
    ],
  });
});

after(() => browser?.close());

/**
 * A page of its own, with the console open in it; `errors` collects what the console logs. `prepare`
 * runs in the page before anything of its own.
 */
export async function open(t, { signedIn = true, prepare = () => {} } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  t.after(() => context.close());
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
  const page = await context.newPage();
  await page.addInitScript(prepare);
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(signedIn ? `${base}/#key=${encodeURIComponent(key)}` : base);
  if (signedIn) await page.getByRole('heading', { name: 'Drop video or audio here' }).waitFor();
  return { context, page, errors };
}

/** No serious or critical accessibility violation, once what fades in has done so. */
export async function noViolations(page) {
  await page.waitForFunction(() =>
    document.getAnimations().every(
      ({ effect, playState }) => playState !== 'running' || effect.getComputedTiming().endTime === Infinity,
    ),
  );
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  assert.deepEqual(serious, []);
}

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
