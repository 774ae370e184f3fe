import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, Client } from '../support/client.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let secondUrl: string;
let tenants = 0;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  secondUrl = await platform.startApi();
});
afterAll(() => platform?.close());
beforeEach(() => {
  platform.engine.script = answer;
});

const USED = { promptTokens: 3, cachedTokens: 0, completionTokens: 2 };
function answer(generation: FakeGeneration): void {
  generation.send(
    { type: 'start', promptTokens: USED.promptTokens },
    { type: 'tokens', text: 'ok', ids: [1, 2] },
    {
      type: 'finish',
      reason: 'stop',
      stopReason: null,
      text: '',
      usage: USED,
      timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
    },
  );
  generation.end();
}

/** A tenant with quotas, and one key; as both APIs know it. */
async function limited(quotas: object, limits: object = {}): Promise<{ name: string; apis: Client[] }> {
  const name = `tenant-${(tenants += 1)}`;
  await platform.admin.expect(201, 'POST', '/v1/admin/tenants', { name, quotas });
  const path = `/v1/admin/tenants/${name}/keys`;
  const { key } = await platform.admin.expect<{ key: string }>(201, 'POST', path, { name: 'k', limits });
  return { name, apis: [new Client(platform.url, key), new Client(secondUrl, key)] };
}

const complete = (client: Client, body: object = {}): Promise<Answer> =>
  client.call('POST', '/v1/completions', { model: 'llama-gqa', prompt: [1, 2, 3], max_tokens: 4, ...body });

/** `count` requests at once, by turns to each API. */
const flood = (apis: readonly Client[], count: number, body: object = {}) =>
  Promise.all(
    Array.from({ length: count }, (_, index) => complete(apis[index % apis.length] as Client, body)),
  );
const statuses = (answers: readonly Answer[]) => ({
  ok: answers.filter(({ status }) => status === 200).length,
  refused: answers.filter(({ status }) => status === 429).length,
});

