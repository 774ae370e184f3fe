import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEntryResource } from '#contracts/audit-api.js';
import type { EngineResource, Fit } from '#contracts/engines-api.js';
import type { TenantUse, WebhookOverview } from '#contracts/operator-lists-api.js';
import type { Overview } from '#contracts/overview-api.js';
import { Client } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

const FOLDER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');

let platform: Platform;
let acme: Client;
let secondUrl: string;
/** Of the API processes. */
let urls: string[];
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  secondUrl = await platform.startApi();
  urls = [platform.url, secondUrl];
}, 120_000);
afterAll(() => platform?.close());

async function sql(statement: string, values: readonly unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: platform.postgres.url });
  await client.connect();
  try {
    await client.query(statement, [...values]);
  } finally {
    await client.end();
  }
}

const complete = (client: Client, model = 'llama-gqa') =>
  client.call('POST', '/v1/completions', { model, prompt: 'hello', max_tokens: 1 });

describe('an operator and the engines', () => {
  it('sees health, load, pages and who owns what is resident', async () => {
    const { body } = await acme.uploadFolder('bot', FOLDER);
    const digest = body.digest ?? '';
    platform.engine.status = {
      ...platform.engine.status,
      startedAt: new Date(Date.now() - 5_000).toISOString(),
      load: { runningRequests: 2, waitingRequests: 1, queuedTokens: 40 },
      adapters: {
        bytes: 64,
        limitBytes: 128,
        resident: [{ digest, bytes: 64, requests: 2 }],
        host: [digest, 'gone'],
        waiting: [{ digest: 'gone', requests: 3 }],
        moves: [
          { kind: 'fetch', digest, at: '2026-01-01T00:00:00.000Z', seconds: 0.5, failed: false },
          { kind: 'load', digest, at: '2026-01-01T00:00:01.000Z', seconds: 0.25, failed: false },
        ],
      },
      batch: { maxSequences: 32, maxStepTokens: 512, rows: 7.5 },
      pace: { backlogTokens: 1, loadSeconds: { host: 0.25, storage: 0.75 } },
    };
    const owners = [{ tenant: 'acme', adapter: 'bot', version: 1 }];
    const read = () => platform.admin.expect<EngineResource>(200, 'GET', '/v1/admin/engines/fake-0');
    await expect.poll(async () => (await read()).load.running_requests).toBe(2);
    const engine = await read();
    expect(engine).toMatchObject({
      id: new URL(platform.engine.url).host,
      name: 'fake-0',
      state: 'ready',
      base_model: { name: 'llama-gqa', quantization: 'none' },
      load: { running_requests: 2, waiting_requests: 1, queued_tokens: 40 },
      kv: { pages: 8, free_pages: 8 },
      memory: { weight_bytes: 4096, kv_bytes: 1024, adapter_bytes: 0, scratch_bytes: 512 },
      adapters: {
        bytes: 64,
        limit_bytes: 128,
        resident: [{ digest, bytes: 64, requests: 2, versions: owners }],
        host: [
          { digest, versions: owners },
          { digest: 'gone', versions: [] },
        ],
        waiting: [{ digest: 'gone', requests: 3, versions: [] }],
        moves: [
          { kind: 'load', versions: owners, seconds: 0.25 },
          { kind: 'fetch', versions: owners },
        ],
        load_seconds: { host: 0.25, storage: 0.75 },
      },
      batch: { max_sequences: 32, max_step_tokens: 512, rows_per_step: 7.5 },
    });
    expect(engine.uptime_s).toBeGreaterThan(4);
    expect(await platform.admin.expect(200, 'GET', '/v1/admin/engines')).toMatchObject({
      data: [{ id: engine.id }],
      has_more: false,
    });
    expect(await platform.admin.call('GET', '/v1/admin/engines/none')).toMatchObject({ status: 404 });
  });

  it('learns what adapters would cost before there are any', async () => {
    const path = '/v1/admin/engines/fake-0/fit';
    const fit = await platform.admin.expect<Fit>(
      200,
      'GET',
      `${path}?rank=8&modules=q_proj,v_proj&adapters=5`,
    );
    expect(fit).toMatchObject({ modules: ['q_proj', 'v_proj'], adapters: 5, bytes: fit.bytes_each * 5 });
    expect(fit.bytes_each).toBeGreaterThan(0);
    for (const query of [
      'rank=0&modules=q_proj',
      'rank=8',
      'rank=8&modules=nothing',
      'rank=8&modules=q_proj&x=1',
    ])
      expect((await platform.admin.call('GET', `${path}?${query}`)).status).toBe(400);
    expect((await acme.call('GET', `${path}?rank=8&modules=q_proj`)).status).toBe(403);
  });

  it('drains an engine for every API process at once, and undrains it', async () => {
    const drained = await platform.admin.expect<EngineResource>(
      200,
      'POST',
      '/v1/admin/engines/fake-0/drain',
    );
    expect(drained.state).toBe('draining');
    for (const url of [platform.url, secondUrl]) {
      expect(await complete(new Client(url, acme.key))).toMatchObject({
        status: 503,
        body: { error: { code: 'engine_unavailable' } },
      });
    }
    expect(await platform.admin.expect(200, 'POST', `/v1/admin/engines/${drained.id}/undrain`)).toMatchObject(
      { state: 'ready' },
    );
  });
});

