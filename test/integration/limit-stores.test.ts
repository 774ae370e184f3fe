import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ask, Decision, Settlement, Subject } from '#accounts/limits/limit-store.js';
import { LocalLimiter } from '#accounts/limits/local-limiter.js';
import type { RateLimits } from '#accounts/limits/rate-limits.js';
import { RedisLimiter } from '#accounts/limits/redis-limiter.js';
import { startRedis } from '../../scripts/lib/redis.mjs';

const TENANT = 'tenant';
const LEASE_MS = 1_500;

let folder: string;
let server: Awaited<ReturnType<typeof startRedis>>;
let redis: Redis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-limits-'));
  server = await startRedis({ directory: folder });
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.child.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Store {
  admit(ask: Ask): Promise<Decision>;
  settle(settlement: Settlement): Promise<void>;
}

const stores: Readonly<Record<string, () => Store>> = {
  'in Redis': () => {
    const limiter = new RedisLimiter(redis, LEASE_MS);
    return {
      admit: (ask) => limiter.admit(TENANT, ask),
      settle: (settlement) => limiter.settle(TENANT, settlement),
    };
  },
  'in one process': () => {
    const limiter = new LocalLimiter();
    return {
      admit: async (ask) => limiter.admit(ask),
      settle: async (settlement) => limiter.settle(settlement),
    };
  },
};

let made = 0;
/** Of its own key, so that no test sees what another took. */
const subject = (limits: RateLimits): Subject => ({ id: `key-${(made += 1)}`, kind: 'key', limits });
const ask = (subjects: readonly Subject[], tokens = 0): Ask => ({
  subjects,
  tokens,
  lease: `lease-${(made += 1)}`,
});

describe.each(Object.keys(stores))('limits %s', (name) => {
  let store: Store;
  beforeAll(() => {
    store = stores[name]?.() as Store;
  });

  it('grant a minute of requests at once, then refuse and say when', async () => {
    const limited = [subject({ requests_per_minute: 6 })];
    const decisions = await Promise.all(Array.from({ length: 10 }, () => store.admit(ask(limited))));
    expect(decisions.filter(({ refusal }) => !refusal)).toHaveLength(6);
    const refusal = decisions.at(-1)?.refusal;
    expect(refusal).toMatchObject({ subject: 0, kind: 'requests' });
    expect(refusal?.wait_ms).toBeGreaterThan(5_000);
    expect(refusal?.wait_ms).toBeLessThanOrEqual(10_000);
    expect(decisions.map(({ remaining }) => Math.floor(remaining[0]?.requests ?? -1))).toEqual([
      5, 4, 3, 2, 1, 0, 0, 0, 0, 0,
    ]);
  });

  it('fill evenly, so that a wait as long as was said suffices', async () => {
    const limited = [subject({ requests_per_minute: 600 })];
    let wait_ms: number | undefined;
    while (wait_ms === undefined) wait_ms = (await store.admit(ask(limited))).refusal?.wait_ms;
    expect(wait_ms).toBeLessThanOrEqual(100);
    await sleep(wait_ms + 5);
    expect((await store.admit(ask(limited))).refusal).toBeUndefined();
  });

  it('take from all subjects or from none', async () => {
    const wide = subject({ requests_per_minute: 10, tokens_per_minute: 100 });
    const narrow = subject({ tokens_per_minute: 10 });
    expect((await store.admit(ask([wide, narrow], 10))).refusal).toBeUndefined();
    const { refusal, remaining } = await store.admit(ask([wide, narrow], 10));
    expect(refusal).toMatchObject({ subject: 1, kind: 'tokens' });
    expect(Math.floor(remaining[0]?.requests ?? 0)).toBe(9);
    expect(remaining[1]?.requests).toBeUndefined();
  });

  it('give back what a request reserved and did not use', async () => {
    const limited = [subject({ tokens_per_minute: 10 })];
    const first = ask(limited, 9);
    await store.admit(first);
    expect((await store.admit(ask(limited, 5))).refusal?.kind).toBe('tokens');
    await store.settle({ ...first, usedTokens: 1 });
    const { refusal, remaining } = await store.admit(ask(limited, 5));
    expect(refusal).toBeUndefined();
    expect(Math.floor(remaining[0]?.tokens ?? 0)).toBe(4);
  });

  it('let a request that used more than it reserved leave a debt', async () => {
    const limited = [subject({ tokens_per_minute: 6 })];
    const first = ask(limited, 1);
    await store.admit(first);
    await store.settle({ ...first, usedTokens: 12 });
    const { refusal } = await store.admit(ask(limited, 1));
    expect(refusal?.wait_ms).toBeGreaterThan(60_000);
    expect(refusal?.wait_ms).toBeLessThanOrEqual(70_000);
  });

  it('let one take the whole bucket that asks for more than it holds', async () => {
    const limited = [subject({ tokens_per_minute: 10 })];
    const large = ask(limited, 1_000);
    expect((await store.admit(large)).refusal).toBeUndefined();
    expect((await store.admit(ask(limited, 1))).refusal?.kind).toBe('tokens');
    await store.settle({ ...large, usedTokens: 3 });
    const { remaining } = await store.admit(ask(limited, 0));
    expect(Math.floor(remaining[0]?.tokens ?? 0)).toBe(7);
  });

  it('count those that run, until they end', async () => {
    const limited = [subject({ concurrent_requests: 2 })];
    const running = [ask(limited), ask(limited)];
    for (const one of running) expect((await store.admit(one)).refusal).toBeUndefined();
    expect((await store.admit(ask(limited))).refusal).toEqual({
      subject: 0,
      kind: 'concurrency',
      wait_ms: undefined,
    });
    await store.settle({ ...(running[0] as Ask), usedTokens: 0 });
    expect((await store.admit(ask(limited))).refusal).toBeUndefined();
  });
});

