import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Caller } from '../faults/caller.mjs';
import { Product } from '../faults/product.mjs';
import { inRepository } from '../lib/paths.mjs';
import { ABUSES } from './abuses.mjs';
import { MemoryWatch, untilBack } from './memory.mjs';
import { UPLOAD_ABUSES } from './upload-abuses.mjs';

/**
 * @typedef {object} AbuseOptions
 * @property {number} each_ms  how long each abuse lasts
 * @property {number} memory_s  how long memory may take to come back
 * @property {RegExp | undefined} only  of the names of those to run
 * @property {Partial<Promises>} [promises]
 * @property {(line: string) => void} say
 */
/**
 * What nobody else may notice more than.
 * @typedef {object} Promises
 * @property {number} healthP99_ms
 * @property {number} healthMax_ms
 * @property {number} tokenMax_ms  another tenant's answer of one token
 * @property {number} uploadMax_ms  another tenant's upload of a small adapter, until it is ready
 * @property {number} memoryLeft_mib  more than before, once the time for it is over; of an abuse that is seen again
 */
/** @typedef {{ p50: number, p99: number, max: number, count: number, failed: number }} Latencies */
/**
 * @typedef {object} AbuseRow
 * @property {string} name
 * @property {Record<string, number>} answers  by status; 0: a connection that ended without an answer
 * @property {Latencies} health
 * @property {Latencies} token
 * @property {Latencies} upload  without any where nothing is uploaded
 * @property {{ before: number, peak: number, after: number }} memory_mib
 */

/** On a quiet machine. @type {Promises} */
const PROMISES = {
  healthP99_ms: 50,
  healthMax_ms: 250,
  tokenMax_ms: 1_000,
  uploadMax_ms: 15_000,
  memoryLeft_mib: 128,
};
const WARM_UP_MS = 500;

/** Every abuse in turn, each seen by two bystanders in a process of their own. @param {AbuseOptions} options */
export async function runAbuses({ each_ms, memory_s, only, promises = {}, say }) {
  const held = { ...PROMISES, ...promises };
  const dataDir = await mkdtemp(join(tmpdir(), 'lorikeet-abuse-'));
  const product = await Product.start({ dataDir });
  try {
    const keys = await makeKeys(product);
    const engineUrl = product.settingOf('ENGINE_URLS')?.split(',')[0] ?? '';
    const target = { url: product.url, engineUrl, attackerKey: keys.attacker, model: keys.model };
    const rows = [];
    for (const name of ['nothing', ...Object.keys(ABUSES)].filter(
      (each) => only === undefined || only.test(each),
    )) {
      say(`${name} ...`);
      const row = await runOne({ name, target, victimKey: keys.victim, product, each_ms, memory_s });
      say(JSON.stringify(row));
      rows.push(row);
      if (leftOf(row) <= held.memoryLeft_mib) continue;
      // Caches up to their budget and a heap's free room come once: what an abuse costs, it costs each time.
      say(`${name}, again ...`);
      const again = await runOne({ name, target, victimKey: keys.victim, product, each_ms, memory_s });
      row.memory_mib = again.memory_mib;
      say(JSON.stringify(again));
    }
    return { rows, findings: rows.flatMap((row) => broken(row, held)) };
  } finally {
    await product.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Two tenants, one of which abuses. @param {Product} product */
async function makeKeys(product) {
  const admin = new Caller(product.url, product.adminKey);
  /** @param {string} tenant */
  const keyOf = async (tenant) => {
    await admin.insist(201, 'POST', '/v1/admin/tenants', { name: tenant });
    const body = { name: 'abuse', scopes: ['inference', 'adapters'] };
    return String((await admin.insist(201, 'POST', `/v1/admin/tenants/${tenant}/keys`, body)).key);
  };
  const [victim, attacker] = [await keyOf('victim'), await keyOf('attacker')];
  const { data } = await new Caller(product.url, victim).insist(200, 'GET', '/v1/models');
  return { victim, attacker, model: String(data[0].id) };
}

/**
 * @param {{ name: string, target: import('./abuses.mjs').Target, victimKey: string, product: Product, each_ms: number, memory_s: number }} call
 * @returns {Promise<AbuseRow>}
 */
async function runOne({ name, target, victimKey, product, each_ms, memory_s }) {
  const pids = () => ['api', 'engine', 'worker'].flatMap((part) => product.pids(/** @type {any} */ (part)));
  const memory = new MemoryWatch(pids);
  const watchesUploads = name === 'nothing' || Object.hasOwn(UPLOAD_ABUSES, name);
  const bystander = new Child('bystander.mjs', { ...target, key: victimKey, watchesUploads });
  await sleep(WARM_UP_MS);
  await bystander.ask('forget'); // what it saw of its own start
  const attacker = new Child('attacker.mjs', { ...target, name, each_ms });
  const answers = /** @type {Record<string, number>} */ (await attacker.ended);
  const seen = /** @type {Pick<AbuseRow, 'health' | 'token' | 'upload'>} */ (await bystander.ask('tell'));
  bystander.stop();
  const after = await untilBack(memory, memory_s * 1000);
  return { name, answers, ...seen, memory_mib: { before: memory.before, peak: memory.stop(), after } };
}

/** A process of this folder that is told what to do and says what it saw. */
class Child {
  /** @param {string} file @param {object} work */
  constructor(file, work) {
    this.process = fork(inRepository('scripts', 'abuse', file), [JSON.stringify(work)]);
    /** Its only message, or its last. @type {Promise<unknown>} */
    this.ended = new Promise((resolve, reject) => {
      this.process.once('message', resolve);
      this.process.once('exit', (code) => reject(new Error(`${file} ended with ${code} and said nothing`)));
    });
    this.ended.catch(() => undefined);
  }

  /** @param {'forget' | 'tell'} what */
  ask(what) {
    return new Promise((resolve, reject) => {
      this.process.once('message', resolve);
      this.process.once('exit', (code) => reject(new Error(`the bystander ended with ${code}`)));
      this.process.send(what);
    });
  }

  stop() {
    this.process.disconnect();
  }
}

/** What stays in use of it. @param {AbuseRow} row */
const leftOf = ({ memory_mib: { before, after } }) => after - before;

/** @param {AbuseRow} row @param {Promises} promises */
function broken(row, promises) {
  const { name, health, token, upload } = row;
  return [
    health.p99 > promises.healthP99_ms && `${name}: /health/live took ${health.p99} ms (p99)`,
    health.max > promises.healthMax_ms && `${name}: /health/live took ${health.max} ms at most`,
    health.failed > 0 && `${name}: ${health.failed} of ${health.count} /health/live failed`,
    token.max > promises.tokenMax_ms && `${name}: another tenant's token took ${token.max} ms`,
    token.failed > 0 && `${name}: ${token.failed} of ${token.count} requests of another tenant failed`,
    upload.max > promises.uploadMax_ms && `${name}: another tenant's upload took ${upload.max} ms`,
    upload.failed > 0 && `${name}: ${upload.failed} of ${upload.count} uploads of another tenant failed`,
    token.count === 0 && `${name}: no request of another tenant was answered`,
    leftOf(row) > promises.memoryLeft_mib &&
      `${name}: ${leftOf(row)} MiB more than before stay in use, each time`,
  ].filter((finding) => finding !== false);
}
