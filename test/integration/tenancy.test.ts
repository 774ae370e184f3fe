import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let globex: Client;
beforeAll(async () => {
  platform = await Platform.start();
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
  const form = formOf(Object.entries(goldenFiles('qv-r8')));
  await acme.expect(201, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', form);
  await acme.expect(200, 'PUT', '/v1/adapters/bot/aliases/production', { routes: [{ version: 1 }] });
});
afterAll(() => platform?.close());

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** A body that each route of a tenant's resource takes, so that only the missing resource can be at fault. */
function bodyFor(method: string, path: string): unknown {
  if (path.endsWith('/versions') && method === 'post') return formOf(Object.entries(goldenFiles('qv-r8')));
  if (method === 'put') return { routes: [{ version: 1 }] };
  if (method === 'patch') return { description: 'mine now' };
  return undefined;
}

describe("another tenant's adapter", () => {
  it('is a 404 on every route, word for word as one that nobody has', async () => {
    const { paths } = await acme.expect<Document>(200, 'GET', '/openapi.json');
    const routes = Object.entries(paths)
      .filter(([path]) => path.startsWith('/v1/adapters/{'))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => ({ method, path })));
    expect(routes.length).toBeGreaterThanOrEqual(12);
    for (const { method, path } of routes) {
      const at = (adapter: string) =>
        path
          .replace('{adapter}', adapter)
          .replace('{version}', '1')
          .replace('{alias}', 'production')
          .replace('{tenant}', 'acme');
      const theirs = await globex.call(method.toUpperCase(), at('bot'), bodyFor(method, path));
      const nobodys = await globex.call(method.toUpperCase(), at('bat'), bodyFor(method, path));
      expect({ method, path, status: theirs.status }).toEqual({ method, path, status: 404 });
      expect(theirs.body).toEqual(nobodys.body);
    }
    await acme.expect(200, 'GET', '/v1/adapters/bot/versions/1');
  });

  it('is no model to call, by none of its names', async () => {
    for (const model of ['bot', 'bot@1', 'bot:production', 'acme/bot', 'acme/bot@1']) {
      const { status, body } = await globex.call<{ error: { code: string; message: string } }>(
        'POST',
        '/v1/completions',
        {
          model,
          prompt: 'x',
        },
      );
      expect({ model, status, code: body.error.code }).toEqual({
        model,
        status: 404,
        code: 'model_not_found',
      });
    }
    const { data } = await globex.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models');
    expect(data.map(({ id }) => id)).toEqual(['llama-gqa']);
    expect(await globex.expect(200, 'GET', '/v1/adapters')).toMatchObject({ data: [] });
  });

  it('may have the same name as mine', async () => {
    await globex.expect(201, 'POST', '/v1/adapters', { name: 'bot' });
    expect(await globex.call('POST', '/v1/adapters', { name: 'bot' })).toMatchObject({
      status: 409,
      body: { error: { code: 'already_exists', param: 'name' } },
    });
    await globex.expect(200, 'DELETE', '/v1/adapters/bot');
    await acme.expect(200, 'GET', '/v1/adapters/bot');
  });
});

describe('an operator key', () => {
  it('does what a tenant may, for the tenant that x-tenant names', async () => {
    const asAcme = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'acme' });
    expect(await asAcme.expect(200, 'GET', '/v1/adapters/bot')).toMatchObject({ name: 'bot' });
    const asGlobex = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'globex' });
    await asGlobex.expect(404, 'GET', '/v1/adapters/bot');
    const asNobody = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'nobody' });
    await asNobody.expect(404, 'GET', '/v1/adapters/bot');
    expect(await platform.admin.call('GET', '/v1/adapters')).toMatchObject({
      status: 400,
      body: { error: { param: 'x-tenant' } },
    });
  });

  it('is needed for every operator route', async () => {
    const { paths } = await acme.expect<Document>(200, 'GET', '/openapi.json');
    for (const [path, methods] of Object.entries(paths).filter(([path]) => path.startsWith('/v1/admin/'))) {
      for (const method of Object.keys(methods)) {
        const { status } = await acme.call(
          method.toUpperCase(),
          path.replace('{tenant}', 'acme').replace('{key}', 'x'),
        );
        expect({ path, method, status }).toEqual({ path, method, status: 403 });
      }
    }
  });
});

describe('names', () => {
  it('of tenants are unique and checked', async () => {
    const { admin } = platform;
    expect(await admin.call('POST', '/v1/admin/tenants', { name: 'acme' })).toMatchObject({ status: 409 });
    for (const body of [
      {},
      { name: '' },
      { name: 'a/b' },
      { name: 'a', extra: 1 },
      { name: 7 },
      [],
      'x',
      null,
    ]) {
      const { status } = await admin.call('POST', '/v1/admin/tenants', body);
      expect({ body, status }).toEqual({ body, status: 400 });
    }
    const { data } = await admin.expect<{ data: { name: string }[] }>(200, 'GET', '/v1/admin/tenants');
    expect(data.map(({ name }) => name)).toEqual(['globex', 'acme']);
  });
});
