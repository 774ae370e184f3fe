import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ApiKeyResource, CreatedKey } from '#contracts/admin-api.js';
import type { CreatedOperatorKey } from '#contracts/operator-keys-api.js';
import { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

// What a process has read stays fresh for longer than a test runs: only hearing of a change can renew it.
vi.mock('#stores/fresh-time.js', () => ({ FRESH_MS: 600_000 }));

let platform: Platform;
let secondUrl: string;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  secondUrl = await platform.startApi();
  await platform.admin.expect(201, 'POST', '/v1/admin/tenants', { name: 'acme' });
});
afterAll(() => platform?.close());

const KEYS = '/v1/admin/tenants/acme/keys';
const makeKey = (body: object) =>
  platform.admin.expect<CreatedKey>(201, 'POST', KEYS, { name: 'test', ...body });

async function answer(url: string, key: string, path = '/v1/models'): Promise<[number, string | undefined]> {
  const { status, body } = await new Client(url, key).call<{ error?: { code: string } }>('GET', path);
  return [status, body.error?.code];
}

/** Waits until both APIs answer so. */
async function expectBoth(key: string, expected: [number, string | undefined]): Promise<void> {
  const began_ms = performance.now();
  for (const url of [platform.url, secondUrl]) {
    while (String(await answer(url, key)) !== String(expected)) {
      if (performance.now() - began_ms > 20_000) throw new Error(`still not ${expected}`);
      await sleep(20);
    }
  }
}

describe('an API key', () => {
  it('is shown once and stored as a hash only', async () => {
    const { key, ...shown } = await makeKey({ scopes: ['inference'] });
    expect(key).toMatch(/^lk_[A-Za-z0-9_-]{43}$/);
    expect(shown).toMatchObject({
      object: 'api_key',
      tenant: 'acme',
      prefix: key.slice(0, 10),
      revoked_at: null,
    });
    const list = await platform.admin.call('GET', KEYS);
    expect(JSON.stringify(list.body)).toContain(shown.id);
    expect(JSON.stringify(list.body)).not.toContain(key);
  });

  it('opens only what its scopes allow', async () => {
    const inference = await makeKey({ scopes: ['inference'] });
    const adapters = await makeKey({ scopes: ['adapters'] });
    const usage = await makeKey({ scopes: ['usage'] });
    const no = [403, 'insufficient_scope'];
    const yes = [200, undefined];
    expect(await answer(platform.url, inference.key)).toEqual(yes);
    expect(await answer(platform.url, inference.key, '/v1/adapters')).toEqual(no);
    expect(await answer(platform.url, inference.key, '/v1/usage')).toEqual(no);
    expect(await answer(platform.url, adapters.key)).toEqual(no);
    expect(await answer(platform.url, adapters.key, '/v1/adapters')).toEqual(yes);
    expect(await answer(platform.url, adapters.key, '/v1/usage')).toEqual(yes);
    expect(await answer(platform.url, usage.key, '/v1/usage')).toEqual(yes);
    expect(await answer(platform.url, usage.key, '/v1/adapters')).toEqual(no);
  });

  it('must be there and right', async () => {
    const bad = [401, 'invalid_api_key'];
    expect(await answer(platform.url, `lk_${'a'.repeat(43)}`)).toEqual(bad);
    expect(await answer(platform.url, 'nonsense')).toEqual(bad);
    const none = await fetch(`${platform.url}/v1/models`);
    expect(none.status).toBe(401);
    expect(await none.json()).toMatchObject({
      error: { type: 'authentication_error', code: 'invalid_api_key' },
    });
    expect(none.headers.get('x-request-id')).toBeTruthy();
  });

  it('is forgotten by every API once it is revoked', async () => {
    const { key, id } = await makeKey({ scopes: ['inference'] });
    await expectBoth(key, [200, undefined]);
    const revoked = await platform.admin.expect<ApiKeyResource>(200, 'DELETE', `${KEYS}/${id}`);
    expect(revoked.revoked_at).not.toBeNull();
    await expectBoth(key, [401, 'invalid_api_key']);
    expect(await platform.admin.expect(200, 'DELETE', `${KEYS}/${id}`)).toEqual(revoked);
  });

  it('takes new scopes at once', async () => {
    const { key, id } = await makeKey({ scopes: ['inference'] });
    await expectBoth(key, [200, undefined]);
    await platform.admin.expect(200, 'PATCH', `${KEYS}/${id}`, { scopes: ['adapters'] });
    await expectBoth(key, [403, 'insufficient_scope']);
  });

  it('ends at its expiry', async () => {
    const expires_at = new Date(Date.now() + 1_000).toISOString();
    const { key } = await makeKey({ scopes: ['inference'], expires_at });
    await expectBoth(key, [401, 'invalid_api_key']);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expires_at));
  });

  it('is refused while its tenant is suspended, and says so', async () => {
    const { key } = await makeKey({ scopes: ['inference'] });
    await expectBoth(key, [200, undefined]);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'suspended' });
    await expectBoth(key, [403, 'tenant_suspended']);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'active' });
    await expectBoth(key, [200, undefined]);
  });

  it("is no key of another tenant's list", async () => {
    await platform.admin.expect(201, 'POST', '/v1/admin/tenants', { name: 'globex' });
    const { id } = await makeKey({});
    const revoke = async (path: string) => (await platform.admin.call('DELETE', path)).status;
    expect(await revoke(`/v1/admin/tenants/globex/keys/${id}`)).toBe(404);
    expect(await revoke(`${KEYS}/not-an-id`)).toBe(404);
    expect(await revoke(`${KEYS}/${id}`)).toBe(200);
  });
});

