import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../scripts/lib/command.mjs';
import { nativeLibraries } from '../../scripts/lib/native-build.mjs';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { say, step } from '../../scripts/lib/print.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';
import { ensureModel } from '../models/generate.mjs';
import { conditions, loadLine, markdownTable } from '../report.mjs';
import { median } from '../statistics.mjs';
import { compile, describeProbe, probeMachine } from './probe.mjs';

const RANK = 16;
const STEPS_PER_RUN = 10;

/**
 * A line of step_profile. `ops` in ms.
 * @typedef {{ step: string, rows: number, samples: number, weightBytes: number, adapterBytes: number, ms: number,
 *   ops: Record<string, number> }} StepProfile
 */

/** Whole steps of the decoder on the real checkpoint, op by op. @param {import('../options.mjs').BenchOptions} options */
export async function runSteps({ shape, format, threads, rounds }) {
  const libraries = nativeLibraries();
  const missing = libraries.find((library) => !existsSync(library));
  if (missing) throw new StopError(`${missing} is missing: npm run build`);
  const program = inRepository('build', 'bench', 'step_profile');
  const source = join(import.meta.dirname, 'step_profile.cc');
  await step('building the profile of a step', () =>
    compile({ source, program, include: inRepository('native'), libraries }),
  );
  const modelPath = await ensureModel(shape);
  const runs = [];
  for (let round = 0; round < rounds; round++) {
    const before = await probeMachine(threads);
    say(`  round ${round + 1} of ${rounds}: ${describeProbe(before)}`);
    const args = [modelPath, String(threads), format, String(RANK), String(STEPS_PER_RUN)];
    const { code, output } = await step('profiling steps', () => run(program, args));
    if (code !== 0) throw new StopError(`step_profile failed:\n${output}`);
    const lines = output.split('\n').filter((line) => line.startsWith('{'));
    runs.push({ probes: [before, await probeMachine(threads)], steps: lines.map(profileOf) });
  }
  return { runs, parameters: parametersOf(shape) };
}

/** @param {string} line @returns {StepProfile} */
const profileOf = (line) => JSON.parse(line);

/** Weights that each row multiplies, and those that only a sampled row does. @param {import('../models/shapes.mjs').Shape} shape */
export function parametersOf({ hidden, layers, heads, kvHeads, headDim, ffn, vocabulary }) {
  const attention = hidden * headDim * (2 * heads + 2 * kvHeads);
  return { row: layers * (attention + 3 * hidden * ffn), sample: hidden * vocabulary };
}

/**
 * The least time of a step: its products at the peak of the byte dot product, and every byte of weights and adapters
 * read once.
 * @param {StepProfile} profile
 * @param {{ row: number, sample: number }} parameters
 * @param {import('./probe.mjs').ProbePoint} machine
 */
export function roofline({ rows, samples, weightBytes, adapterBytes }, parameters, machine) {
  const operations = 2 * (rows * parameters.row + samples * parameters.sample);
  return {
    arithmetic_ms: operations / ((machine.int8Gops ?? machine.fp32Gops ?? Number.NaN) * 1e6),
    memory_ms: (weightBytes + adapterBytes) / (machine.readGBps * 1e6),
  };
}

/** @param {{ machine: any, load: any, options: any, result: Awaited<ReturnType<typeof runSteps>> }} run */
export function stepsMarkdown({ machine, load, options, result: { runs, parameters } }) {
  const points = runs.flatMap(({ probes }) =>
    probes.map((probe) => probe.find((p) => p.threads === options.threads)),
  );
  const most = /** @param {'readGBps' | 'int8Gops' | 'fp32Gops'} of */ (of) =>
    Math.max(...points.map((point) => point?.[of] ?? 0));
  const peak = {
    threads: options.threads,
    readGBps: most('readGBps'),
    // Unquantized weights are multiplied in float32.
    int8Gops: (options.format === 'none' ? 0 : most('int8Gops')) || most('fp32Gops'),
  };
  const names = (runs[0]?.steps ?? []).map(({ step: name }) => name);
  const ofStep = (/** @type {string} */ name) =>
    runs.flatMap(({ steps }) => steps.filter(({ step: other }) => other === name));
  const ops = [...new Set(runs.flatMap(({ steps }) => steps.flatMap((one) => Object.keys(one.ops))))].filter(
    (op) => names.some((name) => ofStep(name).some((one) => (one.ops[op] ?? 0) > 0.02 * one.ms)),
  );
  return [
    `# Steps of ${options.shape}, op by op`,
    conditions(machine, { load: loadLine(load), options: `\`${JSON.stringify(options)}\`` }),
    `Native steps alone, without the server; adapters of rank ${RANK}. Floors are against the best probe of the run: ${describeProbe([peak])}.`,
    markdownTable(
      ['step', 'ms', 'tokens/s', 'floor: arithmetic', 'memory', 'step / larger floor'],
      names.map((name) => {
        const all = ofStep(name);
        const ms = median(all.map((one) => one.ms)) ?? Number.NaN;
        const first = /** @type {StepProfile} */ (all[0]);
        const { arithmetic_ms, memory_ms } = roofline(first, parameters, peak);
        return [
          name,
          ms,
          (first.rows / ms) * 1000,
          arithmetic_ms,
          memory_ms,
          ms / Math.max(arithmetic_ms, memory_ms),
        ];
      }),
    ),
    'Milliseconds of the step by op (those of at least 2 %; gate_up holds SwiGLU):',
    markdownTable(
      ['step', ...ops],
      names.map((name) => [name, ...ops.map((op) => median(ofStep(name).map((one) => one.ops[op] ?? 0)))]),
    ),
    '## The machine before and after each round',
    runs.map(({ probes }, i) => `${i + 1}. ${probes.map(describeProbe).join(' / ')}`).join('\n'),
  ].join('\n\n');
}
