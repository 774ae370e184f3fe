import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LimitsResource } from '#contracts/limits-api.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import type { Answer, Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
});
afterAll(() => platform?.close());

const setQuotas = (tenant: string, quotas: object) =>
  platform.admin.expect(200, 'PATCH', `/v1/admin/tenants/${tenant}`, { quotas });
const used = async (client: Client) => (await client.expect<LimitsResource>(200, 'GET', '/v1/limits')).used;

/** An upload of the same weights each time; the README makes it another. */
const upload = (client: Client, adapter: string, readme?: string): Promise<Answer<ErrorBody>> =>
  client.call(
    'POST',
    `/v1/adapters/${adapter}/versions?create=true`,
    formOf([
      ...Object.entries(goldenFiles('qv-r8')),
      ...(readme === undefined ? [] : ([['README.md', Buffer.from(readme)]] as const)),
    ]),
  );

interface ErrorBody {
  readonly error?: { readonly code: string; readonly message: string; readonly quota?: string };
}
const codes = (answers: readonly Answer<ErrorBody>[]) =>
  answers.map(({ status, body }) => (status === 201 ? 'ok' : `${status} ${body.error?.code}`)).toSorted();

describe('the quota of adapters', () => {
  it('cannot be passed by creations at the same time, whichever way they come', async () => {
    const acme = await platform.tenant('adapters');
    await setQuotas('adapters', { adapters: 3 });
    const creations = Array.from({ length: 5 }, (_, index) =>
      acme.call<ErrorBody>('POST', '/v1/adapters', { name: `a${index}` }),
    );
    const uploads = Array.from({ length: 5 }, (_, index) => upload(acme, `b${index}`));
    const answers = await Promise.all([...creations, ...uploads]);
    const refused = Array<string>(7).fill('429 quota_exceeded');
    expect(codes(answers)).toEqual([...refused, 'ok', 'ok', 'ok']);
    const fault = answers.find(({ status }) => status === 429)?.body.error;
    expect(fault).toMatchObject({
      message: 'The tenant has 3 adapters, and its quota is 3: delete one first.',
      quota: 'adapters',
      used: 3,
      limit: 3,
    });
    expect(await used(acme)).toMatchObject({ adapters: 3 });
  });

  it('leaves what is there to be used, and gives room again when one is deleted', async () => {
    const acme = await platform.tenant('room');
    await acme.expect(201, 'POST', '/v1/adapters', { name: 'one' });
    await setQuotas('room', { adapters: 1 });
    expect((await upload(acme, 'one')).status).toBe(201);
    expect((await upload(acme, 'two')).status).toBe(429);
    await acme.expect(200, 'DELETE', '/v1/adapters/one');
    expect((await upload(acme, 'two')).status).toBe(201);
  });
});

describe('the quota of stored bytes', () => {
  const README_BYTES = 1_000;
  const readme = (index: number) => String(index).padEnd(README_BYTES, '.');

  it('counts the same bytes once, and cannot be passed by uploads at the same time', async () => {
    const acme = await platform.tenant('bytes');
    expect((await upload(acme, 'a')).status).toBe(201);
    const { stored_bytes: weights } = await used(acme);
    expect(weights).toBeGreaterThan(README_BYTES);
    expect((await upload(acme, 'b')).status).toBe(201);
    expect(await used(acme)).toEqual({ adapters: 2, stored_bytes: weights });

    const limit = weights + 3 * README_BYTES;
    await setQuotas('bytes', { stored_bytes: limit });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => upload(acme, index % 2 ? 'a' : 'b', readme(index))),
    );
    expect(codes(answers)).toEqual([...Array<string>(5).fill('429 quota_exceeded'), 'ok', 'ok', 'ok']);
    expect(await used(acme)).toMatchObject({ stored_bytes: limit });
    expect(answers.find(({ status }) => status === 429)?.body.error?.message).toMatch(
      new RegExp(`quota is ${limit}`),
    );
  });

  it('refuses a tenant without any room before its bytes are read, and forgets what is deleted', async () => {
    const acme = await platform.tenant('full');
    expect((await upload(acme, 'a', readme(1))).status).toBe(201);
    const { stored_bytes } = await used(acme);
    await setQuotas('full', { stored_bytes });
    expect(codes([await upload(acme, 'a', readme(2))])).toEqual(['429 quota_exceeded']);
    await acme.expect(200, 'DELETE', '/v1/adapters/a');
    expect(await used(acme)).toEqual({ adapters: 0, stored_bytes: 0 });
    expect((await upload(acme, 'a', readme(2))).status).toBe(201);
  });

  it('is of each tenant alone, and shown to operators', async () => {
    const acme = await platform.tenant('other');
    await setQuotas('other', { stored_bytes: 0 });
    expect(codes([await upload(acme, 'a')])).toEqual(['429 quota_exceeded']);
    expect(await platform.admin.expect(200, 'GET', '/v1/admin/tenants/other/limits')).toMatchObject({
      tenant: 'other',
      quotas: { stored_bytes: 0, adapters: null },
      key_limits: null,
      used: { adapters: 0, stored_bytes: 0 },
    });
    expect(await acme.expect(200, 'GET', '/v1/limits')).toMatchObject({
      key_limits: { requests_per_minute: null },
    });
  });

  it('counts resumable uploads from their beginning, and no longer once they are given up or have expired', async () => {
    const acme = await platform.tenant('resumable');
    await setQuotas('resumable', { stored_bytes: 1_000 });
    const headers = { authorization: `Bearer ${acme.key}`, 'tus-resumable': '1.0.0' };
    const begin = (bytes: number): Promise<Response> =>
      fetch(`${acme.url}/v1/uploads`, {
        method: 'POST',
        headers: { ...headers, 'upload-length': `${bytes}` },
      });
    const first = await begin(600);
    const path = first.headers.get('location') ?? '';
    const sent = await fetch(acme.url + path, {
      method: 'PATCH',
      headers: { ...headers, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
      body: Buffer.alloc(100),
    });
    expect([first.status, sent.status, (await begin(401)).status]).toEqual([201, 204, 429]);
    const second = await begin(400);
    expect([second.status, (await begin(1)).status]).toEqual([201, 429]);

    await fetch(acme.url + path, { method: 'DELETE', headers });
    expect([(await begin(601)).status, (await begin(600)).status]).toEqual([429, 201]);
    await platform.query("UPDATE resumable_uploads SET expires_at = now() - interval '1 minute'");
    expect([(await begin(1_001)).status, (await begin(1_000)).status]).toEqual([429, 201]);
  });
});
