import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { Lineage } from '#contracts/lineage-api.js';
import type { List } from '#contracts/resource.js';
import type { VersionFileResource } from '#contracts/version-files-api.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import { ROOT } from '../support/stack.js';
import { lorikeet } from '../support/cli.js';
import { FakeHub } from '../support/fake-hub.js';
import { goldenFolder } from '../support/golden-base.js';
import { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let [qv, rslora] = ['', ''];
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  const template = {
    ...goldenFiles('qv-r8'),
    'chat_template.jinja': Buffer.from('{{ messages[0].content }}'),
  };
  await upload('qv', template);
  for (const name of ['rslora-r4', 'dora-r8'] as const) await upload(name, goldenFiles(name));
  await upload('other', derivedFiles('other-r8'));
  [qv, rslora] = ['qv@1', 'rslora-r4@1'];
}, 120_000);
afterAll(() => platform?.close());

const derivedFiles = (name: string): Record<string, Uint8Array> =>
  Object.fromEntries(
    [CONFIG, WEIGHTS].map((file) => [file, readFileSync(join(ROOT, 'test/golden/derived', name, file))]),
  );
const upload = (name: string, files: Record<string, Uint8Array>) =>
  acme.expect<VersionResource>(
    201,
    'POST',
    `/v1/adapters/${name}/versions?create=true&wait=60`,
    formOf(Object.entries(files)),
  );
const post = (adapter: string, derive: object, query = '?create=true&wait=60') =>
  acme.call<VersionResource & { error?: { message: string; param: string } }>(
    'POST',
    `/v1/adapters/${adapter}/versions${query}`,
    { derive },
  );
const compose = (method: string, versions: readonly string[], more: object = {}) => ({
  operation: 'compose',
  method,
  inputs: versions.map((version, at) => ({ version, weight: 1 - at / 2 })),
  ...more,
});