describe('requests that run', () => {
  const limiter = (lease_ms = LEASE_MS) => new RedisLimiter(redis, lease_ms);

  it('count no longer once their process has not spoken for them for long', async () => {
    const [held, left] = [subject({ concurrent_requests: 1 }), subject({ concurrent_requests: 1 })];
    await limiter(600_000).admit(TENANT, ask([held]));
    await limiter(300).admit(TENANT, ask([left]));
    const refusal = async (limited: Subject) => (await limiter().admit(TENANT, ask([limited]))).refusal;
    await expect.poll(() => refusal(left)).toBeUndefined();
    expect((await refusal(held))?.kind).toBe('concurrency');
  });

  it('count for as long as their process speaks for them, also in a Redis that forgot them', async () => {
    const limited = subject({ concurrent_requests: 1 });
    const running = ask([limited]);
    await limiter().admit(TENANT, running);
    for (let beat = 0; beat < 4; beat += 1) {
      await sleep(LEASE_MS / 3);
      if (beat === 2) await redis.flushall();
      // One command behind the other: however slow this process is, the lease cannot run out between them.
      const renewed = limiter().renew(TENANT, limited, [running.lease]);
      const { refusal } = await limiter().admit(TENANT, ask([limited]));
      await renewed;
      expect(refusal?.kind).toBe('concurrency');
    }
    await limiter().settle(TENANT, { ...running, usedTokens: 0 });
    expect((await limiter().admit(TENANT, ask([limited]))).refusal).toBeUndefined();
  });

  it('leave no key behind once all is full again', async () => {
    const limited = subject({ requests_per_minute: 60_000, concurrent_requests: 5 });
    const one = ask([limited]);
    await limiter().admit('short', one);
    await limiter().settle('short', { ...one, usedTokens: 0 });
    await expect.poll(() => redis.keys('*{short}*')).toEqual([]);
  });
});
