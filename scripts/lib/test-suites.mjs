import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.mjs';
import { nativeFolder } from './native-build.mjs';
import { runSanitizers } from './native-sanitizers.mjs';
import { inRepository, repository } from './paths.mjs';
import { say } from './print.mjs';
import { countVitest, doctestResult, settle, sum, vitestFailures } from './test-report.mjs';

/** @typedef {import('./test-report.mjs').Counts} Counts */

/** Cases of the ops suite that the CUDA backend does not serve, and those that take long on a simulated driver. */
const NOT_ON_CUDA = [
  'a coded*',
  'codes and scales*',
  'rows of queries and keys*',
  'a delta net*',
  'gated attention*',
  'a short convolution*',
  'heads of latent attention*',
  'attention in chunks*',
  'attention takes coarse alibi*',
  'experts read what*',
];
const LONG_ON_CUDA = [
  'attention sees*',
  'attention gives*',
  'attention over*',
  'attention has*',
  'attention of*',
  'a linear row has*',
  'a quantized row has*',
  'a quantized adapted row*',
  'norm and glu rows*',
  'linear takes few rows*',
  'glu takes*',
  'rope_kv rotates queries*',
];
const SKIPPED_ON_CUDA = [...NOT_ON_CUDA, ...(process.env.LORIKEET_TEST_ALL === '1' ? [] : LONG_ON_CUDA)];

/** @type {readonly { name: string, label?: string, args?: readonly string[], env?: Readonly<Record<string, string>> }[]} */
const NATIVE_PROGRAMS = [
  { name: 'lorikeet_test' },
  { name: 'lorikeet_ops_test' },
  {
    name: 'lorikeet_ops_test',
    label: 'lorikeet_ops_test on cuda (simulated)',
    args: [`--test-case-exclude=${SKIPPED_ON_CUDA.join(',')}`],
    env: { LORIKEET_TEST_BACKENDS: 'cuda', LORIKEET_CUDA_DRIVER: join(nativeFolder, 'libcuda_sim.so') },
  },
  { name: 'lorikeet_threads_test' },
  { name: 'lorikeet_simulator_test' },
  { name: 'lorikeet_cuda_test' },
];
/** In the order they run: the cheap ones first. */
export const SUITES = /** @type {const} */ (['native', 'unit', 'integration', 'golden', 'e2e', 'browser']);
/** @typedef {typeof SUITES[number]} SuiteName */

/** @param {string} text */
const echo = (text) => void process.stdout.write(text);

/** @returns {Promise<Counts>} */
async function runNative() {
  const results = [];
  for (const { name, label = name, args = [], env = {} } of NATIVE_PROGRAMS) {
    const path = join(nativeFolder, name);
    if (!existsSync(path)) throw new Error(`${path} was not built`);
    say(`${label}:`);
    const options = { cwd: repository, env: { ...process.env, ...env }, onOutput: echo };
    const { code, output } = await run(path, ['--no-colors=true', ...args], options);
    results.push(doctestResult(label, output, code));
  }
  results.push(await runSanitizers());
  return sum(results);
}

/** @param {string} project @param {readonly string[]} filters @returns {Promise<Counts>} */
async function runVitest(project, filters) {
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-report-'));
  const report = join(folder, 'report.json');
  try {
    const args = ['run', '--project', project, '--passWithNoTests', '--reporter=default', '--reporter=json'];
    const { code } = await run(
      process.execPath,
      [
        inRepository('node_modules', 'vitest', 'vitest.mjs'),
        ...args,
        `--outputFile.json=${report}`,
        ...filters,
      ],
      { cwd: repository, onOutput: echo },
    );
    if (!existsSync(report)) return settle({ passed: 0, failed: 0, skipped: 0 }, code === 0 ? 1 : code);
    const told = JSON.parse(readFileSync(report, 'utf8'));
    return settle({ ...countVitest(told), failures: vitestFailures(told) }, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs one suite to its end, its output on the terminal.
 * @param {SuiteName} name
 * @param {readonly string[]} filters  parts of file names; for the suites that Vitest runs
 */
export async function runSuite(name, filters) {
  say(`\n── ${name} ${'─'.repeat(Math.max(0, 70 - name.length))}`);
  const began = performance.now();
  const counts = await (name === 'native' ? runNative() : runVitest(name, filters));
  return { name, ...counts, seconds: (performance.now() - began) / 1000 };
}
