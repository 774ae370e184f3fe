import { connect } from 'node:net';
import OpenAI from 'openai';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { Receiver } from '../support/webhooks.js';

const ORIGIN = 'https://app.example.com';

let platform: Platform;
let acme: Client;
let receiver: Receiver;

beforeAll(async () => {
  const env = { ALLOW_PRIVATE_IMPORTS: 'true', CORS_ORIGINS: ORIGIN };
  platform = await Platform.start({ worker: false, env });
  acme = await platform.tenant('acme');
  receiver = await Receiver.start();
});
afterAll(async () => {
  await receiver?.close();
  await platform?.close();
});

const bearer = () => ({ authorization: `Bearer ${acme.key}` });

describe("what OpenAI's and other servers' clients ask for", () => {
  it('cancels and lists fine-tuning jobs by their metadata through the openai client', async () => {
    await acme.expect(201, 'POST', '/v1/trainers', { name: 'gpu-box', url: receiver.url });
    const openai = new OpenAI({ apiKey: acme.key, baseURL: `${platform.url}/v1`, maxRetries: 0 });
    const make = (metadata?: Record<string, string>) =>
      openai.fineTuning.jobs.create({
        model: 'llama-gqa',
        training_file: 'file-abc',
        suffix: 'bot',
        ...(metadata ? { metadata } : {}),
      });
    const both = await make({ team: 'a', 'x[y]': '1' });
    const one = await make({ team: 'a' });
    const none = await make();
    const ids = async (metadata: Record<string, string> | null) =>
      (await openai.fineTuning.jobs.list({ metadata })).data.map(({ id }) => id);
    expect(await ids({ team: 'a' })).toEqual([one.id, both.id]);
    expect(await ids({ team: 'a', 'x[y]': '1' })).toEqual([both.id]);
    expect(await ids({ team: 'b' })).toEqual([]);
    const withNone = await acme.expect<{ data: { id: string }[] }>(
      200,
      'GET',
      '/v1/fine_tuning/jobs?metadata=null',
    );
    expect(withNone.data.map(({ id }) => id)).toEqual([none.id]);
    expect((await acme.call('GET', '/v1/fine_tuning/jobs?metadata=x')).status).toBe(400);
    expect((await openai.fineTuning.jobs.cancel(one.id)).status).toBe('cancelled');
    // As openai-python sends it: a type without a body.
    const path = `${platform.url}/v1/fine_tuning/jobs/${both.id}/cancel`;
    const headers = { ...bearer(), 'content-type': 'application/json' };
    expect((await fetch(path, { method: 'POST', headers })).status).toBe(200);
  });

  it.each(['/health', '/health/live', '/ping'])('answers %s without a key', async (path) => {
    const response = await fetch(platform.url + path);
    expect([response.status, await response.json()]).toEqual([200, { status: 'live' }]);
  });

  it('tells its version without a key', async () => {
    const { version } = (await (await fetch(`${platform.url}/version`)).json()) as { version: string };
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('lets pages of the allowed origins call it, and no others', async () => {
    const preflight = (origin: string) =>
      fetch(`${platform.url}/v1/chat/completions`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        },
      });
    const allowed = await preflight(ORIGIN);
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect((await preflight('https://evil.example.com')).headers.get('access-control-allow-origin')).not.toBe(
      'https://evil.example.com',
    );
    const refused = await fetch(`${platform.url}/v1/models`, { headers: { origin: ORIGIN } });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, ORIGIN]);
    expect(refused.headers.get('access-control-expose-headers')).toContain('x-request-id');
  });

  it('tells a client that it need not try again what can never succeed', async () => {
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', {
      quotas: { tokens_per_minute: 10 },
    });
    const body = { model: 'llama-gqa', prompt: 'x', max_tokens: 11 };
    // A process hears of a new limit a moment later; until then the engine is asked, which has no script here: 500.
    await expect
      .poll(async () => {
        const { status, headers } = await acme.call('POST', '/v1/completions', body);
        return [status, headers.get('x-should-retry'), headers.get('retry-after')];
      })
      .toEqual([429, 'false', null]);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', {
      quotas: { tokens_per_minute: null },
    });
  });
});

