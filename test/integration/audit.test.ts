import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEntryResource } from '#contracts/audit-api.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import { takeBlobAway } from '../support/blob-files.js';
import { chatLine, fileForm, jsonl } from '../support/batches.js';
import { type Answer, Client, type VersionBody } from '../support/client.js';
import { answerText } from '../support/fake-answers.js';
import { goldenFolder } from '../support/golden-base.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

const FOLDER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');

/** Routes that leave no entry, each for a reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'POST /v1/uploads': 'bytes on their way; the version that is made of them has an entry',
  'PATCH /v1/uploads/{upload}': 'as above',
  'DELETE /v1/uploads/{upload}': 'bytes that never became anything',
  'HEAD /v1/uploads/{upload}': 'changes nothing',
  'OPTIONS /v1/uploads': 'changes nothing',
  'POST /v1/completions': 'inference changes nothing; it is metered',
  'POST /v1/chat/completions': 'inference changes nothing; it is metered',
  'POST /v1/embeddings': 'inference changes nothing; it is metered',
  'POST /v1/score': 'inference changes nothing; it is metered',
  'POST /v1/rerank': 'inference changes nothing; it is metered',
  'POST /v1/messages': 'inference changes nothing; it is metered',
  'POST /v1/messages/count_tokens': 'changes nothing',
  'POST /v1/responses': 'an answer, which is metered; that it is kept is told by the answer itself',
  'POST /v1/responses/input_tokens': 'changes nothing',
  'POST /tokenize': 'changes nothing',
  'POST /detokenize': 'changes nothing',
  'POST /v1/hooks/fine-tune/{id}':
    'kept as a delivery of the hook; what becomes of it is written by the job, as the hook',
  'POST /v1/adapters/{adapter}/versions/{version}/merges':
    'nothing is ready here; merges.test.ts holds that it has an entry',
  'DELETE /v1/merges/{merge}': 'as above',
  'POST /v1/base-moves/{move}/cancel': 'no move runs here; base-moves.test.ts holds that it has an entry',
  'POST /v1/revalidations': 'nothing waits here; revalidation.test.ts holds that it has an entry',
  'POST /v1/admin/revalidations': 'nothing waits here; revalidation.test.ts holds that it has an entry',
  'PUT /v1/session/view': 'goes by a cookie; sessions.test.ts holds that it has an entry',
  'DELETE /v1/session': 'ends a cookie, and nothing else',
};

interface Created {
  readonly id: string;
}
type Call = (method: string, path: string, body?: unknown) => Promise<Answer<Created & { data: Created[] }>>;
/** Ids that earlier steps made. */
type Made = Record<
  | 'key'
  | 'operatorKey'
  | 'hook'
  | 'endpoint'
  | 'trainer'
  | 'tuning'
  | 'failedJob'
  | 'price'
  | 'budget'
  | 'change'
  | 'file'
  | 'batch',
  string
>;

let platform: Platform;
let receiver: Server;
let sql: pg.Client;

