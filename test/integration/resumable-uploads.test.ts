import { createHash, randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Upload } from 'tus-js-client';
import { Client as Postgres } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { UploadResource } from '#contracts/uploads-api.js';
import { CONFIG, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let globex: Client;
beforeAll(async () => {
  platform = await Platform.start({ env: { MAX_UPLOAD_BYTES: '4M' } });
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
});
afterAll(() => platform?.close());

const TUS = { 'tus-resumable': '1.0.0' };
const tus = (
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Uint8Array,
  by = acme,
) =>
  fetch(by.url + path, {
    method,
    headers: { authorization: `Bearer ${by.key}`, ...TUS, ...headers },
    ...(body ? { body: body as BodyInit } : {}),
  });
const patch = (path: string, offset: number, body: Uint8Array, by = acme) =>
  tus(
    'PATCH',
    path,
    { 'upload-offset': `${offset}`, 'content-type': 'application/offset+octet-stream' },
    body,
    by,
  );
async function begin(bytes: number): Promise<string> {
  const made = await tus('POST', '/v1/uploads', { 'upload-length': String(bytes) });
  expect(made.status).toBe(201);
  return made.headers.get('location') ?? '';
}
const idOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Of the files that are just being received. */
async function incomingBytes(): Promise<number> {
  const folder = join(platform.folder, 'blobs', 'incoming');
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** As a browser or a script would, with the client that most use. */
function send(bytes: Uint8Array, filename: string, chunkSize = Number.POSITIVE_INFINITY): Promise<string> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(Buffer.from(bytes), {
      endpoint: `${acme.url}/v1/uploads`,
      headers: { authorization: `Bearer ${acme.key}` },
      metadata: { filename },
      chunkSize,
      onError: reject,
      onSuccess: () => resolve(idOf(upload.url ?? '')),
    });
    upload.start();
  });
}

describe('resumable uploads', () => {
  it('become a version, whose bytes are those that were sent', async () => {
    const files = goldenFiles('qv-r8');
    const config = await send(files[CONFIG] as Uint8Array, CONFIG);
    const weights = await send(files[WEIGHTS] as Uint8Array, WEIGHTS, 5_000);
    const upload = await acme.expect<UploadResource>(200, 'GET', `/v1/uploads/${weights}`);
    expect(upload).toMatchObject({ received_bytes: files[WEIGHTS]?.length, metadata: { filename: WEIGHTS } });

    const sha256 = createHash('sha256')
      .update(files[WEIGHTS] as Uint8Array)
      .digest('hex');
    const body = { uploads: { config, weights }, sha256, labels: { by: 'tus' } };
    const version = await acme.expect<VersionResource>(
      201,
      'POST',
      '/v1/adapters/bot/versions?create=true&wait=30',
      body,
    );
    expect(version).toMatchObject({
      state: 'ready',
      source: 'upload',
      weights_sha256: sha256,
      labels: { by: 'tus' },
    });
    // What was used is gone: its bytes are the version's now.
    await expect.poll(async () => (await acme.call('GET', `/v1/uploads/${weights}`)).status).toBe(404);
    await expect.poll(async () => await parts()).toBe(0);
  });

  it('go on where a connection broke', async () => {
    const bytes = randomBytes(200_000);
    const path = await begin(bytes.length);
    const { hostname, port } = new URL(acme.url);
    const headers = {
      ...TUS,
      authorization: `Bearer ${acme.key}`,
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
      'content-length': String(bytes.length),
    };
    const broken = request({ method: 'PATCH', hostname, port, path, headers });
    const ended = new Promise((resolve) => broken.once('close', resolve));
    broken.on('error', () => undefined);
    broken.write(bytes.subarray(0, 120_000));
    await expect.poll(incomingBytes).toBe(120_000);
    broken.destroy();
    await ended;
    const offset = async () => Number((await tus('HEAD', path)).headers.get('upload-offset'));
    await expect.poll(offset).toBe(120_000);
    const done = await patch(path, 120_000, bytes.subarray(120_000));
    expect([done.status, done.headers.get('upload-offset')]).toEqual([204, '200000']);
  });

  it('take each byte once: another offset is a conflict', async () => {
    const path = await begin(10);
    expect((await patch(path, 0, randomBytes(4))).status).toBe(204);
    expect((await patch(path, 0, randomBytes(4))).status).toBe(409);
    expect((await patch(path, 4, randomBytes(7))).status).toBe(413);
    const head = await tus('HEAD', path);
    expect([head.headers.get('upload-offset'), head.headers.get('upload-length')]).toEqual(['4', '10']);
  });

  it('go on at any API of the same storage', async () => {
    const path = await begin(8);
    await patch(path, 0, Buffer.from('half'));
    const second = { url: await platform.startApi(), key: acme.key } as Client;
    expect((await patch(path, 4, Buffer.from('half'), second)).status).toBe(204);
  });

  it("are nobody else's", async () => {
    const path = await begin(4);
    expect((await tus('HEAD', path, {}, undefined, globex)).status).toBe(404);
    expect((await patch(path, 0, Buffer.from('evil'), globex)).status).toBe(404);
    expect((await tus('DELETE', path, {}, undefined, globex)).status).toBe(404);
    expect((await globex.call('GET', path)).status).toBe(404);
    await patch(path, 0, Buffer.from('mine'));
    const uploads = { config: idOf(path), weights: idOf(path) };
    const stolen = await globex.call('POST', '/v1/adapters/thief/versions?create=true', { uploads });
    expect(stolen).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param: 'uploads' } },
    });
  });

  it('are no version before they are finished', async () => {
    const path = await begin(10);
    await patch(path, 0, Buffer.from('half'));
    const uploads = { config: idOf(path), weights: idOf(path) };
    const answer = await acme.call('POST', '/v1/adapters/early/versions?create=true', { uploads });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toContain('Only 4 of 10 bytes');
  });

  it('are not larger than allowed', async () => {
    expect((await tus('POST', '/v1/uploads', { 'upload-length': String(5 * 2 ** 20) })).status).toBe(413);
    expect((await tus('OPTIONS', '/v1/uploads')).headers.get('tus-max-size')).toBe(String(4 * 2 ** 20));
  });

  it('free their bytes when they are given up, or expire', async () => {
    const before = await parts();
    const path = await begin(4);
    await patch(path, 0, Buffer.from('gone'));
    expect(await parts()).toBe(before + 1);
    expect((await tus('DELETE', path)).status).toBe(204);
    expect(await parts()).toBe(before);

    const expired = await begin(4);
    await patch(expired, 0, Buffer.from('late'));
    await query(
      `UPDATE resumable_uploads SET expires_at = now() - interval '1 minute' WHERE id = '${idOf(expired)}'`,
    );
    expect((await tus('HEAD', expired)).status).toBe(404);
    await platform.startWorker(); // sweeps at once
    await expect.poll(parts).toBe(before);
  });
});

async function query(sql: string): Promise<{ rows: { count: string }[] }> {
  const postgres = new Postgres({ connectionString: platform.postgres.url });
  await postgres.connect();
  try {
    return await postgres.query(sql);
  } finally {
    await postgres.end();
  }
}

async function parts(): Promise<number> {
  const { rows } = await query('SELECT count(*) FROM upload_parts');
  return Number(rows[0]?.count);
}
