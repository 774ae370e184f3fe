import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';
import { Receiver, type Received, until } from '../support/webhooks.js';

let platform: Platform;
let acme: Client;
let globex: Client;
let receiver: Receiver;
beforeAll(async () => {
  platform = await Platform.start({
    env: { ALLOW_PRIVATE_IMPORTS: 'true', WEBHOOK_RETRY_SCHEDULE: '0,0.1,0.2', WEBHOOK_TIMEOUT_MS: '4000' },
  });
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
});
afterAll(() => platform?.close());
beforeEach(async () => {
  receiver = await Receiver.start();
});
afterEach(async () => {
  const { data } = await acme.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/webhook-endpoints');
  for (const { id } of data) await acme.expect(200, 'DELETE', `/v1/webhook-endpoints/${id}`);
  await receiver.close();
});

interface Endpoint {
  readonly id: string;
  readonly secret: string;
  readonly enabled: boolean;
  readonly disabled_reason: string | null;
}
interface Delivery {
  readonly id: string;
  readonly webhook_id: string;
  readonly type: string;
  readonly state: string;
  readonly attempts: number;
  readonly last_status: number | null;
  readonly last_error: string | null;
  readonly attempt_log: readonly { number: number; status: number | null; response_excerpt: string | null }[];
}

const endpoint = (body: object = {}) =>
  acme.expect<Endpoint>(201, 'POST', '/v1/webhook-endpoints', {
    url: `${receiver.url}/in`,
    events: ['adapter.version.ready', 'adapter.version.rejected'],
    ...body,
  });
const at = (endpointId: string, path = '') => `/v1/webhook-endpoints/${endpointId}${path}`;
const deliveries = async ({ id }: Endpoint) =>
  (await acme.expect<{ data: Delivery[] }>(200, 'GET', at(id, '/deliveries'))).data;
const settled = (from: Endpoint, count = 1) =>
  until(
    () => deliveries(from),
    (all) => all.length >= count && all.every(({ state }) => state !== 'pending'),
  );
const upload = (adapter: string, files = goldenFiles('qv-r8')) =>
  acme.call('POST', `/v1/adapters/${adapter}/versions?create=true&wait=60`, formOf(Object.entries(files)));
const verified = (secret: string, { headers, body }: Received) =>
  new Webhook(secret).verify(body, headers as Record<string, string>) as {
    type: string;
    data: Record<string, unknown>;
  };

