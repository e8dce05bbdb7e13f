// A file to the gateway by tus 1.0. Loaded when the first file is sent, so that the page shows sooner.

import { DefaultHttpStack, DetailedError, Upload } from 'tus-js-client';
import { local, Problem } from './api.ts';

/** Below the 100 MB that Cloudflare takes in one request. */
const chunkSize = 64 * 1024 * 1024;

export interface Transfer {
  /** Where to create the upload, or the upload itself, to go on with it. */
  target: { endpoint: string } | { url: string };
  /** Ends the transfer; what the gateway has so far stays. */
  signal: AbortSignal;
  /** The upload has been created at `url`. */
  located(url: string): void;
  /** So many bytes are there or on their way. */
  sent(loaded: number): void;
}

const http = new DefaultHttpStack({});
/** Everything by way of this page's origin, whatever the gateway is called elsewhere. */
const httpStack = {
  createRequest: (method: string, url: string) =>
    http.createRequest(method, new URL(local(url), location.href).href),
  getName: () => http.getName(),
};

/** Sends what is missing. Rejects with a `Problem`, or with the signal's reason. */
export function transfer(file: Blob, { target, signal, located, sent }: Transfer): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(file, {
      ...('url' in target ? { uploadUrl: target.url } : { endpoint: target.endpoint }),
      chunkSize,
      httpStack,
      uploadSize: file.size,
      // When to try again, and what to remember, is decided in upload-state.ts and records.ts.
      retryDelays: null,
      storeFingerprintForResuming: false,
      onUploadUrlAvailable: () => upload.url && located(upload.url),
      onProgress: (loaded) => sent(loaded),
      onSuccess: () => resolve(),
      onError: (error) => reject(problem(error)),
    });
    const stop = () => {
      void upload.abort().catch(() => {});
      reject(signal.reason);
    };
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    upload.start();
  });
}

function problem(error: Error): Problem {
  if (!(error instanceof DetailedError)) return Problem.from(error);
  const answer = error.originalResponse;
  const status = answer?.getStatus() ?? 0;
  return status > 0 ? Problem.fromBody(status, answer?.getBody() ?? '') : Problem.unreachable();
}