describe('a rate limit', () => {
  it('holds over all API processes together, and says what is left', async () => {
    const { apis } = await limited({ requests_per_minute: 4 });
    const answers = await flood(apis, 20);
    expect(statuses(answers)).toEqual({ ok: 4, refused: 16 });
    const left = answers
      .filter(({ status }) => status === 200)
      .map(({ headers }) => Number(headers.get('x-ratelimit-remaining-requests')));
    expect(left.toSorted()).toEqual([0, 1, 2, 3]);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.body).toMatchObject({
      error: {
        code: 'rate_limit_exceeded',
        type: 'rate_limit_error',
        message: expect.stringMatching(
          /^The tenant's limit of 4 requests per minute is reached\. Try again in /,
        ),
      },
    });
    expect(refused?.headers.get('x-ratelimit-limit-requests')).toBe('4');
    expect(refused?.headers.get('x-ratelimit-reset-requests')).toMatch(/^(\d+m)?[\d.]+m?s$/);
    const wait_s = Number(refused?.headers.get('retry-after'));
    expect(wait_s).toBeGreaterThan(0);
    expect(wait_s).toBeLessThanOrEqual(15);
  });

  it('of a key leaves the other keys of the tenant alone', async () => {
    const { name, apis } = await limited({ requests_per_minute: 5 }, { requests_per_minute: 2 });
    expect(statuses(await flood(apis, 6))).toEqual({ ok: 2, refused: 4 });
    const path = `/v1/admin/tenants/${name}/keys`;
    const { key } = await platform.admin.expect<{ key: string }>(201, 'POST', path, { name: 'other' });
    const other = await complete(new Client(secondUrl, key));
    expect([other.status, other.headers.get('x-ratelimit-limit-requests')]).toEqual([200, '5']);
    expect(Number(other.headers.get('x-ratelimit-remaining-requests'))).toBe(2);
  });

  it('of tokens keeps back what a request may use and takes what it did', async () => {
    const { apis } = await limited({ tokens_per_minute: 30 });
    const [first] = await flood(apis, 1, { max_tokens: 20 });
    expect(first?.headers.get('x-ratelimit-remaining-tokens')).toBe('7');
    await untilOk(() => complete(apis[1] as Client, { max_tokens: 20 }));
    const refused = await complete(apis[0] as Client, { max_tokens: 25 });
    expect(refused).toMatchObject({ status: 429, body: { error: { code: 'rate_limit_exceeded' } } });
    expect(JSON.stringify(refused.body)).toContain('The request may use 28.');
    const never = await complete(apis[0] as Client, { max_tokens: 40 });
    expect(never).toMatchObject({ status: 429, body: { error: { param: 'max_tokens' } } });
    expect(JSON.stringify(never.body)).toContain('ever allows');
  });

  it('of concurrent requests counts those of all processes and of streams until they end', async () => {
    const { apis } = await limited({ concurrent_requests: 2 });
    const open: FakeGeneration[] = [];
    platform.engine.script = (generation) => void open.push(generation);
    const running = [complete(apis[0] as Client), complete(apis[1] as Client, { stream: true })];
    while (open.length < 2) await sleep(10);
    expect(await complete(apis[1] as Client)).toMatchObject({
      status: 429,
      body: { error: { message: "The tenant's limit of 2 concurrent requests is reached." } },
    });
    platform.engine.script = answer;
    for (const generation of open) answer(generation);
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    await untilOk(() => complete(apis[0] as Client));
  });

  it('counts a request whose client leaves no longer', async () => {
    const { apis } = await limited({ concurrent_requests: 1 });
    const started = new AbortController();
    platform.engine.script = (generation) => {
      generation.send({ type: 'start', promptTokens: 3 });
      started.abort();
    };
    const leaving = new AbortController();
    const body = { model: 'llama-gqa', prompt: 'x', stream: true };
    const gone = (apis[0] as Client).call('POST', '/v1/completions', body, leaving.signal);
    while (!started.signal.aborted) await sleep(10);
    leaving.abort();
    await expect(gone).rejects.toThrow('abort');
    platform.engine.script = answer;
    await untilOk(() => complete(apis[1] as Client));
  });

  it('changes at once, and leaves those without limits alone', async () => {
    const { name, apis } = await limited({ requests_per_minute: 1 });
    expect(statuses(await flood(apis, 3))).toEqual({ ok: 1, refused: 2 });
    await platform.admin.expect(200, 'PATCH', `/v1/admin/tenants/${name}`, {
      quotas: { requests_per_minute: null },
    });
    const free = await untilOk(() => complete(apis[0] as Client));
    expect([...free.headers.keys()].filter((header) => header.startsWith('x-ratelimit'))).toEqual([]);
    for (const quotas of [{ requests_per_minute: 0 }, { requests_per_minute: 1.5 }, { speed: 1 }]) {
      const path = `/v1/admin/tenants/${name}`;
      expect((await platform.admin.call('PATCH', path, { quotas })).status).toBe(400);
    }
  });
});

async function untilOk(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answered = await call();
    if (answered.status === 200) return answered;
    await sleep(20);
  }
}

describe('a tenant', () => {
  it("has its weight and its maximum context in the engine's request", async () => {
    const { name, apis } = await limited({ max_context: 100 });
    await platform.admin.expect(200, 'PATCH', `/v1/admin/tenants/${name}`, { weight: 2.5 });
    for (const api of apis) {
      let sent = platform.engine.requests.length;
      do await complete(api);
      while (platform.engine.requests[sent++]?.fairnessWeight !== 2.5);
      expect(platform.engine.requests.at(-1)).toMatchObject({ fairnessWeight: 2.5, maxContext: 100 });
    }
  });

  it('passes the speculation of a request on', async () => {
    const { apis } = await limited({});
    const [api] = apis as [Client];
    await complete(api, { speculation: { ngram: { max_draft: 4, min_match: 2 } } });
    expect(platform.engine.requests.at(-1)?.speculation).toEqual({ ngram: { maxDraft: 4, minMatch: 2 } });
    await complete(api, { speculation: { draft: { max_draft: 3 } } });
    expect(platform.engine.requests.at(-1)?.speculation).toEqual({ draft: { maxDraft: 3 } });
    await complete(api, { speculation: {} });
    expect(platform.engine.requests.at(-1)?.speculation).toEqual({});
    expect((await complete(api, { speculation: { ngram: { max_draft: 99 } } })).status).toBe(400);
  });
});