describe('maintenance mode', () => {
  const set = (body: object) => platform.admin.expect(200, 'PUT', '/v1/admin/maintenance', body);

  it('stops inference and changes in every API process; reads and operators go on', async () => {
    const second = new Client(secondUrl, acme.key);
    await set({ enabled: true, message: 'Back at noon.', retry_after_s: 120 });
    await expect
      .poll(async () => (await complete(second)).body, { interval: 20 })
      .toMatchObject({ error: { code: 'maintenance' } });
    for (const client of [acme, second]) {
      const answer = await client.call('POST', '/v1/adapters', { name: 'new' });
      expect(answer).toMatchObject({
        status: 503,
        body: { error: { code: 'maintenance', message: 'Back at noon.', type: 'server_error' } },
      });
      expect(answer.headers.get('retry-after')).toBe('120');
      expect((await client.call('GET', '/v1/adapters')).status).toBe(200);
      expect((await client.call('DELETE', '/v1/adapters/bot')).status).toBe(503);
    }
    const operator = new Client(secondUrl, ADMIN_KEY, { 'x-tenant': 'acme' });
    expect((await operator.call('PATCH', '/v1/adapters/bot', { description: 'x' })).status).toBe(200);
    await expect.poll(async () => (await fetch(`${secondUrl}/health/ready`)).status).toBe(200);
    expect(await new Client(platform.url, 'lk_none').call('POST', '/v1/adapters', {})).toMatchObject({
      status: 401,
    });
  });

  it('outlives a restart of the API, and ends everywhere', async () => {
    const thirdUrl = await platform.startApi();
    urls.push(thirdUrl);
    const third = new Client(thirdUrl, acme.key);
    expect(await complete(third)).toMatchObject({ status: 503, body: { error: { code: 'maintenance' } } });
    expect(await set({ enabled: false })).toMatchObject({ enabled: false });
    await expect
      .poll(async () => (await third.call('POST', '/v1/adapters', { name: 'again' })).status)
      .not.toBe(503);
    expect(await platform.admin.call('PUT', '/v1/admin/maintenance', { enabled: 'no' })).toMatchObject({
      status: 400,
    });
  });
});

