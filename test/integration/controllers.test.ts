import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import request, { type Test } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenFiles } from '../support/adapter-form.js';
import { answerWith } from '../support/fake-answers.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { ROOT } from '../support/stack.js';
import { postSigned } from '../support/webhooks.js';

let platform: Platform;
let key: string;
let hook: { id: string; url: string; secret: string };
beforeAll(async () => {
  platform = await Platform.start();
  platform.engine.script = answerWith([1, 2]);
  const acme = await platform.tenant('acme');
  ({ key } = acme);
  hook = await acme.expect(201, 'POST', '/v1/hooks', { name: 'training', adapter: 'bot' });
  const upload = http().post('/v1/adapters/bot/versions?create=true&wait=60').auth(key, { type: 'bearer' });
  for (const [name, bytes] of Object.entries(goldenFiles('qv-r8')))
    upload.attach('files', Buffer.from(bytes), name);
  await upload.expect(201);
});
afterAll(() => platform?.close());

const http = () => request(platform.url);
const mine = (call: Test) => call.auth(key, { type: 'bearer' });
const operators = (call: Test) => call.auth(ADMIN_KEY, { type: 'bearer' });
const list = { object: 'list', data: expect.any(Array) as unknown[] };

/** One request to each controller, as its callers send it, and what they may count on. */
const CALLS: Readonly<Record<string, () => Promise<unknown>>> = {
  AdaptersController: () => answers(mine(http().get('/v1/adapters/bot')), { object: 'adapter', name: 'bot' }),
  AdminHistoryController: () => answers(operators(http().get('/v1/admin/history')), list),
  AdminRevalidationsController: () =>
    answers(operators(http().get('/v1/admin/revalidations')), {
      object: 'revalidation',
      ready: 1,
      rejected: 0,
    }),
  AdminLiveController: () => answers(operators(http().get('/v1/admin/live')), { object: 'live' }),
  AdminUsageController: () => answers(operators(http().get('/v1/admin/usage')), list),
  AliasesController: () =>
    answers(mine(http().put('/v1/adapters/bot/aliases/production')).send({ routes: [{ version: 1 }] }), {
      object: 'adapter.alias',
      routes: [{ version: 1, weight: 1 }],
    }),
  AuditController: () => answers(operators(http().get('/v1/admin/audit')), list),
  ChatController: () =>
    answers(
      mine(http().post('/v1/chat/completions')).send({
        model: 'bot',
        messages: [{ role: 'user', content: 'Hi' }],
      }),
      { object: 'chat.completion', model: 'bot' },
    ),
  CompletionsController: () =>
    answers(mine(http().post('/v1/completions')).send({ model: 'llama-gqa', prompt: 'x' }), {
      object: 'text_completion',
    }),
  EmbeddingsController: () =>
    answers(
      mine(http().post('/v1/embeddings')).send({ model: 'bot', input: '' }),
      { error: { code: 'invalid_request', param: 'input' } },
      400,
    ),
  ResponsesController: () =>
    answers(mine(http().post('/v1/responses')).send({ model: 'bot', input: 'Hi' }), {
      object: 'response',
      status: 'completed',
    }),
  ScoreController: () =>
    answers(
      mine(http().post('/v1/score')).send({ model: 'bot', text_1: 'x', text_2: '' }),
      { error: { code: 'invalid_request', param: 'text_2' } },
      400,
    ),
  ScoreAliasController: () =>
    answers(
      mine(http().post('/rerank')).send({ model: 'bot', query: 'x', documents: [] }),
      { error: { code: 'invalid_request', param: 'documents' } },
      400,
    ),
  ModerationsController: () =>
    answers(
      mine(http().post('/v1/moderations')).send({ input: 'x' }),
      { error: { code: 'not_found', type: 'invalid_request_error' } },
      404,
    ),
  FilesController: () =>
    answers(
      mine(http().post('/v1/files')).field('purpose', 'batch').attach('file', Buffer.from('{}'), 'a.jsonl'),
      { object: 'file', filename: 'a.jsonl', purpose: 'batch' },
    ),
  MergesController: () => answers(mine(http().get('/v1/merges')), { ...list, data: [] }),
  BaseMovesController: () => answers(mine(http().get('/v1/base-moves')), { ...list, data: [] }),
  BatchesController: () => answers(mine(http().get('/v1/batches')), list),
  MessagesController: () =>
    answers(
      mine(http().post('/v1/messages')).send({
        model: 'bot',
        max_tokens: 4,
        messages: [{ role: 'user', content: 'Hi' }],
      }),
      { type: 'message', role: 'assistant', model: 'bot' },
    ),
  // What a tokenizer makes of texts is held to by the end-to-end tests: the engine here has none.
  TokenizeController: () =>
    answers(
      mine(http().post('/tokenize')).send({ model: 'bot' }),
      { error: { code: 'invalid_request' } },
      400,
    ),
  EnginesController: () => answers(operators(http().get('/v1/admin/engines')), list),
  FineTuningJobsController: () => answers(mine(http().get('/v1/fine_tuning/jobs')), list),
  HealthController: () => answers(http().get('/health/live'), { status: 'live' }),
  HistoryController: () => answers(mine(http().get('/v1/history')), list),
  HooksController: () => answers(mine(http().get('/v1/hooks')), list),
  InboundController: async () => {
    const unsigned = await http().post(`/v1/hooks/fine-tune/${hook.id}`).send({ type: 'x', data: {} });
    expect(unsigned.status).toBe(401);
    const { status } = await postSigned(hook.url, hook.secret, { type: 'invoice.paid', data: {} });
    expect(status).toBe(202);
  },
  JobsController: () => answers(operators(http().get('/v1/admin/jobs')), list),
  KeysController: () => answers(operators(http().get('/v1/admin/tenants/acme/keys')), list),
  LimitsController: () => answers(mine(http().get('/v1/limits')), { used: { adapters: 1 } }),
  LiveController: () => answers(mine(http().get('/v1/live')), { object: 'live' }),
  MaintenanceController: () => answers(operators(http().get('/v1/admin/maintenance')), { enabled: false }),
  MetricsController: async () => {
    const { text } = await http()
      .get('/metrics')
      .expect(200)
      .expect('content-type', /text\/plain/);
    expect(text).toContain('process_cpu_user_seconds_total');
  },
  MoneyController: () => answers(mine(http().get('/v1/budgets')), list),
  ModelsController: () => answers(mine(http().get('/v1/models/bot@1')), { object: 'model', id: 'bot@1' }),
  OperatorKeysController: () => answers(operators(http().get('/v1/admin/keys')), list),
  OperatorListsController: () => answers(operators(http().get('/v1/admin/limits')), list),
  OverviewController: () => answers(operators(http().get('/v1/admin/overview')), { object: 'overview' }),
  RevalidationsController: () =>
    answers(
      mine(http().post('/v1/revalidations')),
      { object: 'revalidation', tenant: 'acme', queued: 0 },
      202,
    ),
  PendingChangesController: () => answers(mine(http().get('/v1/pending-changes')), list),
  EvaluationSetsController: () => answers(mine(http().get('/v1/evaluation-sets')), list),
  PricesController: () => answers(operators(http().get('/v1/admin/prices')), list),
  RequestsController: () => answers(mine(http().get('/v1/requests')), list),
  SharesController: () => answers(mine(http().get('/v1/adapters/bot/shares')), list),
  TenantBudgetsController: () => answers(operators(http().get('/v1/admin/tenants/acme/budgets')), list),
  TenantLimitsController: () => answers(operators(http().get('/v1/admin/tenants/acme/limits')), {}),
  SettingsController: () => answers(operators(http().get('/v1/admin/settings')), list),
  TenantsController: () =>
    answers(operators(http().post('/v1/admin/tenants')).send({ name: 'globex' }), { name: 'globex' }, 201),
  TrainersController: () => answers(mine(http().get('/v1/trainers')), list),
  TusController: async () => {
    await mine(http().options('/v1/uploads')).expect(204).expect('tus-version', '1.0.0');
  },
  UsageController: () => answers(mine(http().get('/v1/usage')), list),
  VersionExportController: async () => {
    await mine(http().get('/v1/adapters/bot/versions/1/export'))
      .buffer(true)
      .expect(200)
      .expect('content-type', 'application/x-tar');
  },
  VersionFilesController: async () => {
    const { body } = (await mine(http().get('/v1/adapters/bot/versions/1/files/adapter_config.json'))
      .set('range', 'bytes=0-0')
      .buffer(true)
      .expect(206)
      .expect('content-range', /^bytes 0-0\//)) as { body: Buffer };
    expect(body.toString()).toBe('{');
  },
  EngineRegistrationsController: () =>
    answers(http().delete('/internal/engines/nobody?instance=x').auth('token', { type: 'bearer' }), {}, 204),
  SessionController: () =>
    answers(http().post('/v1/session').send({ key: ADMIN_KEY }), { object: 'session', operator: true }, 201),
  OidcController: () => answers(http().get('/v1/session/methods'), { object: 'session.methods', oidc: null }),
  ConsoleSessionsController: () => answers(operators(http().get('/v1/admin/sessions')), list),
  VersionController: () => answers(http().get('/version'), {}),
  VersionSearchController: () => answers(mine(http().get('/v1/versions')), list),
  VersionsController: () =>
    answers(mine(http().get('/v1/adapters/bot/versions/1')), { object: 'adapter.version', state: 'ready' }),
  WebhookEndpointsController: () => answers(mine(http().get('/v1/webhook-endpoints')), list),
  WhoamiController: () =>
    answers(mine(http().get('/v1/whoami')), { object: 'caller', tenant: { name: 'acme' } }),
};

async function answers(call: Test, wanted: object, status = 200): Promise<void> {
  const answer = await call.expect('x-request-id', /./);
  expect([answer.status, answer.body]).toMatchObject([status, wanted]);
}

/** Every controller of the API, by its source. */
function controllers(): string[] {
  return ['apps/api/src', 'libs/runtime/src'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .flatMap((name) =>
        [...readFileSync(join(ROOT, folder, name), 'utf8').matchAll(/\bclass (\w+Controller)\b/g)].map(
          ([, found = '']) => found,
        ),
      ),
  );
}

describe('the controllers of the API', () => {
  it.each(Object.keys(CALLS))('%s answers', async (name) => {
    await CALLS[name]?.();
    expect(controllers()).toContain(name);
  });

  it('are all among them', () => {
    expect(controllers().filter((name) => !(name in CALLS))).toEqual([]);
  });
});
