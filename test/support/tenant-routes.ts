import { formOf, goldenFiles } from './adapter-form.js';
import { chatLine, startBatch } from './batches.js';
import type { Client } from './client.js';

/** One operation of the OpenAPI document. */
export interface Route {
  readonly method: string;
  readonly path: string;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export const nameOf = ({ method, path }: Route): string => `${method} ${path}`;
export const parametersOf = ({ path }: Route): string[] =>
  [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name ?? '');

export async function everyRoute(client: Client): Promise<Route[]> {
  const { paths } = await client.expect<Document>(200, 'GET', '/openapi.json');
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
  );
}

/** Routes that ask for no key: what they answer has nothing of a tenant, or is signed. */
export const WITHOUT_KEY = new Set([
  'GET /health',
  'GET /version',
  'GET /ping',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /v1/session/methods', // how one may sign in
  'POST /v1/hooks/fine-tune/{id}', // by the hook's own signature
]);

/** Routes of the console's sign-in: by a key in the body, by a cookie, or for whatever key asks. */
export const OF_SESSIONS = new Set([
  'POST /v1/session',
  'GET /v1/session',
  'DELETE /v1/session',
  'PUT /v1/session/view',
  'POST /v1/session/links',
  'GET /v1/session/oidc/start',
  'GET /v1/session/oidc/callback',
]);

/** Routes that make the caller's own where it has none of the name, whoever else has one. */
export const MAKES_OWN = new Set(['PUT /v1/evaluation-sets/{set}']);

/** Routes without a parameter that change something, yet can name nothing that another tenant has. */
export const NAMES_NOTHING = new Set([
  'PUT /v1/request-log',
  'DELETE /v1/requests',
  'POST /v1/adapters',
  'POST /v1/revalidations',
  'POST /v1/base-moves',
  'POST /v1/hooks',
  'POST /v1/webhook-endpoints',
  'POST /v1/trainers',
  'POST /v1/uploads',
  'POST /v1/files',
  'OPTIONS /v1/uploads',
  'POST /v1/fine_tuning/jobs', // its model is the base model; its trainer is found among the caller's own
]);

/** Routes that name a model in their body. */
export const MODEL_BODIES: Readonly<Record<string, (model: string) => object>> = {
  'POST /v1/completions': (model) => ({ model, prompt: 'x' }),
  'POST /v1/chat/completions': (model) => ({ model, messages: [{ role: 'user', content: 'x' }] }),
  'POST /v1/messages': (model) => ({ model, max_tokens: 1, messages: [{ role: 'user', content: 'x' }] }),
  'POST /v1/messages/count_tokens': (model) => ({ model, messages: [{ role: 'user', content: 'x' }] }),
  'POST /v1/embeddings': (model) => ({ model, input: 'x' }),
  'POST /v1/score': (model) => ({ model, text_1: 'x', text_2: 'y' }),
  'POST /v1/rerank': (model) => ({ model, query: 'x', documents: ['y'] }),
  'POST /v1/responses': (model) => ({ model, input: 'x' }),
  'POST /v1/responses/input_tokens': (model) => ({ model, input: 'x' }),
  'POST /tokenize': (model) => ({ model, prompt: 'x' }),
  'POST /detokenize': (model) => ({ model, tokens: [1] }),
};

/** Routes that name in their body something other than a model that the tenant has. */
export const THINGS_BODIES: Readonly<Record<string, (things: Belongings) => object>> = {
  'POST /v1/batches': ({ file_id }) => ({
    input_file_id: file_id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  }),
};

/** A body that each route takes, so that only the missing resource can be at fault; no entry: it takes none. */
export const BODIES: Readonly<Record<string, () => unknown>> = {
  'PATCH /v1/adapters/{adapter}': () => ({ description: 'mine now' }),
  'POST /v1/adapters/{adapter}/versions': () => formOf(Object.entries(goldenFiles('qv-r8'))),
  'PATCH /v1/adapters/{adapter}/versions/{version}': () => ({ description: 'mine now' }),
  'PUT /v1/adapters/{adapter}/aliases/{alias}': () => ({ routes: [{ version: 1 }] }),
  'PUT /v1/adapters/{adapter}/aliases/{alias}/protection': () => ({ protected: true }),
  'POST /v1/pending-changes/{change}/decision': () => ({ decision: 'approve' }),
  'PUT /v1/adapters/{adapter}/shares/{tenant}': () => ({}),
  'PATCH /v1/hooks/{hook}': () => ({ name: 'mine now' }),
  'PATCH /v1/webhook-endpoints/{endpoint}': () => ({ events: ['adapter.version.ready'] }),
};

/** What a tenant has, by the parameters that name it. */
export type Belongings = Readonly<Record<string, string>>;

