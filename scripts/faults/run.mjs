import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { demoModel } from '../lib/demo.mjs';
import { inRepository } from '../lib/paths.mjs';
import { Caller } from './caller.mjs';
import { Arrivals } from './arrivals.mjs';
import { outage } from './outage.mjs';
import { Outside } from './outside.mjs';
import { Product, VICTIMS } from './product.mjs';
import { Random } from './random.mjs';
import { Traffic } from './traffic.mjs';
import { uploadAll, Variants } from './uploads.mjs';
import { ageBlobs, checkAnswers, checkBlobs, checkUsage, checkVersions, settledVersions } from './verify.mjs';
import { Watcher } from './watcher.mjs';

/**
 * @typedef {object} FaultOptions
 * @property {number} seed
 * @property {number} uploads
 * @property {number} kills  in all, spread over api, worker, engine, postgres and redis
 * @property {number} clients  that call adapters all the time
 * @property {number} outage_s  how long PostgreSQL and then Redis are frozen; 0: not at all
 * @property {boolean} [keep]  keep the data folder with its logs
 * @property {(line: string) => void} say
 */

/** @typedef {{ kills: { victim: string, after_s: number }[], findings: import('./verify.mjs').Finding[], faults: string[], numbers: Record<string, number> }} FaultReport */

/** Imports read from this machine; webhooks try again soon, and long enough. */
const ENVIRONMENT = {
  ALLOW_PRIVATE_IMPORTS: 'true',
  WEBHOOK_RETRY_SCHEDULE: '0,1,1,1,2,2,5,5,10,10,20,30,60',
};
const TENANT = 'faults';
/** Uploads for each import, and for each signed event. */
const UPLOADS_PER_ARRIVAL = 5;
const ADAPTERS = 10;
const DEMO_MODELS = ['ticket-router', 'text-to-sql'];
/** Usage is written once a second; a write may take another while everything restarts. */
const UNFLUSHED_MS = 3_000;

/** Starts the product, hurts it in every way, and says what is wrong afterwards. @param {FaultOptions} options @returns {Promise<FaultReport>} */
export async function runFaults(options) {
  const dataDir = await mkdtemp(join(tmpdir(), 'lorikeet-faults-'));
  const product = await Product.start({ dataDir, env: ENVIRONMENT });
  try {
    return await new FaultRun(options, product).run();
  } finally {
    await product.stop();
    if (options.keep) options.say(`the data and logs are in ${dataDir}`);
    else await rm(dataDir, { recursive: true, force: true });
  }
}

class FaultRun {
  /** @type {string[]} */
  faults = [];
  /** @type {FaultReport['kills']} */
  kills = [];
  /** @type {number[]} */
  apiKills_ms = [];

  /** @param {FaultOptions} options @param {Product} product */
  constructor(options, product) {
    this.options = options;
    this.product = product;
    this.random = new Random(options.seed);
    this.admin = new Caller(product.url, product.adminKey);
  }

  /** @param {string} text */
  fault = (text) => {
    this.faults.push(text);
    this.options.say(`  FAULT ${text}`);
  };