beforeAll(async () => {
  platform = await Platform.start({ worker: false, env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
  receiver = createServer((_, response) => response.end());
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  sql = new pg.Client({ connectionString: platform.postgres.url });
  await sql.connect();
}, 120_000);

afterAll(async () => {
  await sql?.end();
  await platform?.close();
  receiver?.close();
});

const receiverUrl = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;

/** Every route that changes something, in an order in which all of them can succeed. */
const STEPS: Readonly<Record<string, (call: Call, made: Made) => Promise<unknown>>> = {
  'POST /v1/session': async (call) => {
    // One that is ended alone, and one that is ended with all.
    await call('POST', '/v1/session', { key: ADMIN_KEY });
    await call('POST', '/v1/session', { key: ADMIN_KEY });
  },
  'POST /v1/session/links': (call) => call('POST', '/v1/session/links'),
  'POST /v1/admin/tenants': (call) => call('POST', '/v1/admin/tenants', { name: 'acme' }),
  'PATCH /v1/admin/tenants/{tenant}': (call) =>
    call('PATCH', '/v1/admin/tenants/acme', { quotas: { adapters: 9 } }),
  'POST /v1/admin/tenants/{tenant}/keys': async (call, made) => {
    made.key = await idOf(call('POST', '/v1/admin/tenants/acme/keys', { name: 'ci' }));
  },
  'PATCH /v1/admin/tenants/{tenant}/keys/{key}': (call, { key }) =>
    call('PATCH', `/v1/admin/tenants/acme/keys/${key}`, { name: 'renamed' }),
  'POST /v1/admin/tenants/{tenant}/keys/{key}/rotate': (call, { key }) =>
    call('POST', `/v1/admin/tenants/acme/keys/${key}/rotate`, {}),
  'DELETE /v1/admin/tenants/{tenant}/keys/{key}': (call, { key }) =>
    call('DELETE', `/v1/admin/tenants/acme/keys/${key}`),
  'PUT /v1/admin/prices': async (call, made) => {
    const price = { prompt_per_million: 1, completion_per_million: 2 };
    made.price = await idOf(call('PUT', '/v1/admin/prices', price));
  },
  'DELETE /v1/admin/prices/{price}': (call, { price }) => call('DELETE', `/v1/admin/prices/${price}`),
  'POST /v1/admin/tenants/{tenant}/budgets': async (call, made) => {
    made.budget = await idOf(call('POST', '/v1/admin/tenants/acme/budgets', { amount: 1 }));
  },
  'PATCH /v1/admin/tenants/{tenant}/budgets/{budget}': (call, { budget }) =>
    call('PATCH', `/v1/admin/tenants/acme/budgets/${budget}`, { amount: 2 }),
  'DELETE /v1/admin/tenants/{tenant}/budgets/{budget}': (call, { budget }) =>
    call('DELETE', `/v1/admin/tenants/acme/budgets/${budget}`),
  'DELETE /v1/admin/sessions/{session}': async (call) => {
    const { data } = (await call('GET', '/v1/admin/sessions')).body;
    await call('DELETE', `/v1/admin/sessions/${data[0]?.id}`);
  },
  'DELETE /v1/admin/sessions': (call) => call('DELETE', '/v1/admin/sessions'),
  'PUT /v1/request-log': (call) => call('PUT', '/v1/request-log', { enabled: true }),
  'DELETE /v1/requests': (call) => call('DELETE', '/v1/requests'),
  'POST /v1/base-moves': (call) => call('POST', '/v1/base-moves', {}),
  'PUT /v1/evaluation-sets/{set}': (call) =>
    call('PUT', '/v1/evaluation-sets/smoke', { prompts: [{ prompt: 'x', expected: 'y' }] }),
  'DELETE /v1/evaluation-sets/{set}': (call) => call('DELETE', '/v1/evaluation-sets/smoke'),
  'POST /v1/admin/keys': async (call, made) => {
    made.operatorKey = await idOf(call('POST', '/v1/admin/keys', { name: 'second' }));
  },
  'DELETE /v1/admin/keys/{key}': (call, { operatorKey }) => call('DELETE', `/v1/admin/keys/${operatorKey}`),
  'PUT /v1/admin/maintenance': (call) => call('PUT', '/v1/admin/maintenance', { enabled: false }),
  'POST /v1/admin/engines/{engine}/drain': (call) => call('POST', '/v1/admin/engines/fake-0/drain'),
  'POST /v1/admin/engines/{engine}/undrain': (call) => call('POST', '/v1/admin/engines/fake-0/undrain'),

  'POST /v1/adapters': (call) => call('POST', '/v1/adapters', { name: 'bot' }),
  'PATCH /v1/adapters/{adapter}': (call) => call('PATCH', '/v1/adapters/bot', { description: 'answers' }),
  'POST /v1/adapters/{adapter}/versions': (call) =>
    call('POST', '/v1/adapters/bot/versions', { source: `${receiverUrl()}adapter` }),
  'POST /v1/adapters/{adapter}/versions/{version}/cancel': (call) =>
    call('POST', '/v1/adapters/bot/versions/1/cancel'),
  'PATCH /v1/adapters/{adapter}/versions/{version}': (call) =>
    call('PATCH', '/v1/adapters/bot/versions/1', { description: 'cancelled' }),
  'POST /v1/admin/jobs/{queue}/{job}/cancel': async (call) => {
    const { body } = await operator({}).uploadFolder('bot', FOLDER, 0);
    await call('POST', `/v1/admin/jobs/ingest-adapter/${body.id}/cancel`);
  },
  'POST /v1/admin/jobs/{queue}/{job}/retry': async (call) => {
    const { body } = await operator({}).uploadFolder('bot', FOLDER, 0);
    const putBack = await takeBlobAway(join(platform.folder, 'blobs'), body.weights_sha256);
    await platform.startWorker();
    const path = `/v1/admin/jobs/ingest-adapter/${body.id}`;
    const job = () => operator({}).expect<{ state: string }>(200, 'GET', path);
    await expect.poll(async () => (await job()).state).toBe('failed');
    await putBack();
    await call('POST', `${path}/retry`);
    const version = () => operator({}).expect<VersionBody>(200, 'GET', '/v1/adapters/bot/versions/3');
    await expect.poll(async () => (await version()).state).toBe('ready');
  },

  'DELETE /v1/responses/{response}': async (call) => {
    platform.engine.script = answerText('Hello');
    const { id } = await operator({}).expect<Created>(200, 'POST', '/v1/responses', {
      model: 'llama-gqa',
      input: 'x',
    });
    await call('DELETE', `/v1/responses/${id}`);
  },

  'POST /v1/files': async (call, made) => {
    made.file = await idOf(call('POST', '/v1/files', fileForm(jsonl([chatLine('a')]))));
  },
  'POST /v1/batches': async (call, made) => {
    const body = { input_file_id: made.file, endpoint: '/v1/chat/completions', completion_window: '24h' };
    made.batch = await idOf(call('POST', '/v1/batches', body));
  },
  'POST /v1/batches/{batch_id}/cancel': (call, { batch }) => call('POST', `/v1/batches/${batch}/cancel`),
  'DELETE /v1/files/{file_id}': async (call) => {
    const { id } = await operator({}).expect<Created>(200, 'POST', '/v1/files', fileForm('x'));
    await call('DELETE', `/v1/files/${id}`);
  },

  'POST /v1/webhook-endpoints': async (call, made) => {
    const body = { url: receiverUrl(), events: ['adapter.alias.changed'] };
    made.endpoint = await idOf(call('POST', '/v1/webhook-endpoints', body));
  },
  'PATCH /v1/webhook-endpoints/{endpoint}': (call, { endpoint }) =>
    call('PATCH', `/v1/webhook-endpoints/${endpoint}`, { description: 'chat' }),
  'POST /v1/webhook-endpoints/{endpoint}/rotate': (call, { endpoint }) =>
    call('POST', `/v1/webhook-endpoints/${endpoint}/rotate`, {}),
  'PUT /v1/adapters/{adapter}/aliases/{alias}': async (call) => {
    await call('PUT', '/v1/adapters/bot/aliases/production', { routes: [{ version: 3 }] });
    const again = formOf(Object.entries(goldenFiles('qv-r8')));
    await operator({}).expect(201, 'POST', '/v1/adapters/bot/versions?wait=60', again);
    const routes = [{ version: 4 }];
    await operator({}).expect(200, 'PUT', '/v1/adapters/bot/aliases/production', { routes });
  },
  'POST /v1/adapters/{adapter}/aliases/{alias}/rollback': (call) =>
    call('POST', '/v1/adapters/bot/aliases/production/rollback'),
  'PUT /v1/adapters/{adapter}/aliases/{alias}/protection': async (call, made) => {
    const path = '/v1/adapters/bot/aliases/guarded';
    await operator({}).expect(200, 'PUT', path, { routes: [{ version: 3 }] });
    await call('PUT', `${path}/protection`, { protected: true });
    made.change = await idOf(operator({}).call('DELETE', path));
  },
  'POST /v1/pending-changes/{change}/decision': async (call, { change }) => {
    await call('POST', `/v1/pending-changes/${change}/decision`, { decision: 'decline' });
    const path = '/v1/adapters/bot/aliases/guarded';
    await operator({}).expect(200, 'PUT', `${path}/protection`, { protected: false });
    await operator({}).expect(200, 'DELETE', path);
  },
  'POST /v1/webhook-endpoints/{endpoint}/deliveries/{delivery}/replay': async (call, { endpoint }) => {
    const path = `/v1/webhook-endpoints/${endpoint}/deliveries`;
    const list = () => operator({}).expect<{ data: Created[] }>(200, 'GET', path);
    await expect.poll(async () => (await list()).data.length).toBeGreaterThan(0);
    await call('POST', `${path}/${(await list()).data[0]?.id}/replay`);
  },
  'DELETE /v1/webhook-endpoints/{endpoint}': (call, { endpoint }) =>
    call('DELETE', `/v1/webhook-endpoints/${endpoint}`),

  'POST /v1/hooks': async (call, made) => {
    made.hook = await idOf(call('POST', '/v1/hooks', { name: 'pipeline' }));
  },
  'PATCH /v1/hooks/{hook}': (call, { hook }) => call('PATCH', `/v1/hooks/${hook}`, { name: 'renamed' }),
  'POST /v1/hooks/{hook}/rotate': (call, { hook }) => call('POST', `/v1/hooks/${hook}/rotate`, {}),
  'DELETE /v1/hooks/{hook}': (call, { hook }) => call('DELETE', `/v1/hooks/${hook}`),

  'POST /v1/trainers': async (call, made) => {
    made.trainer = await idOf(call('POST', '/v1/trainers', { name: 'own', url: receiverUrl() }));
  },
  'POST /v1/trainers/{trainer}/rotate': (call, { trainer }) =>
    call('POST', `/v1/trainers/${trainer}/rotate`, {}),
  'POST /v1/fine_tuning/jobs': async (call, made) => {
    const body = { model: 'llama-gqa', training_file: 'file-1', adapter: 'bot' };
    made.tuning = await idOf(call('POST', '/v1/fine_tuning/jobs', body));
  },
  'POST /v1/fine_tuning/jobs/{job}/cancel': (call, { tuning }) =>
    call('POST', `/v1/fine_tuning/jobs/${tuning}/cancel`),
  'DELETE /v1/trainers/{trainer}': (call, { trainer }) => call('DELETE', `/v1/trainers/${trainer}`),

  'PUT /v1/adapters/{adapter}/shares/{tenant}': async (call) => {
    await operator({}).expect(201, 'POST', '/v1/admin/tenants', { name: 'other' });
    await call('PUT', '/v1/adapters/bot/shares/other');
  },
  'DELETE /v1/adapters/{adapter}/shares/{tenant}': (call) => call('DELETE', '/v1/adapters/bot/shares/other'),
  'DELETE /v1/adapters/{adapter}/aliases/{alias}': (call) =>
    call('DELETE', '/v1/adapters/bot/aliases/production'),
  'DELETE /v1/adapters/{adapter}/versions/{version}': (call) => call('DELETE', '/v1/adapters/bot/versions/1'),
  'DELETE /v1/adapters/{adapter}': (call) => call('DELETE', '/v1/adapters/bot'),
};

function operator(headers: Readonly<Record<string, string>>): Client {
  return new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'acme', ...headers });
}

