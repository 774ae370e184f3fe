import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import { parseSettings } from '#runtime/settings.js';
import { makeS3Client, s3Settings } from '#stores/blobs/s3-client.js';
import { CONFIG, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { answerText } from '../support/fake-answers.js';
import { FakeHub } from '../support/fake-hub.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { S3Server } from '../support/s3-server.js';

const COMMIT = 'c'.repeat(40);

let platform: Platform;
let acme: Client;
let hub: FakeHub;
let s3: S3Server;
let objects: S3Client;
beforeAll(async () => {
  [hub, s3] = [await FakeHub.start(), await S3Server.start('artifacts', 'models')];
  objects = makeS3Client(parseSettings(s3Settings, s3.env));
  platform = await Platform.start({
    env: {
      ...s3.env,
      STORAGE_URL: 's3://artifacts/lorikeet',
      IMPORT_S3_BUCKETS: 's3://models/open, artifacts',
      HF_ENDPOINT: hub.url,
      HF_TOKEN: 'hub-token',
      ALLOW_PRIVATE_IMPORTS: 'true',
    },
  });
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await platform?.close();
  objects?.destroy();
  hub?.close();
  await s3?.close();
});
beforeEach(() => {
  hub.front.requests.length = 0;
  hub.storage.requests.length = 0;
});

const post = (adapter: string, source: string) =>
  acme.call<VersionResource>('POST', `/v1/adapters/${adapter}/versions?create=true&wait=30`, { source });
const rejection = async (adapter: string, source: string): Promise<string> => {
  const { status, body } = await post(adapter, source);
  expect(status).toBe(422);
  return JSON.stringify(body);
};
const addRepo = (name: string, files: Record<string, Uint8Array>, token?: string) =>
  hub.repos.set(name, {
    commit: COMMIT,
    revisions: ['main', 'refs/pr/1'],
    files,
    ...(token ? { token } : {}),
  });
async function addObjects(prefix: string, files: Record<string, Uint8Array>): Promise<void> {
  for (const [name, Body] of Object.entries(files)) {
    await objects.send(new PutObjectCommand({ Bucket: 'models', Key: `${prefix}/${name}`, Body }));
  }
}

describe('an import from the Hub', () => {
  it('pins the revision to its commit, and takes the files that are known', async () => {
    addRepo('acme/bot', {
      ...goldenFiles('qv-r8'),
      'README.md': Buffer.from('# Bot'),
      'evil.py': Buffer.from('x'),
    });
    const { status, body } = await post('bot', 'hf://acme/bot@main');
    expect({ status, ...body }).toMatchObject({
      status: 201,
      state: 'ready',
      source: `hf://acme/bot@${COMMIT}`,
      bytes: goldenFiles('qv-r8')[WEIGHTS]?.length,
    });
    const paths = hub.front.requests.map(({ path }) => path);
    expect(paths).toContain(`/acme/bot/resolve/${COMMIT}/${WEIGHTS}`);
    expect(paths.join()).not.toContain('evil');
  });

  it('takes a folder of a pull request', async () => {
    const files = goldenFiles('qv-r8');
    addRepo('acme/nested', { [`runs/7/${CONFIG}`]: files[CONFIG]!, [`runs/7/${WEIGHTS}`]: files[WEIGHTS]! });
    const { body } = await post('nested', 'hf://acme/nested@refs/pr/1/runs/7');
    expect(body).toMatchObject({ state: 'ready', source: `hf://acme/nested@${COMMIT}/runs/7` });
  });

  it('shows its token to the Hub only, not to where the Hub redirects', async () => {
    addRepo('acme/private', goldenFiles('qv-r8'), 'hub-token');
    expect((await post('private', 'hf://acme/private')).body.state).toBe('ready');
    expect(hub.front.requests.every(({ headers }) => headers.authorization === 'Bearer hub-token')).toBe(
      true,
    );
    expect(hub.storage.requests.length).toBeGreaterThan(0);
    expect(hub.storage.requests.some(({ headers }) => 'authorization' in headers)).toBe(false);
  });

  it('goes on where the connection broke', async () => {
    addRepo('acme/large', { ...goldenFiles('qv-r8'), [WEIGHTS]: randomBytes(100_000) });
    await rejection('warm', 'hf://acme/large'); // so that the storage knows the file
    const path = hub.storage.requests.at(-1)?.path ?? '';
    hub.storage.troubles.set(path, [{ cutAfterBytes: 40_960 }]);
    hub.storage.requests.length = 0;
    await rejection('large', 'hf://acme/large');
    // What came just before the connection broke may be lost with it, and nothing else.
    const [whole, rest, ...more] = hub.storage.rangesOf(path);
    expect([whole, more]).toEqual([undefined, []]);
    const from = Number(/^bytes=(\d+)-$/.exec(rest ?? '')?.[1]);
    expect(from > 0 && from <= 40_960).toBe(true);
  });

  it('rejects what the repository does not have, telling why', async () => {
    addRepo('acme/pickle', { [CONFIG]: Buffer.from('{}'), 'adapter_model.bin': Buffer.from('x') });
    expect(await rejection('pickle', 'hf://acme/pickle')).toContain('only safetensors');
    expect(await rejection('nobody', 'hf://acme/nobody')).toContain('does not exist');
    addRepo('acme/closed', goldenFiles('qv-r8'), 'another token');
    expect(await rejection('closed', 'hf://acme/closed')).toContain('may not read it');
  });
});

describe('an import from S3', () => {
  it('takes the files below a prefix that the operator opened', async () => {
    await addObjects('open/bot', goldenFiles('qv-r8'));
    const { body } = await post('s3-bot', 's3://models/open/bot/');
    expect(body).toMatchObject({ state: 'ready', source: 's3://models/open/bot' });
  });

  it('reads nothing elsewhere, and least of all what other tenants stored', async () => {
    await addObjects('closed/bot', goldenFiles('qv-r8'));
    await addObjects('open-not/bot', goldenFiles('qv-r8'));
    for (const source of [
      's3://models/closed/bot',
      's3://models/open-not/bot',
      's3://models',
      's3://nobody/open',
      's3://artifacts/lorikeet/sha256',
      's3://artifacts/lorikeet',
      's3://artifacts',
    ]) {
      expect(await rejection('outside', source)).toContain('not open for imports');
    }
  });

  it('says what is missing', async () => {
    await addObjects('open/half', { [CONFIG]: goldenFiles('qv-r8')[CONFIG]! });
    expect(await rejection('half', 's3://models/open/half')).toContain(`has no ${WEIGHTS}`);
  });
});

describe('storage in S3', () => {
  it('serves uploads, and frees them with their last version', async () => {
    const folder = join(import.meta.dirname, '../golden/cases/llama-gqa/adapters/all-r16-bf16');
    const { status, body } = await acme.uploadFolder('sent', folder);
    expect({ status, state: body.state }).toEqual({ status: 201, state: 'ready' });
    expect(await readdir(join(platform.folder, 'blobs'))).toEqual([]);
    await acme.expect(200, 'DELETE', '/v1/adapters/sent/versions/1');
  });
});

describe('a source as the model of a request', () => {
  const ask = (client: Client, model: string) =>
    client.call<{ model: string; error: { code: string; message: string } }>('POST', '/v1/completions', {
      model,
      prompt: 'Hi',
    });
  const versionsOf = async (client: Client) => {
    const { data } = await client.expect<{ data: { id: string; name: string }[] }>(
      200,
      'GET',
      '/v1/adapters',
    );
    const mine = data.filter(({ name }) => name.includes('lazy'));
    const lists = await Promise.all(
      mine.map(({ name }) =>
        client.expect<{ data: VersionResource[] }>(200, 'GET', `/v1/adapters/${name}/versions`),
      ),
    );
    return lists.flatMap((list) => list.data);
  };

  it('is imported on its first use, once, and answers then by the adapter that it became', async () => {
    addRepo('acme/lazy', goldenFiles('qv-r8'));
    platform.engine.script = answerText('Hello');
    const first = await Promise.all([1, 2, 3].map(() => ask(acme, 'hf://acme/lazy')));
    expect(first.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(first[0]?.body.model).toBe('hf://acme/lazy');
    const [version, ...others] = await versionsOf(acme);
    expect(others).toEqual([]);
    expect(version).toMatchObject({ state: 'ready', source: `hf://acme/lazy@${COMMIT}` });
    const asked = new Set(platform.engine.requests.slice(-3).map(({ adapter }) => adapter));
    expect([...asked]).toEqual([version?.digest]);
    const before = hub.front.requests.length;
    expect((await ask(acme, 'hf://acme/lazy')).status).toBe(200);
    expect((await ask(acme, String(version?.adapter))).status).toBe(200);
    expect(hub.front.requests).toHaveLength(before);
  });

  it('takes a key that may make adapters, and stays with its tenant', async () => {
    await platform.tenant('other');
    const admin = new Client(platform.url, ADMIN_KEY);
    const weak = async (tenant: string) => {
      const order = { name: 'weak', scopes: ['inference'] };
      const path = `/v1/admin/tenants/${tenant}/keys`;
      return new Client(platform.url, (await admin.expect<{ key: string }>(201, 'POST', path, order)).key);
    };
    const { status, body } = await ask(await weak('other'), 'hf://acme/lazy');
    expect([status, body.error.code]).toEqual([403, 'insufficient_scope']);
    expect((await ask(await weak('acme'), 'hf://acme/lazy')).status).toBe(200); // it is there already
  });

  it('says what was wrong with what lies there', async () => {
    addRepo('acme/lazy-broken', { [CONFIG]: Buffer.from('{}'), [WEIGHTS]: Buffer.from('x') });
    const { status, body } = await ask(acme, 'hf://acme/lazy-broken');
    expect([status, body.error.code]).toEqual([409, 'version_not_ready']);
    const path = /\/v1\/adapters\/hf-acme-lazy-broken-[0-9a-f]{12}\/versions\/1/.exec(
      body.error.message,
    )?.[0];
    expect(await acme.expect(200, 'GET', String(path))).toMatchObject({ state: 'rejected' });
    expect((await ask(acme, 'hf://lazy')).status).toBe(400); // no repository has such a name
  });
});
