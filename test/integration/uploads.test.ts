import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AdapterResource, VersionResource } from '#contracts/adapters-api.js';
import type { List } from '#contracts/resource.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ env: { DELETE_GRACE_S: '0' } });
  acme = await platform.tenant('acme');
});
afterAll(() => platform?.close());

const upload = (name: string, form: FormData, query = 'create=true&wait=30') =>
  acme.call<VersionResource>('POST', `/v1/adapters/${name}/versions?${query}`, form);

async function storedBlobs(): Promise<number> {
  const entries = await readdir(join(platform.folder, 'blobs/sha256'), { recursive: true });
  return entries.filter((entry) => entry.length > 64).length;
}

/** A worker frees what was deleted. */
async function untilStored(blobs: number): Promise<void> {
  await vi.waitFor(async () => expect(await storedBlobs()).toBe(blobs), { timeout: 30_000, interval: 50 });
}

describe('an upload', () => {
  it.each(readdirSync(join(goldenFolder('llama-gqa'), 'adapters')))(
    'makes the golden adapter %s ready',
    async (name) => {
      const { status, body } = await acme.uploadFolder(
        name,
        join(goldenFolder('llama-gqa'), 'adapters', name),
      );
      expect({ status, ...body }).toMatchObject({
        status: 201,
        object: 'adapter.version',
        adapter: name,
        version: 1,
        state: 'ready',
        base_model: 'llama-gqa',
        failure: null,
        source: 'upload',
        report: { verdict: 'accepted', errors: [] },
      });
      expect(body.digest).toMatch(/^[0-9a-f]{64}$/);
    },
  );

  it('takes the parts in either order, with every optional part, and shows what came with it', async () => {
    const files = goldenFiles('qv-r8');
    const metadata = JSON.stringify({ description: 'first', labels: { run: '7' } });
    const form = formOf([
      [WEIGHTS, files[WEIGHTS] ?? ''],
      ['README.md', '# Hello'],
      ['generation_config.json', '{}'],
      ['chat_template.jinja', '{{ messages[0].content }}'],
      ['metadata', metadata],
      [CONFIG, files[CONFIG] ?? ''],
    ]);
    const { status, body } = await upload('all-parts', form);
    expect({ status, ...body }).toMatchObject({
      status: 201,
      state: 'ready',
      description: 'first',
      labels: { run: '7' },
    });
    expect(body.rank).toBe(8);
    expect(body.modules).toEqual(['q_proj', 'v_proj']);
    expect(body.bytes).toBe(files[WEIGHTS]?.length);
  });

  it('refuses a chat template of more than 1 MiB', async () => {
    const files = goldenFiles('qv-r8');
    const form = formOf([['chat_template.jinja', 'x'.repeat(2 ** 20 + 1)], ...Object.entries(files)]);
    expect((await upload('large-template', form)).status).toBe(413);
  });

  it('gives the same bytes the same digest and stores them once', async () => {
    const form = () => formOf(Object.entries(goldenFiles('qv-r8')));
    const first = await upload('same-bytes', form());
    const before = await storedBlobs();
    const second = await upload('same-bytes', form());
    expect([first.body.version, second.body.version]).toEqual([1, 2]);
    expect(second.body.digest).toBe(first.body.digest);
    expect(await storedBlobs()).toBe(before);
  });

  it('numbers versions that arrive at once without a gap or a double', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        upload('at-once', formOf(Object.entries(goldenFiles('qv-r8'))), 'create=true'),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(201));
    expect(answers.map(({ body }) => body.version).toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const versions = await acme.expect<List<VersionResource>>(
      200,
      'GET',
      '/v1/adapters/at-once/versions?limit=100',
    );
    expect(versions.data.map(({ version }) => version)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('pages through versions and adapters', async () => {
    const page = await acme.expect<List<VersionResource>>(
      200,
      'GET',
      '/v1/adapters/at-once/versions?limit=3',
    );
    expect(page).toMatchObject({ object: 'list', has_more: true, last_id: page.data[2]?.id });
    const next = await acme.expect<List<VersionResource>>(
      200,
      'GET',
      `/v1/adapters/at-once/versions?limit=100&after=${page.last_id}`,
    );
    expect(next.data.map(({ version }) => version)).toEqual([5, 4, 3, 2, 1]);
    expect(next.has_more).toBe(false);

    const names: string[] = [];
    for (let after = ''; ; ) {
      const path = `/v1/adapters?limit=4${after && `&after=${after}`}`;
      const { data, has_more, last_id } = await acme.expect<List<AdapterResource>>(200, 'GET', path);
      names.push(...data.map(({ name }) => name));
      if (!has_more) break;
      after = last_id ?? '';
    }
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('dora-r8');
    expect(names[0]).toBe('at-once');
  });

  it('is listed as a model once it is ready', async () => {
    const { data } = await acme.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models');
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(['llama-gqa', 'dora-r8', 'qv-r8']));
  });
});

describe('deleting', () => {
  it('frees the bytes with the last version that holds them, and tells the engine', async () => {
    const beforeAll = await storedBlobs();
    const files = { ...goldenFiles('rslora-r4'), 'README.md': 'only here' };
    const form = () => formOf(Object.entries(files));
    await acme.expect(200, 'DELETE', '/v1/adapters/rslora-r4');
    await untilStored(beforeAll - 3); // config, weights, manifest
    const before = await storedBlobs();
    const one = await upload('freed', form());
    await upload('freed-too', form());
    expect(await storedBlobs()).toBe(before + 4);

    platform.engine.dropped.length = 0;
    await acme.expect(200, 'DELETE', '/v1/adapters/freed/versions/1');
    expect(await storedBlobs()).toBe(before + 4);
    expect(platform.engine.dropped).toEqual([]);
    await acme.expect(200, 'DELETE', '/v1/adapters/freed-too');
    await untilStored(before);
    expect(new Set(platform.engine.dropped)).toEqual(new Set([one.body.digest]));
  });

  it('never gives a number again', async () => {
    const form = () => formOf(Object.entries(goldenFiles('qv-r8')));
    await upload('numbers', form());
    await upload('numbers', form());
    await acme.expect(200, 'DELETE', '/v1/adapters/numbers/versions/2');
    expect((await upload('numbers', form())).body.version).toBe(3);
    await acme.expect(404, 'GET', '/v1/adapters/numbers/versions/2');
  });
});
