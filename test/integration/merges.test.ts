import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { MergeResource } from '#contracts/merges-api.js';
import type { List } from '#contracts/resource.js';
import { mergeAdapter } from '#merge/merge-adapter.js';
import { baseDigest } from '#serving/base-digest.js';
import { WEIGHTS } from '../support/adapter-form.js';
import { lorikeet } from '../support/cli.js';
import { Client } from '../support/client.js';
import { goldenBase, goldenFolder } from '../support/golden-base.js';
import { Platform } from '../support/platform.js';
import { ROOT } from '../support/stack.js';
import { until } from '../support/webhooks.js';

const MODEL = join(goldenFolder('llama-gqa'), 'model');
const ADAPTER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');

let platform: Platform;
let acme: Client;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-merges-'));
  platform = await Platform.start({ worker: false, env: { MERGE_BASE_PATH: MODEL } });
  const base = { ...goldenBase('llama-gqa'), name: 'llama', digest: await baseDigest(MODEL) };
  platform.engine.status = { ...platform.engine.status, base };
  acme = await platform.tenant('acme');
  await until(
    () => acme.expect<List<{ id: string }>>(200, 'GET', '/v1/models'),
    ({ data }) => data[0]?.id === 'llama',
  );
  await platform.startWorker();
  await acme.uploadFolder('bot', ADAPTER);
}, 120_000);
afterAll(async () => {
  await platform?.close();
  await rm(folder, { recursive: true, force: true });
});

const PATH = '/v1/adapters/bot/versions/1/merges';
const order = (body: object = {}) => acme.expect<MergeResource>(202, 'POST', PATH, body);
const get = (id: string) => acme.expect<MergeResource>(200, 'GET', `/v1/merges/${id}`);
const ended = (id: string): Promise<MergeResource> =>
  until(
    () => get(id),
    ({ state }) => state !== 'queued' && state !== 'running',
  );
const download = (id: string, headers: Record<string, string> = {}) =>
  fetch(`${platform.url}/v1/merges/${id}/content`, {
    headers: { authorization: `Bearer ${acme.key}`, ...headers },
  });
const remove = (id: string) => acme.expect(200, 'DELETE', `/v1/merges/${id}`);
const worker = async (env: Record<string, string>): Promise<void> => {
  await platform.stopWorkers();
  await platform.startWorker(env);
};

/** Files of a tar archive, by name. */
async function unpacked(archive: Uint8Array): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for await (const entry of Readable.from([archive]).pipe(extract())) {
    const parts: Buffer[] = [];
    for await (const part of entry) parts.push(part as Buffer);
    files.set(entry.header.name, Buffer.concat(parts));
  }
  return files;
}

/** What the command line makes of the version on this machine. */
async function mergedHere(): Promise<string> {
  const path = '/v1/adapters/bot/versions/1/files/manifest.json';
  const text = await acme.expect<string>(200, 'GET', path);
  const manifest = JSON.parse(text) as AdapterManifest;
  const target = join(folder, 'here');
  const signal = new AbortController().signal;
  await mergeAdapter({ manifest, weights: join(ADAPTER, WEIGHTS), checkpoint: MODEL, target, signal });
  return target;
}