  /** @returns {Promise<FaultReport>} */
  async run() {
    const { options, product, fault } = this;
    const keys = await this.#makeKeys();
    const owner = new Caller(product.url, /** @type {{ key: string }} */ (keys.at(-1)).key);
    const folder = inRepository('models', 'demo', 'adapters', 'ticket-router');
    const variants = new Variants(folder);
    await this.#prepareModels(owner);
    const adapters = Array.from({ length: ADAPTERS }, (_, i) => `load-${i}`);
    const traffic = new Traffic({
      url: product.url,
      models: [...DEMO_MODELS, demoModel().name],
      onFault: fault,
    });
    traffic.start(keys.slice(0, -1));
    const watcher = new Watcher({
      caller: owner,
      adapters,
      random: new Random(options.seed + 1),
      onFault: fault,
    });
    watcher.start();

    const outside = new Outside({ variants, random: new Random(options.seed + 2) });
    await outside.listen();
    const count = Math.ceil(options.uploads / UPLOADS_PER_ARRIVAL);
    const arrivals = new Arrivals({ caller: owner, outside, count, onFault: fault });
    await arrivals.prepare();
    const start_ms = Date.now();
    const [{ accepted, tries }] = await Promise.all([
      this.#uploadUnderKills({ caller: owner, variants, adapters: ADAPTERS }),
      arrivals.run(),
    ]);
    const uploaded_s = (Date.now() - start_ms) / 1000;
    await product.untilReady();
    const versions = await settledVersions(owner, adapters);
    options.say(
      `${accepted.length} uploads accepted in ${uploaded_s.toFixed(0)} s and ${tries} tries, ${this.kills.length} kills`,
    );
    const outages =
      options.outage_s > 0
        ? await outage({ product, owner, variants, traffic, outage_s: options.outage_s, say: options.say })
        : [];
    await watcher.stop();
    await traffic.stop();
    const all = options.outage_s > 0 ? await settledVersions(owner, [...adapters, 'outage']) : versions;

    const arrived = await arrivals.check();
    await outside.close();
    const findings = [
      ...arrived,
      ...checkVersions({ versions: all, accepted, seenReady: watcher.ready }),
      await checkAnswers(owner, all),
      ...(await this.#usage(traffic)),
      ...outages,
      await this.#blobs(),
    ];
    return {
      kills: this.kills,
      findings,
      faults: this.faults,
      numbers: {
        uploads: accepted.length,
        tries,
        answered: traffic.answered,
        looks: watcher.looks,
        uploaded_s,
        longest_ms: traffic.longest_ms,
      },
    };
  }

  /** One key for each client and one for uploads. */
  async #makeKeys() {
    await this.admin.insist(201, 'POST', '/v1/admin/tenants', { name: TENANT });
    const keys = [];
    for (let i = 0; i <= this.options.clients; i++) {
      const scopes = ['inference', 'adapters'];
      keys.push(
        await this.admin.insist(201, 'POST', `/v1/admin/tenants/${TENANT}/keys`, {
          name: `client ${i}`,
          scopes,
        }),
      );
    }
    return /** @type {{ id: string, key: string }[]} */ (keys);
  }

  /** @param {Caller} owner */
  async #prepareModels(owner) {
    for (const name of DEMO_MODELS) {
      const folder = inRepository('models', 'demo', 'adapters', name);
      const form = new FormData();
      for (const part of ['adapter_config.json', 'adapter_model.safetensors'])
        form.append('files', new Blob([await readFile(join(folder, part))]), part);
      await owner.insist(201, 'POST', `/v1/adapters/${name}/versions?create=true&wait=60`, form);
    }
  }

  /** The kills fall at random uploads, each victim as often as the others. @param {{ caller: Caller, variants: Variants, adapters: number }} input */
  async #uploadUnderKills({ caller, variants, adapters }) {
    const { uploads, kills, say } = this.options;
    const rounds = Array.from({ length: Math.ceil(kills / VICTIMS.length) }, () =>
      this.random.shuffled(VICTIMS),
    );
    const victims = rounds.flat().slice(0, kills);
    const at = victims.map((victim, i) => ({
      victim,
      upload: Math.floor(((i + this.random.next()) * uploads) / kills),
    }));
    const start_ms = Date.now();
    /** @type {Promise<void>[]} */
    const hits = [];
    const result = await uploadAll({
      caller,
      variants,
      count: uploads,
      adapters,
      onFault: this.fault,
      onAccepted: (_, done) => {
        for (const { victim } of at.filter(({ upload }) => upload + 1 === done)) {
          hits.push(this.#kill(victim, this.random.between(0, 400), start_ms));
        }
        if (done % 20 === 0) say(`  ${done} of ${uploads} uploads, ${this.kills.length} kills`);
      },
    });
    await Promise.all(hits);
    return result;
  }

  /** @param {import('./product.mjs').Victim} victim @param {number} delay_ms @param {number} start_ms */
  async #kill(victim, delay_ms, start_ms) {
    await sleep(delay_ms);
    if (!this.product.kill(victim)) return; // it is not back yet
    if (victim === 'api') this.apiKills_ms.push(Date.now());
    this.kills.push({ victim, after_s: Math.round((Date.now() - start_ms) / 100) / 10 });
  }

  /** @param {Traffic} traffic */
  async #usage(traffic) {
    await sleep(3_000); // the last flush
    const answer = await this.admin.call('GET', '/v1/usage?group_by=key', undefined, {
      headers: { 'x-tenant': TENANT },
    });
    if (answer.status !== 200) throw new Error(`usage: ${JSON.stringify(answer.body)}`);
    return checkUsage({
      tallies: traffic.tallies,
      rows: answer.body.data,
      apiKills_ms: this.apiKills_ms,
      unflushed_ms: UNFLUSHED_MS,
    });
  }

  /** A stop, a day, and a start: the worker sweeps when it begins. */
  async #blobs() {
    await this.product.stop();
    ageBlobs(this.product.options.dataDir);
    await this.product.start();
    return checkBlobs(this.product);
  }
}
