import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { Platform } from '../support/platform.js';

// What a process has read stays fresh for longer than a test runs: only hearing of a change can renew it.
vi.mock('#stores/fresh-time.js', () => ({ FRESH_MS: 600_000 }));

let platform: Platform;
let acme: Client;
let globex: Client;
let initech: Client;
/** The same tenant at a second API process. */
let globexElsewhere: Client;
beforeAll(async () => {
  platform = await Platform.start();
  [acme, globex, initech] = [
    await platform.tenant('acme'),
    await platform.tenant('globex'),
    await platform.tenant('initech'),
  ];
  globexElsewhere = new Client(await platform.startApi(), globex.key);
  platform.engine.script = answerWith([1, 2]);
  for (const name of ['bot', 'secret', 'second']) {
    const form = formOf(Object.entries(goldenFiles('qv-r8')));
    await acme.expect(201, 'POST', `/v1/adapters/${name}/versions?create=true&wait=60`, form);
  }
});
afterAll(() => platform?.close());

const share = (method: string, tenant: string, status = 200, adapter = 'bot') =>
  acme.expect(status, method, `/v1/adapters/${adapter}/shares/${tenant}`);

async function statusOf(client: Client, model: string): Promise<number> {
  return (await client.call('POST', '/v1/completions', { model, prompt: 'x' })).status;
}

async function untilStatus(client: Client, model: string, status: number): Promise<void> {
  const timeout = 20_000;
  await vi.waitFor(async () => expect(await statusOf(client, model)).toBe(status), { timeout, interval: 20 });
}

async function models(client: Client, query = ''): Promise<string[]> {
  const { data } = await client.expect<{ data: { id: string }[] }>(200, 'GET', `/v1/models${query}`);
  return data.map(({ id }) => id);
}

describe('an adapter shared with a tenant', () => {
  it('is callable by that tenant as owner/adapter, with versions and aliases, and by nobody else', async () => {
    expect(await statusOf(globex, 'acme/bot')).toBe(404);
    expect(await share('PUT', 'globex')).toMatchObject({ tenant: 'globex', model: 'acme/bot' });
    for (const model of ['acme/bot', 'acme/bot@1', 'acme/bot:latest'])
      expect({ model, status: await statusOf(globex, model) }).toEqual({ model, status: 200 });
    for (const model of ['bot', 'globex/bot', 'acme/secret', 'acme/bot@2', 'acme/bot:none'])
      expect({ model, status: await statusOf(globex, model) }).toEqual({ model, status: 404 });
    expect(await statusOf(initech, 'acme/bot')).toBe(404);
  });

  it('appears among that tenant’s models under its full name, with its owner', async () => {
    expect(await models(globex)).toEqual(['llama-gqa', 'acme/bot']);
    expect(await models(initech)).toEqual(['llama-gqa']);
    expect(await globex.expect(200, 'GET', '/v1/models/acme/bot@1')).toMatchObject({
      id: 'acme/bot@1',
      owned_by: 'acme',
    });
    await initech.expect(404, 'GET', '/v1/models/acme/bot');
  });

  it('stays closed for everything but calls', async () => {
    for (const path of ['bot', 'acme%2Fbot', 'bot/versions', 'bot/aliases', 'bot/shares'])
      await globex.expect(404, 'GET', `/v1/adapters/${path}`);
    expect(await globex.expect(200, 'GET', '/v1/adapters')).toMatchObject({ data: [] });
  });

  it('is metered to the caller under its full name', async () => {
    const answer = await globex.expect<{ system_fingerprint: string }>(200, 'POST', '/v1/completions', {
      model: 'acme/bot',
      prompt: 'x',
    });
    expect(answer.system_fingerprint).toMatch(/\/acme\/bot@1$/);
    interface Rows {
      readonly data: { adapter: string; completion_tokens: number }[];
    }
    const theirs = await globexUsage();
    expect(theirs.data).toMatchObject([{ adapter: 'acme/bot' }]);
    expect(theirs.data[0]?.completion_tokens).toBeGreaterThan(0);
    expect(await acme.expect<Rows>(200, 'GET', '/v1/usage?group_by=adapter')).toMatchObject({ data: [] });
    async function globexUsage() {
      await globexElsewhere.expect(200, 'GET', '/v1/usage');
      return globex.expect<Rows>(200, 'GET', '/v1/usage?group_by=adapter');
    }
  });

  it('is gone within a second at every API process once it is shared no more', async () => {
    expect(await statusOf(globexElsewhere, 'acme/bot')).toBe(200);
    await share('DELETE', 'globex');
    await untilStatus(globexElsewhere, 'acme/bot', 404);
    expect(await statusOf(globex, 'acme/bot')).toBe(404);
    expect(await models(globex)).toEqual(['llama-gqa']);
  });
});

