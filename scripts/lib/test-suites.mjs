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

const NATIVE_PROGRAMS = [
  'lorikeet_test',
  'lorikeet_ops_test',
  'lorikeet_threads_test',
  'lorikeet_simulator_test',
];
/** In the order they run: the cheap ones first. */
export const SUITES = /** @type {const} */ (['native', 'unit', 'integration', 'golden', 'e2e', 'browser']);
/** @typedef {typeof SUITES[number]} SuiteName */

/** @param {string} text */
const echo = (text) => void process.stdout.write(text);

/** @returns {Promise<Counts>} */
async function runNative() {
  const results = [];
  for (const name of NATIVE_PROGRAMS) {
    const path = join(nativeFolder, name);
    if (!existsSync(path)) throw new Error(`${path} was not built`);
    say(`${name}:`);
    const { code, output } = await run(path, ['--no-colors=true'], { cwd: repository, onOutput: echo });
    results.push(doctestResult(name, output, code));
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