describe('no caller', () => {
  it('has a say in the URLs that others are told', async () => {
    const made = await fetch(`${platform.url}/v1/hooks`, {
      method: 'POST',
      headers: { ...bearer(), 'content-type': 'application/json', 'x-forwarded-host': 'evil.example.com' },
      body: JSON.stringify({ name: 'trainer' }),
    });
    expect(((await made.json()) as { url: string }).url).toMatch(`${platform.url}/v1/hooks/fine-tune/`);
    const { port, hostname } = new URL(platform.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `GET /v1/hooks HTTP/1.1\r\nhost: evil.example.com\r\nauthorization: Bearer ${acme.key}\r\nconnection: close\r\n\r\n`,
    );
    let received = '';
    for await (const chunk of socket) received += String(chunk);
    expect(received).toContain(`${platform.url}/v1/hooks/fine-tune/`);
    expect(received).not.toContain('evil.example.com');
  });

  it('registers a trainer at an address that is not public', async () => {
    const url = await platform.startApi({ ALLOW_PRIVATE_IMPORTS: 'false' });
    for (const target of [
      'http://127.0.0.1:1/',
      'https://10.0.0.1/',
      'https://localhost/x',
      'ftp://example.com/',
    ]) {
      const response = await fetch(`${url}/v1/trainers`, {
        method: 'POST',
        headers: { ...bearer(), 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'inside', url: target }),
      });
      expect([target, response.status]).toEqual([target, 400]);
      expect(await response.json()).toMatchObject({ error: { param: 'url' } });
    }
  });

  it.each([
    ['POST', '/v1/adapters', '{"name":"a","description":"\\u0000"}'],
    ['POST', '/v1/adapters', '{"name":"a","labels":{"\\ud800":"x"}}'],
    ['POST', '/v1/hooks', '{"name":"\\udfff"}'],
    ['PATCH', '/v1/adapters/x%00y', '{}'],
    ['GET', '/v1/adapters?after=%00', undefined],
    ['GET', '/v1/adapters?label=a%3D%00', undefined],
    ['GET', '/v1/usage?adapter=%00', undefined],
    ['DELETE', '/v1/adapters/%00', undefined],
    ['GET', '/v1/models/a%00', undefined],
  ])('stores what is no text: %s %s', async (method, path, body) => {
    const headers = { ...bearer(), ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const response = await fetch(platform.url + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    expect([response.status, (await response.json()) as object]).toMatchObject([
      400,
      { error: { code: 'invalid_request' } },
    ]);
  });

  it('stores a NUL in the name of an upload', async () => {
    const response = await fetch(`${platform.url}/v1/uploads`, {
      method: 'POST',
      headers: {
        ...bearer(),
        'tus-resumable': '1.0.0',
        'upload-length': '1',
        'upload-metadata': `filename ${Buffer.from('a\0b').toString('base64')}`,
      },
    });
    expect([response.status, (await response.json()) as object]).toMatchObject([
      400,
      { error: { code: 'invalid_request' } },
    ]);
  });

  it('reaches names of up to 128 characters only', async () => {
    const name = 'a'.repeat(128);
    await acme.expect(201, 'POST', '/v1/adapters', { name });
    const read = await acme.call('GET', `/v1/adapters/${name}`);
    expect([read.status, read.body.name]).toEqual([200, name]);
    await acme.expect(200, 'DELETE', `/v1/adapters/${name}`);
  });
});

it('answers 503 while a lock is not given', async () => {
  const impatient = new Client(await platform.startApi({ DATABASE_STATEMENT_MS: '1000' }), acme.key);
  const holder = new pg.Client({ connectionString: platform.postgres.url });
  await holder.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE adapters IN ACCESS EXCLUSIVE MODE');
    const { status, headers, body } = await impatient.call('POST', '/v1/adapters', { name: 'waits' });
    expect([status, body]).toMatchObject([503, { error: { code: 'dependency_unavailable' } }]);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  } finally {
    await holder.query('ROLLBACK');
    await holder.end();
  }
});

it('answers every URL of the operator with the envelope, known or not', async () => {
  const admin = { authorization: `Bearer ${ADMIN_KEY}` };
  const response = await fetch(`${platform.url}/v1/admin/nowhere`, {
    method: 'POST',
    headers: admin,
    body: '[['.repeat(1e6),
  });
  expect([response.status, (await response.json()) as object]).toMatchObject([
    404,
    { error: { code: 'not_found' } },
  ]);
});
