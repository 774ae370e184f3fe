import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { describe, excused } from './caller.mjs';
import { settledVersions } from './verify.mjs';

/** Of variants that are imported and announced, after those that are uploaded. */
const FIRST_IMPORT = 20_000;
const FIRST_EVENT = 30_000;
const IMPORTED = 'imported';
const ANNOUNCED = 'announced';
/** Distinct versions of one adapter; all of one adapter's fit on one page of the list. */
const ADAPTERS = 2;

/**
 * Adapters that come by import and by the signed events of a fine-tune pipeline, while webhooks tell of every version
 * that became ready.
 */
export class Arrivals {
  /** @type {{ id: string, n: number }[]} */
  imported = [];
  announced = 0;
  tries = 0;

  /**
   * @param {{ caller: import('./caller.mjs').Caller, outside: import('./outside.mjs').Outside, count: number,
   *   onFault: (text: string) => void }} options  `count`: of imports, and of events
   */
  constructor(options) {
    this.options = options;
  }

  get adapters() {
    return [IMPORTED, ANNOUNCED].flatMap((kind) =>
      Array.from({ length: ADAPTERS }, (_, i) => `${kind}-${i}`),
    );
  }

  /** Before the first fault. */
  async prepare() {
    const { caller, outside } = this.options;
    const events = ['adapter.version.ready'];
    await caller.insist(201, 'POST', '/v1/webhook-endpoints', { url: outside.receiverUrl, events });
    this.hook = await caller.insist(201, 'POST', '/v1/hooks', { name: 'trainer' });
  }

  /** Each import and each event until it is accepted; every event once more after that. */
  async run() {
    for (let i = 0; i < this.options.count; i++) {
      await this.#import(i);
      await this.#announce(i);
      await this.#announce(i);
      this.announced++;
    }
  }

  /** @param {number} i */
  async #import(i) {
    const { caller, outside } = this.options;
    const n = FIRST_IMPORT + i;
    const path = `/v1/adapters/${IMPORTED}-${i % ADAPTERS}/versions?create=true`;
    const { body } = await this.#until([201, 202], () =>
      caller.call('POST', path, { source: outside.artifactUrl(n) }),
    );
    this.imported.push({ id: body.id, n });
  }

  /** @param {number} i */
  async #announce(i) {
    const { outside } = this.options;
    const data = {
      job_id: `job-${i}`,
      adapter: `${ANNOUNCED}-${i % ADAPTERS}`,
      artifact: { url: outside.artifactUrl(FIRST_EVENT + i) },
    };
    const body = JSON.stringify({ type: 'fine_tuning.job.succeeded', data });
    await this.#until([202], () => this.#post(`event-${i}`, body));
  }

  /** @param {string} id @param {string} body @returns {Promise<import('./caller.mjs').Answer>} */
  async #post(id, body) {
    const { url, secret } = this.hook;
    const now = new Date();
    const start_ms = performance.now();
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': new Webhook(secret).sign(id, now, body),
        },
        body,
        signal: AbortSignal.timeout(60_000),
      });
      const took_ms = Math.round(performance.now() - start_ms);
      return {
        status: response.status,
        retryAfter: response.headers.get('retry-after'),
        body: await response.text(),
        took_ms,
      };
    } catch (error) {
      return {
        status: 0,
        retryAfter: null,
        body: String(error),
        took_ms: Math.round(performance.now() - start_ms),
      };
    }
  }

  /** @param {readonly number[]} accepted @param {() => Promise<import('./caller.mjs').Answer>} send */
  async #until(accepted, send) {
    for (;;) {
      this.tries++;
      const answer = await send();
      if (accepted.includes(answer.status)) return answer;
      if (!excused(answer)) this.options.onFault(`import or event: ${describe(answer)}`);
      await sleep(250);
    }
  }

  /** @returns {Promise<import('./verify.mjs').Finding[]>} */
  async check() {
    const { outside, count } = this.options;
    const announced = await this.#allOf(ANNOUNCED, count);
    const imported = await this.#allOf(IMPORTED, count);
    const { variants } = outside;
    const lost = this.imported.filter(({ id, n }) => {
      const found = imported.find((version) => version.id === id);
      return found?.state !== 'ready' || found.weights_sha256 !== variants.sha256(n);
    });
    const hashes = new Set(announced.map(({ weights_sha256 }) => weights_sha256));
    const untold = await this.#untold([...announced, ...imported]);
    /** @type {Map<string, number>} */
    const events = new Map();
    for (const { version } of outside.told.values()) events.set(version, (events.get(version) ?? 0) + 1);
    const twice = [...events.values()].filter((ids) => ids > 1);
    const times = [...outside.told.values()].reduce((sum, told) => sum + told.times, 0);
    return [
      {
        ok: lost.length === 0,
        text: `imports: ${this.imported.length} accepted, ${imported.length} versions, ${lost.length} lost or wrong`,
      },
      {
        ok: announced.length === count && hashes.size === count,
        text: `signed events: ${count}, each sent at least twice; ${announced.length} versions with ${hashes.size} distinct weights`,
      },
      {
        ok: untold.length === 0 && twice.length === 0,
        text: `webhooks: ${events.size} versions told of in ${times} deliveries; ${untold.length} never, ${twice.length} by more than one event`,
      },
    ];
  }

  /** Its versions; accepted events become versions a little later. @param {string} kind @param {number} count */
  async #allOf(kind, count) {
    const names = this.adapters.filter((name) => name.startsWith(kind));
    for (let i = 0; ; i++) {
      const versions = await settledVersions(this.options.caller, names);
      if (versions.length >= count || i === 120) return versions;
      await sleep(500);
    }
  }

  /** Ready versions that no webhook told of in two minutes. @param {any[]} versions */
  async #untold(versions) {
    const ready = versions
      .filter(({ state }) => state === 'ready')
      .map(({ adapter, version }) => `${adapter}@${version}`);
    for (let i = 0; ; i++) {
      const told = new Set([...this.options.outside.told.values()].map(({ version }) => version));
      const untold = ready.filter((name) => !told.has(name));
      if (untold.length === 0 || i === 240) return untold;
      await sleep(500);
    }
  }
}
