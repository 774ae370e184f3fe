import { stripVTControlCharacters } from 'node:util';

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {readonly string[]} [failures]  what failed, a few lines each, to stand below the table
 */

/** Lines of a failure's message that are worth repeating. */
const MESSAGE_LINES = 8;

/**
 * The result of one suite. A run that broke without a failed test (a crash, an unhandled rejection, a file that does
 * not load) counts as one failure: it must never look like success.
 * @param {Counts} counts
 * @param {number} exitCode
 * @returns {Counts}
 */
export function settle(counts, exitCode) {
  if (exitCode === 0 || counts.failed > 0) return counts;
  const failures = [...(counts.failures ?? []), `ended with exit code ${exitCode}, though no test failed`];
  return { ...counts, failed: 1, failures };
}

/**
 * @typedef {object} VitestReport  the parts of Vitest's JSON report that are read
 * @property {readonly { name?: string, status: string, message?: string, assertionResults: readonly VitestCase[] }[]} [testResults]
 */
/** @typedef {{ status: string, fullName?: string, failureMessages?: readonly string[] | null }} VitestCase */

/**
 * From Vitest's JSON report.
 * @param {VitestReport} report
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
 * What failed by Vitest's JSON report: file and test, then the head of each message.
 * @param {VitestReport} report
 * @returns {string[]}
 */
export function vitestFailures(report) {
  return (report.testResults ?? []).flatMap(({ name = '', status, message = '', assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (status === 'failed' && failed.length === 0) return [failure(name, message)];
    return failed.map(({ fullName = '', failureMessages }) =>
      failure(`${name} > ${fullName}`, (failureMessages ?? []).join('\n')),
    );
  });
}

/**
 * What failed by the output of a doctest program.
 * @param {string} program @param {string} output
 * @returns {string[]}
 */
export function doctestFailures(program, output) {
  return output
    .split(/^={10,}$/m)
    .filter((part) => /^TEST CASE:/m.test(part) && /^\S+: (?:FATAL )?ERROR: /m.test(part))
    .map((part) => failure(program, part.trim()));
}

/** @param {string} title @param {string} message */
function failure(title, message) {
  const lines = stripVTControlCharacters(message).split('\n').slice(0, MESSAGE_LINES);
  return [title, ...lines.map((line) => `    ${line}`)].join('\n');
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

/**
 * The result of a doctest program that ended with `exitCode`. One that crashed before its closing lines failed once.
 * @param {string} program @param {string} output @param {number} exitCode
 * @returns {Counts}
 */
export function doctestResult(program, output, exitCode) {
  const counts = countDoctest(output);
  if (!counts) {
    const end = output.trimEnd().split('\n').slice(-MESSAGE_LINES).join('\n');
    return { passed: 0, failed: 1, skipped: 0, failures: [failure(`${program}: crashed`, end)] };
  }
  return settle({ ...counts, failures: doctestFailures(program, output) }, exitCode);
}

/** @param {readonly Counts[]} all @returns {Counts} */
export function sum(all) {
  return all.reduce(
    (a, b) => ({
      passed: a.passed + b.passed,
      failed: a.failed + b.failed,
      skipped: a.skipped + b.skipped,
      failures: [...(a.failures ?? []), ...(b.failures ?? [])],
    }),
    { passed: 0, failed: 0, skipped: 0, failures: [] },
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
