import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import {
  type Belongings,
  BODIES,
  everyRoute,
  makeBelongings,
  MAKES_OWN,
  MODEL_BODIES,
  NAMES_NOTHING,
  nameOf,
  OF_SESSIONS,
  parametersOf,
  NOBODYS,
  pathsTo,
  type Route,
  THINGS_BODIES,
  WITHOUT_KEY,
} from '../support/tenant-routes.js';

let platform: Platform;
let acme: Client;
let globex: Client;
let belongings: Belongings;
beforeAll(async () => {
  platform = await Platform.start();
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
  platform.engine.script = answerWith([1]);
  belongings = await makeBelongings(acme);
});
afterAll(() => platform?.close());

describe('every route of the OpenAPI document', () => {
  const isOperators = ({ path }: Route) => path.startsWith('/v1/admin/');
  const needsKey = (route: Route) => !WITHOUT_KEY.has(nameOf(route)) && !OF_SESSIONS.has(nameOf(route));
  const ofTenants = async () =>
    (await everyRoute(acme)).filter((route) => needsKey(route) && !isOperators(route));

  it('that asks for a key answers 401 without one', async () => {
    for (const route of (await everyRoute(acme)).filter(needsKey)) {
      const { method } = route;
      const response = await fetch(platform.url + pathsTo(route, belongings).theirs, { method });
      expect([nameOf(route), response.status]).toEqual([nameOf(route), 401]);
    }
  });

  it('of the operator is closed to tenants', async () => {
    for (const route of (await everyRoute(acme)).filter(isOperators)) {
      const { status } = await acme.call(route.method, route.path.replace(/\{[^}]+\}/g, 'x'));
      expect([nameOf(route), status]).toEqual([nameOf(route), 403]);
    }
  });

  it("that names something answers 404 for another tenant's, word for word as for nobody's", async () => {
    const routes = (await ofTenants()).filter(
      (route) => parametersOf(route).length > 0 && !MAKES_OWN.has(nameOf(route)),
    );
    expect(routes.length).toBeGreaterThanOrEqual(40);
    for (const route of routes) {
      // A new kind of thing must be listed in test/support/tenant-routes.ts, and be made there.
      const unknown = parametersOf(route).filter((name) => belongings[name] === undefined);
      expect([nameOf(route), unknown]).toEqual([nameOf(route), []]);
      const { theirs, nobodys } = pathsTo(route, belongings);
      expect(theirs).not.toBe(nobodys);
      const body = BODIES[nameOf(route)];
      const theirAnswer = await globex.call(route.method, theirs, body?.());
      const nobodysAnswer = await globex.call(route.method, nobodys, body?.());
      expect([nameOf(route), theirAnswer.status]).toEqual([nameOf(route), 404]);
      const neutral = (answer: unknown) => JSON.stringify(answer).replaceAll(/acme\/b[oa]t/g, 'x');
      expect(neutral(theirAnswer.body)).toBe(neutral(nobodysAnswer.body));
    }
    for (const path of ['/v1/adapters/bot/versions/1', '/v1/adapters/bot/aliases/production'])
      await acme.expect(200, 'GET', path);
  });

  it('that lists or sums up shows nothing of another tenant', async () => {
    const { id } = await platform.admin.expect<{ id: string }>(200, 'GET', '/v1/admin/tenants/acme');
    const marks = [id, 'acme', 'nightly', belongings.hook, belongings.endpoint, belongings.trainer];
    for (const route of await ofTenants()) {
      if (route.method !== 'GET' || parametersOf(route).length > 0) continue;
      const { status, body } = await globex.call('GET', route.path);
      expect([nameOf(route), status]).toEqual([nameOf(route), 200]);
      const shown = marks.filter((mark) => JSON.stringify(body).includes(`"${mark}"`));
      expect([nameOf(route), shown]).toEqual([nameOf(route), []]);
    }
  });

  const naming = async () =>
    (await ofTenants()).filter((route) => route.method !== 'GET' && parametersOf(route).length === 0);

  it('that takes a model does not find the model of another tenant, by none of its names', async () => {
    for (const route of await naming()) {
      const body = MODEL_BODIES[nameOf(route)];
      for (const model of body ? ['bot', 'bot@1', 'bot:production', 'acme/bot', 'acme/bot@1'] : []) {
        const answer = await globex.call<{ error: { code: string } }>(
          route.method,
          route.path,
          body?.(model),
        );
        const got = [nameOf(route), model, answer.status, answer.body.error.code];
        expect(got).toEqual([nameOf(route), model, 404, 'model_not_found']);
      }
    }
  });

  it('that takes something else of the tenant in its body does not find that of another tenant', async () => {
    const routes = (await naming()).filter((route) => nameOf(route) in THINGS_BODIES);
    expect(routes.map(nameOf)).toEqual(Object.keys(THINGS_BODIES));
    for (const { method, path } of routes) {
      const body = THINGS_BODIES[`${method} ${path}`];
      const theirs = await globex.call(method, path, body?.(belongings));
      const nobodys = await globex.call(method, path, body?.(NOBODYS));
      expect([path, theirs.status, theirs.body]).toEqual([path, 404, nobodys.body]);
    }
  });

  it('that changes something and is none of those is known to name nothing', async () => {
    const others = (await naming())
      .map(nameOf)
      .filter((name) => !(name in MODEL_BODIES) && !(name in THINGS_BODIES));
    expect(others.filter((name) => !NAMES_NOTHING.has(name))).toEqual([]);
  });
});

describe("another tenant's adapter", () => {
  it('is in no list of mine', async () => {
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

describe('an adapter whose owner is suspended', () => {
  it('is called by nobody with whom it was shared', async () => {
    const owner = await platform.tenant('umbrella');
    const form = formOf(Object.entries(goldenFiles('qv-r8')));
    await owner.expect(201, 'POST', '/v1/adapters/virus/versions?create=true&wait=60', form);
    await owner.expect(200, 'PUT', '/v1/adapters/virus/shares/globex');
    platform.engine.script = answerWith([1]);
    const call = async () =>
      (await globex.call('POST', '/v1/completions', { model: 'umbrella/virus', prompt: 'x' })).status;
    expect(await call()).toBe(200);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/umbrella', { state: 'suspended' });
    await expect.poll(call, { timeout: 30_000 }).toBe(404);
    const { data } = await globex.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models');
    expect(data.map(({ id }) => id)).not.toContain('umbrella/virus');
  });
});
