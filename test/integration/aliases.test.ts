import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AliasWithHistory, VersionResource } from '#contracts/adapters-api.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

const ADAPTERS = ['qv-r8', 'rslora-r4', 'dora-r8'];

let platform: Platform;
let acme: Client;
/** By version, from 1. */
let digests: (string | null)[];
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  digests = [null];
  for (const name of ADAPTERS) digests.push((await upload(name)).digest);
  platform.engine.script = (generation) => {
    generation.send(
      { type: 'start', promptTokens: 1 },
      { type: 'tokens', text: 'ok', ids: [1] },
      {
        type: 'finish',
        reason: 'stop',
        stopReason: null,
        text: '',
        usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 1 },
        timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
      },
    );
    generation.end();
  };
});
afterAll(() => platform?.close());

const upload = (golden: string) =>
  acme.expect<VersionResource>(
    201,
    'POST',
    '/v1/adapters/bot/versions?create=true&wait=60',
    formOf(Object.entries(goldenFiles(golden))),
  );

/** The version that served a request. */
async function servedBy(model: string, user?: string): Promise<number> {
  await acme.expect(200, 'POST', '/v1/completions', { model, prompt: 'x', ...(user ? { user } : {}) });
  const digest = platform.engine.requests.at(-1)?.adapter ?? null;
  return digests.indexOf(digest);
}

const alias = (method: string, name: string, body?: unknown) =>
  acme.expect<AliasWithHistory>(200, method, `/v1/adapters/bot/aliases/${name}`, body);

describe('a name without version or alias', () => {
  it('means the newest ready version until `production` is set', async () => {
    expect(await servedBy('bot')).toBe(3);
    expect(await servedBy('acme/bot')).toBe(3);
    expect(await servedBy('bot:latest')).toBe(3);
    expect(await servedBy('bot@2')).toBe(2);
    await alias('PUT', 'production', { routes: [{ version: 1 }] });
    expect(await servedBy('bot')).toBe(1);
    expect(await servedBy('bot:latest')).toBe(3);
  });

  it('keeps meaning `production` when a new version comes, while `latest` moves', async () => {
    digests.push((await upload('some-layers')).digest);
    expect(await servedBy('bot')).toBe(1);
    expect(await servedBy('bot:latest')).toBe(4);
    expect((await alias('GET', 'latest')).history.map(({ action }) => action)).toEqual(
      Array(4).fill('automatic'),
    );
  });
});

describe('an alias', () => {
  it('keeps its history and goes back one step at a time', async () => {
    for (const version of [1, 2, 3]) await alias('PUT', 'staging', { routes: [{ version }] });
    expect(await servedBy('bot:staging')).toBe(3);
    expect((await alias('POST', 'staging/rollback')).routes).toEqual([{ version: 2, weight: 1 }]);
    expect(await servedBy('bot:staging')).toBe(2);
    const { routes, history } = await alias('POST', 'staging/rollback');
    expect(routes).toEqual([{ version: 1, weight: 1 }]);
    expect(history.map(({ action, routes }) => [action, routes[0]?.version])).toEqual([
      ['rollback', 1],
      ['rollback', 2],
      ['set', 3],
      ['set', 2],
      ['set', 1],
    ]);
    await acme.expect(409, 'POST', '/v1/adapters/bot/aliases/staging/rollback');
  });

  it('splits users by weight and keeps each on one version', async () => {
    await alias('PUT', 'split', {
      routes: [
        { version: 1, weight: 1 },
        { version: 2, weight: 1 },
      ],
    });
    const users = Array.from({ length: 24 }, (_, index) => `user-${index}`);
    const first: number[] = [];
    for (const user of users) first.push(await servedBy('bot:split', user));
    expect(new Set(first)).toEqual(new Set([1, 2]));
    const again: number[] = [];
    for (const user of users) again.push(await servedBy('bot:split', user));
    expect(again).toEqual(first);
  });

  it('takes only versions that are ready', async () => {
    const put = async (routes: unknown, name = 'x') => {
      const path = `/v1/adapters/bot/aliases/${name}`;
      const { status, body } = await acme.call<{ error: { code: string } }>('PUT', path, { routes });
      return [status, body.error.code];
    };
    expect(await put([{ version: 99 }])).toEqual([404, 'not_found']);
    expect(await put([])).toEqual([400, 'invalid_request']);
    expect(await put([{ version: 1 }, { version: 1 }])).toEqual([400, 'invalid_request']);
    expect(await put([{ version: 1, weight: 0 }])).toEqual([400, 'invalid_request']);
    expect(await put([{ version: 1 }], 'latest')).toEqual([409, 'conflict']);
    expect(await put([{ version: 1 }], 'a%2Fb')).toEqual([400, 'invalid_request']);
  });

  it('holds its versions and its adapter until it is deleted', async () => {
    await acme.expect(409, 'DELETE', '/v1/adapters/bot/versions/1');
    await acme.expect(409, 'DELETE', '/v1/adapters/bot');
    expect(await acme.expect(200, 'GET', '/v1/adapters/bot/aliases')).toMatchObject({
      data: [{ name: 'latest' }, { name: 'production' }, { name: 'split' }, { name: 'staging' }],
    });
    await acme.expect(200, 'DELETE', '/v1/adapters/bot/versions/4');
    expect(await servedBy('bot:latest')).toBe(3);
    await acme.expect(404, 'POST', '/v1/completions', { model: 'bot@4', prompt: 'x' });
    for (const name of ['production', 'split', 'staging']) await alias('DELETE', name);
    await acme.expect(404, 'POST', '/v1/completions', { model: 'bot:staging', prompt: 'x' });
    await acme.expect(200, 'DELETE', '/v1/adapters/bot/versions/1');
    await alias('PUT', 'production', { routes: [{ version: 2 }] });
    await acme.expect(200, 'DELETE', '/v1/adapters/bot?force=true');
    await acme.expect(404, 'POST', '/v1/completions', { model: 'bot', prompt: 'x' });
  });
});

describe('labels', () => {
  it('are filtered by key, by value, and by several at once', async () => {
    await acme.expect(201, 'POST', '/v1/adapters', { name: 'a', labels: { team: 'x', env: 'prod' } });
    await acme.expect(201, 'POST', '/v1/adapters', { name: 'b', labels: { team: 'y', env: 'prod' } });
    const names = async (query: string) => {
      const { data } = await acme.expect<{ data: { name: string }[] }>(200, 'GET', `/v1/adapters?${query}`);
      return data.map(({ name }) => name);
    };
    expect(await names('label=env=prod')).toEqual(['b', 'a']);
    expect(await names('label=team')).toEqual(['b', 'a']);
    expect(await names('label=env=prod&label=team=x')).toEqual(['a']);
    await acme.expect(200, 'PATCH', '/v1/adapters/a', { labels: { team: 'z' }, description: 'changed' });
    expect(await names('label=env=prod')).toEqual(['b']);
    expect(await names('label=nothing')).toEqual([]);
  });
});
