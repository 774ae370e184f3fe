import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterResource, Residency, VersionResource } from '#contracts/adapters-api.js';
import type { SettingResource } from '#contracts/settings-api.js';
import { CONFIG, formOf, goldenFiles } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let globex: Client;
beforeAll(async () => {
  platform = await Platform.start();
  platform.engine.script = answerWith([1, 2]);
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
  for (const [name, golden] of [
    ['Support-bot', 'qv-r8'],
    ['sql_writer', 'rslora-r4'],
  ] as const)
    await upload(acme, name, goldenFiles(golden));
});
afterAll(() => platform?.close());

const upload = (client: Client, adapter: string, files: Record<string, Buffer | Uint8Array>, status = 201) =>
  client.expect<VersionResource>(
    status,
    'POST',
    `/v1/adapters/${adapter}/versions?create=true&wait=60`,
    formOf(Object.entries(files)),
  );
const version = (adapter: string, number = 1) =>
  acme.expect<VersionResource>(200, 'GET', `/v1/adapters/${adapter}/versions/${number}`);
const found = async (query: string, client = acme) =>
  (await client.expect<{ data: AdapterResource[] }>(200, 'GET', `/v1/adapters?${query}`)).data;
const names = async (query: string) => (await found(query)).map(({ name }) => name);

describe('adapters are found', () => {
  it('by a part of the name in any case, and nothing of it is a pattern', async () => {
    expect(await names('name=BOT')).toEqual(['Support-bot']);
    expect(await names('name=_')).toEqual(['sql_writer']);
    expect(await names('name=%25')).toEqual([]);
    expect(await found('name=bot', globex)).toEqual([]);
  });

  it('by how a digest of a version begins, and by the state of one', async () => {
    const { digest } = await version('sql_writer');
    expect(await names(`digest=${digest}`)).toEqual(['sql_writer']);
    expect(await names(`digest=${digest?.slice(0, 8)}`)).toEqual(['sql_writer']);
    expect((await acme.call('GET', '/v1/adapters?digest=xyz1')).status).toBe(400);
    const broken = { ...goldenFiles('qv-r8'), [CONFIG]: Buffer.from('{"peft_type": "LORA", "surprise": 1}') };
    await upload(acme, 'Support-bot', broken, 422);
    expect(await names('state=rejected')).toEqual(['Support-bot']);
    expect(await names('state=ready')).toEqual(['sql_writer', 'Support-bot']);
    expect(await names('state=ready&name=sql')).toEqual(['sql_writer']);
    expect((await found('name=bot'))[0]?.newest_version).toMatchObject({ version: 2, state: 'rejected' });
  });

  it('page after page', async () => {
    const first = await acme.expect<{ has_more: boolean; last_id: string }>(
      200,
      'GET',
      '/v1/adapters?state=ready&limit=1',
    );
    expect(first.has_more).toBe(true);
    expect(await names(`state=ready&limit=1&after=${first.last_id}`)).toEqual(['Support-bot']);
  });
});

describe('a version tells', () => {
  it('who uploaded it and when it was last served', async () => {
    const { key_id } = await acme.expect<{ key_id: string }>(200, 'GET', '/v1/whoami');
    expect(await version('sql_writer')).toMatchObject({
      created_by: { type: 'api_key', id: key_id },
      last_served_at: null,
    });
    await acme.expect(200, 'POST', '/v1/completions', { model: 'sql_writer', prompt: 'x' });
    await expect.poll(async () => (await version('sql_writer')).last_served_at).not.toBeNull();
    const { data } = await acme.expect<{ data: VersionResource[] }>(
      200,
      'GET',
      '/v1/adapters/sql_writer/versions',
    );
    expect(data[0]?.last_served_at).toBe((await version('sql_writer')).last_served_at);
    expect((await version('Support-bot')).last_served_at).toBeNull();
  });
});

describe('where versions lie', () => {
  const residency = async (client = acme) =>
    (await client.expect<{ data: Residency[] }>(200, 'GET', '/v1/adapters/sql_writer/residency')).data;

  it('is told with the requests that run, unless they might be of others', async () => {
    const { digest } = await version('sql_writer');
    const { status } = platform.engine;
    const resident = [{ digest: digest ?? '', bytes: 10, requests: 3 }];
    platform.engine.status = { ...status, adapters: { ...status.adapters, resident, host: [digest ?? ''] } };
    await expect.poll(residency).toEqual([
      {
        object: 'adapter.residency',
        version: 1,
        engine: 'fake-0',
        device: true,
        host: true,
        requests: 3,
      },
    ]);
    await globex.expect(404, 'GET', '/v1/adapters/sql_writer/residency');
    await upload(globex, 'twin', goldenFiles('rslora-r4'));
    expect((await residency())[0]?.requests).toBeNull();
    platform.engine.status = status;
    await expect.poll(residency).toEqual([]);
  });
});

describe('the settings of the API', () => {
  it('are listed with what was read, secrets without their value', async () => {
    const { data } = await platform.admin.expect<{ data: SettingResource[] }>(
      200,
      'GET',
      '/v1/admin/settings',
    );
    const of = (name: string) => data.find((each) => each.name === name);
    expect(of('CURRENCY')).toMatchObject({ value: 'USD', changed: false, secret: false });
    expect(of('PORT')).toMatchObject({ value: '0', changed: true });
    expect(of('ADMIN_API_KEY')).toMatchObject({ value: null, secret: true });
    const text = JSON.stringify(data);
    for (const secret of [ADMIN_KEY, platform.env.SECRETS_KEY, platform.env.DATABASE_URL])
      expect(text).not.toContain(secret);
    expect((await acme.call('GET', '/v1/admin/settings')).status).toBe(403);
  });
});
