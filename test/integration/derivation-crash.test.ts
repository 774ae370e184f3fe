import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { JobList } from '#contracts/jobs-api.js';
import type { List } from '#contracts/resource.js';
import { CONFIG, formOf, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { untilVersion } from '../support/imports.js';
import { llamaBase } from '../support/llama-base.js';
import { Platform } from '../support/platform.js';
import { until } from '../support/webhooks.js';

/** Whoever was killed keeps its work for some twenty seconds; then another process has to start and do it. */
const PATIENCE_MS = 240_000;
/** Wide enough for its modules to take a while each. */
const WIDTH = 1024;
const RANK = 160;
const LAYERS = 6;

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  const config = pathToFileURL(join(goldenFolder('llama-gqa'), 'model/config.json'));
  const base = llamaBase(config, { hidden_size: WIDTH, num_hidden_layers: LAYERS, head_dim: WIDTH / 4 });
  platform.engine.status = { ...platform.engine.status, base: { ...base, name: 'wide-base' } };
  acme = await platform.tenant('acme');
  await until(
    () => acme.expect<List<{ id: string }>>(200, 'GET', '/v1/models'),
    ({ data }) => data[0]?.id === 'wide-base',
  );
  await platform.startWorker();
  const files = { [CONFIG]: configText(), [WEIGHTS]: wideAdapter() };
  const path = '/v1/adapters/wide/versions?create=true&wait=60';
  await acme.expect(201, 'POST', path, formOf(Object.entries(files)));
  await platform.stopWorkers();
}, 120_000);
afterAll(() => platform?.close());

function configText(): string {
  return JSON.stringify({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: RANK,
    lora_alpha: RANK,
    target_modules: ['q_proj'],
  });
}

/** Factors of numbers that no two rows share. */
function wideAdapter(): Buffer {
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  let end = 0;
  let state = 1;
  const add = (name: string, shape: readonly [number, number]): void => {
    const values = new Float32Array(shape[0] * shape[1]);
    for (let i = 0; i < values.length; i += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      values[i] = (state / 2 ** 32 - 0.5) / 100;
    }
    const bytes = Buffer.from(values.buffer);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    parts.push(bytes);
  };
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const module = `base_model.model.model.layers.${layer}.self_attn.q_proj`;
    add(`${module}.lora_A.weight`, [RANK, WIDTH]);
    add(`${module}.lora_B.weight`, [WIDTH, RANK]);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

const shrink = (adapter: string) =>
  acme.expect<VersionResource>(201, 'POST', `/v1/adapters/${adapter}/versions?create=true`, {
    derive: { operation: 'shrink', version: 'wide@1', rank: 8 },
  });
const isSettled = ({ state }: VersionResource) => state === 'ready' || state === 'rejected';

it('computes a version once and for all, though the worker is killed in the middle of it', {
  timeout: PATIENCE_MS,
}, async () => {
  expect((await shrink('small')).state).toBe('importing');
  const killed = platform.spawnWorker();
  const computed = async (): Promise<number> => {
    const path = '/v1/admin/jobs/import-adapter?state=active';
    const { data } = await platform.admin.expect<JobList>(200, 'GET', path);
    return data[0]?.progress?.stage === 'computing' ? (data[0].progress.done ?? 0) : 0;
  };
  await expect.poll(computed, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  const half = await acme.expect<VersionResource>(200, 'GET', '/v1/adapters/small/versions/1');
  expect(half).toMatchObject({
    state: 'importing',
    digest: null,
    import: { attempts: 1 },
    derivation: { result: null },
  });

  const next = platform.spawnWorker();
  const made = await untilVersion(acme, 'small', { is: isSettled });
  await shrink('again');
  const again = await untilVersion(acme, 'again', { is: isSettled });
  next.kill('SIGTERM');
  await once(next, 'exit');
  expect(made).toMatchObject({
    state: 'ready',
    rank: 8,
    import: { attempts: 2, last_error: null },
    parents: [{ version: 'wide@1' }],
  });
  // Byte for byte what is computed without a fault.
  expect(made.weights_sha256).toBe(again.weights_sha256);
  expect(made.derivation?.result).toEqual(again.derivation?.result);
  const versions = await acme.expect<List<object>>(200, 'GET', '/v1/adapters/small/versions');
  expect(versions.data).toHaveLength(1);
  const told = await platform.query(
    "SELECT id FROM outbox_events WHERE type = 'adapter.version.ready' AND payload->>'adapter' = 'small'",
  );
  expect(told).toHaveLength(1);
  // Nor does what the killed one had written stay on the disk.
  await expect.poll(() => readdir(join(platform.folder, 'data/imports')).catch(() => [])).toEqual([]);
});
