import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BudgetResource, PriceResource } from '#contracts/money-api.js';
import type { UsageList } from '#contracts/usage-api.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { PASS_MIDNIGHT_MS, passMidnight } from '../support/midnight.js';
import { Platform } from '../support/platform.js';
import { Receiver } from '../support/webhooks.js';

let platform: Platform;
let acme: Client;
let receiver: Receiver;
/** Of the API processes. */
let urls: string[];
beforeAll(passMidnight, PASS_MIDNIGHT_MS);
beforeAll(async () => {
  platform = await Platform.start({ env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
  platform.engine.script = answerWith([1, 2, 3, 4]);
  receiver = await Receiver.start();
  acme = await platform.tenant('acme');
  urls = [platform.url];
  const form = formOf(Object.entries(goldenFiles('qv-r8')));
  await acme.expect(201, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', form);
});
afterAll(async () => {
  await receiver?.close();
  await platform?.close();
});

const BUDGETS = '/v1/admin/tenants/acme/budgets';
const put = (body: object) => platform.admin.expect<PriceResource>(200, 'PUT', '/v1/admin/prices', body);
/** 1 prompt token, 4 completion tokens. */
const ask = (model = 'llama-gqa', client = acme) =>
  client.call('POST', '/v1/completions', { model, prompt: 'x' });
const cost = async (query: string) => (await acme.expect<UsageList>(200, 'GET', `/v1/usage?${query}`)).data;
/** Every process has written down what it answered until now. */
const written = () =>
  Promise.all(urls.map((url) => new Client(url, acme.key).expect(200, 'GET', '/v1/usage')));
const newKey = async (name: string) => {
  const made = await platform.admin.expect<{ id: string; key: string }>(
    201,
    'POST',
    '/v1/admin/tenants/acme/keys',
    {
      name,
      scopes: ['inference', 'usage'],
    },
  );
  return { id: made.id, client: new Client(platform.url, made.key) };
};

describe('prices', () => {
  it('make the cost of usage: of the adapter, else of the tenant, else the default, as they stood', async () => {
    await ask();
    expect(await cost('group_by=adapter')).toMatchObject([{ adapter: null, requests: 1, cost: 0 }]);

    await put({ prompt_per_million: 1_000_000, completion_per_million: 2_000_000 });
    await ask();
    expect(await cost('group_by=adapter')).toMatchObject([{ adapter: null, requests: 2, cost: 9 }]);

    const ofTenant = await put({ tenant: 'acme', prompt_per_million: 0, completion_per_million: 250_000 });
    await put({ tenant: 'acme', adapter: 'bot', prompt_per_million: 5, completion_per_million: 10 });
    await ask();
    await ask('bot');
    const [bot, base] = await cost('group_by=adapter');
    expect(base).toMatchObject({ adapter: null, cost: 10 });
    expect(bot?.adapter).toBe('bot');
    expect(bot?.cost).toBeCloseTo(45e-6, 12);
    const list = await acme.expect<{ data: PriceResource[] }>(200, 'GET', '/v1/prices');
    expect(list.data).toMatchObject([
      { tenant: null, adapter: null, completion_per_million: 2_000_000, currency: 'USD' },
      { tenant: 'acme', adapter: null, cached_per_million: 0 },
      { tenant: 'acme', adapter: 'bot', cached_per_million: 5 },
    ]);
    await platform.admin.expect(200, 'DELETE', `/v1/admin/prices/${ofTenant.id}`);
    await platform.admin.expect(404, 'DELETE', `/v1/admin/prices/${ofTenant.id}`);
    await ask();
    expect((await cost('group_by=adapter'))[1]).toMatchObject({ cost: 19 });
  });

  it('stand in the matrix of key, adapter and version, and in CSV', async () => {
    const [row] = await cost('group_by=key,adapter,version&adapter=bot');
    expect(row).toMatchObject({ adapter: 'bot', version: 1, requests: 1 });
    expect(row?.cost).toBeCloseTo(45e-6, 12);
    const csv = await acme.call<string>('GET', '/v1/usage?group_by=adapter&adapter=bot&format=csv');
    expect(csv.body.split('\r\n')[0]?.split(',').at(-1)).toBe('cost');
  });

  it('of another tenant are not shown, and what makes no sense is refused', async () => {
    const globex = await platform.tenant('globex');
    const { data } = await globex.expect<{ data: PriceResource[] }>(200, 'GET', '/v1/prices');
    expect(data).toMatchObject([{ tenant: null }]);
    const price = { prompt_per_million: 1, completion_per_million: 1 };
    const tries: [object, number, string][] = [
      [{ ...price, adapter: 'bot' }, 400, 'tenant'],
      [{ ...price, prompt_per_million: -1 }, 400, 'prompt_per_million'],
      [{ ...price, tenant: 'acme', adapter: 'no@name' }, 400, 'adapter'],
    ];
    for (const [body, status, param] of tries) {
      const answer = await platform.admin.call('PUT', '/v1/admin/prices', body);
      expect([answer.status, answer.body.error]).toMatchObject([status, { param }]);
    }
    await platform.admin.expect(404, 'PUT', '/v1/admin/prices', { ...price, tenant: 'nobody' });
  });
});

describe('a budget', () => {
  it('tells of each share once, the highest that was reached, to the webhook endpoint', async () => {
    await acme.expect(201, 'POST', '/v1/webhook-endpoints', {
      url: `${receiver.url}/in`,
      events: ['budget.alert'],
    });
    const { id, client } = await newKey('alerts');
    const budget = await platform.admin.expect<BudgetResource>(201, 'POST', BUDGETS, {
      amount: 20,
      key_id: id,
      alert_shares: [0.4, 0.5, 1],
    });
    expect(budget).toMatchObject({ spent: 0, period: 'month', stop: false, alerts: [], key_id: id });
    const told = () =>
      receiver.received.map(({ body }) => {
        const { data } = JSON.parse(body) as { data: { share: number; spent: number; id: string } };
        return [data.share, data.spent];
      });
    await ask('llama-gqa', client); // 9 of 20
    await expect.poll(told).toEqual([[0.4, 9]]);
    await ask('llama-gqa', client); // 18
    await expect.poll(told).toEqual([
      [0.4, 9],
      [0.5, 18],
    ]);
    expect((await ask('llama-gqa', client)).status).toBe(200); // 27: it only tells
    await expect.poll(told).toHaveLength(3);
    const { data } = await acme.expect<{ data: BudgetResource[] }>(200, 'GET', '/v1/budgets');
    expect(data).toMatchObject([
      { spent: 27, alerts: [{ share: 0.4 }, { share: 0.5 }, { share: 1, spent: 27 }] },
    ]);
    await platform.admin.expect(200, 'DELETE', `${BUDGETS}/${budget.id}`);
  });

  it('with a stop refuses the next request in every process, never in the middle of an answer', async () => {
    const { id, client } = await newKey('stopped');
    const secondUrl = await platform.startApi();
    urls.push(secondUrl);
    const other = new Client(secondUrl, client.key);
    const budget = await platform.admin.expect<BudgetResource>(201, 'POST', BUDGETS, {
      amount: 9,
      key_id: id,
      period: 'day',
      stop: true,
    });
    let finish = (): void => undefined;
    platform.engine.script = async (generation) => {
      generation.send({ type: 'start', promptTokens: 1 }, { type: 'tokens', text: 't', ids: [1] });
      await new Promise<void>((resolve) => (finish = resolve));
      answerWith([2, 3, 4])(generation);
    };
    const begun = platform.engine.requests.length;
    const long = ask('llama-gqa', client);
    await expect.poll(() => platform.engine.requests.length).toBe(begun + 1);
    platform.engine.script = answerWith([1, 2, 3, 4]);
    expect((await ask('llama-gqa', client)).status).toBe(200);
    for (const caller of [client, other]) {
      await expect.poll(async () => (await ask('llama-gqa', caller)).status).toBe(429);
      const { body } = await ask('llama-gqa', caller);
      expect(body).toMatchObject({ error: { code: 'insufficient_quota', type: 'insufficient_quota' } });
    }
    expect((await ask()).status).toBe(200); // another key of the tenant
    finish();
    expect((await long).status).toBe(200);

    await platform.admin.expect(200, 'PATCH', `${BUDGETS}/${budget.id}`, { amount: 1000 });
    await expect.poll(async () => (await ask('llama-gqa', client)).status).toBe(200);
    await platform.admin.expect(200, 'PATCH', `${BUDGETS}/${budget.id}`, { amount: 1 });
    await expect.poll(async () => (await ask('llama-gqa', client)).status).toBe(429);
    await platform.admin.expect(200, 'DELETE', `${BUDGETS}/${budget.id}`);
    await expect.poll(async () => (await ask('llama-gqa', client)).status).toBe(200);
  });

  it('begins anew with the next period', async () => {
    const budget = await platform.admin.expect<BudgetResource>(201, 'POST', BUDGETS, {
      amount: 0.5,
      stop: true,
    });
    expect(budget.spent).toBeGreaterThan(0.5);
    expect(budget.alerts.at(-1)?.share).toBe(1);
    await expect.poll(async () => (await ask()).status).toBe(429);
    await written(); // what was answered before the budget was known has its cost in this month
    await platform.query("UPDATE spending SET starts = starts - interval '1 month'");
    // What was spent is now last month's; a change of the budget makes every process look.
    await platform.admin.expect(200, 'PATCH', `${BUDGETS}/${budget.id}`, { amount: 0.6 });
    await expect.poll(async () => (await ask()).status).toBe(200);
    await platform.admin.expect(200, 'DELETE', `${BUDGETS}/${budget.id}`);
  });

  it("is the operator's to set, of a key that the tenant has", async () => {
    await acme.expect(403, 'POST', BUDGETS, { amount: 1 });
    const unknown = '0190a000-0000-7000-8000-000000000001';
    expect(await platform.admin.call('POST', BUDGETS, { amount: 1, key_id: unknown })).toMatchObject({
      status: 404,
      body: { error: { param: 'key_id' } },
    });
    await platform.admin.expect(400, 'POST', BUDGETS, { amount: 0 });
    await platform.admin.expect(404, 'PATCH', `${BUDGETS}/${unknown}`, { amount: 1 });
    await platform.admin.expect(404, 'DELETE', `/v1/admin/tenants/globex/budgets/${unknown}`);
  });
});
