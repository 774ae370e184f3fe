import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { EngineResource } from '#contracts/engines-api.js';
import { makeLogger } from '#runtime/logger.js';
import { Registration } from '../../apps/engine/src/registration.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { FakeEngine } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let tenant: Client;
/** A second API on the same database. */
let elsewhere: string;
const HEARD = { timeout: 30_000, interval: 50 };
const started: FakeEngine[] = [];
const registrations: Registration[] = [];

beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  elsewhere = await platform.startApi();
  tenant = await platform.tenant('acme');
});
afterAll(() => platform?.close());
afterEach(async () => {
  await Promise.all(registrations.splice(0).map((each) => each.end()));
  await Promise.all(started.splice(0).map((each) => each.close()));
});

const put = (name: string, query: Record<string, string>, token = 'token') =>
  fetch(`${platform.url}/internal/engines/${name}?${new URLSearchParams(query).toString()}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
  });

async function startEngine(name: string): Promise<FakeEngine> {
  const engine = await FakeEngine.start(name, 'token');
  engine.status = { ...engine.status, base: platform.engine.status.base };
  engine.script = answerWith([1]);
  started.push(engine);
  return engine;
}

function register(name: string, url: string): Registration {
  const logger = makeLogger('test', 'silent');
  const registration = new Registration({
    controlUrl: platform.url,
    token: 'token',
    name,
    url,
    logger,
    onRefused: () => undefined,
  });
  registrations.push(registration);
  registration.start();
  return registration;
}

const enginesOf = async (url: string) =>
  (
    await new Client(url, platform.admin.key).expect<{ data: EngineResource[] }>(
      200,
      'GET',
      '/v1/admin/engines',
    )
  ).data;
const named = async (url: string, name: string) => (await enginesOf(url)).find((each) => each.name === name);

it('adds an engine that registers itself to every API without a restart, and takes it away when it says that it ends', async () => {
  const engine = await startEngine('extra');
  const registration = register('extra', engine.url);
  for (const url of [platform.url, elsewhere]) {
    await vi.waitFor(
      async () => expect(await named(url, 'extra')).toMatchObject({ source: 'registration', state: 'ready' }),
      HEARD,
    );
  }
  platform.engine.status = { ...platform.engine.status, state: 'draining' };
  await vi.waitFor(async () => {
    const { status } = await tenant.call('POST', '/v1/completions', { model: 'llama-gqa', prompt: 'x' });
    expect([status, engine.requests.length > 0]).toEqual([200, true]);
  }, HEARD);
  platform.engine.status = { ...platform.engine.status, state: 'ready' };
  await registration.end();
  for (const url of [platform.url, elsewhere]) {
    await vi.waitFor(async () => expect(await named(url, 'extra')).toBeUndefined(), HEARD);
  }
});

it('gives a name to one engine at a time, and says whose it is', async () => {
  const [first, second] = [await startEngine('twin'), await startEngine('twin')];
  expect((await put('twin', { url: first.url, instance: 'a' })).status).toBe(204);
  const refused = await put('twin', { url: second.url, instance: 'b' });
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({
    error: { code: 'already_exists', message: expect.stringContaining(first.url) as string },
  });
  // The same place again is the same engine, started anew; one that was silent for long has lost its name.
  expect((await put('twin', { url: first.url, instance: 'c' })).status).toBe(204);
  await platform.query("UPDATE engines SET seen_at = now() - interval '1 minute' WHERE name = 'twin'");
  expect((await put('twin', { url: second.url, instance: 'b' })).status).toBe(204);
  expect(await platform.query('SELECT name, url FROM engines')).toEqual([{ name: 'twin', url: second.url }]);
  await platform.query('DELETE FROM engines');
});

it('shows a registered engine that cannot be reached, with the cause', async () => {
  const engine = await startEngine('gone');
  const { url } = engine;
  await engine.close();
  started.splice(started.indexOf(engine), 1);
  expect((await put('gone', { url, instance: 'a' })).status).toBe(204);
  await vi.waitFor(
    async () =>
      expect(await named(platform.url, 'gone')).toMatchObject({
        state: 'unreachable',
        error: expect.stringContaining('ECONNREFUSED') as string,
      }),
    HEARD,
  );
  await platform.query('DELETE FROM engines');
});

it('takes registrations from nobody who does not know the engine token, and no nonsense', async () => {
  const query = { url: 'http://127.0.0.1:9', instance: 'a' };
  for (const token of ['other', tenant.key, platform.admin.key]) {
    expect((await put('x', query, token)).status).toBe(401);
  }
  expect((await put('x', { ...query, url: 'file:///etc' })).status).toBe(400);
  expect((await put('x', { ...query, url: 'http://127.0.0.1:9/path' })).status).toBe(400);
  expect((await put('a b', query)).status).toBe(400);
});