async function idOf(answer: Promise<Answer<Created>>): Promise<string> {
  return (await answer).body.id;
}

describe('the audit log', () => {
  it.each([
    ['an update', "UPDATE audit_entries SET action = 'x.y'"],
    ['an update of no row', "UPDATE audit_entries SET action = 'x.y' WHERE false"],
    ['a deletion', 'DELETE FROM audit_entries'],
    ['a truncation', 'TRUNCATE audit_entries'],
  ])('refuses %s', async (_, statement) => {
    await platform.admin.call('POST', '/v1/admin/tenants', { name: 'kept' });
    await expect(sql.query(statement)).rejects.toThrow('audit_entries is append-only');
  });

  it('has an entry of every route that changes something', { timeout: 120_000 }, async () => {
    const document = (await (await fetch(`${platform.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const changing = routes.filter((route) => !route.startsWith('GET '));
    expect([...Object.keys(STEPS), ...Object.keys(EXCEPTIONS)].sort()).toEqual([...changing].sort());

    const made = {} as Made;
    const silent: string[] = [];
    for (const [index, [route, step]] of Object.entries(STEPS).entries()) {
      const requestId = `step-${index}`;
      const client = operator({ 'x-request-id': requestId });
      await step(async (method, path, body) => {
        const answer = await client.call<Created & { data: Created[] }>(method, path, body);
        expect({ route, ...answer.body, status: answer.status < 300 }).toMatchObject({ route, status: true });
        return answer;
      }, made);
      const found = await sql.query('SELECT 1 FROM audit_entries WHERE request_id = $1', [requestId]);
      if (found.rowCount === 0) silent.push(route);
    }
    expect(silent).toEqual([]);
  });

  it('holds no secret', async () => {
    const { rows } = await sql.query('SELECT before, after FROM audit_entries');
    const text = JSON.stringify(rows);
    expect(text).not.toMatch(/lk_[\w-]{20}|whsec_/);
    expect(text).toContain('renamed');
  });

  it('loses its entry when the change is taken back', async () => {
    const client = operator({ 'x-request-id': 'refused-1' });
    await client.expect(409, 'POST', '/v1/admin/tenants', { name: 'kept' });
    const form = formOf([
      [CONFIG, '{}'],
      [WEIGHTS, 'x'],
    ]);
    await client.expect(404, 'POST', '/v1/adapters/none/versions', form);
    expect(await platform.admin.expect(200, 'GET', '/v1/admin/audit?limit=1000')).not.toMatchObject({
      data: expect.arrayContaining([expect.objectContaining({ request_id: 'refused-1' })]) as object,
    });
  });

  it('tells of an adapter that came with its first version, once', async () => {
    const tenant = await platform.tenant('implicit');
    const files = Object.entries(goldenFiles('qv-r8'));
    await tenant.expect(201, 'POST', '/v1/adapters/new/versions?create=true', formOf(files));
    await tenant.expect(201, 'POST', '/v1/adapters/new/versions?create=true', formOf(files));
    const { data } = await platform.admin.expect<{ data: AuditEntryResource[] }>(
      200,
      'GET',
      '/v1/admin/audit?tenant=implicit&action=adapter.*',
    );
    expect(data.map(({ action }) => action)).toEqual([
      'adapter.version.create',
      'adapter.version.create',
      'adapter.create',
    ]);
  });

  it('tells which key of which tenant acted', async () => {
    const acme = await platform.tenant('keyed');
    await acme.expect(201, 'POST', '/v1/adapters', { name: 'mine' });
    const { data } = await platform.admin.expect<{ data: AuditEntryResource[] }>(
      200,
      'GET',
      '/v1/admin/audit?tenant=keyed&action=adapter.create',
    );
    const caller = await acme.expect<{ key_id: string; tenant: { id: string } }>(200, 'GET', '/v1/whoami');
    expect(data).toMatchObject([
      { actor: { type: 'api_key', id: caller.key_id }, tenant_id: caller.tenant.id, after: { name: 'mine' } },
    ]);
  });
});