describe('an adapter that is not shared', () => {
  it('is the same 404 as one that does not exist, whatever its state', async () => {
    await acme.expect(201, 'POST', '/v1/adapters', { name: 'empty' });
    const ask = async (model: string) => {
      const { status, body } = await globex.call('POST', '/v1/completions', { model, prompt: 'x' });
      return { status, body: JSON.stringify(body).replaceAll(model, 'M') };
    };
    const none = await ask('acme/none');
    for (const model of ['acme/secret', 'acme/secret@1', 'acme/empty', 'acme/empty@1', 'nobody/x'])
      expect(await ask(model)).toEqual(none);
  });
});

describe('an adapter shared with all', () => {
  it('is callable by every tenant, also one made later, and leads to no other', async () => {
    await share('PUT', '*', 200, 'second');
    await share('PUT', 'initech', 200, 'second');
    const hooli = await platform.tenant('hooli');
    for (const client of [globex, initech, hooli]) {
      expect(await statusOf(client, 'acme/second')).toBe(200);
      expect(await statusOf(client, 'acme/secret')).toBe(404);
      expect(await models(client)).toEqual(['llama-gqa', 'acme/second']);
    }
    await share('DELETE', '*', 200, 'second');
    await untilStatus(hooli, 'acme/second', 404);
    expect(await statusOf(initech, 'acme/second')).toBe(200);
  });
});

describe('shares', () => {
  it('are listed by tenant, page by page, and put twice are one', async () => {
    for (const tenant of ['initech', 'globex', '*', 'globex']) await share('PUT', tenant, 200, 'secret');
    const list = (query: string) =>
      acme.expect<{ data: { tenant: string }[]; has_more: boolean; last_id: string }>(
        200,
        'GET',
        `/v1/adapters/secret/shares${query}`,
      );
    const first = await list('?limit=2');
    expect(first).toMatchObject({ data: [{ tenant: '*' }, { tenant: 'globex' }], has_more: true });
    expect(await list(`?limit=2&after=${first.last_id}`)).toMatchObject({
      data: [{ tenant: 'initech' }],
      has_more: false,
    });
    expect(await share('GET', 'initech', 200, 'secret')).toMatchObject({ tenant: 'initech' });
    for (const tenant of ['initech', 'globex', '*']) await share('DELETE', tenant, 200, 'secret');
    await share('DELETE', 'globex', 404, 'secret');
  });

  it('need a tenant that exists and is another one', async () => {
    expect(await share('PUT', 'nobody', 404)).toMatchObject({ error: { param: 'tenant' } });
    expect(await share('PUT', 'acme', 400)).toMatchObject({ error: { param: 'tenant' } });
    expect(await share('PUT', 'a%20b', 400)).toMatchObject({ error: { code: 'invalid_request' } });
  });
});

describe('the list of models', () => {
  it('comes in pages that together are the whole', async () => {
    const { data } = await acme.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models');
    const all = data.map(({ id }) => id);
    const paged: string[] = [];
    for (let query = '?limit=1'; ; ) {
      const page = await acme.expect<{ data: { id: string }[]; has_more: boolean; last_id: string }>(
        200,
        'GET',
        `/v1/models${query}`,
      );
      paged.push(...page.data.map(({ id }) => id));
      if (!page.has_more) break;
      query = `?limit=1&after=${encodeURIComponent(page.last_id)}`;
    }
    expect(paged).toEqual(all);
  });
});