async function fileOf(version: VersionResource, name: string): Promise<Buffer> {
  const path = `/v1/adapters/${version.adapter}/versions/${version.version}/files/${name}`;
  const response = await fetch(platform.url + path, { headers: { authorization: `Bearer ${acme.key}` } });
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

/** A safetensors file's bytes behind its header. */
const dataOf = (file: Buffer): Buffer => file.subarray(8 + Number(file.readBigUInt64LE(0)));

describe('a composed version', () => {
  it("is a version with lineage, made by a job, with the first input's template", async () => {
    const { status, body } = await post('sum', compose('cat', [qv, rslora]));
    expect({ status, ...body }).toMatchObject({
      status: 201,
      state: 'ready',
      source: 'derived:compose',
      rank: 12,
      derivation: {
        operation: 'compose',
        inputs: [
          { version: qv, weight: 1 },
          { version: rslora, weight: 0.5 },
        ],
        parameters: { method: 'cat', dtype: 'f32' },
        result: { rank: 12, relative_error: null },
      },
      parents: [{ version: qv }, { version: rslora }],
    });
    expect((await fileOf(body, 'chat_template.jinja')).toString()).toContain('messages[0]');
    const lineage = await acme.expect<Lineage>(200, 'GET', '/v1/adapters/sum/versions/1/lineage');
    expect(lineage.nodes.map(({ adapter }) => adapter).sort()).toEqual(['qv', 'rslora-r4', 'sum']);
    const list = await acme.expect<List<VersionResource>>(200, 'GET', '/v1/adapters/sum/versions');
    expect(list.data[0]?.derivation?.result).toMatchObject({ rank: 12, modules: [] });
    expect(body.derivation?.result?.modules.length).toBe(21);
  });

  it('is the same with the seed that its lineage keeps', async () => {
    const { body } = await post('drawn', compose('dare_linear', [qv, 'sum@1'], { density: 0.5 }));
    expect(body).toMatchObject({ error: { param: 'derive.method' } }); // other ranks
    const drawn = await post('drawn', compose('dare_linear', [qv, 'other@1'], { density: 0.5 }));
    const { seed, density, method, dtype } = drawn.body.derivation?.parameters ?? {};
    expect([density, method, typeof seed]).toEqual([0.5, 'dare_linear', 'number']);
    const again = await post('drawn', compose('dare_linear', [qv, 'other@1'], { density: 0.5, seed, dtype }));
    expect(again.body.weights_sha256).toBe(drawn.body.weights_sha256);
  });

  it('is made once for one idempotency key, and waits for a worker', async () => {
    await platform.stopWorkers();
    const client = new Client(platform.url, acme.key, { 'idempotency-key': 'sum-once' });
    const make = () =>
      client.call<VersionResource>('POST', '/v1/adapters/once/versions?create=true', {
        derive: compose('cat', [qv, rslora]),
      });
    const [first, second] = [await make(), await make()];
    expect([first.status, first.body.state, second.body.id]).toEqual([201, 'importing', first.body.id]);
    await platform.startWorker();
    await expect
      .poll(
        async () => (await acme.expect<VersionResource>(200, 'GET', '/v1/adapters/once/versions/1')).state,
        { timeout: 60_000 },
      )
      .toBe('ready');
  });

  it.each([
    [() => compose('cat', [qv, 'nobody@1']), 'derive.inputs[1].version: there is no version nobody@1.'],
    [() => compose('cat', [qv, qv]), 'names a version twice'],
    [() => compose('cat', [qv]), 'expected at least two versions'],
    [() => compose('ties', [qv, rslora]), 'is needed by ties'],
    [() => compose('cat', [qv, rslora], { density: 0.5 }), 'is nothing that cat reads'],
    [() => compose('ties', [qv, rslora], { density: 0.5 }), 'ties needs the same rank in all adapters'],
    [() => compose('dare_magic', [qv, rslora]), 'derive.method'],
    [() => ({ operation: 'shrink', version: qv }), 'give exactly one of rank and energy'],
    [() => ({ operation: 'convert', version: qv, to: 'onnx' }), 'derive.to'],
    [() => ({ operation: 'melt', version: qv }), 'derive.operation'],
  ])('is refused at once, case %#', async (derive, text) => {
    const { status, body } = await post('refused', derive());
    expect({ status, text: JSON.stringify(body) }).toEqual({
      status: 400,
      text: expect.stringContaining(text) as string,
    });
  });

  it('is refused with another source beside it, and of what another tenant has', async () => {
    const both = { derive: compose('cat', [qv, rslora]), source: 'hf://a/b' };
    expect((await acme.call('POST', '/v1/adapters/x/versions?create=true', both)).status).toBe(400);
    const globex = await platform.tenant('globex');
    const { status, body } = await globex.call('POST', '/v1/adapters/x/versions?create=true', {
      derive: compose('cat', [qv, rslora]),
    });
    expect([status, JSON.stringify(body)]).toEqual([
      400,
      expect.stringContaining('there is no version qv@1'),
    ]);
  });

  it('is rejected in plain words for adapters that have no sum', async () => {
    const { status, body } = await post('sum', compose('cat', [qv, 'dora-r8@1']));
    expect([status, body.error?.message]).toEqual([
      422,
      expect.stringMatching(/^Version 2 was rejected: dora-r8@1 is more than low-rank deltas: .+ DoRA/),
    ]);
  });
});

describe('a shrunk version', () => {
  it('says what it loses, and keeps what else the adapter holds', async () => {
    const { body } = await post('small', { operation: 'shrink', version: 'dora-r8@1', rank: 2 });
    expect(body).toMatchObject({
      state: 'ready',
      rank: 2,
      derivation: { parameters: { rank: 2 }, inputs: [{ weight: null }] },
    });
    expect(body.derivation?.result?.relative_error).toBeGreaterThan(0.1);
    const energy = await post('small', { operation: 'shrink', version: rslora, energy: 0.9, dtype: 'bf16' });
    expect(energy.body.derivation?.result?.relative_error).toBeLessThan(Math.sqrt(0.1) + 0.01);
  });
});

describe('a converted version', () => {
  it('has the numbers of int8 with the loss stated, DoRA and templates kept', async () => {
    const { body } = await post('rounded', { operation: 'convert', version: qv, to: 'int8' });
    expect(body).toMatchObject({
      state: 'ready',
      rank: 8,
      source: 'derived:convert',
      derivation: { operation: 'convert', parameters: { to: 'int8' }, result: { rank: 8 } },
    });
    expect(body.derivation?.result?.relative_error).toBeGreaterThan(0.001);
    expect(body.derivation?.result?.relative_error).toBeLessThan(0.03);
    const dora = await post('rounded', { operation: 'convert', version: 'dora-r8@1', to: 'int8' });
    expect(dora.body).toMatchObject({ state: 'ready', derivation: { result: { rank: 8 } } });
    const mlx = await post('rounded-mlx', { operation: 'convert', version: qv, to: 'mlx' });
    const refused = await post('rounded', { operation: 'convert', version: 'rounded-mlx@1', to: 'int8' });
    expect([mlx.status, refused.status]).toEqual([201, 422]);
    expect(JSON.stringify(refused.body)).toContain('convert it to peft first');
  });

  it("goes to MLX-LM's form and back to the same numbers", async () => {
    const { body: mlx } = await post('mlx', { operation: 'convert', version: qv, to: 'mlx' });
    expect(mlx).toMatchObject({ state: 'ready', rank: 8, source: 'derived:convert' });
    expect(JSON.parse((await fileOf(mlx, CONFIG)).toString())).toMatchObject({
      fine_tune_type: 'lora',
      lora_parameters: { rank: 8, keys: ['self_attn.q_proj', 'self_attn.v_proj'] },
    });
    const { body: back } = await post('peft', { operation: 'convert', version: 'mlx@1', to: 'peft' });
    expect(back.state).toBe('ready');
    expect(
      dataOf(await fileOf(back, WEIGHTS)).equals(dataOf(await fileOf(mlx, 'converted.safetensors'))),
    ).toBe(true);
    const again = await post('peft', { operation: 'convert', version: 'peft@1', to: 'peft' });
    expect(again.body.error?.message).toContain("peft@1 is in PEFT's form already");
  });

  it('gets a GGUF file beside the same files', async () => {
    const { body } = await post('gguf', { operation: 'convert', version: qv, to: 'gguf' });
    const original = await acme.expect<VersionResource>(200, 'GET', '/v1/adapters/qv/versions/1');
    expect([body.state, body.digest]).toEqual(['ready', original.digest]);
    const files = await acme.expect<List<VersionFileResource>>(
      200,
      'GET',
      '/v1/adapters/gguf/versions/1/files',
    );
    expect(files.data.filter(({ made }) => !made).map(({ id }) => id)).toEqual([
      'adapter.gguf',
      CONFIG,
      WEIGHTS,
      'chat_template.jinja',
    ]);
    expect((await fileOf(body, 'adapter.gguf')).subarray(0, 8)).toEqual(Buffer.from('GGUF\u0003\0\0\0'));
    const dora = await post('gguf', { operation: 'convert', version: 'dora-r8@1', to: 'gguf' });
    expect(dora.body.error?.message).toContain('DoRA');
  });
});

describe('the command', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lorikeet-cli-derived-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function run(words: string, env: Record<string, string> = {}) {
    const server = { LORIKEET_URL: platform.url, LORIKEET_API_KEY: acme.key };
    return lorikeet([...words.split(' '), '--json'], { env: { ...server, ...env } });
  }
  async function made(words: string): Promise<VersionResource> {
    const { code, out, err } = await run(words);
    if (code !== 0) throw new Error(`lorikeet ${words}: ${err}`);
    return JSON.parse(out) as VersionResource;
  }

  it('composes, shrinks and converts', async () => {
    expect(
      await made(`adapters compose both --method cat --input ${qv}=0.5 --input ${rslora} --wait`),
    ).toMatchObject({
      adapter: 'both',
      state: 'ready',
      derivation: { inputs: [{ weight: 0.5 }, { weight: 1 }] },
    });
    expect(await made('adapters shrink both@1 --rank 4 --to thin --wait')).toMatchObject({
      adapter: 'thin',
      rank: 4,
    });
    expect(await made('adapters convert thin@1 --form mlx --wait')).toMatchObject({
      adapter: 'thin',
      version: 2,
    });
    const { code, err } = await run(`adapters compose both --input ${qv}=much`);
    expect([code, err]).toEqual([2, expect.stringContaining('expected ADAPTER@VERSION=WEIGHT')]);
  });

  it('merges a version into a base on this machine', async () => {
    const base = join(goldenFolder('llama-gqa'), 'model');
    const target = join(folder, 'merged');
    const refused = await run(`adapters merge ${qv} ${base} ${target}`);
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining('is not the base that the version was validated against'),
    ]);
    const { code, out } = await run(`adapters merge ${qv} ${base} ${target} --any-base`);
    expect([code, JSON.parse(out)]).toMatchObject([0, { changed: 6, folder: target }]);
    expect((await readdir(target)).sort()).toEqual((await readdir(base)).sort());
  });

  it('pulls a model from the Hub', async () => {
    const hub = await FakeHub.start();
    try {
      const files = { 'config.json': Buffer.from('{}'), 'model.safetensors': Buffer.from('weights') };
      hub.repos.set('acme/base', { commit: 'c'.repeat(40), revisions: ['main'], files, token: 'secret' });
      const target = join(folder, 'base');
      const env = { HF_ENDPOINT: hub.url };
      const refused = await run(`model pull hf://acme/base ${target}`, env);
      expect([refused.code, refused.err]).toEqual([
        1,
        expect.stringContaining('may not be read with this token (HF_TOKEN)'),
      ]);
      const { code, out } = await run(`model pull hf://acme/base ${target}`, { ...env, HF_TOKEN: 'secret' });
      expect([code, JSON.parse(out)]).toMatchObject([0, { commit: 'c'.repeat(40), known: false }]);
      expect(await readFile(join(target, 'model.safetensors'), 'utf8')).toBe('weights');
      expect((await run('model pull hf://acme', env)).code).toBe(2);
    } finally {
      hub.close();
    }
  });
});
