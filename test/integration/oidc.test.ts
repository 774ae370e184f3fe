import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { CookieJar, OidcProvider } from '../support/oidc.js';
import { Platform } from '../support/platform.js';
import { freePort } from '../support/stack.js';

let platform: Platform;
let provider: OidcProvider;
let acme: Client;
let base: string;
let secondUrl: string;

beforeAll(async () => {
  const port = await freePort();
  base = `http://127.0.0.1:${port}`;
  provider = await OidcProvider.start(base, {
    ada: { name: 'Ada', roles: ['lorikeet-tenant', 'other'], tenant: 'acme' },
    olga: { roles: 'lorikeet-operator' },
    rolf: { roles: ['guests'], tenant: 'acme' },
    nora: { roles: ['lorikeet-tenant'] },
    una: { roles: ['lorikeet-tenant'], tenant: 'nowhere' },
    two: { roles: ['lorikeet-tenant'], tenant: ['acme', 'beta'] },
  });
  const env = { PUBLIC_URL: base, ...provider.settings };
  platform = await Platform.start({ worker: false, env });
  await platform.startApi({ PORT: String(port) });
  secondUrl = platform.url;
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await platform?.close();
  await provider?.stop();
});

const isCallback = (url: string): boolean => url.startsWith(`${base}/v1/session/oidc/callback`);

/** To the provider and back; returns the URL that the provider sends the browser to. */
async function callbackFor(person: string, jar: CookieJar, next = '/adapters'): Promise<string> {
  const form = await jar.follow(`${base}/v1/session/oidc/start?next=${encodeURIComponent(next)}`, (url) =>
    url.includes('/interaction/'),
  );
  await jar.send(form);
  const answer = await jar.send(form, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ prompt: 'login', login: person, password: 'any' }),
  });
  return jar.follow(new URL(answer.headers.get('location') ?? '', form).href, isCallback);
}

/** Where the callback sends the browser, after `base`. */
async function finish(callback: string, jar: CookieJar): Promise<string> {
  const response = await jar.send(callback);
  expect(response.status).toBe(303);
  return response.headers.get('location') ?? '';
}

async function signIn(person: string): Promise<CookieJar> {
  const jar = new CookieJar();
  expect(await finish(await callbackFor(person, jar), jar)).toBe('/console/adapters');
  return jar;
}

const asConsole = (jar: CookieJar, method: string, path: string, url = base) =>
  fetch(url + path, {
    method,
    headers: { cookie: `lorikeet_session=${jar.get('lorikeet_session')}`, 'x-lorikeet-console': '1' },
  });

const refusal = async (person: string, change: (url: URL, jar: CookieJar) => void = () => undefined) => {
  const jar = new CookieJar();
  const url = new URL(await callbackFor(person, jar));
  change(url, jar);
  const location = new URL(await finish(url.href, jar), base);
  expect(location.pathname).toBe('/console/sign-in');
  expect(location.searchParams.get('request')).toBeTruthy();
  expect(jar.get('lorikeet_session')).toBeUndefined();
  return location.searchParams.get('refused');
};