const FILE = 'https://example.com/data.jsonl';
const NOBODYS_ID = '0190a000-0000-7000-8000-000000000001';
const NOBODYS_DIGITS = NOBODYS_ID.replaceAll('-', '');
const NOBODYS_RESPONSE = `resp_${NOBODYS_DIGITS}`;

/** Gives a tenant one of each thing that a route can name. */
export async function makeBelongings(owner: Client): Promise<Belongings> {
  const made = async (path: string, body: object, status = 201) =>
    (await owner.expect<{ id: string }>(status, 'POST', path, body)).id;
  const form = formOf(Object.entries(goldenFiles('qv-r8')));
  await owner.expect(201, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', form);
  await owner.expect(200, 'PUT', '/v1/adapters/bot/aliases/production', { routes: [{ version: 1 }] });
  const trainer = await made('/v1/trainers', { name: 'gpu', url: 'https://example.com/train' });
  const batch = await startBatch(owner, [chatLine('a')]);
  return {
    adapter: 'bot',
    version: '1',
    alias: 'production',
    tenant: 'acme',
    file: 'adapter_config.json',
    hook: await made('/v1/hooks', { name: 'nightly' }),
    endpoint: await made('/v1/webhook-endpoints', {
      url: 'https://example.com/hook',
      events: ['adapter.version.ready'],
    }),
    trainer,
    job: await made('/v1/fine_tuning/jobs', { model: 'llama-gqa', training_file: FILE }, 200),
    upload: await makeUpload(owner),
    // Of something that is the owner's: the parent alone decides.
    delivery: NOBODYS_ID,
    request: await makeKeptRequest(owner),
    path: 'acme%2Fbot',
    change: await makePendingChange(owner),
    set: await makeEvaluationSet(owner),
    move: await made('/v1/base-moves', {}, 202),
    merge: await made('/v1/adapters/bot/versions/1/merges', {}, 202),
    response: await made('/v1/responses', { model: 'llama-gqa', input: 'x' }, 200),
    file_id: batch.input_file_id,
    batch_id: batch.id,
  };
}

/** Of an alias that only this needs. */
async function makePendingChange(owner: Client): Promise<string> {
  const alias = '/v1/adapters/bot/aliases/guarded';
  await owner.expect(200, 'PUT', alias, { routes: [{ version: 1 }] });
  await owner.expect(200, 'PUT', `${alias}/protection`, { protected: true });
  return (await owner.expect<{ id: string }>(202, 'DELETE', alias)).id;
}

async function makeEvaluationSet(owner: Client): Promise<string> {
  await owner.expect(200, 'PUT', '/v1/evaluation-sets/smoke', { prompts: [{ prompt: 'x', expected: 'y' }] });
  return 'smoke';
}

/** One that was refused: no engine is needed for it. */
async function makeKeptRequest(owner: Client): Promise<string> {
  await owner.expect(200, 'PUT', '/v1/request-log', { enabled: true });
  await owner.expect(404, 'POST', '/v1/completions', { model: 'nobody', prompt: 'x' });
  const { data } = await owner.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/requests');
  return data[0]?.id ?? '';
}

async function makeUpload({ url, key }: Client): Promise<string> {
  const headers = { authorization: `Bearer ${key}`, 'tus-resumable': '1.0.0', 'upload-length': '4' };
  const { headers: answer } = await fetch(`${url}/v1/uploads`, { method: 'POST', headers });
  return answer.get('location')?.split('/').at(-1) ?? '';
}

/** The same names of things that nobody has. */
export const NOBODYS: Belongings = {
  adapter: 'bat',
  hook: NOBODYS_ID,
  endpoint: NOBODYS_ID,
  trainer: NOBODYS_ID,
  request: NOBODYS_ID,
  upload: NOBODYS_ID,
  job: `ftjob-${NOBODYS_ID}`,
  path: 'acme%2Fbat',
  change: NOBODYS_ID,
  set: 'smokes',
  move: NOBODYS_ID,
  merge: NOBODYS_ID,
  response: NOBODYS_RESPONSE,
  file_id: `file-${NOBODYS_DIGITS}`,
  batch_id: `batch_${NOBODYS_DIGITS}`,
};

/** The route's path to what the owner has, and to the like that nobody has. */
export function pathsTo(route: Route, belongings: Belongings): { theirs: string; nobodys: string } {
  const [first = ''] = parametersOf(route);
  const fill = (things: Belongings) =>
    route.path.replace(/\{([^}]+)\}/g, (_, name: string) => things[name] ?? `{${name}}`);
  return { theirs: fill(belongings), nobodys: fill({ ...belongings, [first]: NOBODYS[first] ?? '' }) };
}
