// The console is static: one page, hashed assets, nothing inline and nothing from elsewhere, so that
// the content security policy in public/_headers can stay strict.
import { defineConfig } from 'vite';

// During `npm run dev` a gateway serves the API; `scripts/run` starts one on this port.
const gateway = 'http://127.0.0.1:8787';

export default defineConfig({
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': gateway, '/play': gateway, '/health': gateway } },
  test: { include: ['test/**/*.test.ts'] },
});
