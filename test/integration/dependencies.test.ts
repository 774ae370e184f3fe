import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  platform.engine.script = (generation) => {
    generation.send(
      { type: 'start', promptTokens: 1 },
      {
        type: 'finish',
        reason: 'length',
        stopReason: null,
        text: 'ok',
        usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 0 },
        timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
      },
    );
    generation.end();
  };
  await upload('bot');
});
afterAll(() => platform?.close());

const upload = (name: string) =>
  acme.call(
    'POST',
    `/v1/adapters/${name}/versions?create=true&wait=60`,
    formOf(Object.entries(goldenFiles('qv-r8'))),
  );
const complete = async () =>
  (await acme.call('POST', '/v1/completions', { model: 'bot', prompt: 'x' })).status;
const checks = async () => {
  const response = await fetch(`${platform.url}/health/ready`);
  return { status: response.status, body: await response.json() };
};

async function untilStatus(
  expected: number,
  call: () => Promise<{ readonly status: number }>,
): Promise<void> {
  for (let last: unknown; ; ) {
    const answer = await call();
    if (answer.status === expected) return;
    if (last === undefined) last = answer;
    await sleep(100);
  }
}

describe('while PostgreSQL is away', () => {
  it('known keys and models go on, all else answers 503, and everything heals by itself', async () => {
    expect(await complete()).toBe(200);
    await platform.postgres.child.stop();

    const { status, headers, body } = await acme.call('POST', '/v1/adapters', { name: 'new' });
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { error: { code: 'dependency_unavailable' } },
    });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await upload('new')).status).toBe(503);
    expect(await complete()).toBe(200);
    await sleep(6_000); // longer than a cache is fresh
    expect(await complete()).toBe(200);
    expect(await checks()).toMatchObject({
      status: 503,
      body: { checks: { database: 'down', queue: 'up', engine: 'up' } },
    });
    expect((await fetch(`${platform.url}/health/live`)).status).toBe(200);

    await platform.restartPostgres();
    await untilStatus(201, () => acme.call('POST', '/v1/adapters', { name: 'new' }));
    await untilStatus(200, () => checks());
    expect(await upload('new')).toMatchObject({ status: 201, body: { state: 'ready' } });
    expect(await complete()).toBe(200);
    const usage = await acme.expect<{ data: { requests: number }[] }>(200, 'GET', '/v1/usage');
    expect(usage.data[0]?.requests).toBe(4);
  });
});

describe('while Redis is away', () => {
  it('uploads answer 503, all else goes on, and everything heals by itself', async () => {
    await platform.redis?.child.stop();
    const { status, body } = await upload('later');
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { error: { code: 'dependency_unavailable' } },
    });
    await acme.expect(404, 'GET', '/v1/adapters/later');
    expect(await complete()).toBe(200);
    expect(await checks()).toMatchObject({
      status: 503,
      body: { checks: { database: 'up', queue: 'down' } },
    });

    await platform.restartRedis();
    await untilStatus(201, () => upload('later'));
    await untilStatus(200, () => checks());
    expect(await upload('later')).toMatchObject({ status: 201, body: { state: 'ready' } });
  });
});
