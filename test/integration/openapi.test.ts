import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

let platform: Platform;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
});
afterAll(() => platform?.close());

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary?: string;
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> };
}
interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string }[];
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Calls whose path says everything. */
const WITHOUT_BODY =
  /\/(rollback|drain|undrain|retry|cancel|replay|enable|disable|session\/links)$|\/shares\/\{tenant\}$/;

/** The content types of a success. */
function answered(name: string): unknown {
  if (SPEAKS_TUS.test(name) || SENDS_ON.test(name)) return ANY_LIST;
  if (name.endsWith('/export')) return ['application/x-tar'];
  return SENDS_BYTES.test(name) ? ['application/octet-stream'] : WITH_JSON;
}
const ANY_LIST: unknown = expect.any(Array);
const WITH_JSON: unknown = expect.arrayContaining(['application/json']);

/** That protocol answers in headers. */
const SPEAKS_TUS = /^(post|head|patch|delete|options) \/v1\/uploads/;

const SENDS_BYTES = /\/files\/\{file\}$|\/(files\/\{file_id\}|merges\/\{merge\})\/content$/;

/** Sends the browser elsewhere. */
const SENDS_ON = /^get \/v1\/session\/oidc\//;

/** Of the document that clients have been generated from. */
const KEPT_IDS = [
  'chatCreate',
  'completionsCreate',
  'modelsList',
  'adaptersCreate',
  'adaptersList',
  'versionsUpload',
  'versionsGet',
  'aliasesPut',
  'aliasesRollback',
  'hooksCreate',
  'webhookEndpointsCreate',
  'fineTuningJobsCreate',
  'tenantsCreate',
  'keysCreate',
  'enginesList',
  'usageGet',
];

const get = (path: string, init?: RequestInit) => fetch(platform.url + path, init);

describe('the OpenAPI document', () => {
  it('names every route with a summary, what it answers, and the error envelope', async () => {
    const document = (await (await get('/openapi.json')).json()) as Document;
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.title).toBe('Lorikeet');
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, operation })),
    );
    expect(operations.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'get /v1/models',
        'post /v1/completions',
        'post /v1/chat/completions',
        'post /v1/adapters/{adapter}/versions',
        'put /v1/adapters/{adapter}/aliases/{alias}',
        'get /v1/usage',
        'post /v1/admin/tenants/{tenant}/keys',
        'get /health/ready',
      ]),
    );
    for (const { name, operation } of operations.filter(({ name }) => !name.endsWith('/metrics'))) {
      const success = Object.entries(operation.responses).find(([status]) => status.startsWith('2'))?.[1];
      expect({ name, summary: operation.summary }).toEqual({
        name,
        summary: expect.stringMatching(/./) as string,
      });
      expect({ name, types: Object.keys(success?.content ?? {}) }).toEqual({ name, types: answered(name) });
      expect({ name, ...operation.responses.default }).toMatchObject({
        name,
        content: { 'application/json': {} },
      });
      const inPath = [...name.matchAll(/\{([^}]+)\}/g)].map(([, parameter]) => parameter);
      const declared = operation.parameters?.filter((parameter) => parameter.in === 'path') ?? [];
      expect({ name, inPath: declared.map((parameter) => parameter.name) }).toEqual({ name, inPath });
      const takesBody = /^(post|put|patch) /.test(name) && !WITHOUT_BODY.test(name);
      expect({ name, body: operation.requestBody !== undefined }).toEqual({ name, body: takesBody });
    }
  });

  it('gives each operation a name of its own that stays, and one group of readers', async () => {
    const document = (await (await get('/openapi.json')).json()) as Document;
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z]+$/);
    expect(ids).toEqual(expect.arrayContaining(KEPT_IDS));
    const groups = document.tags.map(({ name }) => name);
    expect(groups).toEqual(['Inference', 'Adapters', 'Pipelines', 'Account', 'Operator']);
    for (const { operationId, tags } of operations) {
      expect([operationId, tags.length]).toEqual([operationId, 1]);
      expect(groups).toContain(tags[0]);
    }
    expect(document.servers).toEqual([expect.objectContaining({ url: '/' })]);
  });

  it('names what goes in and out, once each', async () => {
    const document = (await (await get('/openapi.json')).json()) as Document;
    const { schemas } = document.components;
    expect(Object.keys(schemas)).toEqual(
      expect.arrayContaining([
        'Adapter',
        'AdapterList',
        'AdapterVersion',
        'Engine',
        'ChatCreateRequest',
        'Error',
      ]),
    );
    const texts = Object.values(schemas).map((schema) => JSON.stringify(schema));
    expect(new Set(texts).size).toBe(texts.length);
    const referred = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)];
    for (const [, name = ''] of referred) expect(Object.keys(schemas)).toContain(name);
  });

  it('has examples that the server takes as they stand', async () => {
    const document = (await (await get('/openapi.json')).json()) as Document;
    const admin = new Client(platform.url, ADMIN_KEY);
    await admin.call('POST', '/v1/admin/tenants', { name: 'acme' });
    const acting = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'acme' });
    let tried = 0;
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { requestBody }] of Object.entries(methods)) {
        const example = requestBody?.content['application/json']?.example;
        if (example === undefined) continue;
        const place = path
          .replace('{tenant}', 'acme')
          .replace('{adapter}', 'support-bot')
          .replace(/\{.*?\}/, 'x');
        const client = path.startsWith('/v1/admin/') ? admin : acting;
        const { status } = await client.call(method.toUpperCase(), place, example);
        expect([method, path, status]).not.toEqual([method, path, 400]);
        if (path.endsWith('/maintenance')) await admin.expect(200, 'PUT', path, { enabled: false });
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThanOrEqual(10);
  });

  it('is shown as a page that loads everything from this server', async () => {
    const page = await get('/docs');
    expect(page.status).toBe(200);
    const html = await page.text();
    expect(html).toContain('Lorikeet');
    const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source ?? '');
    expect(sources.length).toBeGreaterThan(2);
    for (const source of sources) {
      const url = new URL(source, `${platform.url}/docs`);
      expect(url.origin).toBe(platform.url);
      expect([source, (await fetch(url)).status]).toEqual([source, 200]);
    }
  });
});