describe('rotation', () => {
  const rotate = (id: string, body: object = {}) =>
    platform.admin.expect<CreatedKey>(200, 'POST', `${KEYS}/${id}/rotate`, body);
  const dead: [number, string] = [401, 'invalid_api_key'];

  it('gives the same key a new secret and ends the old one at once', async () => {
    const old = await makeKey({ scopes: ['inference'], limits: { requests_per_minute: 1000 } });
    await expectBoth(old.key, [200, undefined]);
    const rotated = await rotate(old.id);
    expect(rotated).toMatchObject({ id: old.id, scopes: ['inference'], limits: old.limits });
    expect(rotated.key).not.toBe(old.key);
    await expectBoth(rotated.key, [200, undefined]);
    await expectBoth(old.key, dead);
  });

  it('leaves the old secret valid for the time of grace, and only the last one', async () => {
    const first = await makeKey({ scopes: ['inference'] });
    const second = await rotate(first.id, { grace_seconds: 600 });
    await expectBoth(first.key, [200, undefined]);
    await expectBoth(second.key, [200, undefined]);
    const third = await rotate(first.id, { grace_seconds: 2 });
    await expectBoth(first.key, dead);
    await expectBoth(third.key, [200, undefined]);
    await expectBoth(second.key, dead);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(third.previous_valid_until ?? ''));
    await expectBoth(third.key, [200, undefined]);
  });

  it('ends with the key: revoking kills both secrets, and a revoked key gets no new one', async () => {
    const first = await makeKey({ scopes: ['inference'] });
    const second = await rotate(first.id, { grace_seconds: 600 });
    await expectBoth(first.key, [200, undefined]);
    await platform.admin.expect(200, 'DELETE', `${KEYS}/${first.id}`);
    await expectBoth(first.key, dead);
    await expectBoth(second.key, dead);
    await platform.admin.expect(409, 'POST', `${KEYS}/${first.id}/rotate`, {});
    const wrong = await platform.admin.call('POST', `${KEYS}/${first.id}/rotate`, { grace_seconds: -1 });
    expect(wrong.status).toBe(400);
  });
});

describe('an operator key', () => {
  const make = (body: object = {}) =>
    platform.admin.expect<CreatedOperatorKey>(201, 'POST', '/v1/admin/keys', { name: 'ci', ...body });
  const asks = (url: string, key: string) => answer(url, key, '/v1/admin/tenants');

  it('does what the one in the settings does, until every API has forgotten it', async () => {
    const { key, ...shown } = await make();
    expect(key).toMatch(/^lko_[A-Za-z0-9_-]{43}$/);
    const list = await platform.admin.call('GET', '/v1/admin/keys');
    expect(JSON.stringify(list.body)).toContain(shown.id);
    expect(JSON.stringify(list.body)).not.toContain(key);
    for (const url of [platform.url, secondUrl]) expect(await asks(url, key)).toEqual([200, undefined]);
    const acme = new Client(secondUrl, key, { 'x-tenant': 'acme' });
    await acme.expect(200, 'GET', '/v1/models');
    await platform.admin.expect(200, 'DELETE', `/v1/admin/keys/${shown.id}`);
    for (const url of [platform.url, secondUrl]) while ((await asks(url, key))[0] !== 401) await sleep(20);
  });

  it('ends at its expiry, and is unknown when it never was', async () => {
    const expires_at = new Date(Date.now() + 500).toISOString();
    const { key } = await make({ expires_at });
    while ((await asks(platform.url, key))[0] !== 401) await sleep(20);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expires_at));
    expect(await asks(platform.url, `lko_${'a'.repeat(43)}`)).toEqual([401, 'invalid_api_key']);
    await platform.admin.expect(404, 'DELETE', '/v1/admin/keys/nobody');
  });
});

describe('GET /v1/whoami', () => {
  it('tells a key its tenant and scopes, whatever they are, and an operator who it acts for', async () => {
    const { key, id } = await makeKey({ scopes: ['usage'] });
    const tenant = { name: 'acme', state: 'active' };
    expect(await new Client(secondUrl, key).expect(200, 'GET', '/v1/whoami')).toMatchObject({
      object: 'caller',
      operator: false,
      key_id: id,
      scopes: ['usage'],
      tenant,
    });
    expect(await platform.admin.expect(200, 'GET', '/v1/whoami')).toMatchObject({
      operator: true,
      tenant: null,
    });
    const acting = new Client(platform.url, platform.admin.key, { 'x-tenant': 'acme' });
    expect(await acting.expect(200, 'GET', '/v1/whoami')).toMatchObject({ operator: true, tenant });
    expect(await answer(platform.url, 'nobody', '/v1/whoami')).toEqual([401, 'invalid_api_key']);
  });
});

describe('while no notification can be heard', () => {
  it('a revoked key is forgotten all the same', async () => {
    const client = new pg.Client({ connectionString: platform.postgres.url });
    await client.connect();
    const { key, id } = await makeKey({ scopes: ['inference'] });
    await expectBoth(key, [200, undefined]);
    const hearing = new AbortController();
    // Whoever listens is cut off again and again.
    const cutting = (async () => {
      while (!hearing.signal.aborted) {
        await client.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lorikeet listen'",
        );
        await sleep(5);
      }
    })();
    await sleep(200);
    await platform.admin.expect(200, 'DELETE', `${KEYS}/${id}`);
    await expectBoth(key, [401, 'invalid_api_key']);
    hearing.abort();
    await cutting;
    await client.end();
  });
});