describe('a merge into the base', () => {
  let merge: MergeResource;

  it('is a job whose archive is the checkpoint that the command line writes, byte for byte', async () => {
    const started = await order();
    expect(started).toMatchObject({ object: 'merge', adapter: 'bot', version: 1, base_model: 'llama' });
    merge = await ended(started.id);
    expect(merge).toMatchObject({
      state: 'ready',
      attempts: 1,
      failure: null,
      changed: 6,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(merge.progress?.done).toBe(merge.progress?.total);
    const archive = new Uint8Array(await (await download(merge.id)).arrayBuffer());
    expect(archive).toHaveLength(merge.bytes ?? 0);
    const files = await unpacked(archive);
    const here = await mergedHere();
    expect([...files.keys()].sort()).toEqual(
      readdirSync(here)
        .map((name) => `bot-1-merged/${name}`)
        .sort(),
    );
    for (const name of readdirSync(here))
      expect(files.get(`bot-1-merged/${name}`)?.equals(readFileSync(join(here, name))), name).toBe(true);
    expect(readdirSync(join(platform.folder, 'data/merges'))).toEqual([]);
  });

  it('is downloaded in parts too, made once, and no file of /v1/files', async () => {
    const part = await download(merge.id, { range: 'bytes=512-1023' });
    expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 512]);
    expect((await order()).id).toBe(merge.id);
    expect(await acme.expect(200, 'GET', '/v1/files')).toMatchObject({ data: [] });
    expect(await acme.expect(200, 'GET', '/v1/merges')).toMatchObject({ data: [{ id: merge.id }] });
    const key = (
      await platform.admin.expect<{ key: string }>(201, 'POST', '/v1/admin/tenants/acme/keys', {
        name: 'app',
        scopes: ['inference'],
      })
    ).key;
    const app = new Client(platform.url, key);
    expect((await app.call('GET', `/v1/merges/${merge.id}/content`)).status).toBe(403);
  });

  it('expires, and is made again when it is asked for', async () => {
    await platform.query("UPDATE files SET expires_at = now() - interval '1 second'");
    expect((await get(merge.id)).state).toBe('expired');
    expect((await download(merge.id)).status).toBe(404);
    const again = await ended((await order()).id);
    expect(again.id).not.toBe(merge.id);
    expect(again.sha256).toBe(merge.sha256);
    expect(new Date(again.expires_at ?? 0).getTime() - Date.now()).toBeGreaterThan(23 * 3600_000);
    await remove(again.id);
    expect((await download(again.id)).status).toBe(404);
    await remove(merge.id);
    const blob = join(platform.folder, 'blobs', `sha256/${merge.sha256?.slice(0, 2)}/${merge.sha256}`);
    expect(existsSync(blob)).toBe(false);
  });

  it('fills no disk: it is refused beyond what merges may take, and beyond what its tenant may store', async () => {
    await worker({ MERGE_STORAGE_BYTES: '100K' });
    const full = await ended((await order()).id);
    expect(full).toMatchObject({
      state: 'failed',
      failure: expect.stringMatching(/^A merged checkpoint takes .*MERGE_STORAGE_BYTES/) as string,
    });
    await worker({});
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', {
      quotas: { stored_bytes: 200_000 },
    });
    const over = await ended((await order()).id);
    expect(over).toMatchObject({
      state: 'failed',
      failure: expect.stringContaining('its quota is 200000') as string,
    });
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { quotas: { stored_bytes: null } });
    expect(await platform.query("SELECT id FROM files WHERE purpose = 'merged_model'")).toEqual([]);
  });

  it('is begun again where a worker died, whose remains go', async () => {
    await platform.stopWorkers();
    const { id } = await order();
    await platform.query(
      `UPDATE merges SET state = 'running', attempts = 1, lease_id = gen_random_uuid(), due_at = now() WHERE id = $1`,
      [id],
    );
    for (const name of [id, '0190a000-0000-7000-8000-000000000001']) {
      await mkdir(join(platform.folder, 'data/merges', name, 'checkpoint.partial'), { recursive: true });
      await writeFile(join(platform.folder, 'data/merges', name, 'checkpoint.partial/half'), 'half');
    }
    await platform.startWorker();
    expect(await ended(id)).toMatchObject({ state: 'ready', attempts: 2, sha256: merge.sha256 });
    await expect.poll(() => readdirSync(join(platform.folder, 'data/merges'))).toEqual([]);
    await remove(id);
  });

  it('says which base is missing, another, quantized or a GGUF file, and the way out', async () => {
    const failure = async (env: Record<string, string>, body: object = {}) => {
      await worker(env);
      const { id } = await order(body);
      const { state, failure: why } = await ended(id);
      await remove(id);
      return `${state}: ${why}`;
    };
    const packed = join(ROOT, 'test/golden/packed/gptq-4bit/model');
    expect(await failure({ MERGE_BASE_PATH: '' })).toContain('failed: This worker has no checkpoint');
    expect(await failure({ MERGE_BASE_PATH: '/nowhere/base' })).toContain('There is no checkpoint at');
    expect(await failure({ MERGE_BASE_PATH: '/models/base.gguf' })).toContain('is a GGUF file');
    expect(await failure({ MERGE_BASE_PATH: packed })).toContain('is quantized (gptq)');
    expect(await failure({ MERGE_BASE_PATH: packed }, { dequantize: true })).toContain('is not the base');
    // Its one layer is of another model.
    expect(await failure({ MERGE_BASE_PATH: packed }, { dequantize: true, any_base: true })).toMatch(
      /failed: The checkpoint has no weight of model\.layers\.1|wants/,
    );
    await worker({});
  });

  it('is ordered and fetched by the command line', async () => {
    const env = { LORIKEET_URL: platform.url, LORIKEET_API_KEY: acme.key };
    const target = join(folder, 'bot.tar');
    const made = await lorikeet(['merges', 'start', 'bot@1', '--wait'], { env });
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/bot@1 .*ready/) as string });
    const [id = ''] = made.out.split(':');
    expect(await lorikeet(['merges', 'pull', id, target], { env })).toMatchObject({ code: 0 });
    expect((await unpacked(readFileSync(target))).has('bot-1-merged/config.json')).toBe(true);
    expect((await lorikeet(['merges', 'list'], { env })).out).toContain(id);
    expect(await lorikeet(['merges', 'delete', id, '--yes'], { env })).toMatchObject({ code: 0 });
  });

  it('has audit entries, and is of versions that answer alone', async () => {
    const { data } = await platform.admin.expect<List<{ action: string }>>(
      200,
      'GET',
      '/v1/admin/audit?limit=200',
    );
    const actions = new Set(data.map(({ action }) => action));
    expect(actions).toContain('adapter.version.merge');
    expect(actions).toContain('merge.ready');
    expect(actions).toContain('merge.delete');
    expect((await acme.call('POST', '/v1/adapters/bot/versions/9/merges')).status).toBe(404);
    expect((await acme.call('POST', PATH, { dequantise: true })).status).toBe(400);
  });
});
