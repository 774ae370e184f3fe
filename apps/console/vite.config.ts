import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { samplingControls } from './sampling-controls.ts';

const inRepository = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Built into build/console, which the API serves under /console. `npx vite apps/console` proxies to a running API. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/console/',
  plugins: [react(), samplingControls(inRepository('libs/contracts/src/openai/generation-fields.ts'))],
  resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
  build: {
    outDir: inRepository('build/console'),
    emptyOutDir: true,
    // Read by scripts/bundle-size.mjs; the API serves only the assets beside it.
    manifest: true,
    // An image as data: URL would need a wider policy than the page has; a font likewise.
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        manualChunks: (id) => (/node_modules\/(react|react-dom|scheduler)\//.test(id) ? 'react' : undefined),
      },
    },
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:8080', '/health': 'http://127.0.0.1:8080' } },
});
