import { availableParallelism } from 'node:os';
import swc from 'unplugin-swc';
import { defineConfig } from 'vitest/config';

// Nest's decorators need metadata, which esbuild does not emit; swc does.
const plugins = [swc.vite({ module: { type: 'es6' } })];
const conditions = ['source', 'node', 'import', 'default'];
// Vitest passes these on to Node for CommonJS too, where "import" would make require() load ES modules.
const nodeConditions = ['source'];

// Inherited by worker threads that tests start: their program is TypeScript too.
const threads = new URL('./test/support/typescript-threads.mjs', import.meta.url).href;

/** One vitest project. `timeoutMs` covers starting servers; files of one project run one after another when `serial`. */
function project(name: string, include: string[], timeoutMs: number, serial: boolean) {
  return {
    plugins,
    resolve: { conditions },
    ssr: { resolve: { conditions: nodeConditions } },
    test: {
      name,
      include,
      environment: 'node' as const,
      testTimeout: timeoutMs,
      hookTimeout: timeoutMs,
      // Long enough for a busy machine: a poll ends when its condition holds, not when the clock says so.
      expect: { poll: { timeout: Math.min(30_000, timeoutMs / 2) } },
      fileParallelism: !serial,
      ...(serial ? {} : { maxWorkers: Math.max(2, availableParallelism() - 1) }),
      // Its files load the whole control plane, which takes seconds: once for all of them.
      isolate: name !== 'integration',
      execArgv: ['--import', threads],
    },
  };
}

export default defineConfig({
  test: {
    projects: [
      project(
        'unit',
        ['{apps,libs}/*/src/**/*.test.ts', 'test/unit/**/*.test.ts', 'test/clients/**/*.test.ts'],
        20_000,
        false,
      ),
      project('integration', ['test/integration/**/*.test.ts'], 120_000, true),
      project('golden', ['test/golden/**/*.test.ts'], 180_000, true),
      project('browser', ['test/browser/**/*.test.ts'], 300_000, true),
      project('e2e', ['test/e2e/**/*.test.ts'], 300_000, true),
    ],
  },
});
