import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiKeyResource, CreatedKey } from '#contracts/admin-api.js';
import { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

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

/** How long it took until both APIs answered so. */
async function untilBoth(key: string, expected: [number, string | undefined]): Promise<number> {
  const began_ms = performance.now();
  for (const url of [platform.url, secondUrl]) {
    while (String(await answer(url, key)) !== String(expected)) {
      if (performance.now() - began_ms > 20_000) throw new Error(`still not ${expected}`);
      await sleep(20);
    }
  }
  return performance.now() - began_ms;
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

  it('is forgotten by every API within a second of its revocation', async () => {
    const { key, id } = await makeKey({ scopes: ['inference'] });
    await untilBoth(key, [200, undefined]);
    const revoked = await platform.admin.expect<ApiKeyResource>(200, 'DELETE', `${KEYS}/${id}`);
    expect(revoked.revoked_at).not.toBeNull();
    // Their caches keep a key for 5 seconds: only the notification can be this fast, also on a slow machine.
    expect(await untilBoth(key, [401, 'invalid_api_key'])).toBeLessThan(3_000);
    expect(await platform.admin.expect(200, 'DELETE', `${KEYS}/${id}`)).toEqual(revoked);
  });

  it('takes new scopes at once', async () => {
    const { key, id } = await makeKey({ scopes: ['inference'] });
    await untilBoth(key, [200, undefined]);
    await platform.admin.expect(200, 'PATCH', `${KEYS}/${id}`, { scopes: ['adapters'] });
    expect(await untilBoth(key, [403, 'insufficient_scope'])).toBeLessThan(3_000);
  });

  it('ends at its expiry', async () => {
    const expires_at = new Date(Date.now() + 1_000).toISOString();
    const { key } = await makeKey({ scopes: ['inference'], expires_at });
    await untilBoth(key, [401, 'invalid_api_key']);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expires_at));
  });

  it('is refused while its tenant is suspended, and says so', async () => {
    const { key } = await makeKey({ scopes: ['inference'] });
    await untilBoth(key, [200, undefined]);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'suspended' });
    expect(await untilBoth(key, [403, 'tenant_suspended'])).toBeLessThan(3_000);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'active' });
    expect(await untilBoth(key, [200, undefined])).toBeLessThan(3_000);
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
