// `npm run bench`: measures kernels, serving and peers (bench/README.md). One suite after the other, each with its result.
import { basename } from 'node:path';
import { runCommand } from '../scripts/lib/main.mjs';
import { prepare } from '../scripts/lib/prepare.mjs';
import { bold, complain, say } from '../scripts/lib/print.mjs';
import { TOOLS } from '../scripts/lib/tools.mjs';
import { HELP, readBenchOptions } from './options.mjs';

/** @typedef {import('./options.mjs').BenchOptions} BenchOptions */
/** @typedef {import('./options.mjs').Suite} Suite */

/** Minutes on a quiet machine of two cores, by shape: what to expect, not what was measured. */
const MINUTES = /** @type {Record<string, Record<Suite, number>>} */ ({
  tiny: {
    kernels: 4,
    steps: 1,
    device: 3,
    serving: 12,
    peers: 3,
    many: 3,
    guided: 2,
    speculation: 2,
    load: 1,
    quality: 1,
  },
  '160m': {
    kernels: 4,
    steps: 1,
    device: 3,
    serving: 15,
    peers: 6,
    many: 8,
    guided: 4,
    speculation: 4,
    load: 1,
    quality: 1,
  },
  '1b': {
    kernels: 4,
    steps: 3,
    device: 3,
    serving: 30,
    peers: 20,
    many: 60,
    guided: 15,
    speculation: 15,
    load: 2,
    quality: 1,
  },
  '8b': {
    kernels: 4,
    steps: 20,
    device: 3,
    serving: 120,
    peers: 90,
    many: 400,
    guided: 90,
    speculation: 90,
    load: 15,
    quality: 1,
  },
});

/** What stands in the JSON of the options. @param {BenchOptions} options */
function shownOptions({ shape, format, peerFormat, ranks, threads, rounds, secondsPerRate, wave, quick }) {
  return { shape: shape.name, format, peerFormat, ranks, threads, rounds, secondsPerRate, wave, quick };
}

/** @param {BenchOptions} options @param {Suite} suite @returns {Promise<{ result: any, markdown: (run: any) => string, svg?: string }>} */
async function runSuite(options, suite) {
  if (suite === 'kernels') {
    const { kernelsMarkdown, runKernels } = await import('./kernels/suite.mjs');
    return { result: await runKernels(options), markdown: kernelsMarkdown };
  }
  if (suite === 'steps') {
    const { runSteps, stepsMarkdown } = await import('./kernels/steps.mjs');
    return { result: await runSteps(options), markdown: stepsMarkdown };
  }
  if (suite === 'device') {
    const { deviceMarkdown, runDevice } = await import('./device/suite.mjs');
    return { result: await runDevice(options), markdown: deviceMarkdown };
  }
  if (suite === 'peers') {
    const [{ runPeers }, { peersMarkdown }] = await Promise.all([
      import('./peers/suite.mjs'),
      import('./peers/render.mjs'),
    ]);
    return { result: await runPeers(options), markdown: peersMarkdown };
  }
  if (suite === 'quality') {
    const { qualityMarkdown, runQuality } = await import('./quality/suite.mjs');
    return { result: await runQuality(options), markdown: qualityMarkdown };
  }
  if (suite === 'load') {
    const { loadMarkdown, runLoad } = await import('./load/suite.mjs');
    return { result: await runLoad(options), markdown: loadMarkdown };
  }
  if (suite === 'guided') {
    const { guidedMarkdown, runGuided } = await import('./serving/guided.mjs');
    return { result: await runGuided(options), markdown: guidedMarkdown };
  }
  if (suite === 'speculation') {
    const { runSpeculation, speculationMarkdown } = await import('./serving/speculation.mjs');
    return { result: await runSpeculation(options), markdown: speculationMarkdown };
  }
  if (suite === 'many') {
    const { manyMarkdown, runMany } = await import('./serving/many-adapters.mjs');
    return { result: await runMany(options), markdown: manyMarkdown };
  }
  const [{ ServingSuite }, { servingMarkdown, sweepSvg }, { DEFAULT_LIMITS }] = await Promise.all([
    import('./serving/suite.mjs'),
    import('./serving/render.mjs'),
    import('./serving/outcome.mjs'),
  ]);
  const result = await new ServingSuite(options).run();
  const title = `${options.shape.name}, ${options.format}, ${options.ranks}`;
  return { result, markdown: servingMarkdown, svg: sweepSvg({ title, result, limits: DEFAULT_LIMITS }) };
}

/** @param {BenchOptions} options @param {Suite} suite @param {object} machine */
async function measure(options, suite, machine) {
  const { watchLoad } = await import('./machine.mjs');
  const { resultPath, writeResult } = await import('./report.mjs');
  say();
  say(bold(`${suite} (${options.shape.name}, ${options.format})`));
  const loadOf = watchLoad();
  const { result, markdown, svg } = await runSuite(options, suite);
  const load = loadOf();
  if (result.skipped !== undefined) {
    complain(`SKIPPED ${suite}: ${result.skipped}`);
    return;
  }
  const everyFormat = suite === 'load' ? `${options.shape.name}-load` : suite;
  const stem = ['kernels', 'device', 'load', 'quality'].includes(suite)
    ? everyFormat
    : `${options.shape.name}-${suite}-${options.format}`;
  const path = resultPath(`${stem}${options.quick ? '-quick' : ''}`, new Date());
  const run = { machine, load, options: shownOptions(options), result };
  const text = markdown({ ...run, svgName: svg && `${basename(path)}.svg` });
  const files = writeResult(path, { suite, at: new Date().toISOString(), ...run }, text, svg);
  say();
  say(text);
  say();
  say(bold(`Written: ${files.join(', ')}`));
}

await runCommand(async () => {
  const options = readBenchOptions(process.argv.slice(2), process.env);
  if (options === 'help') {
    say(HELP);
    return 0;
  }
  await prepare({ tools: [TOOLS.cmake, TOOLS.ninja, TOOLS.compiler, TOOLS.json], tests: false, build: true });
  const { describeMachine } = await import('./machine.mjs');
  const machine = await describeMachine();
  const share = options.quick ? 0.2 : (options.rounds + 1) / 4;
  const minutes = options.suites.map((suite) => (MINUTES[options.shape.name]?.[suite] ?? 30) * share);
  say(`${machine.cpu}, ${machine.cores} cores, ${machine.isa.join(' ')}`);
  say(
    `About ${Math.ceil(minutes.reduce((a, b) => a + b, 0))} minutes on a quiet machine: ${options.suites.join(', ')}.`,
  );
  for (const suite of options.suites) await measure(options, suite, machine);
  return 0;
});
process.exit(); // the watch for npm's end may still run
