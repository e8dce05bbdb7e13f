// One file in the queue, and how it looks from outside.

import type { Problem } from './api.ts';
import { bytes } from './format.ts';
import type { UploadRecord } from './records.ts';
import type { Trouble, Upload, UploadEvent } from './upload-state.ts';

/** One file. */
export interface Item {
  record: UploadRecord;
  upload: Upload;
  file?: File;
  /** Ends what is being sent. */
  stop?: AbortController;
  retry?: ReturnType<typeof setTimeout>;
  beginnings: number;
  /** Lets other tabs have it. */
  release?: () => void;
}

/** A file as others see it. */
export interface Listed {
  key: string;
  name: string;
  upload: Upload;
  mediaId?: string;
}

/** An item as others see it. */
export function listed({ record, upload }: Item): Listed {
  const { key, name, mediaId } = record;
  return { key, name, upload, ...(mediaId && { mediaId }) };
}

/** What to tell of a problem. */
export function asTrouble({ title, detail, code }: Problem): Trouble {
  return { title, detail, code };
}

/** The file is beyond the limit. */
export function tooLarge(maxBytes: number): UploadEvent {
  const detail = `The gateway takes up to ${bytes(maxBytes)} a file.`;
  const trouble = { title: 'The file is too large', detail, code: 'upload_too_large' };
  return { type: 'trouble', trouble, passing: false, online: true };
}

/** Whether a file can still be read: browsers refuse once it has changed on disk. */
export async function isReadable(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
