// What the parts of the page share, and what a person can do to a media.

import { Problem, type Api } from './api.ts';
import type { Departures } from './departures.ts';
import { confirm } from './dialog.ts';
import { title } from './state.ts';
import type { Store } from './store.ts';
import { complain, notice } from './toast.ts';
import type { Media } from './types.ts';
import type { Uploads } from './uploads.ts';

export interface App {
  api: Api;
  store: Store;
  uploads: Uploads;
  departures: Departures;
}

/** The address of a media within the console. */
export function address(id: string): string {
  return `#/${encodeURIComponent(id)}`;
}

/** Asks for the one retry. */
export async function retry(app: App, media: Media): Promise<void> {
  await attempt(media, async () => app.store.put(await app.api.retry(media.id)));
}

/** Stops the work on a media, after asking; a media whose upload is stopped is deleted. */
export async function cancel(app: App, media: Media): Promise<void> {
  const uploading = media.status === 'uploading';
  const question = uploading ? 'Stop this upload?' : 'Stop this transcode?';
  const detail = uploading
    ? `“${title(media)}” will not be uploaded.`
    : `The work on “${title(media)}” so far is dropped. It can be retried only if it has its retry left.`;
  if (!(await confirm(question, detail, uploading ? 'Stop upload' : 'Stop transcode'))) return;
  await attempt(media, async () => {
    if (uploading) {
      await erase(app, media.id);
    } else {
      app.store.put(await app.api.cancel(media.id));
    }
  });
}

/** Deletes a media with all its files, after asking. */
export async function remove(app: App, media: Media): Promise<void> {
  const detail = `“${title(media)}”, its renditions and every signed URL to it are gone for good.`;
  if (!(await confirm('Delete this media?', detail, 'Delete'))) return;
  await attempt(media, async () => {
    await erase(app, media.id);
    notice(`Deleted “${title(media)}”.`);
  });
}

/** Deletes a media once nothing here fetches anything of it any more. */
async function erase({ api, store, uploads, departures }: App, id: string): Promise<void> {
  const onStage = location.hash === address(id);
  uploads.cancel(id);
  departures.begin(id);
  try {
    await api.delete(id);
  } catch (error) {
    departures.callOff(id);
    if (onStage && !location.hash) location.hash = address(id);
    throw error;
  }
  store.remove(id);
}

/** Puts text on the clipboard. */
export async function copy(text: string, what: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    complain(
      new Problem(0, 'clipboard_refused', 'The clipboard cannot be used here', 'Select the text and copy it.'),
    );
    return false;
  }
  notice(`${what} copied.`);
  return true;
}

async function attempt(media: Media, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    complain(Problem.from(error), title(media));
  }
}
