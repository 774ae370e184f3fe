import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import pg from 'pg';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import { type Answer, Client } from '../support/client.js';
import { finish, start, tokens } from '../support/engine-events.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

interface Body {
  readonly id: string;
  readonly data: { readonly id: string }[];
  readonly error: { readonly code: string; readonly message: string; readonly param: string };
}

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  acme = await platform.tenant('acme');
});
afterAll(() => platform?.close());

/** A POST under an Idempotency-Key. */
function post(client: Client, key: string, path: string, body?: unknown): Promise<Answer<Body>> {
  return new Client(client.url, client.key, { 'idempotency-key': key }).call<Body>('POST', path, body);
}
const isReplay = ({ headers }: Answer<Body>) => headers.get('idempotent-replayed') === 'true';
const codeOf = ({ status, body }: Answer<Body>) => [status, body.error?.code];
const count = async (path: string) => (await acme.expect<Body>(200, 'GET', path)).data.length;
/** Leaves a key's row as a process does that is killed at some moment. */
const killed = (key: string, columns: string) =>
  platform.query(`UPDATE idempotency_keys SET held_until = now(), ${columns} WHERE key = $1`, [key]);
const BEFORE_THE_ANSWER = 'status = NULL, answer = NULL';

describe('an Idempotency-Key', () => {
  it('gives the same request the same answer, and makes nothing twice', async () => {
    const first = await post(acme, 'a1', '/v1/adapters', { name: 'once', labels: { a: '1', b: '2' } });
    expect([first.status, isReplay(first)]).toEqual([201, false]);
    const again = await post(acme, 'a1', '/v1/adapters', { labels: { b: '2', a: '1' }, name: 'once' });
    expect([again.status, isReplay(again)]).toEqual([201, true]);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'));
  });

  it('is refused for another body, and for another path', async () => {
    await post(acme, 'b1', '/v1/adapters', { name: 'bodies' });
    for (const [path, body] of [
      ['/v1/adapters', { name: 'others' }],
      ['/v1/hooks', { name: 'bodies' }],
    ] as const) {
      const other = await post(acme, 'b1', path, body);
      expect(codeOf(other)).toEqual([409, 'idempotency_conflict']);
      expect(other.body.error.param).toBe('Idempotency-Key');
      expect(other.headers.get('x-should-retry')).toBe('false');
    }
    expect((await acme.call('GET', '/v1/adapters/others')).status).toBe(404);
  });

  it('answers 409 with retry-after while the first request runs, also when it comes to another process', async () => {
    const second = new Client(await platform.startApi(), acme.key);
    const sql = new pg.Client({ connectionString: platform.postgres.url });
    await sql.connect();
    try {
      await sql.query('BEGIN; LOCK TABLE adapters IN SHARE MODE');
      const running = post(acme, 'c1', '/v1/adapters', { name: 'slow' });
      const held = "SELECT 1 FROM idempotency_keys WHERE key = 'c1'";
      await expect.poll(() => platform.query(held)).toHaveLength(1);
      for (const client of [acme, second]) {
        const early = await post(client, 'c1', '/v1/adapters', { name: 'slow' });
        expect(codeOf(early)).toEqual([409, 'idempotency_in_flight']);
        expect(Number(early.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      await sql.query('COMMIT');
      const first = await running;
      expect(first.status).toBe(201);
      const again = await post(second, 'c1', '/v1/adapters', { name: 'slow' });
      expect([isReplay(again), again.body]).toEqual([true, first.body]);
    } finally {
      await sql.end();
    }
  });

  it('lets a run whose key was taken over change nothing', async () => {
    const sql = new pg.Client({ connectionString: platform.postgres.url });
    await sql.connect();
    try {
      await sql.query('BEGIN; LOCK TABLE adapters IN SHARE MODE');
      const running = post(acme, 'd1', '/v1/adapters', { name: 'twice' });
      const waits = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%adapters%'`;
      await expect.poll(() => platform.query(waits)).not.toHaveLength(0);
      await killed('d1', 'holder = gen_random_uuid()');
      await sql.query('COMMIT');
      expect(codeOf(await running)).toEqual([409, 'idempotency_in_flight']);
      expect((await acme.call('GET', '/v1/adapters/twice')).status).toBe(404);
      expect((await post(acme, 'd1', '/v1/adapters', { name: 'twice' })).status).toBe(201);
    } finally {
      await sql.end();
    }
  });

  it('does not double what was done before a crash, and does what was not', async () => {
    const first = await post(acme, 'e1', '/v1/adapters', { name: 'crashed' });
    await killed('e1', BEFORE_THE_ANSWER);
    const again = await post(acme, 'e1', '/v1/adapters', { name: 'crashed' });
    expect([again.status, isReplay(again), again.body]).toEqual([201, true, first.body]);

    await platform.query(
      `INSERT INTO idempotency_keys (id, owner, key, holder, held_until, expires_at)
       SELECT gen_random_uuid(), owner, 'e2', gen_random_uuid(), now(), expires_at FROM idempotency_keys WHERE key = 'e1'`,
    );
    const late = await post(acme, 'e2', '/v1/adapters', { name: 'never-begun' });
    expect([late.status, isReplay(late)]).toEqual([201, false]);
  });

  it('says so where the answer of before a crash held a secret', async () => {
    const first = await post(acme, 'f1', '/v1/hooks', { name: 'crashed' });
    await killed('f1', BEFORE_THE_ANSWER);
    const again = await post(acme, 'f1', '/v1/hooks', { name: 'crashed' });
    expect(codeOf(again)).toEqual([409, 'idempotency_conflict']);
    expect(again.body.error.message).toContain(first.body.id);
    expect(await count('/v1/hooks')).toBe(1);
  });

  it('gives a secret again, which is stored encrypted', async () => {
    const { body } = await post(acme, 'g1', '/v1/webhook-endpoints', {
      url: 'https://example.com/',
      events: ['adapter.version.ready'],
    });
    const { secret } = body as unknown as { secret: string };
    const again = await post(acme, 'g1', '/v1/webhook-endpoints', {
      url: 'https://example.com/',
      events: ['adapter.version.ready'],
    });
    expect([isReplay(again), again.body]).toEqual([true, body]);
    const [row] = await platform.query<{ answer: string }>(
      "SELECT answer FROM idempotency_keys WHERE key = 'g1'",
    );
    expect(row?.answer).not.toContain(secret);
  });

  it('knows an upload by its parts, whatever stands between them', async () => {
    const files = Object.entries(goldenFiles('qv-r8'));
    const upload = (key: string, parts: typeof files) =>
      post(acme, key, '/v1/adapters/uploaded/versions?create=true', formOf(parts));
    const first = await upload('h1', files);
    expect(first.status).toBe(201);
    const again = await upload('h1', files.toReversed());
    expect([again.status, isReplay(again), again.body.id]).toEqual([201, true, first.body.id]);
    const other = Object.entries(goldenFiles('rslora-r4'));
    expect(codeOf(await upload('h1', other))).toEqual([409, 'idempotency_conflict']);
    await killed('h1', BEFORE_THE_ANSWER);
    const recovered = await upload('h1', files);
    expect([recovered.status, isReplay(recovered), recovered.body.id]).toEqual([201, true, first.body.id]);
    expect(await count('/v1/adapters/uploaded/versions')).toBe(1);
    const refused = await upload('h2', [[CONFIG, files.find(([name]) => name === CONFIG)![1]]]);
    expect(refused.body.error).toMatchObject({ code: 'invalid_request', param: WEIGHTS });
    expect((await upload('h2', files)).status).toBe(201);
  });

  it('is free again after a request that changed nothing', async () => {
    expect((await post(acme, 'i1', '/v1/adapters/no-such/versions', { source: 'hf://a/b' })).status).toBe(
      404,
    );
    expect(codeOf(await post(acme, 'i1', '/v1/adapters', { nam: 'x' }))).toEqual([400, 'invalid_request']);
    expect((await post(acme, 'i1', '/v1/adapters', { name: 'freed' })).status).toBe(201);
  });

  it('is another one for another tenant, and for callers of other rights', async () => {
    const globex = await platform.tenant('globex');
    const keys = '/v1/admin/tenants/acme/keys';
    const { key } = await platform.admin.expect<{ key: string }>(201, 'POST', keys, {
      name: 'fewer',
      scopes: ['adapters'],
    });
    const operator = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'acme', 'idempotency-key': 'j1' });
    expect((await post(acme, 'j1', '/v1/adapters', { name: 'mine' })).status).toBe(201);
    const theirs = await post(globex, 'j1', '/v1/adapters', { name: 'mine' });
    expect([theirs.status, isReplay(theirs)]).toEqual([201, false]);
    const fewer = await post(new Client(platform.url, key), 'j1', '/v1/adapters', { name: 'mine' });
    expect(codeOf(fewer)).toEqual([409, 'already_exists']);
    expect((await operator.call('POST', '/v1/adapters', { name: 'theirs' })).status).toBe(201);
  });

  it('holds for the operator’s calls', async () => {
    const first = await post(platform.admin, 'k1', '/v1/admin/tenants', { name: 'initech' });
    const again = await post(platform.admin, 'k1', '/v1/admin/tenants', { name: 'initech' });
    expect([first.status, again.status, isReplay(again)]).toEqual([201, 201, true]);
    const path = '/v1/admin/tenants/initech/keys';
    const body = { name: 'k', scopes: ['inference'] };
    const made = await post(platform.admin, 'k2', path, body);
    expect((await post(platform.admin, 'k2', path, body)).body).toEqual(made.body);
    const { data } = await platform.admin.expect<Body>(200, 'GET', path);
    expect(data).toHaveLength(1);
  });

  it('holds for an answer of a model, which is generated and metered once', async () => {
    platform.engine.script = (generation) => {
      generation.send(start(3), tokens('hello', [1]), finish());
      generation.end();
    };
    const body = { model: 'llama-gqa', prompt: 'hi' };
    const before = platform.engine.requests.length;
    const first = await post(acme, 'l1', '/v1/completions', body);
    const again = await post(acme, 'l1', '/v1/completions', body);
    expect([first.status, isReplay(again), again.body]).toEqual([200, true, first.body]);
    expect(platform.engine.requests.length - before).toBe(1);
    const streamed = await post(acme, 'l2', '/v1/completions', { ...body, stream: true });
    expect(codeOf(streamed)).toEqual([400, 'invalid_request']);
    expect(streamed.body.error.param).toBe('Idempotency-Key');
  });

  it('has 1 to 255 characters', async () => {
    expect((await post(acme, 'm'.repeat(255), '/v1/adapters', { name: 'long-key' })).status).toBe(201);
    for (const key of ['m'.repeat(256), '']) {
      const refused = await post(acme, key, '/v1/adapters', { name: 'too-long-key' });
      expect(refused.body.error).toMatchObject({ code: 'invalid_request', param: 'Idempotency-Key' });
    }
  });

  it('is forgotten after a day', async () => {
    await post(acme, 'n1', '/v1/adapters', { name: 'old' });
    await killed('n1', "expires_at = now() - interval '1 second'");
    expect(codeOf(await post(acme, 'n1', '/v1/adapters', { name: 'old' }))).toEqual([409, 'already_exists']);
    const kept =
      "SELECT extract(epoch FROM expires_at - now()) / 3600 AS hours FROM idempotency_keys WHERE key = 'a1'";
    const [{ hours } = { hours: 0 }] = await platform.query<{ hours: number }>(kept);
    expect(Number(hours)).toBeGreaterThan(23);
    expect(Number(hours)).toBeLessThanOrEqual(24);
    await killed('a1', "expires_at = now() - interval '1 second'");
    await platform.startWorker();
    await vi.waitFor(async () =>
      expect(await platform.query("SELECT 1 FROM idempotency_keys WHERE key = 'a1'")).toEqual([]),
    );
  });
});