const degraded = async (url: string) =>
  /^lorikeet_rate_limits_degraded\{.*\} (\d)$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1];

describe('while Redis hangs', () => {
  it('a request waits for it a moment at most, and the next ones not at all', async () => {
    const { apis } = await limited({ requests_per_minute: 100 });
    expect(statuses(await flood(apis, 2)).ok).toBe(2);
    const pid = platform.redis?.child.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      expect(statuses(await flood(apis, 10)).ok).toBe(10);
      for (const api of apis) {
        const times_ms: number[] = [];
        for (let index = 0; index < 10; index += 1) {
          const began_ms = performance.now();
          await complete(api);
          times_ms.push(performance.now() - began_ms);
        }
        // A busy machine may take longer for any of them; had each waited for Redis, none could be quicker.
        expect(Math.min(...times_ms)).toBeLessThan(500);
      }
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    for (const url of [platform.url, secondUrl]) while ((await degraded(url)) !== '0') await sleep(50);
  });
});

describe('while Redis is away', () => {
  it('each process grants its share, inference goes on, and all heals by itself', async () => {
    const { apis } = await limited({ requests_per_minute: 8 });
    const began_ms = performance.now();
    const before = statuses(await flood(apis, 2));
    expect(before).toEqual({ ok: 2, refused: 0 });
    await platform.redis?.child.stop();
    const away = await flood(apis, 20);
    // Each may grant 4 in all, one of which it granted before.
    expect(statuses(away)).toEqual({ ok: 6, refused: 14 });
    expect(await degraded(platform.url)).toBe('1');
    const free = await limited({});
    expect(statuses(await flood(free.apis, 4)).ok).toBe(4);

    await platform.restartRedis();
    for (const url of [platform.url, secondUrl]) while ((await degraded(url)) !== '0') await sleep(50);
    // What was granted meanwhile was told to Redis: the tenant has nothing left but what was refilled.
    const later = statuses(await flood(apis, 10)).ok;
    expect(later).toBeLessThanOrEqual(Math.ceil(((performance.now() - began_ms) / 60_000) * 8));
    const fresh = await limited({ requests_per_minute: 5 });
    expect(statuses(await flood(fresh.apis, 12)).ok).toBe(5);
  });
});

describe('without Redis', () => {
  it('each of two processes grants half, and one alone all', async () => {
    const alone = await Platform.start({ worker: false, queue: 'postgres' });
    try {
      alone.engine.script = answer;
      const made = async (name: string, quotas: object) => {
        await alone.admin.expect(201, 'POST', '/v1/admin/tenants', { name, quotas });
        const path = `/v1/admin/tenants/${name}/keys`;
        return (await alone.admin.expect<{ key: string }>(201, 'POST', path, { name: 'k' })).key;
      };
      const one = new Client(alone.url, await made('one', { requests_per_minute: 6 }));
      const granted = await flood([one], 10);
      expect(statuses(granted)).toEqual({ ok: 6, refused: 4 });
      expect(granted[0]?.headers.get('x-ratelimit-limit-requests')).toBe('6');

      const otherUrl = await alone.startApi();
      const key = await made('two', { requests_per_minute: 6, concurrent_requests: 4 });
      const both = [new Client(alone.url, key), new Client(otherUrl, key)];
      let limit: string | null | undefined;
      do {
        limit = (await complete(both[0] as Client)).headers.get('x-ratelimit-limit-requests');
      } while (limit !== '3');
      expect(statuses(await flood(both, 12)).ok).toBeLessThanOrEqual(6);
      expect(await degraded(alone.url)).toBe('0');
    } finally {
      await alone.close();
    }
  });
});
