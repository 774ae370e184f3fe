import { chmodSync, mkdtempSync, openAsBlob, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient } from '../../scripts/lib/api-client.mjs';
import { Child } from '../../scripts/lib/child.mjs';
import { inRepository, repository } from '../../scripts/lib/paths.mjs';
import { freePort } from '../../scripts/lib/ports.mjs';
import { step } from '../../scripts/lib/print.mjs';
import { randomSecret } from '../../scripts/lib/secret-file.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';
import { peakResidentBytes } from '../machine.mjs';
import { labelValues, metricSums } from './prometheus.mjs';
import { streamCompletion } from './sse-client.mjs';

/** @typedef {import('./workload.mjs').BenchRequest} BenchRequest */
/** @typedef {import('../models/generate.mjs').BenchAdapter} BenchAdapter */

const TENANT = 'bench';
const BASE_NAME = 'bench-base';
const READY_MS = 600_000;
const STOP_MS = 30_000;

/** The whole product as `npm start` runs it, on a data folder that goes with it. */
export class Product {
  #child;
  #dataDir;
  #adminKey;
  #engineToken;
  #key = '';
  /** Names in the API, in the order of `uploadAdapters`. @type {string[]} */
  adapters = [];

  /** @param {{ modelPath: string, port: number, env: Readonly<Record<string, string>> }} options */
  constructor({ modelPath, port, env }) {
    this.url = `http://127.0.0.1:${port}`;
    this.#dataDir = mkdtempSync(join(tmpdir(), 'lorikeet-bench-'));
    chmodSync(this.#dataDir, 0o755); // the database may run as another user
    this.#adminKey = randomSecret();
    this.#engineToken = randomSecret();
    const args = ['--no-demo', '--port', String(port), '--data-dir', this.#dataDir, '--model', modelPath];
    this.#child = new Child({
      name: 'product',
      command: process.execPath,
      args: [inRepository('scripts', 'start.mjs'), ...args],
      env: {
        ...process.env,
        ...env,
        MODEL_NAME: BASE_NAME,
        ADMIN_API_KEY: this.#adminKey,
        ENGINE_TOKEN: this.#engineToken,
      },
      cwd: repository,
      deathSignal: 'INT',
      stopSignal: 'SIGINT',
      forceSignal: 'SIGKILL',
      grace_ms: STOP_MS,
      onLine: () => {},
    });
  }

  /** @param {{ title: string, modelPath: string, env: Readonly<Record<string, string>> }} options */
  static start({ title, modelPath, env }) {
    return step(title, async () => {
      const product = new Product({ modelPath, port: await freePort(), env });
      try {
        await product.#untilReady();
        await product.#register();
      } catch (error) {
        await product.stop();
        throw error;
      }
      return product;
    });
  }

  async #untilReady() {
    const deadline = Date.now() + READY_MS;
    while (this.#child.running && Date.now() < deadline) {
      const response = await fetch(`${this.url}/health/ready`).catch(() => undefined);
      await response?.body?.cancel();
      if (response?.status === 200) return;
      await sleep(100);
    }
    throw new StopError(`The product did not start:\n${this.#child.lastLines(40).join('\n')}`);
  }

  async #register() {
    const admin = new ApiClient(this.url, this.#adminKey);
    await admin.expect([201], 'POST', '/v1/admin/tenants', { name: TENANT });
    const { body } = await admin.expect([201], 'POST', `/v1/admin/tenants/${TENANT}/keys`, {
      name: 'bench',
      scopes: ['inference', 'adapters'],
    });
    this.#key = body.key;
  }

  /** Uploads and waits until they are ready. @param {readonly BenchAdapter[]} adapters */
  async uploadAdapters(adapters) {
    const tenant = new ApiClient(this.url, this.#key);
    await step(`uploading ${adapters.length} adapters`, async (progress) => {
      for (const [index, { name, folder }] of adapters.entries()) {
        const form = new FormData();
        for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
          form.append('files', await openAsBlob(join(folder, file)), file);
        }
        const path = `/v1/adapters/${name}/versions`;
        const { body } = await tenant.expect([201], 'POST', `${path}?create=true&wait=60`, form);
        let version = body;
        while (version.state !== 'ready') {
          if (version.state === 'rejected') throw new StopError(`${name}: ${JSON.stringify(version.report)}`);
          await sleep(100);
          ({ body: version } = await tenant.expect([200], 'GET', `${path}/${body.version}`));
        }
        this.adapters.push(name);
        progress(`${index + 1} of ${adapters.length}`);
      }
    });
  }

  /** @param {number | undefined} adapter */
  modelOf(adapter) {
    return adapter === undefined ? BASE_NAME : /** @type {string} */ (this.adapters[adapter]);
  }

  /** @param {BenchRequest} request @param {number} start_ms @param {AbortSignal} [signal] */
  stream({ prompt, newTokens, adapter, fields }, start_ms, signal) {
    const call = { url: this.url, key: this.#key, model: this.modelOf(adapter), prompt, newTokens, start_ms };
    return streamCompletion({ ...call, ...(fields ? { fields } : {}), ...(signal ? { signal } : {}) });
  }

  /**
   * For each given token the log-probability and the best one's at its place (the first token has none).
   * @param {readonly number[]} tokens @param {number | undefined} adapter
   * @returns {Promise<{ given: number, best: number }[]>} of tokens 1 and on
   */
  async scoreTokens(tokens, adapter) {
    const { body } = await new ApiClient(this.url, this.#key).expect([200], 'POST', '/v1/completions', {
      model: this.modelOf(adapter),
      prompt: tokens,
      max_tokens: 0,
      echo: true,
      logprobs: 1,
      temperature: 0,
    });
    const { token_logprobs, top_logprobs } = body.choices[0].logprobs;
    return token_logprobs.slice(1).map((/** @type {number} */ given, /** @type {number} */ i) => ({
      given,
      best: Math.max(given, ...Object.values(/** @type {Record<string, number>} */ (top_logprobs[i + 1]))),
    }));
  }

  /** The sums of the engine's own metrics. */
  async engineMetrics() {
    return metricSums(await this.#text(`${await this.#engineUrl()}/metrics`, this.#engineToken));
  }

  /** The engine process's peak of resident memory beside what it says it holds. */
  async engineMemory() {
    const { kv, adapters } = JSON.parse(
      await this.#text(`${await this.#engineUrl()}/status`, this.#engineToken),
    );
    const peakBytes = peakResidentBytes('/apps/engine/', this.#child.pid ?? 0);
    const known = { kvBytes: Number(kv.bytes), adapterBytes: Number(adapters.bytes) };
    return { peakBytes, ...known, restBytes: peakBytes - known.kvBytes - known.adapterBytes };
  }

  async #engineUrl() {
    const api = await this.#text(`${this.url}/metrics`, this.#adminKey);
    const [engine] = labelValues(api, 'lorikeet_fleet_engine_ready', 'engine');
    if (engine === undefined) throw new StopError('the API names no engine in its metrics');
    return engine;
  }

  /** @param {string} url @param {string} key */
  async #text(url, key) {
    const response = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
    if (!response.ok) throw new StopError(`GET ${url} answered ${response.status}`);
    return response.text();
  }

  async stop() {
    await this.#child.stop();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }
}
