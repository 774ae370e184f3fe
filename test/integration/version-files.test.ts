import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '#safetensors/writer.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

const FILES = goldenFiles('qv-r8');
const weights = Buffer.from(FILES[WEIGHTS] ?? []);
const PATH = '/v1/adapters/bot/versions/1/files';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  const form = formOf(Object.entries(FILES));
  await acme.expect(201, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', form);
}, 120_000);
afterAll(() => platform?.close());

async function download(file: string, headers: Record<string, string> = {}, client = acme) {
  const response = await fetch(`${platform.url}${PATH}/${file}`, {
    headers: { authorization: `Bearer ${client.key}`, ...headers },
  });
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
}

async function exported(adapter: string): Promise<Buffer> {
  const url = `${platform.url}/v1/adapters/${adapter}/versions/1/export`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${acme.key}` } });
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

async function entriesOf(archive: Buffer): Promise<Record<string, Buffer>> {
  const files: Record<string, Buffer> = {};
  const reader = extract();
  reader.end(archive);
  for await (const entry of reader) files[entry.header.name] = await buffer(entry);
  return files;
}

/** A tiny adapter as MLX-LM saves it. */
function mlxFiles(): Record<string, Buffer> {
  const random = (shape: readonly [number, number]) => ({
    dtype: 'F32' as const,
    shape,
    bytes: new Uint8Array(
      Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(i + 1) / 50).buffer,
    ),
  });
  const layer = 'model.layers.2.self_attn.q_proj';
  const config = {
    fine_tune_type: 'lora',
    num_layers: 1,
    lora_parameters: { rank: 2, scale: 4, dropout: 0 },
  };
  return {
    [CONFIG]: Buffer.from(JSON.stringify(config)),
    'adapters.safetensors': Buffer.from(
      writeSafetensors([
        { name: `${layer}.lora_a`, ...random([64, 2]) },
        { name: `${layer}.lora_b`, ...random([2, 64]) },
      ]),
    ),
  };
}

describe("a version's files", () => {
  it('are listed, and come back as they were uploaded', async () => {
    const sha256 = createHash('sha256').update(weights).digest('hex');
    expect(await acme.expect(200, 'GET', PATH)).toMatchObject({
      data: [
        { id: CONFIG, made: false },
        { id: WEIGHTS, bytes: weights.length, sha256, made: false },
        { id: 'manifest.json', made: true },
      ],
      has_more: false,
    });
    const { response, bytes } = await download(WEIGHTS);
    expect(response.status).toBe(200);
    expect(response.headers.get('etag')).toBe(`"${sha256}"`);
    expect(response.headers.get('content-length')).toBe(String(weights.length));
    expect(bytes.equals(weights)).toBe(true);
    const again = await download(WEIGHTS, { 'if-none-match': `"${sha256}"` });
    expect([again.response.status, again.bytes.length]).toEqual([304, 0]);
  });

  it('come back as the folder that came in, byte for byte, the same archive each time', async () => {
    const note = Buffer.from('# Bot');
    const form = formOf([...Object.entries(FILES), ['README.md', note], ['optimizer.pt', 'x']]);
    await acme.expect(201, 'POST', '/v1/adapters/noted/versions?create=true&wait=60', form);
    const archive = await exported('noted');
    expect(await entriesOf(archive)).toEqual({
      [`noted-1/${CONFIG}`]: Buffer.from(FILES[CONFIG] ?? []),
      [`noted-1/${WEIGHTS}`]: weights,
      'noted-1/README.md': note,
    });
    expect((await exported('noted')).equals(archive)).toBe(true);
  });

  it("come back under MLX-LM's names where they came so", async () => {
    const files = mlxFiles();
    await acme.expect(
      201,
      'POST',
      '/v1/adapters/mlx/versions?create=true&wait=60',
      formOf(Object.entries(files)),
    );
    const entries = await entriesOf(await exported('mlx'));
    expect(Object.keys(entries)).toEqual([`mlx-1/${CONFIG}`, 'mlx-1/adapters.safetensors']);
    expect(
      entries['mlx-1/adapters.safetensors']?.equals(files['adapters.safetensors'] ?? Buffer.alloc(0)),
    ).toBe(true);
  });

  it('are resumed in the middle', async () => {
    const { response, bytes } = await download(WEIGHTS, { range: 'bytes=1000-' });
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes 1000-${weights.length - 1}/${weights.length}`);
    expect(bytes.equals(weights.subarray(1000))).toBe(true);
    const beyond = await download(WEIGHTS, { range: `bytes=${weights.length}-` });
    expect([beyond.response.status, JSON.parse(beyond.bytes.toString())]).toMatchObject([
      416,
      { error: { code: 'range_not_satisfiable' } },
    ]);
    expect(beyond.response.headers.get('content-range')).toBe(`bytes */${weights.length}`);
  });

  it("are not there for another tenant, nor under a name that is no file's", async () => {
    const other = await platform.tenant('other');
    expect((await download(WEIGHTS, {}, other)).response.status).toBe(404);
    expect((await download('..%2f..%2fsecret')).response.status).toBe(404);
    expect(await acme.call('GET', '/v1/adapters/bot/versions/2/files')).toMatchObject({ status: 404 });
  });
});
