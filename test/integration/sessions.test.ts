import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let secondUrl: string;

beforeAll(async () => {
  platform = await Platform.start({ worker: false, env: { CONSOLE_SESSION_IDLE_SECONDS: '3600' } });
  acme = await platform.tenant('acme');
  secondUrl = await platform.startApi();
});
afterAll(() => platform.close());

interface Sent {
  readonly status: number;
  readonly cookie: string | null;
  readonly body: Record<string, unknown> & { error?: { code: string; message: string } };
}

/** As a browser at the console sends it. */
async function send(
  method: string,
  path: string,
  options: { cookie?: string; body?: unknown; headers?: Record<string, string>; url?: string } = {},
): Promise<Sent> {
  const { cookie, body, headers = { 'x-lorikeet-console': '1' }, url = platform.url } = options;
  const response = await fetch(url + path, {
    method,
    headers: {
      ...headers,
      ...(cookie === undefined ? {} : { cookie }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    cookie: response.headers.get('set-cookie'),
    body: (text === '' ? {} : JSON.parse(text)) as Sent['body'],
  };
}

async function signIn(key: string): Promise<string> {
  const { status, cookie } = await send('POST', '/v1/session', { body: { key } });
  expect(status).toBe(201);
  return (cookie ?? '').split(';')[0] ?? '';
}

describe('signing in', () => {
  it('turns a key into a cookie that no script reads and no other site sends', async () => {
    const { status, cookie, body } = await send('POST', '/v1/session', { body: { key: ADMIN_KEY } });
    expect(status).toBe(201);
    expect(body).toMatchObject({ object: 'session', operator: true, tenant: null, viewing: false });
    expect(cookie).toMatch(
      /^lorikeet_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=604800$/,
    );
    expect(JSON.stringify(body)).not.toContain(ADMIN_KEY);
  });

  it('refuses a key that is none, and asks for exactly one of key and link', async () => {
    expect((await send('POST', '/v1/session', { body: { key: 'lk_nothing' } })).body.error?.code).toBe(
      'invalid_api_key',
    );
    expect((await send('POST', '/v1/session', { body: {} })).status).toBe(400);
    expect((await send('POST', '/v1/session', { body: { key: ADMIN_KEY, link: 'x' } })).status).toBe(400);
  });

  it('works once by a link, which needs a key to be made', async () => {
    expect((await send('POST', '/v1/session/links')).status).toBe(401);
    const { path } = await acme.expect<{ path: string }>(201, 'POST', '/v1/session/links');
    const link = path.split('#')[1];
    const first = await send('POST', '/v1/session', { body: { link } });
    expect(first.body).toMatchObject({ operator: false, tenant: { name: 'acme' } });
    expect((await send('POST', '/v1/session', { body: { link } })).status).toBe(401);
  });
});

describe('a session', () => {
  it('may do what its key may, on every API process, and ends by signing out', async () => {
    const cookie = await signIn(acme.key);
    expect((await send('GET', '/v1/adapters', { cookie, url: secondUrl })).status).toBe(200);
    expect((await send('GET', '/v1/admin/tenants', { cookie })).body.error?.code).toBe('insufficient_scope');
    expect((await send('DELETE', '/v1/session', { cookie })).cookie).toContain('Max-Age=0');
    await expect
      .poll(async () => (await send('GET', '/v1/adapters', { cookie, url: secondUrl })).status)
      .toBe(401);
  });

  it('ends within a second of its key, on every API process', async () => {
    const { id, key } = await platform.admin.expect<{ id: string; key: string }>(
      201,
      'POST',
      '/v1/admin/keys',
      { name: 'x' },
    );
    const cookie = await signIn(key);
    expect((await send('GET', '/v1/admin/tenants', { cookie, url: secondUrl })).status).toBe(200);
    await platform.admin.expect(200, 'DELETE', `/v1/admin/keys/${id}`);
    await expect
      .poll(async () => (await send('GET', '/v1/admin/tenants', { cookie, url: secondUrl })).status)
      .toBe(401);
    expect((await send('GET', '/v1/session', { cookie })).status).toBe(401);
  });

  it('changes nothing for another site, nor without the console’s header', async () => {
    const cookie = await signIn(ADMIN_KEY);
    const body = { name: 'forged' };
    const plain = await send('POST', '/v1/admin/tenants', { cookie, body, headers: {} });
    expect(plain.body.error?.code).toBe('insufficient_scope');
    const foreign = { 'x-lorikeet-console': '1', 'sec-fetch-site': 'cross-site' };
    expect((await send('POST', '/v1/admin/tenants', { cookie, body, headers: foreign })).status).toBe(403);
    expect(
      (await send('GET', '/v1/admin/tenants', { cookie, headers: { 'sec-fetch-site': 'same-site' } })).status,
    ).toBe(403);
    expect((await send('POST', '/v1/admin/tenants', { cookie, body })).status).toBe(201);
  });

  it('is over after its time without use, and after its time in all', async () => {
    const idle = await signIn(acme.key);
    await platform.query("UPDATE console_sessions SET last_used_at = now() - interval '61 minutes'");
    const old = await signIn(acme.key);
    await platform.query(
      "UPDATE console_sessions SET expires_at = now() - interval '1 second' WHERE last_used_at > now() - interval '1 minute'",
    );
    // The API that signed in remembers the session; the other one reads it.
    expect((await send('GET', '/v1/adapters', { cookie: idle, url: secondUrl })).status).toBe(401);
    expect((await send('GET', '/v1/adapters', { cookie: old, url: secondUrl })).status).toBe(401);
  });

  it('stands in no table as it is', async () => {
    const cookie = await signIn(acme.key);
    const rows = await platform.query('SELECT * FROM console_sessions');
    expect(JSON.stringify(rows)).not.toContain(cookie.split('=')[1]);
    expect(JSON.stringify(rows)).not.toContain(acme.key);
  });
});

describe('looking as a tenant', () => {
  it('shows an operator what the tenant sees, changes nothing, and is audited', async () => {
    const cookie = await signIn(ADMIN_KEY);
    await acme.expect(201, 'POST', '/v1/adapters', { name: 'seen' });
    const view = await send('PUT', '/v1/session/view', { cookie, body: { tenant: 'acme' } });
    expect(view.body).toMatchObject({ operator: true, viewing: true, tenant: { name: 'acme' } });
    const adapters = await send('GET', '/v1/adapters', { cookie });
    expect(JSON.stringify(adapters.body)).toContain('"seen"');
    // Another tenant cannot be named beside it, and nothing can be changed.
    await platform.tenant('other');
    const elsewhere = { 'x-lorikeet-console': '1', 'x-tenant': 'other' };
    expect(
      JSON.stringify((await send('GET', '/v1/adapters', { cookie, headers: elsewhere })).body),
    ).toContain('"seen"');
    expect((await send('DELETE', '/v1/adapters/seen', { cookie })).status).toBe(403);
    expect(
      (await send('POST', '/v1/chat/completions', { cookie, body: { model: 'x', messages: [] } })).status,
    ).toBe(403);
    expect((await send('GET', '/v1/admin/tenants', { cookie })).status).toBe(403);

    expect((await send('PUT', '/v1/session/view', { cookie, body: { tenant: null } })).body).toMatchObject({
      viewing: false,
    });
    expect((await send('GET', '/v1/admin/tenants', { cookie })).status).toBe(200);
    const audit = await platform.admin.expect<{ data: { action: string }[] }>(
      200,
      'GET',
      '/v1/admin/audit?action=console_session.*&limit=2',
    );
    expect(audit.data.map(({ action }) => action)).toEqual([
      'console_session.unview',
      'console_session.view',
    ]);
  });

  it('is for operators alone', async () => {
    const cookie = await signIn(acme.key);
    expect((await send('PUT', '/v1/session/view', { cookie, body: { tenant: 'other' } })).status).toBe(403);
  });
});
