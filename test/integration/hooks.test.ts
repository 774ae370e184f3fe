import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';
import { postSigned } from '../support/webhooks.js';

let platform: Platform;
let acme: Client;
let globex: Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
});
afterAll(() => platform?.close());

interface Hook {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
}
interface Delivery {
  readonly id: string;
  readonly state: string;
  readonly adapter: string | null;
  readonly reason: string | null;
}
interface Fault {
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null };
}

const makeHook = (body: object = {}) => acme.expect<Hook>(201, 'POST', '/v1/hooks', { name: 'ci', ...body });
const artifact = { url: 'https://example.com/adapter/' };
const succeeded = (data: object = {}) => ({
  type: 'fine_tuning.job.succeeded',
  data: { job_id: 'run-1', adapter: 'bot', artifact, ...data },
});
const deliveriesOf = async (hook: Hook) =>
  (await acme.expect<{ data: Delivery[] }>(200, 'GET', `/v1/hooks/${hook.id}/deliveries`)).data;

describe('hooks', () => {
  it('are made with a secret that is shown once, listed, and deleted', async () => {
    const hook = await makeHook({ adapter: 'bot', promote: 'production' });
    expect(hook).toMatchObject({
      object: 'hook',
      url: `${platform.url}/v1/hooks/fine-tune/${hook.id}`,
      secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) as string,
      promote: { alias: 'production' },
    });
    const shown = await acme.expect(200, 'GET', `/v1/hooks/${hook.id}`);
    expect(shown).not.toHaveProperty('secret');
    const listed = await acme.expect<{ data: Hook[] }>(200, 'GET', '/v1/hooks');
    expect(listed.data.map(({ id }) => id)).toEqual([hook.id]);
    expect(JSON.stringify(listed)).not.toContain('whsec_');
    await acme.expect(200, 'DELETE', `/v1/hooks/${hook.id}`);
    await acme.expect(404, 'GET', `/v1/hooks/${hook.id}`);
    expect(await postSigned(hook.url, hook.secret, succeeded())).toMatchObject({ status: 401 });
  });

  it('are changed in place, their URL and secret stay', async () => {
    const hook = await makeHook({ adapter: 'bot' });
    const policy = { alias: 'production', evaluate: { prompts: [{ prompt: 'a', expected: 'b' }] } };
    const changed = await acme.expect(200, 'PATCH', `/v1/hooks/${hook.id}`, {
      promote: policy,
      adapter: null,
    });
    expect(changed).toMatchObject({ id: hook.id, adapter: null, promote: { evaluate: { min_score: 1 } } });
    expect(await acme.expect(200, 'GET', `/v1/hooks/${hook.id}`)).toEqual(changed);
    const cleared = await acme.expect(200, 'PATCH', `/v1/hooks/${hook.id}`, { promote: null });
    expect(cleared).toMatchObject({ promote: null });
    expect((await postSigned(hook.url, hook.secret, succeeded())).status).toBe(202);
  });

  it('keep their secret encrypted, and audit who made them', async () => {
    const hook = await makeHook();
    const { Client: Postgres } = (await import('pg')).default;
    const database = new Postgres({ connectionString: platform.postgres.url });
    await database.connect();
    try {
      const { rows } = await database.query('SELECT secret FROM hooks WHERE id = $1', [hook.id]);
      expect(rows[0].secret).toMatch(/^v1\./);
      const audit = await database.query('SELECT after FROM audit_entries WHERE subject_id = $1', [hook.id]);
      expect(audit.rows).toHaveLength(1);
      const everything = JSON.stringify([rows, audit.rows]);
      expect(everything).not.toContain(hook.secret.slice(6));
    } finally {
      await database.end();
    }
  });

  it.each([
    [{ name: '' }, 'name'],
    [{ name: 'x', promote: { alias: 'latest' } }, 'promote.alias'],
    [{ name: 'x', promote: { alias: 'p', evaluate: { prompts: [] } } }, 'promote.evaluate.prompts'],
    [
      {
        name: 'x',
        promote: { alias: 'p', evaluate: { prompts: [{ prompt: 'a', expected: '(', match: 'regex' }] } },
      },
      'promote.evaluate.prompts[0].expected',
    ],
    [
      { name: 'x', promote: { alias: 'p', evaluate: { prompts: [{ expected: 'a' }] } } },
      'promote.evaluate.prompts[0]',
    ],
    [{ name: 'x', adaptor: 'y' }, 'adaptor'],
    [{ name: 'a\u0000b' }, null],
  ])('refuse %j with the field at fault', async (body, param) => {
    const answer = await acme.call<Fault>('POST', '/v1/hooks', body);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param } } });
  });

  it('are hidden from other tenants, word for word as ones that nobody has', async () => {
    const hook = await makeHook();
    await postSigned(hook.url, hook.secret, succeeded());
    const [delivery] = await deliveriesOf(hook);
    const nobodys = '00000000-0000-7000-8000-000000000000';
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['PATCH', ''],
      ['POST', '/rotate'],
      ['GET', '/deliveries'],
      ['GET', `/deliveries/${delivery?.id}`],
    ] as const) {
      const theirs = await globex.call(
        method,
        `/v1/hooks/${hook.id}${path}`,
        method.startsWith('P') ? {} : undefined,
      );
      const none = await globex.call(
        method,
        `/v1/hooks/${nobodys}${path}`,
        method.startsWith('P') ? {} : undefined,
      );
      expect([path, theirs.status, theirs.body]).toEqual([path, 404, none.body]);
    }
    expect((await globex.expect<{ data: unknown[] }>(200, 'GET', '/v1/hooks')).data).toEqual([]);
  });
});

