import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { inRepository, repository } from '../scripts/lib/paths.mjs';

/** A path `<date>-<stem>` under bench/results that no earlier run has taken. @param {string} stem @param {Date} now */
export function resultPath(stem, now) {
  const folder = inRepository('bench', 'results');
  mkdirSync(folder, { recursive: true });
  const base = join(folder, `${now.toISOString().slice(0, 10)}-${stem}`);
  for (let run = 1; ; run++) {
    const path = run === 1 ? base : `${base}-run${run}`;
    if (!existsSync(`${path}.json`)) return path;
  }
}

/** @param {string} path  without ending @param {object} data @param {string} markdown @param {string} [svg] @returns {string[]} relative paths */
export function writeResult(path, data, markdown, svg) {
  writeFileSync(`${path}.json`, `${JSON.stringify(data, undefined, 1)}\n`);
  writeFileSync(`${path}.md`, `${markdown.trimEnd()}\n`);
  if (svg !== undefined) writeFileSync(`${path}.svg`, svg);
  return ['json', 'md', ...(svg === undefined ? [] : ['svg'])].map((end) =>
    relative(repository, `${path}.${end}`),
  );
}

/** @param {readonly string[]} head @param {readonly (readonly (string | number | undefined)[])[]} rows */
export function markdownTable(head, rows) {
  const cell = (/** @type {string | number | undefined} */ value) =>
    value === undefined ? '' : typeof value === 'number' ? short(value) : value;
  const texts = rows.map((row) => row.map(cell));
  const widths = head.map((title, i) =>
    Math.max(3, title.length, ...texts.map((row) => (row[i] ?? '').length)),
  );
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...texts.map(line)].join('\n');
}

/** Three significant digits, never as 1e+3. @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** @param {import('./statistics.mjs').Spread} spread */
export const shortSpread = ({ median, least, most, rounds }) =>
  rounds > 1 ? `${short(median)} (${short(least)}-${short(most)})` : short(median);

/**
 * @param {Awaited<ReturnType<typeof import('./machine.mjs').describeMachine>>} machine
 * @param {object} what  the run's other conditions, one line each
 */
export function conditions(machine, what) {
  const changed =
    machine.uncommittedChanges > 0 ? ` with ${machine.uncommittedChanges} uncommitted changes` : '';
  const lines = {
    machine: `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.isa.join(' ')}`,
    'last-level caches': `${machine.lastLevelCaches.map((cpus) => `[CPU ${cpus}]`).join(' ')}; governor: ${machine.governor}`,
    commit: `${machine.commit.slice(0, 12)}${changed}, Node ${machine.node}, Linux ${machine.kernel}`,
    ...what,
  };
  return Object.entries(lines)
    .map(([name, value]) => `- ${name}: ${value}`)
    .join('\n');
}

/** @param {ReturnType<ReturnType<typeof import('./machine.mjs').watchLoad>>} load */
export function loadLine({ loadBefore, loadAfter, stealShare, others }) {
  const named = others.map(({ name, cpus }) => `${name} ${short(cpus)}`).join(', ') || 'nothing above 0.01';
  return `load ${short(loadBefore)} -> ${short(loadAfter)}, stolen by the hypervisor ${(stealShare * 100).toFixed(1)} %; CPUs of other programs: ${named}`;
}