describe('the overview', () => {
  it('shows everything in one answer', async () => {
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'active' });
    const overview = await platform.admin.expect<Overview>(200, 'GET', '/v1/admin/overview');
    expect(overview).toMatchObject({
      checks: { database: 'up', queue: 'up', engine: 'up' },
      maintenance: { enabled: false },
      base_model: 'llama-gqa',
      engines: { total: 1, ready: 1, kv_pages: 8 },
      tenants: { active: 1, suspended: 0 },
      versions: { ready: 1, rejected: 0 },
    });
    expect(overview.adapters).toBeGreaterThanOrEqual(1);
    expect(overview.queues?.map(({ id }) => id)).toContain('ingest-adapter');
    expect(overview.audit.length).toBeGreaterThan(3);
    expect(await acme.call('GET', '/v1/admin/overview')).toMatchObject({ status: 403 });
  });
});

describe('lists over all tenants', () => {
  it('show what each tenant may use and uses', async () => {
    const quotas = { requests_per_minute: 5, stored_bytes: 10_000_000 };
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { quotas });
    // What other tests called may lie in either minute: written by these calls, and then gone.
    for (const url of urls) await new Client(url, acme.key).expect(200, 'GET', '/v1/usage');
    await sql("DELETE FROM usage_minutes WHERE tenant_id = (SELECT id FROM tenants WHERE name = 'acme')");
    await sql(
      `INSERT INTO usage_minutes (tenant_id, minute, key_id, served, requests, prompt_tokens, completion_tokens)
       SELECT id, date_trunc('minute', now()) - offsets.minutes * interval '1 minute', 'k', 'm', 3, 20, 10
       FROM tenants, (VALUES (0), (1)) AS offsets (minutes) WHERE name = 'acme'`,
    );
    const { data } = await platform.admin.expect<{ data: TenantUse[] }>(200, 'GET', '/v1/admin/limits');
    const use = data.find(({ tenant }) => tenant === 'acme');
    expect(use).toMatchObject({ state: 'active', weight: 1, quotas: { ...quotas, adapters: null } });
    expect(use?.used.adapters).toBeGreaterThanOrEqual(1);
    expect(use?.used.stored_bytes).toBeGreaterThan(20_000);
    // The minute may have turned meanwhile: the one that is over now has the same.
    expect(use?.used).toMatchObject({ requests_per_minute: 3, tokens_per_minute: 30 });
  });

  it('show the webhooks of all tenants, and those alone that fail', async () => {
    const first = await acme.expect<{ id: string }>(201, 'POST', '/v1/webhook-endpoints', {
      url: 'https://example.com/a',
      events: ['*'],
    });
    const second = await acme.expect<{ id: string }>(201, 'POST', '/v1/webhook-endpoints', {
      url: 'https://example.com/b',
      events: ['adapter.alias.changed'],
    });
    await acme.expect(200, 'PATCH', `/v1/webhook-endpoints/${first.id}`, { enabled: false });
    await sql(
      `INSERT INTO webhook_deliveries (id, tenant_id, target_kind, target_id, event_id, type, body, state, last_status)
       SELECT gen_random_uuid(), tenant_id, 'endpoint', id, gen_random_uuid(), 'adapter.alias.changed', '{}', state, 200
       FROM webhook_endpoints, (VALUES ('succeeded'), ('failed')) AS states (state) WHERE id = $1`,
      [second.id],
    );
    type Page = { data: WebhookOverview[]; has_more: boolean; last_id: string };
    const list = (query: string) => platform.admin.expect<Page>(200, 'GET', `/v1/admin/webhooks?${query}`);
    const page = await list('limit=1');
    expect(page).toMatchObject({
      has_more: true,
      data: [
        {
          id: second.id,
          tenant: 'acme',
          enabled: true,
          recent: { pending: 0, succeeded: 1, failed: 1 },
          last_delivery: { type: 'adapter.alias.changed', status: 200 },
        },
      ],
    });
    expect(page.data[0]?.last_delivery?.created_at).toMatch(/Z$/);
    const rest = await list(`after=${page.last_id}`);
    expect(rest.data).toMatchObject([{ id: first.id, enabled: false, last_delivery: null }]);
    expect((await list('failing=true')).data.map(({ id }) => id)).toEqual([first.id]);
    expect((await list('tenant=none')).data).toEqual([]);
    expect(await platform.admin.call('GET', '/v1/admin/webhooks?after=x')).toMatchObject({ status: 400 });
  });

  it('show the pipelines of all tenants', async () => {
    const { id } = await acme.expect<{ id: string }>(201, 'POST', '/v1/hooks', {
      name: 'trl',
      adapter: 'bot',
    });
    expect(await platform.admin.expect(200, 'GET', '/v1/admin/hooks?tenant=acme')).toMatchObject({
      data: [
        { id, tenant: 'acme', name: 'trl', recent: { open: 0, done: 0, failed: 0 }, last_delivery: null },
      ],
    });
    for (const list of ['limits', 'webhooks', 'hooks'])
      expect(await acme.call('GET', `/v1/admin/${list}`)).toMatchObject({ status: 403 });
  });
});

