import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MergeResource } from '#contracts/merges-api.js';
import type { List } from '#contracts/resource.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { CONFIG, formOf, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { llamaBase } from '../support/llama-base.js';
import { Platform } from '../support/platform.js';
import { until } from '../support/webhooks.js';

/** Whoever was killed keeps its work for some twenty seconds; then another process has to start and do it. */
const PATIENCE_MS = 240_000;
/** Wide enough for its modules to take a while each. */
const WIDTH = 1024;
const RANK = 160;
const LAYERS = 6;
const MODEL = join(goldenFolder('llama-gqa'), 'model');

let folder: string;
let platform: Platform;
let acme: Client;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-merge-crash-'));
  const checkpoint = join(folder, 'base');
  await mkdir(checkpoint);
  await writeFile(join(checkpoint, 'config.json'), await readFile(join(MODEL, 'config.json')));
  await writeFile(
    join(checkpoint, 'model.safetensors'),
    tensors('model.layers', [['q_proj.weight', [WIDTH, WIDTH]]]),
  );
  platform = await Platform.start({ worker: false, env: { MERGE_BASE_PATH: checkpoint } });
  const config = pathToFileURL(join(MODEL, 'config.json'));
  const base = llamaBase(config, { hidden_size: WIDTH, num_hidden_layers: LAYERS, head_dim: WIDTH / 4 });
  platform.engine.status = { ...platform.engine.status, base: { ...base, name: 'wide-base' } };
  acme = await platform.tenant('acme');
  await until(
    () => acme.expect<List<{ id: string }>>(200, 'GET', '/v1/models'),
    ({ data }) => data[0]?.id === 'wide-base',
  );
  await platform.startWorker();
  const factors = tensors('base_model.model.model.layers', [
    ['q_proj.lora_A.weight', [RANK, WIDTH]],
    ['q_proj.lora_B.weight', [WIDTH, RANK]],
  ]);
  const settings = { peft_type: 'LORA', r: RANK, lora_alpha: RANK, target_modules: ['q_proj'] };
  const files = { [CONFIG]: JSON.stringify(settings), [WEIGHTS]: factors };
  await acme.expect(
    201,
    'POST',
    '/v1/adapters/wide/versions?create=true&wait=60',
    formOf(Object.entries(files)),
  );
  await platform.stopWorkers();
}, 120_000);
afterAll(async () => {
  await platform?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Of each layer's attention, with numbers that no two rows share. */
function tensors(stem: string, parts: readonly (readonly [string, readonly number[]])[]): Buffer {
  let state = 1;
  const numbers = (count: number): Uint8Array => {
    const values = Float32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 32 - 0.5) / 100;
    });
    return new Uint8Array(values.buffer);
  };
  const all = Array.from({ length: LAYERS }, (_, layer) =>
    parts.map(([name, shape]) => ({
      name: `${stem}.${layer}.self_attn.${name}`,
      dtype: 'F32' as const,
      shape,
      bytes: numbers(shape.reduce((product, size) => product * size, 1)),
    })),
  );
  return Buffer.from(writeSafetensors(all.flat()));
}

const order = () =>
  acme.expect<MergeResource>(202, 'POST', '/v1/adapters/wide/versions/1/merges', { any_base: true });
const get = (id: string) => acme.expect<MergeResource>(200, 'GET', `/v1/merges/${id}`);
const ended = (id: string): Promise<MergeResource> =>
  until(
    () => get(id),
    ({ state }) => state !== 'queued' && state !== 'running',
  );

it('makes a merge once and for all, though the worker is killed in the middle of it', {
  timeout: PATIENCE_MS,
}, async () => {
  const { id } = await order();
  const killed = platform.spawnWorker();
  const done = async (): Promise<number> => {
    const { state, progress } = await get(id);
    return state === 'running' ? (progress?.done ?? 0) : 0;
  };
  await expect.poll(done, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(await get(id)).toMatchObject({ state: 'running', attempts: 1, sha256: null, finished_at: null });

  const next = platform.spawnWorker();
  const made = await ended(id);
  expect(made).toMatchObject({ state: 'ready', attempts: 2, failure: null, changed: LAYERS });
  const content = { headers: { authorization: `Bearer ${acme.key}` } };
  const archive = await (await fetch(`${platform.url}/v1/merges/${id}/content`, content)).arrayBuffer();
  expect(archive.byteLength).toBe(made.bytes);
  // Byte for byte what is made without a fault.
  await acme.expect(200, 'DELETE', `/v1/merges/${id}`);
  const again = await ended((await order()).id);
  next.kill('SIGTERM');
  await once(next, 'exit');
  expect(again).toMatchObject({ state: 'ready', attempts: 1, sha256: made.sha256, bytes: made.bytes });
  const merges = await acme.expect<List<object>>(200, 'GET', '/v1/merges');
  expect(merges.data).toHaveLength(1);
  // Nor does what the killed one had written stay on the disk.
  await expect.poll(() => readdir(join(platform.folder, 'data/merges')).catch(() => [])).toEqual([]);
});
