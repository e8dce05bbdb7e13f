// Asks a Worker's isolate for its memory as often as it answers, and prints one line of JSON each
// time: node heap.mjs ws://127.0.0.1:PORT/core:user:NAME (workerd's inspector)

function watch() {
  const socket = new WebSocket(process.argv[2]);
  const ask = () => socket.send(JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }));
  socket.addEventListener('open', ask);
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(data);
    if (id !== 1 || !result) return;
    console.log(JSON.stringify({ heap: result.usedSize, buffers: result.backingStorageSize }));
    setTimeout(ask, 20);
  });
  // The inspector talks to one at a time, and wrangler wants to be the one until it is turned away.
  socket.addEventListener('close', () => setTimeout(watch, 20));
}

watch();