describe('a webhook endpoint', () => {
  it('is told, signed, of versions that become ready or are rejected, and not of what it did not ask for', async () => {
    const told = await endpoint();
    const all = await endpoint({ url: `${receiver.url}/all`, events: ['*'] });
    await upload('bot');
    await upload('bot', { ...goldenFiles('qv-r8'), 'adapter_config.json': Buffer.from('{}') });
    await acme.expect(200, 'PUT', '/v1/adapters/bot/aliases/staging', { routes: [{ version: 1 }] });
    await settled(told, 2);
    await settled(all, 3);
    const mine = receiver.received
      .filter(({ path }) => path === '/in')
      .map((each) => verified(told.secret, each));
    expect(mine.map(({ type, data }) => [type, data.state, data.version])).toEqual(
      expect.arrayContaining([
        ['adapter.version.ready', 'ready', 1],
        ['adapter.version.rejected', 'rejected', 2],
      ]),
    );
    expect(mine).toHaveLength(2);
    const rest = receiver.received
      .filter(({ path }) => path === '/all')
      .map((each) => verified(all.secret, each));
    expect(rest.map(({ type }) => type)).toContain('adapter.alias.changed');
    expect(mine[0]?.data).not.toHaveProperty('report.tensors');
  });

  it('is tried again by the schedule under the same webhook-id, and the log tells of each attempt', async () => {
    let refusals = 2;
    receiver.answer = () =>
      refusals-- > 0 ? { status: 503, body: 'busy' } : { status: 200, body: 'at last' };
    const made = await endpoint();
    await upload('again');
    const [delivery] = await settled(made);
    expect(delivery).toMatchObject({ state: 'succeeded', attempts: 3, last_status: 200 });
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set([delivery?.webhook_id]),
    );
    const detail = await acme.expect<Delivery>(200, 'GET', at(made.id, `/deliveries/${delivery?.id}`));
    expect(
      detail.attempt_log.map(({ number, status, response_excerpt }) => [number, status, response_excerpt]),
    ).toEqual([
      [3, 200, 'at last'],
      [2, 503, 'busy'],
      [1, 503, 'busy'],
    ]);
    expect(detail).toMatchObject({ payload: { type: 'adapter.version.ready' } });
  });

  it('fails a delivery at the end of the schedule, and delivers it when it is replayed', async () => {
    receiver.answer = () => ({ status: 500 });
    const made = await endpoint();
    await upload('replayed');
    const [failed] = await settled(made);
    expect(failed).toMatchObject({ state: 'failed', attempts: 3, last_error: 'answered 500' });
    receiver.answer = () => ({ status: 204 });
    await acme.expect(202, 'POST', at(made.id, `/deliveries/${failed?.id}/replay`));
    const again = await until(
      () => deliveries(made),
      ([each]) => each?.state === 'succeeded',
    );
    expect(again[0]).toMatchObject({ attempts: 4, webhook_id: failed?.webhook_id });
    expect(receiver.received.at(-1)?.headers['webhook-id']).toBe(failed?.webhook_id);
    expect(await acme.expect(200, 'GET', at(made.id))).toMatchObject({ failing_since: null });
  });

  it('gets no redirect followed and no endless patience', async () => {
    receiver.answer = ({ path }) =>
      path === '/slow'
        ? undefined
        : path === '/in'
          ? { status: 302, headers: { location: '/elsewhere' } }
          : { status: 200 };
    const redirecting = await endpoint();
    const slow = await endpoint({ url: `${receiver.url}/slow` });
    await upload('redirected');
    expect((await settled(redirecting))[0]).toMatchObject({ state: 'failed', last_status: 302 });
    const [tried] = await until(
      () => deliveries(slow),
      ([each]) => (each?.attempts ?? 0) > 0,
    );
    expect(tried).toMatchObject({ last_error: 'no answer within 4 s' });
    expect(receiver.received.map(({ path }) => path)).not.toContain('/elsewhere');
  });

  it('is disabled when it answers 410 Gone, told nothing until it is enabled again', async () => {
    receiver.answer = () => ({ status: 410 });
    const made = await endpoint();
    await upload('gone');
    expect((await settled(made))[0]).toMatchObject({ state: 'failed', attempts: 1, last_status: 410 });
    expect(await acme.expect(200, 'GET', at(made.id))).toMatchObject({
      enabled: false,
      disabled_reason: expect.stringContaining('410') as string,
    });
    const [delivery] = await deliveries(made);
    expect((await acme.call('POST', at(made.id, `/deliveries/${delivery?.id}/replay`))).status).toBe(409);
    receiver.answer = () => ({ status: 200 });
    await acme.expect(200, 'PATCH', at(made.id), { enabled: true });
    expect(await acme.expect(200, 'GET', at(made.id))).toMatchObject({
      enabled: true,
      disabled_reason: null,
    });
    await upload('gone');
    expect((await settled(made, 2))[0]).toMatchObject({ state: 'succeeded' });
  });

  it('gets two signatures while its secret is rotated', async () => {
    const made = await endpoint();
    const rotated = await acme.expect<Endpoint>(200, 'POST', at(made.id, '/rotate'), { overlap_seconds: 60 });
    await upload('rotated');
    await settled(made);
    const [received] = receiver.received;
    expect(String(received?.headers['webhook-signature']).split(' ')).toHaveLength(2);
    for (const { secret } of [made, rotated]) verified(secret, received as Received);
  });

  it('is hidden from other tenants, and hears nothing of theirs', async () => {
    const made = await endpoint({ events: ['*'] });
    for (const [method, path, body] of [
      ['GET', ''],
      ['PATCH', '', { enabled: false }],
      ['DELETE', ''],
      ['POST', '/rotate', {}],
      ['GET', '/deliveries'],
    ] as const) {
      expect([path, (await globex.call(method, at(made.id, path), body)).status]).toEqual([path, 404]);
    }
    const form = formOf(Object.entries(goldenFiles('qv-r8')));
    await globex.expect(201, 'POST', '/v1/adapters/theirs/versions?create=true&wait=60', form);
    await upload('mine');
    await settled(made);
    expect(receiver.received.map((each) => verified(made.secret, each).data.adapter)).not.toContain('theirs');
  });

  it.each([
    [{ url: 'ftp://x.y/' }, 'url'],
    [{ url: 'https://user:pass@x.y/' }, 'url'],
    [{ events: [] }, 'events'],
    [{ events: ['adapter.deleted'] }, 'events[0]'],
  ])('is refused when it is %j', async (body, param) => {
    const answer = await acme.call<{ error: object }>('POST', '/v1/webhook-endpoints', {
      url: 'https://example.com/',
      events: ['*'],
      ...body,
    });
    expect(answer).toMatchObject({ status: 400, body: { error: { param } } });
  });
});

describe('a private address', () => {
  it('is refused as a target unless the operator allows it, also behind a name', async () => {
    const strict = await Platform.start({ env: { WEBHOOK_RETRY_SCHEDULE: '0' } });
    try {
      const tenant = await strict.tenant('acme');
      const make = (url: string) => tenant.call('POST', '/v1/webhook-endpoints', { url, events: ['*'] });
      for (const url of [
        'https://127.0.0.1/',
        'https://10.0.0.1/',
        'https://localhost/',
        'http://example.com/',
      ])
        expect([url, (await make(url)).status]).toEqual([url, 400]);
      // A name that passes the first look: what it resolves to is judged when it is connected to.
      const { Client: Postgres } = (await import('pg')).default;
      const { body } = await make('https://example.com/in');
      const database = new Postgres({ connectionString: strict.postgres.url });
      await database.connect();
      await database.query('UPDATE webhook_endpoints SET url = $1', [
        receiver.url.replace('http:', 'https:'),
      ]);
      await database.end();
      const form = formOf(Object.entries(goldenFiles('qv-r8')));
      await tenant.expect(201, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', form);
      const path = `/v1/webhook-endpoints/${(body as { id: string }).id}/deliveries`;
      const { data } = await until(
        () => tenant.expect<{ data: Delivery[] }>(200, 'GET', path),
        (page) => page.data.length > 0 && page.data.every(({ state }) => state !== 'pending'),
      );
      for (const { state, last_error } of data)
        expect([state, last_error]).toEqual(['failed', expect.stringContaining('not public')]);
      expect(receiver.received).toEqual([]);
    } finally {
      await strict.close();
    }
  });
});
