// What a front end with Uppy does. Bundled by uppy.test.mjs and run in a page of another origin.

import Uppy from '@uppy/core';
import Tus from '@uppy/tus';

/**
 * Uploads files of the given bytes and returns, for each, the media that it became. `accidents` are
 * done to it one after the other, each once so many bytes have been sent in all: `pause` pauses and
 * resumes everything, anything else is what the test offers under that name.
 */
window.upload = async (files, options, accidents) => {
  const uppy = new Uppy({ autoProceed: false });
  const media = {};
  uppy.use(Tus, {
    ...options,
    // The test's own steps take as long as they take; the gateway is up again when they are done.
    retryDelays: Array(20).fill(0),
    onShouldRetry: () => true,
    onBeforeRequest: () => happening,
    onAfterResponse: (request, response) => {
      media[request.getURL()] ??= response.getHeader('Reelmill-Media-Id');
      const location = response.getHeader('Location');
      if (location) media[location] ??= response.getHeader('Reelmill-Media-Id');
    },
  });
  for (const { name, data } of files) {
    uppy.addFile({ name, type: 'video/mp4', data: new Blob([Uint8Array.fromBase64(data)]) });
  }
  let happening = Promise.resolve();
  const due = [...accidents];
  const sent = {};
  uppy.on('upload-progress', ({ id }, { bytesUploaded }) => {
    sent[id] = bytesUploaded;
    const sum = Object.values(sent).reduce((sum, bytes) => sum + bytes, 0);
    if (due.length && sum >= due[0].at) {
      const { kind } = due.shift();
      if (kind === 'pause') {
        uppy.pauseAll();
        uppy.resumeAll();
      } else {
        happening = window[kind]();
      }
    }
  });
  const { successful, failed } = await uppy.upload();
  return {
    failed: failed.map(({ name, error }) => `${name}: ${error}`),
    missed: due.length,
    media: Object.fromEntries(successful.map((file) => [file.name, media[file.uploadURL]])),
  };
};
