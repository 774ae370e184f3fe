import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { chunks, loadWithDocument } from './first-load.ts';
import { samplingControls } from './sampling-controls.ts';

const inRepository = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const inSource = (path: string): string => inRepository(`apps/console/src/${path}`);

/** Built into build/console, which the API serves under /console. `npx vite apps/console` proxies to a running API. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/console/',
  plugins: [
    react(),
    samplingControls(inRepository('libs/contracts/src/openai/generation-fields.ts')),
    loadWithDocument('/src/app.tsx'),
  ],
  resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
  build: {
    outDir: inRepository('build/console'),
    emptyOutDir: true,
    // Read by scripts/bundle-size.mjs; the API serves only the assets beside it.
    manifest: true,
    // An image as data: URL would need a wider policy than the page has; a font likewise.
    assetsInlineLimit: 0,
    rolldownOptions: { output: { codeSplitting: chunks(inSource('main.ts')) } },
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:8080', '/health': 'http://127.0.0.1:8080' } },
});
