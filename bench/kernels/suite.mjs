import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../scripts/lib/command.mjs';
import { nativeFolder, nativeLibraries } from '../../scripts/lib/native-build.mjs';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { say, step } from '../../scripts/lib/print.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';
import { conditions, loadLine, markdownTable, short } from '../report.mjs';
import { compile, describeProbe, probeMachine } from './probe.mjs';
import { parseOpsOutput } from './parse-ops.mjs';

/** The op benchmark of native/test, from 1 thread to all. @param {import('../options.mjs').BenchOptions} options */
export async function runKernels({ threads, quick }) {
  const program = join(nativeFolder, 'lorikeet_bench');
  await step('building lorikeet_bench', async () => {
    const configured = await run('cmake', [
      '-S',
      inRepository('native'),
      '-B',
      nativeFolder,
      '-DLORIKEET_TESTS=ON',
    ]);
    const { code, output } = await run('ninja', ['-C', nativeFolder, 'lorikeet_bench']);
    if (code !== 0)
      throw new StopError(
        `lorikeet_bench does not build:\n${configured.code === 0 ? output : configured.output}`,
      );
  });
  if (!existsSync(program) || !statSync(program).isFile()) throw new StopError(`${program} is missing`);
  const sweep = inRepository('build', 'bench', 'op_sweep');
  await step('building the sweep over ranks and popularity', () =>
    compile({
      source: join(import.meta.dirname, 'op_sweep.cc'),
      program: sweep,
      include: inRepository('native'),
      libraries: nativeLibraries(),
    }),
  );
  const runs = [];
  for (const count of quick ? [threads] : [...new Set([1, threads])]) {
    const before = await probeMachine(threads);
    say(`  ${describeProbe(before)}`);
    const on = `on ${count} thread${count > 1 ? 's' : ''}`;
    const lines = await measured(`measuring the linear op over ranks and popularity ${on}`, sweep, [
      String(count),
      ...(quick ? ['quick'] : []),
    ]);
    const between = await probeMachine(threads);
    const output = await measured(`measuring the ops ${on}`, program, [String(count)]);
    const after = await probeMachine(threads);
    runs.push({
      threads: count,
      probes: [before, between, after],
      ...parseOpsOutput(output),
      sweep: sweepRows(lines),
    });
  }
  return { runs };
}

/** @param {string} title @param {string} program @param {readonly string[]} args */
async function measured(title, program, args) {
  const { code, output } = await step(title, (progress) =>
    run(program, args, {
      onOutput: (text) => progress(text.trim().split('\n').at(-1)?.slice(0, 70) ?? ''),
    }),
  );
  if (code !== 0) throw new StopError(`${program} failed:\n${output}`);
  return output;
}

/**
 * @typedef {{ op: string, format: string, k: number, n: number, rows: number, rank: number, popularity: string,
 *   us: number, GBps: number, Gops: number }} SweepRow
 */

/** @param {string} output @returns {SweepRow[]} */
const sweepRows = (output) =>
  output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

/** Base alone, and what adapters add: one table for each format and shape. @param {readonly SweepRow[]} rows @param {import('./probe.mjs').ProbePoint} peak */
function sweepTables(rows, peak) {
  const parts = [];
  for (const key of new Set(rows.map(({ format, k, n }) => `${format}, ${k} x ${n}`))) {
    const members = rows.filter(({ format, k, n }) => `${format}, ${k} x ${n}` === key);
    const base = members.filter(({ rank }) => rank === 0);
    const timeOf = new Map(base.map(({ rows: count, us }) => [count, us]));
    parts.push(
      `### Linear, ${key}`,
      markdownTable(
        ['rows', 'us', 'GB/s', 'of measured read', 'Gop/s', 'of fp32', 'of bf16', 'of int8 peak'],
        base.map(({ rows: count, us, GBps, Gops }) => [
          short(count),
          us,
          GBps,
          GBps / peak.readGBps,
          Gops,
          ...[peak.fp32Gops, peak.bf16Gops, peak.int8Gops].map((most) => most && Gops / most),
        ]),
      ),
      'Time with adapters over time without, by rank and popularity:',
      markdownTable(
        ['rows', 'rank', 'identical', 'uniform', 'distinct', 'GB/s distinct'],
        groupedByRank(members).map(({ count, rank, of }) => [
          short(count),
          short(rank),
          ...['identical', 'uniform', 'distinct'].map((name) => {
            const row = of.find(({ popularity }) => popularity === name);
            return row && row.us / (timeOf.get(count) ?? Number.NaN);
          }),
          of.find(({ popularity }) => popularity === 'distinct')?.GBps,
        ]),
      ),
    );
  }
  return parts;
}

/** @param {readonly SweepRow[]} members */
function groupedByRank(members) {
  const adapted = members.filter(({ rank }) => rank > 0);
  const keys = [...new Set(adapted.map(({ rows, rank }) => `${rows} ${rank}`))];
  return keys.map((key) => {
    const [count = 0, rank = 0] = key.split(' ').map(Number);
    return { count, rank, of: adapted.filter((row) => row.rows === count && row.rank === rank) };
  });
}

/** @param {{ machine: any, load: any, options: object, result: Awaited<ReturnType<typeof runKernels>> }} run */
export function kernelsMarkdown({ machine, load, options, result }) {
  const parts = [
    '# Kernels',
    conditions(machine, { load: loadLine(load), options: `\`${JSON.stringify(options)}\`` }),
  ];
  for (const { threads, probes, rows, headings, sweep } of result.runs) {
    const peak = probes[1]?.find((point) => point.threads === threads);
    parts.push(
      `## ${threads} thread${threads > 1 ? 's' : ''}`,
      `${headings[0] ?? ''}. The machine before, between and after:`,
      probes.map((points) => `- ${describeProbe(points)}`).join('\n'),
      ...(peak ? sweepTables(sweep, peak) : []),
      '### All ops (lorikeet_bench)',
    );
    for (const group of new Set(rows.map((row) => row.group))) {
      const members = rows.filter((row) => row.group === group);
      const columns = [...new Set(members.flatMap(({ values }) => Object.keys(values)))];
      parts.push(
        markdownTable(
          [group, ...columns],
          members.map(({ label, values }) => [label, ...columns.map((column) => values[column])]),
        ),
      );
    }
  }
  return parts.join('\n\n');
}
