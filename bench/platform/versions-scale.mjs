// Lists, resolves and changes versions with 1,000 and with 1,000,000 of them: `node bench/platform/versions-scale.mjs`.
// Needs a build. The embedded PostgreSQL, and the services of the API as they are, without HTTP.
import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { migrateDatabase } from '../../dist/apps/api/src/migrate-database.js';
import { makeLogger } from '../../dist/libs/runtime/src/logger.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { describeMachine, watchLoad } from '../machine.mjs';
import { resultPath, writeResult } from '../report.mjs';
import { quantile, seededRandom } from '../statistics.mjs';
import { fillDatabase, VERSIONS_PER_ADAPTER } from './fill-database.mjs';
import { scaleMarkdown } from './render.mjs';
import { openServices } from './services.mjs';

const [small = 1_000, large = 1_000_000] = process.argv.slice(2).map(Number);
const ROUNDS = 300;
const WARM_UP = 100;
/** What a call may take with many versions, over what it takes with few. */
const LIMIT = 2;

/** @typedef {{ median_ms: number, p95_ms: number }} Times */
/** @typedef {{ versions: number, bytes: number, calls: Record<string, () => Promise<unknown>>, close: () => Promise<void> }} Filled */

/** A server of its own with so many versions. @param {string} folder @param {number} versions @returns {Promise<Filled>} */
async function filledDatabase(folder, versions) {
  const postgres = await startPostgres({ directory: join(folder, String(versions)) });
  const client = new pg.Client({ connectionString: postgres.url });
  try {
    await migrateDatabase({
      databaseUrl: postgres.url,
      redisUrl: undefined,
      logger: makeLogger('bench', 'silent'),
    });
    await client.connect();
    const adapters = versions / VERSIONS_PER_ADAPTER;
    await fillDatabase(client, { from: 1, to: adapters }, (done) =>
      console.log(`${done} of ${adapters} adapters`),
    );
    const { rows } = await client.query('SELECT pg_database_size(current_database()) AS bytes');
    const services = await openServices(postgres.url);
    const close = async () => {
      await services.close();
      await postgres.child.stop();
    };
    const calls = services.calls({ adapters, random: seededRandom(7) });
    return { versions, bytes: Number(rows[0].bytes), calls, close };
  } catch (error) {
    await postgres.child.stop();
    throw error;
  } finally {
    await client.end();
  }
}

/** Calls each in turn, so that whatever else the machine does meets both. @param {readonly (() => Promise<unknown>)[]} calls @returns {Promise<Times[]>} */
async function timeInTurn(calls) {
  const times_ms = calls.map(() => /** @type {number[]} */ ([]));
  for (let round = 0; round < WARM_UP + ROUNDS; round += 1) {
    for (const [index, call] of calls.entries()) {
      const began_ms = performance.now();
      await call();
      if (round >= WARM_UP) times_ms[index]?.push(performance.now() - began_ms);
    }
  }
  return times_ms.map((times) => ({ median_ms: quantile(times, 0.5), p95_ms: quantile(times, 0.95) }));
}

/** @param {Filled} few @param {Filled} many */
async function compare(few, many) {
  const rows = [];
  for (const name of Object.keys(few.calls)) {
    const calls = [few, many].map((each) => each.calls[name] ?? (async () => undefined));
    const [a, b] = await timeInTurn(calls);
    if (!a || !b) throw new Error('two databases give two times');
    rows.push({ name, few: a, many: b, ratio: b.median_ms / a.median_ms });
    console.log(`${name}: ${a.median_ms.toFixed(2)} ms -> ${b.median_ms.toFixed(2)} ms`);
  }
  return rows;
}

const folder = await mkdtemp(join(tmpdir(), 'lorikeet-scale-'));
/** @type {Filled[]} */
const databases = [];
try {
  for (const versions of [small, large]) databases.push(await filledDatabase(folder, versions));
  const [few, many] = databases;
  if (!few || !many) throw new Error('two databases are compared');
  const loadOf = watchLoad();
  const rows = await compare(few, many);
  const run = {
    machine: await describeMachine(),
    load: loadOf(),
    result: { small, large, rounds: ROUNDS, limit: LIMIT, bytes: [few.bytes, many.bytes], rows },
  };
  const markdown = scaleMarkdown(run);
  const data = { suite: 'versions-scale', at: new Date().toISOString(), ...run };
  console.log(
    `${markdown}\nWritten: ${writeResult(resultPath('versions-scale', new Date()), data, markdown).join(', ')}`,
  );
  process.exitCode = rows.some(({ ratio }) => ratio > LIMIT) ? 1 : 0;
} finally {
  for (const { close } of databases) await close();
  await rm(folder, { recursive: true, force: true });
}
