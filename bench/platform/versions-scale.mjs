// Lists, resolves and changes versions with 1,000 and with 1,000,000 of them: `node bench/platform/versions-scale.mjs`.
// Needs a build (npm run build). The embedded PostgreSQL, and the services of the API as they are, without HTTP.
import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { describeMachine, watchLoad } from '../machine.mjs';
import { conditions, loadLine, markdownTable, resultPath, writeResult } from '../report.mjs';
import { quantile, seededRandom } from '../statistics.mjs';
import { fillDatabase, VERSIONS_PER_ADAPTER } from './fill-database.mjs';
import { openServices } from './services.mjs';

const [small = 1_000, large = 1_000_000] = process.argv.slice(2).map(Number);
const ROUNDS = 400;
const WARM_UP = 100;
/** What a call may take with many versions, over what it takes with few. */
const LIMIT = 2;

/** @param {() => Promise<unknown>} call */
async function time(call) {
  const times_ms = [];
  for (let round = 0; round < WARM_UP + ROUNDS; round += 1) {
    const began_ms = performance.now();
    await call();
    if (round >= WARM_UP) times_ms.push(performance.now() - began_ms);
  }
  return { median_ms: quantile(times_ms, 0.5), p95_ms: quantile(times_ms, 0.95) };
}

/** @param {string} url @param {number} versions @param {Record<string, Record<string, { median_ms: number, p95_ms: number }>>} results */
async function measure(url, versions, results) {
  const services = await openServices(url);
  const calls = services.calls({ adapters: versions / VERSIONS_PER_ADAPTER, random: seededRandom(7) });
  try {
    for (const [name, call] of Object.entries(calls)) {
      (results[name] ??= {})[String(versions)] = await time(call);
      const { median_ms = 0, p95_ms = 0 } = results[name]?.[String(versions)] ?? {};
      console.log(
        `${versions} versions, ${name}: median ${median_ms.toFixed(2)} ms, p95 ${p95_ms.toFixed(2)} ms`,
      );
    }
  } finally {
    await services.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'lorikeet-scale-'));
const postgres = await startPostgres({ directory: join(folder, 'postgres') });
const client = new pg.Client({ connectionString: postgres.url });
try {
  const { migrateDatabase } = await import('../../dist/apps/api/src/migrate-database.js');
  const { makeLogger } = await import('../../dist/libs/runtime/src/logger.js');
  await migrateDatabase({
    databaseUrl: postgres.url,
    redisUrl: undefined,
    logger: makeLogger('bench', 'silent'),
  });
  await client.connect();
  const loadOf = watchLoad();
  /** @type {Record<string, Record<string, { median_ms: number, p95_ms: number }>>} */
  const results = {};
  let from = 1;
  for (const versions of [small, large]) {
    const to = versions / VERSIONS_PER_ADAPTER;
    await fillDatabase(client, { from, to }, (adapters) => console.log(`${adapters} of ${to} adapters`));
    await measure(postgres.url, versions, results);
    from = to + 1;
  }
  const { rows } = await client.query('SELECT pg_database_size(current_database()) AS bytes');
  const rowsOf = Object.entries(results).map(([name, byCount]) => {
    const [few, many] = [byCount[String(small)], byCount[String(large)]];
    return { name, few, many, ratio: (many?.median_ms ?? 0) / (few?.median_ms ?? 1) };
  });
  const machine = await describeMachine();
  const load = loadOf();
  const markdown = [
    `# Adapters and versions at scale: ${small} and ${large} versions`,
    '',
    `One tenant, ten versions to an adapter; each call meets a random adapter, nothing is cached in the API. ${ROUNDS} calls`,
    `one after another, median and 95th percentile in ms. The larger database has ${Math.round(Number(rows[0].bytes) / 2 ** 20)} MiB.`,
    'Command: `node bench/platform/versions-scale.mjs`.',
    '',
    markdownTable(
      ['call', `${small}: median`, 'p95', `${large}: median`, 'p95', 'ratio of medians'],
      rowsOf.map(({ name, few, many, ratio }) => [
        name,
        ...[few, many].flatMap((each) => [each?.median_ms.toFixed(2) ?? '', each?.p95_ms.toFixed(2) ?? '']),
        ratio.toFixed(2),
      ]),
    ),
    '',
    conditions(machine, `PostgreSQL of this repository, ${VERSIONS_PER_ADAPTER} versions per adapter`),
    '',
    loadLine(load),
    '',
  ].join('\n');
  const path = resultPath('versions-scale', new Date());
  const data = { suite: 'versions-scale', at: new Date().toISOString(), machine, load, result: rowsOf };
  console.log(markdown);
  console.log(`Written: ${writeResult(path, data, markdown).join(', ')}`);
  const slow = rowsOf.filter(({ ratio }) => ratio > LIMIT);
  if (slow.length > 0) console.log(`Above ${LIMIT} x: ${slow.map(({ name }) => name).join(', ')}`);
  process.exitCode = slow.length > 0 ? 1 : 0;
} finally {
  await client.end();
  await postgres.child.stop();
  await rm(folder, { recursive: true, force: true });
}
