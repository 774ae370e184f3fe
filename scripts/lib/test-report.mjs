/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

/**
 * The result of one suite. A run that broke without a failed test (a crash, an unhandled rejection, a file that does
 * not load) counts as one failure: it must never look like success.
 * @param {Counts} counts
 * @param {number} exitCode
 * @returns {Counts}
 */
export function settle(counts, exitCode) {
  return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/**
 * From Vitest's JSON report.
 * @param {{ testResults?: readonly { status: string, assertionResults: readonly { status: string }[] }[] }} report
 * @returns {Counts}
 */
export function countVitest(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults ?? []) {
    for (const { status } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') counts.failed++;
      else counts.skipped++;
    }
    const told = file.assertionResults.some(({ status }) => status === 'failed');
    if (file.status === 'failed' && !told) counts.failed++; // it did not load, or a hook failed
  }
  return counts;
}

/**
 * From the closing lines of a doctest program.
 * @param {string} output
 * @returns {Counts | undefined} undefined when it never got there
 */
export function countDoctest(output) {
  const match = /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(output);
  if (!match) return undefined;
  return { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3]) };
}

/** @param {readonly Counts[]} all @returns {Counts} */
export function sum(all) {
  return all.reduce(
    (a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }),
    { passed: 0, failed: 0, skipped: 0 },
  );
}

/** @param {readonly (Counts & { name: string, seconds: number })[]} suites @returns {string[]} */
export function table(suites) {
  const width = Math.max(5, ...suites.map(({ name }) => name.length));
  const row = (/** @type {readonly string[]} */ [name = '', ...cells]) =>
    `  ${name.padEnd(width)}${cells.map((cell) => cell.padStart(10)).join('')}`;
  return [
    row(['suite', 'passed', 'failed', 'skipped', 'seconds']),
    ...suites.map((s) =>
      row([s.name, String(s.passed), String(s.failed), String(s.skipped), s.seconds.toFixed(1)]),
    ),
  ];
}

/** The last line of `npm test`, which CI reads. @param {Counts} counts */
export function closingLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