describe('an inbound event', () => {
  it('is answered 202 with its delivery, which the tenant can follow', async () => {
    const hook = await makeHook();
    const answer = await postSigned<Delivery>(hook.url, hook.secret, succeeded());
    expect(answer).toMatchObject({
      status: 202,
      body: { object: 'hook.delivery', state: 'accepted', adapter: 'bot' },
    });
    const followed = await acme.expect(200, 'GET', `/v1/hooks/${hook.id}/deliveries/${answer.body.id}`);
    expect(followed).toEqual(answer.body);
  });

  it('is refused with 401 when its signature is missing, wrong, too old, from the future or of another hook', async () => {
    const [hook, other] = [await makeHook(), await makeHook()];
    const off = (s: number) => new Date(Date.now() + s * 1000);
    const wrong = await Promise.all([
      postSigned<Fault>(hook.url, other.secret, succeeded()),
      postSigned<Fault>(hook.url, hook.secret, succeeded(), { at: off(-301) }),
      postSigned<Fault>(hook.url, hook.secret, succeeded(), { at: off(+600) }),
      postSigned<Fault>(hook.url, hook.secret, succeeded(), { headers: { 'webhook-signature': 'v1,AAAA' } }),
      postSigned<Fault>(hook.url, hook.secret, succeeded(), { headers: { 'webhook-signature': '' } }),
      postSigned<Fault>(hook.url, hook.secret, succeeded(), { headers: { 'webhook-id': 'another' } }),
      postSigned<Fault>(hook.url, hook.secret, '{not json', { headers: { 'webhook-signature': 'v1,AAAA' } }),
    ]);
    // Whether the hook exists is not told either.
    const nobodys = hook.url.replace(hook.id, '00000000-0000-7000-8000-000000000000');
    wrong.push(await postSigned(nobodys, hook.secret, succeeded()));
    wrong.push(await postSigned(hook.url.replace(hook.id, 'x'), hook.secret, succeeded()));
    for (const { status, body } of wrong) {
      expect([status, body]).toEqual([401, wrong[0]?.body]);
    }
    expect(wrong[0]?.body.error.code).toBe('invalid_signature');
    expect(await deliveriesOf(hook)).toEqual([]);
  });

  it('is taken within five minutes, with one good signature among several', async () => {
    const hook = await makeHook();
    const at = new Date(Date.now() - 200_000);
    expect((await postSigned(hook.url, hook.secret, succeeded(), { at })).status).toBe(202);
    const { Webhook } = await import('standardwebhooks');
    const now = new Date();
    const good = new Webhook(hook.secret).sign('several', now, JSON.stringify(succeeded()));
    const headers = { 'webhook-signature': `v1a,xyz v1,AAAA ${good}` };
    expect(
      (await postSigned(hook.url, hook.secret, succeeded(), { id: 'several', at: now, headers })).status,
    ).toBe(202);
  });

  it('has its effect once: the same id again, also at the same time, answers the same delivery', async () => {
    const hook = await makeHook();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        postSigned<Delivery>(hook.url, hook.secret, succeeded(), { id: 'once' }),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(await deliveriesOf(hook)).toHaveLength(1);
    // A replay with another time in its header is the same message.
    const again = await postSigned<Delivery>(hook.url, hook.secret, succeeded(), {
      id: 'once',
      at: new Date(Date.now() - 60_000),
    });
    expect(again.body.id).toBe(answers[0]?.body.id);
    const other = await postSigned<Fault>(hook.url, hook.secret, succeeded({ job_id: 'run-2' }), {
      id: 'once',
    });
    expect(other).toMatchObject({ status: 409, body: { error: { param: 'webhook-id' } } });
  });

  it('is recorded when it tells of a failure, and ignored visibly when its type is unknown', async () => {
    const hook = await makeHook();
    const failed = {
      type: 'fine_tuning.job.failed',
      data: { job_id: 'run-3', error: { message: 'out of memory' } },
    };
    expect(await postSigned(hook.url, hook.secret, failed)).toMatchObject({
      status: 202,
      body: { state: 'recorded', job_id: 'run-3', data: { error: { message: 'out of memory' } } },
    });
    expect(await postSigned(hook.url, hook.secret, { type: 'invoice.paid', data: {} })).toMatchObject({
      status: 202,
      body: { state: 'ignored', reason: expect.stringContaining('type') as string },
    });
    expect((await deliveriesOf(hook)).map(({ state }) => state)).toEqual(['ignored', 'recorded']);
  });

  it.each([
    [{ type: 'fine_tuning.job.succeeded', data: { job_id: 'x', adapter: 'bot' } }, 'data.artifact'],
    [succeeded({ artifact: { config_url: 'https://a.b/c' } }), 'data.artifact'],
    [succeeded({ artifact: { url: 'ftp://a.b/c' } }), 'data.artifact.url'],
    [succeeded({ sha256: 'abc' }), 'data.sha256'],
    [succeeded({ sha265: 'abc' }), 'data.sha265'],
    [succeeded({ adapter: 'a b' }), 'data.adapter'],
    [succeeded({ adapter: undefined }), 'data.adapter'],
    [succeeded({ metrics: { loss: { deep: 1 } } }), 'data.metrics.loss'],
    [succeeded({ job_id: 'a\u0000' }), null],
    [{ data: {} }, 'type'],
    [[], null],
    ['{not json', null],
  ])('is refused with 400 and the field at fault when it says %j', async (message, param) => {
    const hook = await makeHook();
    const answer = await postSigned<Fault>(hook.url, hook.secret, message);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param } } });
    expect(await deliveriesOf(hook)).toEqual([]);
  });

  it('may name no other adapter than the one of its hook', async () => {
    const hook = await makeHook({ adapter: 'bot' });
    expect(await postSigned(hook.url, hook.secret, succeeded({ adapter: undefined }))).toMatchObject({
      status: 202,
      body: { adapter: 'bot' },
    });
    expect(await postSigned(hook.url, hook.secret, succeeded({ adapter: 'bat' }))).toMatchObject({
      status: 400,
      body: { error: { param: 'data.adapter' } },
    });
  });

  it('is refused when it is larger than an event can be, and while its tenant is suspended', async () => {
    const hook = await makeHook();
    expect((await postSigned(hook.url, hook.secret, 'x'.repeat(2 ** 20 + 1))).status).toBe(413);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'suspended' });
    try {
      expect((await postSigned(hook.url, hook.secret, succeeded())).status).toBe(403);
    } finally {
      await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/acme', { state: 'active' });
    }
  });
});

describe('a rotated secret', () => {
  it('is valid beside the old one for the overlap, and alone when there is none', async () => {
    const hook = await makeHook();
    const rotated = await acme.expect<Hook>(200, 'POST', `/v1/hooks/${hook.id}/rotate`, {
      overlap_seconds: 60,
    });
    expect(rotated.secret).not.toBe(hook.secret);
    for (const { secret } of [hook, rotated]) {
      expect((await postSigned(hook.url, secret, succeeded())).status).toBe(202);
    }
    const alone = await acme.expect<Hook>(200, 'POST', `/v1/hooks/${hook.id}/rotate`, { overlap_seconds: 0 });
    expect((await postSigned(hook.url, rotated.secret, succeeded())).status).toBe(401);
    expect((await postSigned(hook.url, alone.secret, succeeded())).status).toBe(202);
  });
});
