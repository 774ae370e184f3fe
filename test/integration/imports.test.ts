import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { LimitsResource } from '#contracts/limits-api.js';
import { CONFIG, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { FileServer } from '../support/file-server.js';
import { padded, untilVersion } from '../support/imports.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let server: FileServer;
beforeAll(async () => {
  server = await FileServer.start();
  server.add('/good', goldenFiles('qv-r8'));
  platform = await Platform.start({ env: { ALLOW_PRIVATE_IMPORTS: 'true', MAX_UPLOAD_BYTES: '4M' } });
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await platform?.close();
  server?.close();
});
afterEach(() => {
  server.beforeChunk = () => undefined;
  server.etags = true;
  server.troubles.clear();
  server.requests.length = 0;
});

const post = (adapter: string, body: object, query = 'create=true&wait=30') =>
  acme.call<VersionResource>('POST', `/v1/adapters/${adapter}/versions?${query}`, body);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const partials = () => readdir(join(platform.env.DATA_DIR ?? '', 'imports')).catch(() => []);
/** After its beginning a file takes far longer than any test. */
const trickle = (at: number) => (at >= 8192 ? sleep(250) : undefined);
const weights = (): Uint8Array => goldenFiles('qv-r8')[WEIGHTS] as Uint8Array;

describe('an import', () => {
  it('fetches a folder over http, and is then a version like any other', async () => {
    const { status, body } = await post('folder', {
      source: `${server.url}/good`,
      sha256: sha256(weights()).toUpperCase(),
      description: 'fetched',
      labels: { run: '7' },
    });
    const bytes_total = weights().length + (goldenFiles('qv-r8')[CONFIG]?.length ?? 0);
    expect({ status, ...body }).toMatchObject({
      status: 201,
      state: 'ready',
      source: `${server.url}/good/`,
      weights_sha256: sha256(weights()),
      bytes: weights().length,
      description: 'fetched',
      labels: { run: '7' },
      import: { bytes_done: bytes_total, bytes_total, attempts: 1, last_error: null, next_attempt_at: null },
    });
    const uploaded = await acme.uploadFolder('sent', join(goldenRoot(), 'qv-r8'));
    expect(uploaded.body.digest).toBe(body.digest); // the same bytes, the same digest
    await expect.poll(partials).toEqual([]);
  });

  it('takes the two files by their own URLs, and shows no signature', async () => {
    server.files.set('/a/config.json', goldenFiles('qv-r8')[CONFIG] as Uint8Array);
    server.files.set('/b/weights', weights());
    const { body } = await post('pair', {
      config_url: `${server.url}/a/config.json?signature=secret`,
      weights_url: `${server.url}/b/weights?signature=secret`,
    });
    expect(body).toMatchObject({ state: 'ready', source: `${server.url}/b/weights` });
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  it.each([
    [{}, 'exactly one'],
    [{ source: 'https://a.example/', weights_url: 'https://a.example/b' }, 'exactly one'],
    [{ weights_url: 'https://a.example/b' }, 'config_url'],
    [{ source: 'ftp://a.example/' }, 'https://'],
    [{ source: 'https://user:secret@a.example/' }, 'user name or password'],
    [{ source: 'https://a.example/model.bin' }, 'PyTorch file'],
    [{ source: 'https://a.example/model.zip' }, 'folder'],
    [{ source: 'hf://just-one-part' }, 'hf://org/repo'],
    [{ source: 'hf://a/b@../../c' }, 'revision'],
    [{ source: 's3://B/c' }, 's3://bucket/prefix'],
    [{ source: 's3://bucket/a/../b' }, 's3://bucket/prefix'],
    [{ source: 'https://a.example/', sha256: 'abc' }, '64 hexadecimal digits'],
    [{ source: 'https://a.example/', colour: 'red' }, 'colour'],
  ])('is refused at once for %o', async (body, text) => {
    const answer = await post('refused', body);
    expect({ status: answer.status, text: JSON.stringify(answer.body) }).toEqual({
      status: 400,
      text: expect.stringContaining(text),
    });
  });

  it('needs an adapter, or leave to make one', async () => {
    expect((await post('nobody', { source: `${server.url}/good` }, '')).status).toBe(404);
  });

  it('rejects what hashes to something else, and frees it', async () => {
    const expected = 'a'.repeat(64);
    const { status, body } = await post('mismatch', { source: `${server.url}/good`, sha256: expected });
    expect(status).toBe(422);
    expect(JSON.stringify(body)).toContain(`the import expects ${expected}`);
    await expect.poll(partials).toEqual([]);
  });

  it.each([
    [404, 'has no adapter_config.json'],
    [403, 'answered 403'],
  ])('rejects at once what the source answers with %i', async (status, text) => {
    server.troubles.set(`/good/${CONFIG}`, [{ status }]);
    const answer = await post(`status-${status}`, { source: `${server.url}/good` });
    expect({ status: answer.status, text: JSON.stringify(answer.body) }).toEqual({
      status: 422,
      text: expect.stringContaining(text),
    });
    expect(server.requests).toHaveLength(1);
  });

  it('rejects a file that is larger than allowed, before it is fetched', async () => {
    server.add('/large', { ...goldenFiles('qv-r8'), [WEIGHTS]: new Uint8Array(5 * 2 ** 20) });
    const answer = await post('large', { source: `${server.url}/large` });
    expect(JSON.stringify(answer.body)).toContain('larger than the');
    expect(answer.status).toBe(422);
  });

  it('ends at once, with the reason, when its bytes pass the quota, and frees them', async () => {
    const poor = await platform.tenant('poor');
    const quotas = { stored_bytes: weights().length };
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/poor', { quotas });
    server.add('/unshared', { ...goldenFiles('qv-r8'), [WEIGHTS]: padded(weights(), weights().length + 8) });
    const body = { source: `${server.url}/unshared` };
    const answer = await poor.call('POST', '/v1/adapters/large/versions?create=true&wait=30', body);
    expect({ status: answer.status, text: JSON.stringify(answer.body) }).toEqual({
      status: 422,
      text: expect.stringContaining(`its quota is ${quotas.stored_bytes}`),
    });
    const version = await poor.expect<VersionResource>(200, 'GET', '/v1/adapters/large/versions/1');
    const failure = expect.stringMatching(
      /^The tenant stores 0 bytes, and its quota is \d+; this needs/,
    ) as string;
    expect(version).toMatchObject({
      state: 'rejected',
      failure,
      import: { attempts: 1, next_attempt_at: null },
    });
    expect(await poor.expect<LimitsResource>(200, 'GET', '/v1/limits')).toMatchObject({
      used: { stored_bytes: 0 },
    });
    await expect.poll(partials).toEqual([]);
    const [blob] = await platform.query('SELECT FROM version_files WHERE version_id = $1', [version.id]);
    expect(blob).toBeUndefined();
    const hash = sha256(padded(weights(), weights().length + 8));
    expect(await readdir(join(platform.folder, 'blobs', 'sha256'), { recursive: true })).not.toContainEqual(
      expect.stringContaining(hash),
    );
  });

  it('tries again after failures that pass, not sooner than it was asked to', async () => {
    const busy = { status: 429, headers: { 'retry-after': '2' } };
    // Whoever looks too late at one of them sees it wait after the next.
    server.troubles.set(`/good/${CONFIG}`, [{ status: 503 }, ...Array.from({ length: 6 }, () => busy)]);
    await post('patient', { source: `${server.url}/good` }, 'create=true');
    const waiting = await untilVersion(acme, 'patient', {
      is: ({ import: each }) => (each?.attempts ?? 0) > 1 && each?.next_attempt_at !== null,
    });
    server.troubles.clear();
    expect(waiting).toMatchObject({ state: 'importing', digest: null, bytes: null });
    expect(waiting.import?.last_error).toContain('answered 429');
    const attempts = waiting.import?.attempts ?? 0;
    const told = server.requests.filter(({ path }) => path === `/good/${CONFIG}`)[attempts - 1];
    expect(Date.parse(waiting.import?.next_attempt_at ?? '') - (told?.at_ms ?? 0)).toBeGreaterThan(1_900);
    const settled = await untilVersion(acme, 'patient', { is: ({ state }) => state === 'ready' });
    expect(settled.import).toMatchObject({ last_error: null });
    expect(settled.import?.attempts).toBeGreaterThan(attempts);
  });

  it('goes on where the connection broke, and only there', async () => {
    server.troubles.set(`/good/${WEIGHTS}`, [{ cutAfterBytes: 8192 }, { cutAfterBytes: 4096 }]);
    const { body } = await post('broken', { source: `${server.url}/good` });
    expect(body).toMatchObject({
      state: 'ready',
      weights_sha256: sha256(weights()),
      import: { attempts: 3 },
    });
    // What came just before the connection broke may be lost with it, and nothing else.
    const [whole, ...from] = server.rangesOf(`/good/${WEIGHTS}`);
    const [second = 0, third = 0] = from.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]));
    expect([whole, from.length]).toEqual([undefined, 2]);
    expect(second > 0 && second <= 8192 && third > second && third <= second + 4096).toBe(true);
    expect(server.rangesOf(`/good/${CONFIG}`)).toEqual([undefined]);
  });

  it('begins anew when the file has changed meanwhile, or cannot be told from another', async () => {
    server.add('/moving', { ...goldenFiles('qv-r8'), [WEIGHTS]: randomBytes(weights().length) });
    const whenCut = () => server.add('/moving', goldenFiles('qv-r8'));
    server.troubles.set(`/moving/${WEIGHTS}`, [{ cutAfterBytes: 8192, whenCut }]);
    await post('moving', { source: `${server.url}/moving` }, 'create=true');
    const moved = await untilVersion(acme, 'moving', { is: ({ state }) => state === 'ready' });
    expect(moved.weights_sha256).toBe(sha256(weights()));

    server.etags = false;
    server.troubles.set(`/good/${WEIGHTS}`, [{ cutAfterBytes: 8192 }]);
    const { body } = await post('anonymous', { source: `${server.url}/good` });
    expect(body).toMatchObject({ state: 'ready', weights_sha256: sha256(weights()) });
    expect(server.rangesOf(`/good/${WEIGHTS}`)).toEqual([undefined, undefined]);
  });

  it('shows how far it is, and ends when it is cancelled', async () => {
    server.add('/slow', { ...goldenFiles('qv-r8'), [WEIGHTS]: randomBytes(2 ** 20) });
    server.beforeChunk = trickle;
    const { body: started } = await post('slow', { source: `${server.url}/slow` }, 'create=true');
    expect(started).toMatchObject({ state: 'importing', version: 1, bytes: null, weights_sha256: null });
    const moving = await untilVersion(acme, 'slow', {
      is: ({ import: each }) => (each?.bytes_done ?? 0) > 2000,
    });
    expect(moving.import?.bytes_total).toBeGreaterThan(2 ** 20);
    await expect.poll(partials).toEqual([started.id]); // what earlier ones left is removed after they are ready

    const path = '/v1/adapters/slow/versions/1/cancel';
    const cancelled = await acme.expect<VersionResource>(200, 'POST', path);
    expect(cancelled).toMatchObject({ state: 'rejected', failure: 'The import was cancelled.' });
    await expect.poll(partials).toEqual([]);
    expect((await acme.call('POST', path)).status).toBe(409);
    const globex = await platform.tenant('globex');
    expect((await globex.call('POST', path)).status).toBe(404);
  });

  it('ends when its version is deleted', async () => {
    server.beforeChunk = trickle;
    await post('deleted', { source: `${server.url}/slow` }, 'create=true');
    await untilVersion(acme, 'deleted', { is: ({ import: each }) => (each?.bytes_done ?? 0) > 2000 });
    await acme.expect(200, 'DELETE', '/v1/adapters/deleted/versions/1');
    await expect.poll(partials).toEqual([]);
    const { data } = await acme.expect<{ data: object[] }>(200, 'GET', '/v1/adapters/deleted/versions');
    expect(data).toEqual([]);
  });

  it('is neither served nor called `latest` before it is ready', async () => {
    server.beforeChunk = trickle;
    await acme.uploadFolder('half', join(goldenRoot(), 'qv-r8'));
    await post('half', { source: `${server.url}/slow` }, '');
    const alias = await acme.expect(200, 'GET', '/v1/adapters/half/aliases/latest');
    expect(alias).toMatchObject({ routes: [{ version: 1 }] });
    const refused = await acme.call('PUT', '/v1/adapters/half/aliases/production', {
      routes: [{ version: 2 }],
    });
    expect(refused.status).toBe(409);
    await acme.expect(200, 'DELETE', '/v1/adapters/half/versions/2');
  });
});

describe('an import without ALLOW_PRIVATE_IMPORTS', () => {
  it('cannot reach private addresses', async () => {
    const strict = new (acme.constructor as typeof Client)(
      await platform.startApi({ ALLOW_PRIVATE_IMPORTS: 'false' }),
      acme.key,
    );
    for (const source of ['https://127.0.0.1/a', 'https://169.254.169.254/latest', 'http://a.example/']) {
      const answer = await strict.call('POST', '/v1/adapters/private/versions?create=true', { source });
      expect(answer.status).toBe(400);
    }
  });
});

function goldenRoot(): string {
  return join(import.meta.dirname, '../golden/cases/llama-gqa/adapters');
}
