import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, run } from './command.mjs';
import { buildInFolder, nativeFolder } from './native-build.mjs';
import { inRepository, repository } from './paths.mjs';
import { say, step } from './print.mjs';
import { doctestResult, sum } from './test-report.mjs';

/** @typedef {import('./test-report.mjs').Counts} Counts */

/**
 * A way to start a sanitized program.
 * @typedef {object} Launch
 * @property {readonly string[]} command  what stands before the program
 * @property {Readonly<Record<string, string>>} env
 */

/**
 * @typedef {object} Sanitizer
 * @property {string} name  as -fsanitize= takes it
 * @property {string} folder  under build/
 * @property {readonly string[]} programs
 * @property {string} watched  which sources are built with it, from native/; the others are as in the plain build
 * @property {Readonly<Record<string, RegExp>>} planted  faults of planted_faults.cc, and what the report says of each
 * @property {readonly Launch[]} launches  the first that works here is taken
 */

/** By `npm test -- --all` every source is watched, and every shape of every op is tried. */
const WHOLE = process.env.LORIKEET_TEST_ALL === '1';

/** @type {readonly Sanitizer[]} */
const SANITIZERS = [
  {
    name: 'address,undefined',
    folder: 'native-address',
    programs: ['lorikeet_test', ...(WHOLE ? ['lorikeet_ops_test'] : [])],
    // What handles memory by hand, and what reads files that others made. The kernels of each instruction set and the
    // families of models take most of the time of a build.
    watched: [
      'backend/shared/',
      'backend/cpu/(attention|backend|coded_weight|elementwise|embed|gather_sampled|kv|linear|linear_weights|memory)\\.cc',
      'backend/cpu/(norm|packed|pool|quantized_weight|rope|sample|scratch|slabs)\\.cc',
      'model/(adapter|adapter_table|checkpoint|coded_checkpoint|coded_tensor|decoder|mapped_file|model|narrow|part_rows|safetensors|segments|step_plan)\\.cc',
      'model/gguf/',
      'test/planted_faults\\.cc',
    ].join('|'),
    planted: {
      overrun: /heap-buffer-overflow/,
      'large-overrun': /heap-buffer-overflow/,
      freed: /heap-use-after-free/,
      overflow: /signed integer overflow/,
    },
    // Leaks are looked for by tracing the program, which not every container allows.
    launches: [
      { command: [], env: {} },
      { command: [], env: { ASAN_OPTIONS: 'detect_leaks=0' } },
    ],
  },
  {
    name: 'thread',
    folder: 'native-thread',
    programs: ['lorikeet_threads_test'],
    // What several threads of ours touch.
    watched:
      'backend/cpu/(pool|scratch|slabs|memory|backend)\\.cc|binding/|test/|model/(model|adapter_table)\\.cc',
    planted: { race: /data race/ },
    // Its runtime cannot place its shadow memory where the kernel spreads addresses further than it knows.
    launches: [
      { command: [], env: {} },
      { command: ['setarch', '-R'], env: {} },
    ],
  },
];

/** @param {string} text */
const echo = (text) => void process.stdout.write(text);

/** @param {Launch} launch @param {string} program @param {readonly string[]} args */
function start({ command, env }, program, args, onOutput = (/** @type {string} */ _text) => {}) {
  const [first = program, ...rest] = [...command, program, ...args];
  return run(first, rest, { cwd: repository, env: { ...process.env, ...env }, onOutput });
}

/**
 * How programs with this sanitizer can be built and started here, or why not.
 * @param {Sanitizer} sanitizer
 * @returns {Promise<Launch | string>}
 */
async function tryOut({ name, folder, launches }) {
  const source = inRepository('build', `${folder}.cc`);
  const program = inRepository('build', `${folder}-probe`);
  try {
    writeFileSync(source, 'int main() { return 0; }\n');
    const built = await run('c++', [`-fsanitize=${name}`, source, '-o', program]);
    if (built.code !== 0) return `the compiler has no such runtime: ${lastLines(built.output, 1)}`;
    let output = '';
    for (const launch of launches) {
      const started = await start(launch, program, []);
      if (started.code === 0) return launch;
      output = started.output;
    }
    return `its runtime does not work here: ${lastLines(output, 1)}`;
  } finally {
    rmSync(source, { force: true });
    rmSync(program, { force: true });
  }
}

/**
 * The native tests under the sanitizers, and for each sanitizer faults made on purpose that it has to find.
 * @returns {Promise<Counts>}
 */
export async function runSanitizers() {
  const results = [];
  for (const sanitizer of SANITIZERS) {
    const launch = await tryOut(sanitizer);
    if (typeof launch === 'string') {
      say(`sanitizer ${sanitizer.name}: skipped, ${launch}`);
      results.push({ passed: 0, failed: 0, skipped: 1 });
    } else results.push(await runSanitizer(sanitizer, launch));
  }
  return sum(results);
}

/** @param {Sanitizer} sanitizer @param {Launch} launch @returns {Promise<Counts>} */
async function runSanitizer({ name, folder, programs, watched, planted }, launch) {
  await step(`building the native tests with the sanitizer ${name}`, (progress) =>
    buildInFolder({
      folder: inRepository('build', folder),
      // Little optimized: it is built more often than it runs.
      options: [
        '-DLORIKEET_TESTS=ON',
        `-DLORIKEET_SANITIZE=${name}`,
        `-DLORIKEET_PLAIN=${WHOLE ? '' : nativeFolder}`,
        `-DLORIKEET_WATCHED=${WHOLE ? '' : watched}`,
        '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -g1',
      ],
      targets: [...programs, 'lorikeet_planted_faults'],
      progress,
    }),
  );
  const results = [];
  for (const program of programs) {
    say(`${program} (${name}):`);
    const path = inRepository('build', folder, program);
    const { code, output } = await start(launch, path, ['--no-colors=true'], echo);
    results.push(doctestResult(`${program} (${name})`, output, code));
  }
  for (const [fault, report] of Object.entries(planted)) {
    const path = join('build', folder, 'lorikeet_planted_faults');
    const { code, output } = await start(launch, inRepository(path), [fault]);
    const found = code !== 0 && report.test(output);
    say(`planted fault ${fault} (${name}): ${found ? 'found' : `not found\n${lastLines(output, 20)}`}`);
    const failures = found ? [] : [`planted fault ${fault} (${name}): not found`];
    results.push({ passed: found ? 1 : 0, failed: failures.length, skipped: 0, failures });
  }
  return sum(results);
}