describe('the server', () => {
  it('leads from / to what it has, as JSON or as a page', async () => {
    const links = (await (await get('/')).json()) as Record<string, string>;
    expect(links).toMatchObject({ object: 'index', docs: '/docs', openapi: '/openapi.json' });
    const page = await get('/', { headers: { accept: 'text/html,*/*' } });
    expect(page.headers.get('content-type')).toContain('text/html');
    const html = await page.text();
    for (const [, path = ''] of html.matchAll(/href="([^"]+)"/g))
      expect([path, (await get(path)).status]).not.toEqual([path, 404]);
  });

  it('answers unknown routes and methods in the envelope', async () => {
    const missing = await get('/v1/nothing');
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({
      error: { code: 'not_found', type: 'invalid_request_error' },
    });
    const wrong = await get('/v1/adapters/x/versions/1', { method: 'PUT' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, expect.stringMatching(/GET.*DELETE/)]);
    expect(await wrong.json()).toMatchObject({ error: { code: 'method_not_allowed' } });
  });

  it('carries a request id, the client’s own where it is well-formed', async () => {
    expect((await get('/health/live')).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    const given = await get('/health/live', { headers: { 'x-request-id': 'mine-1' } });
    expect(given.headers.get('x-request-id')).toBe('mine-1');
    const odd = await get('/health/live', { headers: { 'x-request-id': 'a b' } });
    expect(odd.headers.get('x-request-id')).not.toBe('a b');
  });

  it('refuses JSON that is broken or too large', async () => {
    const headers = { 'content-type': 'application/json', authorization: 'Bearer operator-key-for-tests' };
    const post = (body: string) => get('/v1/admin/tenants', { method: 'POST', headers, body });
    const broken = await post('{');
    expect([broken.status, await broken.json()]).toMatchObject([400, { error: { code: 'invalid_request' } }]);
    const large = await post(JSON.stringify({ name: 'x'.repeat(17 * 2 ** 20) }));
    expect([large.status, await large.json()]).toMatchObject([413, { error: { code: 'payload_too_large' } }]);
  });

  it('says when it is ready, and why not', async () => {
    expect(await (await get('/health/ready')).json()).toEqual({
      status: 'ready',
      checks: { database: 'up', queue: 'up', engine: 'up' },
    });
    expect(await (await get('/metrics')).text()).toContain('process_cpu_user_seconds_total');
    expect((await get('/health/live')).headers.get('x-content-type-options')).toBe('nosniff');
  });
});
