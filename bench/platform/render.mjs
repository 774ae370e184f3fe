import { conditions, loadLine, markdownTable } from '../report.mjs';

const MIB = 2 ** 20;

/** @typedef {{ median_ms: number, p95_ms: number }} Times */
/** @typedef {{ name: string, few: Times, many: Times, ratio: number }} Row */

/**
 * @param {{ machine: any, load: any, result: { small: number, large: number, rounds: number, limit: number,
 *   bytes: readonly number[], rows: readonly Row[] } }} run
 */
export function scaleMarkdown({ machine, load, result }) {
  const { small, large, rounds, limit, bytes, rows } = result;
  const above = rows.filter(({ ratio }) => ratio > limit).map(({ name }) => name);
  const [fewMib, manyMib] = bytes.map((each) => Math.round(each / MIB));
  return [
    `# Adapters and versions at scale: ${small} and ${large} versions`,
    '',
    'One tenant, ten versions to an adapter. Each call meets a random adapter and nothing is cached in the API. Calls to',
    `both databases (${fewMib} and ${manyMib} MiB) take turns, ${rounds} each after a warm-up; times in ms.`,
    '',
    markdownTable(
      ['call', `${small}: median`, 'p95', `${large}: median`, 'p95', 'ratio of medians'],
      rows.map(({ name, few, many, ratio }) => [
        name,
        ...[few, many].flatMap(({ median_ms, p95_ms }) => [median_ms.toFixed(2), p95_ms.toFixed(2)]),
        ratio.toFixed(2),
      ]),
    ),
    '',
    above.length === 0
      ? `Every call stays within ${limit} times.`
      : `Above ${limit} times: ${above.join(', ')}.`,
    '',
    conditions(machine, { command: '`node bench/platform/versions-scale.mjs`' }),
    '',
    loadLine(load),
    '',
  ].join('\n');
}
