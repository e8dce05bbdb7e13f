// Loaded into wrangler (NODE_OPTIONS=--require …) for the second half of the comparison only.
//
// The simulator of R2 that wrangler runs locally takes the MD5 of what it stores in a JavaScript
// TransformStream, which the runtime feeds 4096 bytes at a time. This replaces that loop by one that
// reads 256 KiB at a time and does the same, to tell what the gateway costs from what the simulator
// does. Nothing else of it changes, and no file on disk does.

const fs = require('node:fs');

const OWN = `class {
  constructor(algorithms) {
    this.algorithms = algorithms;
    this.digests = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
  }
  through(value) {
    const { readable, writable } = new IdentityTransformStream();
    this.pump(value.getReader({ mode: 'byob' }), writable.getWriter()).catch(this.reject);
    return readable;
  }
  async pump(reader, writer) {
    const streams = this.algorithms.map((name) => new crypto.DigestStream(name));
    const hashes = streams.map((stream) => stream.getWriter());
    let buffer = new ArrayBuffer(256 * 1024);
    for (let done = false; !done; ) {
      const read = await reader.readAtLeast(buffer.byteLength, new Uint8Array(buffer));
      done = read.done;
      if (!read.value?.byteLength) break;
      for (const hash of hashes) await hash.write(read.value);
      await writer.write(read.value);
      buffer = read.value.buffer;
    }
    await writer.close();
    for (const hash of hashes) await hash.close();
    const digests = await Promise.all(streams.map((stream) => stream.digest));
    this.resolve(new Map(this.algorithms.map((name, at) => [name, Buffer3.from(digests[at])])));
  }
}, validate`;

const read = fs.readFileSync;
fs.readFileSync = function readFileSync(path, ...options) {
  const content = read.call(this, path, ...options);
  if (!String(path).endsWith('r2/bucket.worker.js')) return content;
  const before = String(content);
  const changed = before
    .replace(/class extends TransformStream \{\n  digests;[^]*?\n\}, validate/, () => OWN)
    .replaceAll('value.pipeThrough(digesting)', 'digesting.through(value)');
  if (!changed.includes(OWN) || !changed.includes('digesting.through(value)')) {
    throw new Error(`${path} is not the simulator that this knows`);
  }
  return options.length ? changed : Buffer.from(changed);
};
