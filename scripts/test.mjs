// `npm test`: installs and builds what is missing, runs every test, and ends with `N passed, N failed, N skipped`.
import { parseArgs } from 'node:util';
import { runCommand } from './lib/main.mjs';
import { prepare } from './lib/prepare.mjs';
import { say } from './lib/print.mjs';
import { StopError } from './lib/stop-error.mjs';
import { closingLine, sum, table } from './lib/test-report.mjs';
import { runSuite, SUITES } from './lib/test-suites.mjs';
import { TOOLS } from './lib/tools.mjs';

const HELP = `npm test -- [suite ...] [--files PART] [--all]

Runs the suites named, or all of them in this order: ${SUITES.join(', ')}.

  --files PART     only test files whose path holds PART (not for native)
  --all            the long tests in full; otherwise they take a short form (sets LORIKEET_TEST_ALL=1)
  --help           this text`;

/** @param {readonly string[]} argv */
function readArguments(argv) {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      all: { type: 'boolean' },
      files: { type: 'string', multiple: true },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const unknown = positionals.filter((name) => !SUITES.some((suite) => suite === name));
  if (unknown.length > 0) throw new StopError(`There is no suite ${unknown.join(', ')}.\n\n${HELP}`);
  const suites = SUITES.filter((suite) => positionals.length === 0 || positionals.includes(suite));
  return { help: values.help === true, all: values.all === true, suites, files: values.files ?? [] };
}

await runCommand(async () => {
  const { help, all, suites, files } = readArguments(process.argv.slice(2));
  if (help) {
    say(HELP);
    return 0;
  }
  // Read by test/support/whole-suite.ts and by the native tests.
  if (all) process.env.LORIKEET_TEST_ALL = '1';
  const { cmake, ninja, compiler, json, doctest, redis, curl, chromium } = TOOLS;
  await prepare({
    tools: [
      cmake,
      ninja,
      compiler,
      json,
      doctest,
      redis,
      curl,
      ...(suites.includes('browser') ? [chromium] : []),
    ],
    tests: true,
    build: true,
  });
  const results = [];
  for (const suite of suites) results.push(await runSuite(suite, files));
  const total = sum(results);
  say();
  for (const row of table(results)) say(row);
  // Below everything else: who reads only the end of a log has to see what failed.
  for (const failure of total.failures ?? []) say(`\nFAILED ${failure}`);
  say();
  if (total.passed + total.failed === 0) say('No test ran.');
  say(closingLine(total));
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
});