describe('signing in by OpenID Connect', () => {
  it('is offered where there is a provider, and asks it with PKCE, state and nonce', async () => {
    expect(await (await fetch(`${base}/v1/session/methods`)).json()).toEqual({
      object: 'session.methods',
      oidc: { name: 'Example ID', url: `${base}/v1/session/oidc/start` },
    });
    const response = await new CookieJar().send(`${base}/v1/session/oidc/start`);
    const asked = new URL(response.headers.get('location') ?? '');
    expect(asked.href.startsWith(provider.issuer)).toBe(true);
    expect(Object.fromEntries(asked.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'lorikeet',
      redirect_uri: `${base}/v1/session/oidc/callback`,
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/) as string,
      state: expect.stringMatching(/^[\w-]{43}$/) as string,
      nonce: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    expect(response.headers.get('set-cookie')).toMatch(
      /^lorikeet_sign_in=.*; Path=\/v1\/session\/oidc; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
  });

  it('gives a person the scopes of their roles in their tenant, on every API process', async () => {
    const jar = await signIn('ada');
    const session = (await (await asConsole(jar, 'GET', '/v1/session')).json()) as Record<string, unknown>;
    expect(session).toMatchObject({
      operator: false,
      tenant: { name: 'acme' },
      scopes: ['inference', 'adapters', 'usage'],
      person: { name: 'ada@example.com' },
    });
    const left_ms = Date.parse(session.expires_at as string) - Date.now();
    expect(left_ms).toBeGreaterThan(43_100_000);
    expect(left_ms).toBeLessThanOrEqual(43_200_000);
    expect((await asConsole(jar, 'GET', '/v1/adapters', secondUrl)).status).toBe(200);
    expect((await asConsole(jar, 'GET', '/v1/admin/tenants')).status).toBe(403);
    const { person } = session as { person: { id: string } };
    const audit = await platform.admin.expect<{ data: object[] }>(
      200,
      'GET',
      '/v1/admin/audit?action=console_session.open&limit=1',
    );
    expect(audit.data[0]).toMatchObject({
      actor: { type: 'person', id: person.id },
      after: { operator: false, person: 'ada@example.com' },
    });
  });

  it('makes an operator of whom the claim names so, without a tenant', async () => {
    const jar = await signIn('olga');
    expect((await asConsole(jar, 'GET', '/v1/admin/tenants')).status).toBe(200);
    expect(await (await asConsole(jar, 'GET', '/v1/session')).json()).toMatchObject({
      operator: true,
      tenant: null,
      person: { name: 'olga@example.com' },
    });
  });

  it('names why it refuses whom the claims give nothing', async () => {
    expect(await refusal('rolf')).toBe('no_role');
    expect(await refusal('nobody-known')).toBe('no_role');
    expect(await refusal('nora')).toBe('no_tenant');
    expect(await refusal('una')).toBe('unknown_tenant');
    expect(await refusal('two')).toBe('several_tenants');
  });

  it('refuses answers that are not the one that was asked for', async () => {
    const cookieWith = (change: object) => (_: URL, jar: CookieJar) => {
      const attempt = JSON.parse(
        Buffer.from(jar.get('lorikeet_sign_in') ?? '', 'base64url').toString(),
      ) as object;
      const changed = Buffer.from(JSON.stringify({ ...attempt, ...change })).toString('base64url');
      jar.set('lorikeet_sign_in', changed);
    };
    expect(await refusal('ada', (url) => url.searchParams.set('state', 'another'))).toBe('expired');
    expect(await refusal('ada', (_, jar) => jar.set('lorikeet_sign_in', 'x'))).toBe('expired');
    expect(await refusal('ada', cookieWith({ expires_ms: Date.now() - 1 }))).toBe('expired');
    expect(await refusal('ada', cookieWith({ nonce: 'another' }))).toBe('provider');
    expect(await refusal('ada', cookieWith({ verifier: 'x'.repeat(43) }))).toBe('provider');
    expect(await refusal('ada', (url) => url.searchParams.set('iss', 'http://other.example'))).toBe(
      'provider',
    );
    expect(await refusal('ada', (url) => url.searchParams.set('code', 'another'))).toBe('provider');
    expect(
      await refusal('ada', (url) => {
        url.searchParams.delete('code');
        url.searchParams.set('error', 'access_denied');
      }),
    ).toBe('cancelled');
  });

  it('makes one session of an answer, and leads nowhere but into the console', async () => {
    const jar = new CookieJar();
    const callback = await callbackFor('ada', jar, '//evil.example/');
    const attempt = jar.get('lorikeet_sign_in') ?? '';
    expect(await finish(callback, jar)).toBe('/console/');
    expect(jar.get('lorikeet_sign_in')).toBeUndefined();
    expect(await finish(callback, jar)).toContain('refused=expired');
    // Also where the browser still had its part, and the provider would answer twice.
    const response = await fetch(callback, {
      redirect: 'manual',
      headers: { cookie: `lorikeet_sign_in=${attempt}` },
    });
    expect(response.headers.get('location')).toMatch(/refused=(used|provider)/);
    const used = await platform.query<{ count: string }>('SELECT count(*) FROM used_sign_ins');
    expect(Number(used[0]?.count)).toBeGreaterThan(0);
  });
});

describe("a person's session", () => {
  it('is listed for the operator, who ends it at once everywhere, which is audited', async () => {
    const jar = await signIn('ada');
    expect((await asConsole(jar, 'GET', '/v1/adapters', secondUrl)).status).toBe(200);
    const { data } = await platform.admin.expect<{ data: { id: string; person: object; tenant: string }[] }>(
      200,
      'GET',
      '/v1/admin/sessions?limit=1',
    );
    expect(data[0]).toMatchObject({ person: { name: 'ada@example.com' }, tenant: 'acme', key: null });
    const id = data[0]?.id ?? '';
    await platform.admin.expect(200, 'DELETE', `/v1/admin/sessions/${id}`);
    await platform.admin.expect(404, 'DELETE', `/v1/admin/sessions/${id}`);
    await expect.poll(async () => (await asConsole(jar, 'GET', '/v1/adapters', secondUrl)).status).toBe(401);
    expect((await asConsole(jar, 'GET', '/v1/session')).status).toBe(401);
    const audit = await platform.admin.expect<{ data: { subject: object }[] }>(
      200,
      'GET',
      '/v1/admin/audit?action=console_session.revoke&limit=1',
    );
    expect(audit.data[0]?.subject).toEqual({ type: 'console_session', id });
    expect((await acme.call('GET', '/v1/admin/sessions')).status).toBe(403);
  });

  it('ends by its idle and absolute limits, with its tenant, and when the provider is another', async () => {
    const [idle, old, kept] = [await signIn('ada'), await signIn('ada'), await signIn('ada')];
    await platform.query(
      `UPDATE console_sessions SET last_used_at = now() - interval '13 hours' WHERE id =
         (SELECT id FROM console_sessions ORDER BY id DESC OFFSET 2 LIMIT 1)`,
    );
    await platform.query(
      `UPDATE console_sessions SET expires_at = now() - interval '1 second' WHERE id =
         (SELECT id FROM console_sessions ORDER BY id DESC OFFSET 1 LIMIT 1)`,
    );
    expect((await asConsole(idle, 'GET', '/v1/adapters', secondUrl)).status).toBe(401);
    expect((await asConsole(old, 'GET', '/v1/adapters', secondUrl)).status).toBe(401);
    expect((await asConsole(kept, 'GET', '/v1/adapters', secondUrl)).status).toBe(200);
    const elsewhere = await platform.startApi({ OIDC_ISSUER: 'https://id.example' });
    expect((await asConsole(kept, 'GET', '/v1/adapters', elsewhere)).status).toBe(401);
    const without = await platform.startApi({ OIDC_ISSUER: '' });
    expect((await asConsole(kept, 'GET', '/v1/adapters', without)).status).toBe(401);
    expect((await fetch(`${without}/v1/session/oidc/start`)).status).toBe(404);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'suspended' });
    await expect.poll(async () => (await asConsole(kept, 'GET', '/v1/adapters')).status).toBe(403);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'active' });
  });

  it('ends by signing out, and says where the provider ends its own', async () => {
    const jar = await signIn('ada');
    const closed = (await (await asConsole(jar, 'DELETE', '/v1/session')).json()) as {
      end_session_url: string;
    };
    const url = new URL(closed.end_session_url);
    expect(url.origin).toBe(provider.issuer);
    expect(url.searchParams.get('post_logout_redirect_uri')).toBe(`${base}/console/sign-in`);
    expect((await asConsole(jar, 'GET', '/v1/session')).status).toBe(401);
  });

  it('holds no secret of the provider in any table', async () => {
    const jar = await signIn('ada');
    const rows = JSON.stringify([
      await platform.query('SELECT * FROM console_sessions'),
      await platform.query('SELECT * FROM console_people'),
      await platform.query('SELECT * FROM used_sign_ins'),
    ]);
    expect(rows).not.toContain(jar.get('lorikeet_session'));
    expect(rows).toContain('ada');
  });
});

it('refuses a provider that says it is another, or is away, without ending the API', async () => {
  const other = provider.issuer.replace('127.0.0.1', 'localhost');
  for (const issuer of [other, 'http://127.0.0.1:1']) {
    const url = await platform.startApi({ OIDC_ISSUER: issuer });
    const response = await fetch(`${url}/v1/session/oidc/start`, { redirect: 'manual' });
    expect(response.headers.get('location')).toContain('refused=provider');
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  }
});