describe('the audit log over HTTP', () => {
  type Entries = { data: AuditEntryResource[]; has_more: boolean; last_id: string };
  const read = (query: string) => platform.admin.expect<Entries>(200, 'GET', `/v1/admin/audit?${query}`);

  it('tells who, what, from where, before and after', async () => {
    const admin = platform.admin;
    const { id } = await admin.expect<{ id: string }>(201, 'POST', '/v1/admin/tenants', { name: 'told' });
    const response = await fetch(`${platform.url}/v1/admin/tenants/told`, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        'content-type': 'application/json',
        'x-request-id': 'who-1',
      },
      body: JSON.stringify({ state: 'suspended' }),
    });
    expect(response.status).toBe(200);
    const { data } = await read('tenant=told');
    expect(data).toMatchObject([
      {
        action: 'tenant.update',
        actor: { type: 'operator' },
        subject: { type: 'tenant', id },
        before: { state: 'active' },
        after: { state: 'suspended' },
        request_id: 'who-1',
        address: '127.0.0.1',
      },
      { action: 'tenant.create', before: null, after: { name: 'told' } },
    ]);
  });

  it('filters by actor, action, subject and time, and pages without loss', async () => {
    const from = new Date().toISOString();
    for (const name of ['a', 'b', 'c']) await acme.expect(201, 'POST', '/v1/adapters', { name });
    await platform.admin.expect(201, 'POST', '/v1/admin/tenants', { name: 'later' });
    const ofKeys = await read(`actor=api_key&action=adapter.create&from=${from}`);
    expect(ofKeys.data.map(({ after }) => after?.name)).toEqual(['c', 'b', 'a']);
    const [newest] = ofKeys.data;
    expect((await read(`actor=${newest?.actor.id}&from=${from}`)).data).toHaveLength(3);
    expect((await read(`subject=${newest?.subject.id}`)).data).toHaveLength(1);
    expect((await read(`action=adapter.*&from=${from}`)).data).toHaveLength(3);
    expect((await read(`action=adapt.*&from=${from}`)).data).toHaveLength(0);
    expect((await read(`from=${from}&to=${from}`)).data).toHaveLength(0);
    const first = await read(`action=adapter.create&limit=2&from=${from}`);
    const second = await read(`action=adapter.create&limit=2&from=${from}&after=${first.last_id}`);
    expect([first.has_more, second.has_more]).toEqual([true, false]);
    expect([...first.data, ...second.data].map(({ after }) => after?.name)).toEqual(['c', 'b', 'a']);
  });

  it('refuses what it does not know, and everyone but operators', async () => {
    for (const query of ['after=x', 'limit=0', 'who=me', 'from=yesterday'])
      expect(await platform.admin.call('GET', `/v1/admin/audit?${query}`)).toMatchObject({ status: 400 });
    expect(await platform.admin.call('GET', '/v1/admin/audit?tenant=none')).toMatchObject({ status: 404 });
    expect(await acme.call('GET', '/v1/admin/audit')).toMatchObject({ status: 403 });
  });
});
